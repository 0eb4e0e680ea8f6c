//! `X-Accel-Redirect` and `internal`: a backend hands its request back, and another location answers.

use limpet_tests::{Backend, Client, Limpet, Response, Script, eventually, get, port};

/// An application that hands every request on to what its argument `to` names, a second backend, and limpet.
struct Setup {
    application: Backend,
    second: Backend,
    front: u16,
    limpet: Limpet,
}

const TOLD: &str = "Content-Type: a/b\r\nSet-Cookie: s=1\r\nCache-Control: max-age=5\r\nContent-Disposition: attachment\r\n\
                    Accept-Ranges: none\r\nETag: \"theirs\"\r\nX-Foo: 1\r\n";

fn hands_on(request: &str) -> Script {
    let target = request.split(' ').nth(1).and_then(|target| target.split_once("to=")).map_or("", |(_, to)| to);
    let (status, body) = if target.contains("empty") { (404, "") } else { (200, "not for you") };
    Script::page(status, &format!("X-Accel-Redirect: {target}\r\n{TOLD}"), body)
}

impl Setup {
    fn new(upstream: &str) -> Setup {
        Setup::with(upstream, "")
    }

    fn with(upstream: &str, server: &str) -> Setup {
        let application = Backend::planned(|_, request| hands_on(request));
        let second = Backend::new(Script::page(200, "X-Bar: 2\r\nSet-Cookie: t=2\r\n", "second"));
        let front = port();
        let http = format!(
            "log_format t '$request_method $uri $status [$upstream_addr] [$upstream_status] [$upstream_response_length] \
                           [$upstream_http_x_foo] [$upstream_last_addr]';
             access_log logs/tries.log t;
             upstream application {{ server {0}; {upstream} }}
             upstream nobody {{ server 127.0.0.1:{1} max_fails=0; server 127.0.0.1:{2} max_fails=0; }}
             server {{ listen 127.0.0.1:{front}; {server} root {{root}};
                 if ($uri = /files/forbidden) {{ return 403; }}
                 location /app {{ proxy_pass http://application; }}
                 location /deaf {{ proxy_ignore_headers X-Accel-Redirect Vary; proxy_pass http://application; }}
                 location /second {{ proxy_pass http://{3}; }}
                 location /nobody {{ proxy_pass http://nobody; }}
                 location /text {{ return 200 '$uri $args'; }}
                 location /files {{ internal; add_header X-Location files; location ~ \\.pdf$ {{ }} }}
                 location /slash/ {{ internal; proxy_pass http://{3}; }}
                 location /small {{ internal; alias html/files/x; client_max_body_size 10; }}
                 location @small {{ client_max_body_size 1; return 200 small; }}
                 location @second {{ proxy_pass http://{3}; }}
                 location @text {{ return 200 'named $uri'; }}
                 location @text {{ return 200 never; }} }}",
            application.address(),
            Backend::refusing(),
            Backend::refusing(),
            second.address(),
        );
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["logs", "html/files"] {
            std::fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        for name in ["x", "x.pdf"] {
            std::fs::write(folder.path().join("html/files").join(name), "file x").expect("a file");
        }
        let http = http.replace("{root}", "html");
        let text = format!("error_log logs/error.log info;\nevents {{}}\nhttp {{\n{http}\n}}\n");
        std::fs::write(folder.path().join("nginx.conf"), text).expect("a configuration");
        Setup { application, second, front, limpet: Limpet::start_in(folder, front) }
    }

    /// A request that the application hands on.
    fn to(&self, target: &str) -> Response {
        get(self.front, &format!("/app?to={target}"), &[])
    }

    /// The last line of the log, addresses as names.
    fn last(&self, lines: usize) -> String {
        let read = || std::fs::read_to_string(self.limpet.path("logs/tries.log")).unwrap_or_default();
        eventually("the line is there", || read().lines().count() >= lines);
        let line = read().lines().last().unwrap_or_default().to_owned();
        line.replace(&self.application.address(), "app").replace(&self.second.address(), "second")
    }
}

#[test]
fn a_file_is_served_for_a_backend_and_to_nobody_else() {
    let setup = Setup::new("");
    for target in ["/files/x", "/files/x.pdf", "/slash/", "/slash"] {
        assert_eq!(get(setup.front, target, &[]).status, 404, "{target}");
    }
    let response = setup.to("/files/x");
    assert_eq!((response.status, response.text().as_str()), (200, "file x"));
    assert_eq!(setup.last(5), "GET /files/x 200 [app] [200] [0] [1] [app]");
    // Some of what the backend has told goes along, and what it says of its own body does not.
    for (name, value) in [
        ("content-type", "a/b"),
        ("set-cookie", "s=1"),
        ("cache-control", "max-age=5"),
        ("content-disposition", "attachment"),
        ("x-location", "files"),
        ("x-foo", ""),
        ("x-accel-redirect", ""),
        ("content-length", "6"),
    ] {
        assert_eq!(response.value(name), value, "{name}");
    }
    assert_eq!(response.values("accept-ranges"), ["none", "bytes"]);
    assert_ne!(response.value("etag"), "\"theirs\"");
    // The status of the one that hands on says nothing to the client.
    assert_eq!((setup.to("/files/x?empty").status, setup.to("/files/none").status), (200, 404));
    let since = format!("If-None-Match: {}", response.value("etag"));
    let unchanged = get(setup.front, "/app?to=/files/x", &[&since]);
    assert_eq!((unchanged.status, unchanged.values("accept-ranges").len()), (304, 0));
    assert_eq!(setup.to("/files/none").status, 404);
    assert_eq!(setup.last(9), "GET /files/none 404 [app] [200] [0] [1] [app]");
    // The rules of the server are asked again.
    assert_eq!(setup.to("/files/forbidden").status, 403);
}

#[test]
fn files_are_read_whatever_the_clients_method_was() {
    let setup = Setup::new("");
    let mut client = Client::connect(setup.front);
    for _ in 0..2 {
        client.send("POST /app?to=/files/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "file x");
    }
    assert_eq!(setup.last(2), "POST /files/x 200 [app] [200] [0] [1] [app]");
    let response = client.request("HEAD /app?to=/files/x", &[]);
    assert_eq!((response.status, response.value("content-length"), response.text().as_str()), (200, "6", ""));
}

#[test]
fn another_backend_answers_and_a_colon_parts_the_two() {
    let setup = Setup::new("");
    let response = setup.to("/second?q=1");
    assert_eq!((response.status, response.text().as_str()), (200, "second"));
    assert_eq!(setup.last(1), "GET /second 200 [app : second] [200 : 200] [0 : 6] [-] [second]");
    assert_eq!(response.values("set-cookie"), ["s=1", "t=2"]);
    assert_eq!((response.value("content-type"), response.value("x-bar")), ("a/b", "2"));
    assert!(setup.second.requests()[0].starts_with("GET /second?q=1 HTTP/1.1\r\n"));
    // A path is decoded, and written anew.
    setup.to("/second/%20x");
    assert!(setup.second.requests()[1].starts_with("GET /second/%20x HTTP/1.1\r\n"));
    let response = setup.to("/nobody");
    assert_eq!((response.status, response.value("set-cookie")), (502, "s=1"));
    assert!(response.values("accept-ranges").is_empty());
    let line = setup.last(3);
    assert!(line.starts_with("GET /nobody 502 [app : 127.0.0.1:"), "{line}");
    assert!(line.contains("] [200 : 502, 502] [0 : 0, 0] [-] [127.0.0.1:"), "{line}");
}

#[test]
fn a_change_of_protocol_is_none_then() {
    let application = Backend::new(Script::AnswerAndHang(
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\nX-Accel-Redirect: /text\r\n\r\n".to_vec(),
    ));
    let front = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{front}; location / {{ proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
         proxy_pass http://{}; }} location /text {{ return 200 text; }} }}",
        application.address()
    );
    let _limpet = Limpet::http(front, &http);
    assert_eq!(get(front, "/", &["Connection: upgrade", "Upgrade: x"]).text(), "text");
}

#[test]
fn the_body_is_sent_again_with_the_clients_method() {
    let setup = Setup::new("");
    for (number, target) in ["/second", "@second"].into_iter().enumerate() {
        let mut client = Client::connect(setup.front);
        client.send(format!("POST /app?to={target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(client.response().text(), "second");
        let request = &setup.second.requests()[number];
        let path = if target == "/second" { "/second" } else { "/app?to=@second" };
        assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
        assert!(request.contains("Content-Length: 5\r\n") && request.ends_with("\r\n\r\nhello"), "{request}");
    }
    // One that is not kept can't be; a file needs none.
    let body = "x".repeat(300_000);
    let streaming = Setup::with("", "proxy_request_buffering off;");
    for (setup, target, status) in [
        (&setup, "/second", 200),
        (&streaming, "/second", 500),
        (&setup, "/files/x", 200),
        (&streaming, "/files/x", 200),
    ] {
        let mut client = Client::connect(setup.front);
        let length = body.len();
        client.send(format!("POST /app?to={target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_eq!(client.response().status, status, "{target}");
    }
    // What is known of a body without a length counts for the next location, too.
    for (target, status) in [("/small", 413), ("/files/x", 200), ("@small", 200)] {
        let mut client = Client::connect(setup.front);
        client.send(format!("POST /app?to={target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        client.send("b\r\nhello world\r\n0\r\n\r\n");
        assert_eq!(client.response().status, status, "{target}");
    }
    streaming.limpet.logs("client request body is too large to be sent again after X-Accel-Redirect");
    assert_eq!((setup.second.requests().len(), streaming.second.requests().len()), (3, 0));
}

#[test]
fn named_locations_and_texts_answer_too() {
    let setup = Setup::new("");
    assert_eq!(setup.to("@text").text(), "named /app");
    assert_eq!(setup.last(1), "GET /app 200 [app] [200] [0] [1] [app]");
    assert_eq!(setup.to("@second").text(), "second");
    let response = setup.to("/text?a=b");
    assert_eq!((response.text().as_str(), response.value("content-type")), ("/text a=b", "a/b"));
    assert_eq!(setup.to("@missing").status, 500);
    setup.limpet.logs("could not find named location \"@missing\" while reading response header from upstream");
}

#[test]
fn what_leads_nowhere_is_told() {
    let setup = Setup::new("");
    for target in ["/files/../x", "", "?a", "/a/%252e%252e/b".replace("25", "").as_str()] {
        let response = setup.to(target);
        assert_eq!((response.status, response.value("content-type")), (404, "text/html"), "{target}");
    }
    setup.limpet.logs("unsafe URI \"/files/../x\" was detected while reading response header from upstream");
    // One that hands on to itself: ten times, and no more.
    let before = setup.application.requests().len();
    let round = "/app?to=".repeat(12) + "/files/x";
    assert_eq!(setup.to(&round).status, 500);
    assert_eq!(setup.application.requests().len() - before, 11);
    setup.limpet.logs("rewrite or internal redirection cycle while internally redirecting to \"/app\"");
    assert_eq!(setup.to(&("/app?to=".repeat(8) + "/files/x")).text(), "file x");
}

#[test]
fn the_header_can_be_ignored() {
    let setup = Setup::new("");
    let response = get(setup.front, "/deaf?to=/files/x", &[]);
    assert_eq!((response.text().as_str(), response.value("x-foo")), ("not for you", "1"));
    assert!(response.values("x-accel-redirect").is_empty());
}

#[test]
fn the_connection_of_a_response_that_is_there_whole_is_kept() {
    let setup = Setup::new("keepalive 4;");
    for target in ["/files/x", "/files/x?empty", "/second", "/files/x"] {
        assert_eq!(setup.to(target).status, 200);
    }
    assert_eq!(setup.application.connections(), 1);
}

#[test]
fn sessions_go_along() {
    let setup = Setup::new("session_sticky;");
    let response = setup.to("/files/x");
    let cookie = response.cookie("route").expect("a session");
    assert_eq!(response.values("set-cookie"), ["s=1", &format!("route={cookie}; Path=/")]);
    // With an error there is none, and the same upstream twice gives one.
    assert_eq!(setup.to("/files/none").values("set-cookie"), ["s=1"]);
    let twice = setup.to("/app?to=/files/x");
    assert_eq!(twice.values("set-cookie").iter().filter(|line| line.starts_with("route=")).count(), 1);
    let returning = get(setup.front, "/app?to=/files/x", &[&format!("Cookie: route={cookie}")]);
    assert_eq!(returning.values("set-cookie"), ["s=1"]);
}

#[test]
fn the_applications_own_cookie_is_treated_by_the_status_of_the_answer() {
    for (mode, hide, good, bad) in [
        ("mode=prefix", true, vec!["sess=a~own"], "sess=own"),
        ("mode=rewrite", false, vec!["sess=a"], "sess=own"),
        ("option=direct", false, vec!["sess=own", "sess=a; Path=/"], "sess=own"),
        ("option=indirect", true, vec!["sess=a; Path=/"], "sess=own"),
    ] {
        let application = Backend::planned(|_, request| match request.split(' ').nth(1) {
            Some("/then") => Script::ok("then"),
            path => {
                let target = path.and_then(|path| path.split_once("to=")).map_or("", |(_, to)| to);
                Script::page(404, &format!("X-Accel-Redirect: {target}\r\nSet-Cookie: sess=own\r\n"), "")
            }
        });
        let front = port();
        let hide = if hide { "session_sticky_hide_cookie upstream=u;" } else { "" };
        let http = format!(
            "upstream u {{ server {} id=a; session_sticky cookie=sess hash=plain {mode}; }}
             server {{ listen 127.0.0.1:{front}; {hide} location / {{ proxy_pass http://u; }}
             location /text {{ return 200 text; }} location /none {{ return 404; }} }}",
            application.address()
        );
        let _limpet = Limpet::http(front, &http);
        let cookies = |target: &str| get(front, &format!("/app?to={target}"), &[]);
        for (target, expected) in [("/text", &good), ("/none", &vec![bad]), ("/then", &good)] {
            let response = cookies(target);
            assert_eq!(&response.values("set-cookie"), expected, "{mode} {target}");
        }
    }
}

#[test]
fn a_server_without_room_keeps_the_session_and_the_one_that_answered_goes_on() {
    let full = Backend::new(Script::Hang);
    let others: Vec<Backend> = (0..2)
        .map(|_| {
            Backend::planned(|_, request| match request.starts_with("GET /one") {
                true => Script::page(200, "X-Accel-Redirect: /two\r\n", ""),
                false => Script::ok("two"),
            })
        })
        .collect();
    let front = port();
    let http = format!(
        "upstream u {{ server {} max_conns=1; server {}; server {}; session_sticky hash=plain; }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        full.address(),
        others[0].address(),
        others[1].address()
    );
    let _limpet = Limpet::http(front, &http);
    let cookie = format!("Cookie: route={}", full.address());
    let mut waiting = Client::connect(front);
    waiting.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}\r\n\r\n"));
    eventually("it is there", || full.requests().len() == 1);
    for _ in 0..4 {
        let response = get(front, "/one", &[&cookie]);
        assert_eq!((response.text().as_str(), response.values("set-cookie").len()), ("two", 0));
    }
    for other in &others {
        let requests = other.requests();
        assert_eq!(requests.len(), 2 * requests.iter().filter(|request| request.starts_with("GET /one")).count());
    }
}

#[test]
fn a_way_over_two_sticky_upstreams_and_back_leaves_one_cookie_of_each() {
    let servers: Vec<Backend> = (0..4)
        .map(|_| {
            Backend::planned(|_, request| match request.split(' ').nth(1) {
                Some("/one") => Script::page(200, "X-Accel-Redirect: /other\r\n", ""),
                Some("/other") => Script::page(200, "X-Accel-Redirect: /last\r\n", ""),
                _ => Script::ok("last"),
            })
        })
        .collect();
    let front = port();
    let at = |index: usize| servers[index].address();
    let http = format!(
        "upstream u {{ server {}; server {}; session_sticky cookie=u hash=plain; }}
         upstream v {{ server {}; server {}; session_sticky cookie=v hash=plain; }}
         log_format t '$upstream_addr'; access_log logs/tries.log t;
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} location /other {{ proxy_pass http://v; }} }}",
        at(0),
        at(1),
        at(2),
        at(3)
    );
    let limpet = Limpet::http(front, &http);
    for (number, (u, v)) in [(0, 2), (1, 3)].into_iter().enumerate() {
        let response = get(front, "/one", &[]);
        // Our cookie comes with the latest answer of its upstream.
        let expected = [format!("v={}; Path=/", at(v)), format!("u={}; Path=/", at(u))];
        assert_eq!(response.values("set-cookie"), expected);
        let path = limpet.path("logs/tries.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        eventually("the line is there", || read().lines().count() > number);
        assert_eq!(read().lines().last(), Some(format!("{} : {} : {}", at(u), at(v), at(u)).as_str()));
    }
}

#[test]
fn a_request_stays_with_its_server_when_it_comes_to_the_same_upstream_again() {
    let servers: Vec<Backend> = (0..3)
        .map(|number| {
            Backend::planned(move |_, request| match request.starts_with("GET /first") {
                true => Script::page(200, "X-Accel-Redirect: /then\r\n", ""),
                false => Script::ok(&number.to_string()),
            })
        })
        .collect();
    let front = port();
    let lines: String = servers.iter().map(|server| format!("server {};", server.address())).collect();
    let http = format!(
        "upstream u {{ {lines} session_sticky hash=plain; }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}"
    );
    let _limpet = Limpet::http(front, &http);
    for _ in 0..5 {
        let response = get(front, "/first", &[]);
        let number: usize = response.text().parse().expect("a number");
        assert_eq!(response.cookie("route"), Some(servers[number].address()));
    }
    for server in &servers {
        let requests = server.requests();
        let first = requests.iter().filter(|request| request.starts_with("GET /first")).count();
        assert_eq!(requests.len(), 2 * first);
    }
}
