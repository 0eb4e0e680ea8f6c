//! `proxy_next_upstream`: what sends a request to another server, and what that means for servers and sessions.

use limpet_tests::{Backend, Client, Limpet, Response, Script, eventually, get, port, scheme};

/// Backends in an upstream, and limpet in front of them.
struct Setup {
    backends: Vec<Backend>,
    front: u16,
    limpet: Limpet,
}

impl Setup {
    /// `parameters` go to every server, `block` into the upstream, `location` into the location.
    fn new(scripts: Vec<Script>, parameters: &str, block: &str, location: &str) -> Setup {
        let backends: Vec<Backend> = scripts.into_iter().map(Backend::new).collect();
        let servers: String =
            backends.iter().map(|backend| format!("server {} {parameters};\n", backend.address())).collect();
        let front = port();
        let http = format!(
            "log_format t '$status [$upstream_addr] [$upstream_status] [$upstream_response_length] [$upstream_connect_time]';
             access_log logs/tries.log t; proxy_read_timeout 300ms;
             upstream u {{ {servers} {block} }}
             server {{ listen 127.0.0.1:{front}; location / {{ {location} proxy_pass http://u; }} }}"
        );
        let limpet = Limpet::http_with(front, "error_log logs/error.log info;", &http);
        Setup { backends, front, limpet }
    }

    fn get(&self) -> Response {
        get(self.front, "/", &[])
    }

    /// The last line of the log, addresses as their numbers.
    fn tries(&self, lines: usize) -> String {
        let path = self.limpet.path("logs/tries.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        eventually("the line is there", || read().lines().count() >= lines);
        let mut line = read().lines().last().unwrap_or_default().to_owned();
        for (n, backend) in self.backends.iter().enumerate() {
            line = line.replace(&backend.address(), &n.to_string());
        }
        line
    }
}

fn bad(status: u16) -> Script {
    Script::page(status, "X-From: bad\r\n", "bad page")
}

const STATUSES: [u16; 7] = [500, 502, 503, 504, 403, 404, 429];

#[test]
fn each_status_sends_the_request_on_where_it_is_named_and_only_there() {
    for status in STATUSES {
        let setting = format!("proxy_next_upstream http_{status};");
        let setup = Setup::new(vec![bad(status), Script::ok("good")], "", "", &setting);
        assert_eq!(setup.get().text(), "good", "{status}");
        assert!(setup.tries(1).starts_with(&format!("200 [0, 1] [{status}, 200] [0, 4]")), "{}", setup.tries(1));
        let setup = Setup::new(vec![bad(status), Script::ok("good")], "", "", "");
        assert_eq!((setup.get().status, setup.backends[1].requests().len()), (status, 0));
    }
}

#[test]
fn statuses_count_as_failures_but_for_403_and_404() {
    for status in STATUSES {
        let setting = format!("proxy_next_upstream http_{status};");
        let setup = Setup::new(vec![bad(status), Script::ok("good")], "fail_timeout=1h", "", &setting);
        for _ in 0..4 {
            assert_eq!(setup.get().text(), "good");
        }
        let asked = setup.backends[0].requests().len();
        let disabled = setup.limpet.error_log().contains("[warn]")
            && setup
                .limpet
                .error_log()
                .contains("upstream server temporarily disabled while reading response header from upstream");
        match status {
            403 | 404 => assert!(asked >= 2 && !disabled, "{status}: asked {asked} times"),
            _ => assert!(asked == 1 && disabled, "{status}: asked {asked} times"),
        }
    }
}

#[test]
fn the_last_servers_own_page_is_passed_on_and_it_is_not_marked() {
    let all = Setup::new(vec![bad(503), bad(503)], "max_fails=0", "", "proxy_next_upstream http_503;");
    let response = all.get();
    assert_eq!((response.status, response.text().as_str(), response.value("x-from")), (503, "bad page", "bad"));
    assert!(all.tries(1).starts_with("503 [0, 1] [503, 503] [0, 8]"), "{}", all.tries(1));
    let alone = Setup::new(vec![bad(503)], "", "", "proxy_next_upstream http_503;");
    for _ in 0..3 {
        assert_eq!(alone.get().text(), "bad page");
    }
}

#[test]
fn a_page_is_not_passed_on_where_the_others_are_out_for_a_while() {
    let setup = Setup::new(
        vec![bad(503), Script::Close, bad(503)],
        "",
        "session_sticky hash=plain fallback=off;",
        "proxy_next_upstream error http_503;",
    );
    // Three servers fail one after another: the page of the last one is passed on, and it is not marked.
    assert_eq!(setup.get().text(), "bad page");
    assert!(setup.tries(1).starts_with("503 [0, 1, 2] [503, 502, 503] [0, 0, 8]"), "{}", setup.tries(1));
    // Then it is the only one, and nobody takes its place.
    assert_eq!(setup.get().status, 502);
    assert!(setup.tries(2).starts_with("502 [2, u] [503, 502] [0, 0] [0.00"), "{}", setup.tries(2));
    setup.limpet.logs("no live upstreams while connecting to upstream, client: 127.0.0.1, server: , request: \"GET / HTTP/1.1\", upstream: \"http://u/\"");
    assert_eq!(setup.get().status, 502);
    assert!(setup.tries(3).starts_with("502 [u] [502] [0] [-]"), "{}", setup.tries(3));
    // A client that is held to its server gets that one's page.
    let cookie = format!("Cookie: route={}", setup.backends[0].address());
    assert_eq!(get(setup.front, "/", &[&cookie]).text(), "bad page");
}

#[test]
fn a_time_out_is_502_where_the_others_are_out_for_a_while() {
    let (gone, hanging) = (Backend::new(Script::Close), Backend::new(Script::Hang));
    let front = port();
    let http = format!(
        "upstream u {{ server {}; server {} max_fails=0; }} proxy_read_timeout 300ms;
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        gone.address(),
        hanging.address()
    );
    let _limpet = Limpet::http(front, &http);
    let statuses: Vec<u16> = (0..3).map(|_| get(front, "/", &[]).status).collect();
    assert_eq!((statuses.as_slice(), gone.requests().len()), ([504, 502, 502].as_slice(), 1));
}

#[test]
fn a_server_that_must_not_be_asked_is_a_failure() {
    let allow = "proxy_allow_upstream $arg_all $http_x_allow;";
    let setting = format!("{allow} proxy_next_upstream denied;");
    let setup = Setup::new(vec![Script::ok("0"), Script::ok("1")], "max_fails=0", "", &setting);
    for (target, header, status) in [
        ("/?all=1", "X-Allow: yes", 200),
        ("/?all=0", "X-Allow: yes", 502),
        ("/?all=1", "X-Allow: 0", 502),
        ("/?all=1", "X-Other: 1", 502),
    ] {
        assert_eq!(get(setup.front, target, &[header]).status, status, "{target} {header}");
    }
    assert_eq!(
        setup.tries(4).split(" [0, 0]").next().map(|line| line.replace("1, 0", "0, 1")),
        Some("502 [0, 1] [502, 502]".into())
    );
    assert_eq!(setup.backends.iter().map(|backend| backend.requests().len()).sum::<usize>(), 1);
    setup.limpet.logs("access to the server is denied by \"proxy_allow_upstream\" while connecting to upstream");
    // Without the word nobody else is asked; and the server is marked.
    let setup = Setup::new(vec![Script::ok("0"), Script::ok("1")], "", "", allow);
    assert_eq!(get(setup.front, "/", &[]).status, 502);
    assert!(setup.tries(1).starts_with("502 [0] [502]"), "{}", setup.tries(1));
    setup.limpet.logs("upstream server temporarily disabled while connecting to upstream");
}

#[test]
fn tries_are_bounded() {
    for name in ["proxy_next_upstream_tries", "proxy_upstream_tries"] {
        let setting = format!("proxy_next_upstream error http_503; {name} 2;");
        let setup = Setup::new(vec![Script::Close, bad(503), Script::ok("good")], "max_fails=0", "", &setting);
        let response = setup.get();
        assert_eq!((response.status, response.text().as_str()), (503, "bad page"));
        assert!(setup.tries(1).starts_with("503 [0, 1] [502, 503]"), "{}", setup.tries(1));
    }
}

#[test]
fn the_time_for_tries_is_bounded() {
    let setup = Setup::new(
        vec![Script::Hang, Script::Hang, Script::Hang, Script::Hang],
        "max_fails=0",
        "",
        "proxy_next_upstream timeout; proxy_next_upstream_timeout 550ms;",
    );
    assert_eq!(setup.get().status, 504);
    assert!(setup.tries(1).starts_with("504 [0, 1] [504, 504]"), "{}", setup.tries(1));
}

#[test]
fn a_head_that_can_not_be_read_is_a_condition_of_its_own() {
    let broken = || Script::Answer(b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n".to_vec());
    let setup = Setup::new(vec![broken(), Script::ok("good")], "", "", "proxy_next_upstream invalid_header;");
    assert_eq!(setup.get().text(), "good");
    let setup = Setup::new(vec![broken(), Script::ok("good")], "", "", "proxy_next_upstream error timeout;");
    assert_eq!(setup.get().status, 502);
}

#[test]
fn requests_that_change_something_are_sent_on_only_where_asked_for() {
    for (method, setting, status) in [
        ("POST", "http_503", 503),
        ("POST", "http_503 non_idempotent", 200),
        ("LOCK", "http_503", 503),
        ("PATCH", "http_503", 503),
        ("PUT", "http_503", 200),
        ("DELETE", "http_503", 200),
    ] {
        let setup = Setup::new(vec![bad(503), Script::ok("good")], "", "", &format!("proxy_next_upstream {setting};"));
        let mut client = Client::connect(setup.front);
        client.send(format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(client.response().status, status, "{method} {setting}");
        if status == 200 {
            assert!(setup.backends[1].requests()[0].ends_with("\r\n\r\nhello"), "the body goes along whole");
        }
    }
}

#[test]
fn a_body_past_the_buffer_keeps_the_page_of_the_server_that_got_it() {
    let off = "proxy_next_upstream http_503; proxy_request_buffering off;";
    let setup = Setup::new(vec![bad(503), Script::ok("good")], "", "", off);
    let body = "x".repeat(300_000);
    let mut client = Client::connect(setup.front);
    client.send(format!("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (503, "bad page"));
    assert!(setup.backends[1].requests().is_empty());
}

#[test]
fn the_cookie_names_the_server_that_answered_in_the_end() {
    let setup = Setup::new(vec![bad(503), Script::ok("good")], "", "session_sticky;", "proxy_next_upstream http_503;");
    let cookie = setup.get().value("set-cookie").to_owned();
    assert!(cookie.starts_with("route=") && cookie.ends_with("; Path=/"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let before = setup.backends[0].requests().len();
    for _ in 0..3 {
        let response = get(setup.front, "/", &[&format!("Cookie: {cookie}")]);
        assert_eq!((response.text().as_str(), response.values("set-cookie").len()), ("good", 0));
    }
    assert_eq!(setup.backends[0].requests().len(), before);
}

#[test]
fn a_session_that_is_held_gets_its_own_servers_page() {
    let block = "session_sticky hash=plain fallback=off;";
    let setup = Setup::new(vec![bad(503), Script::ok("good")], "", block, "proxy_next_upstream error http_503;");
    let cookie = format!("Cookie: route={}", setup.backends[0].address());
    let response = get(setup.front, "/", &[&cookie]);
    assert_eq!((response.status, setup.backends[1].requests().len()), (503, 0));
}

#[test]
fn a_backup_answers_for_a_status_too() {
    let (primary, backup) = (Backend::new(bad(503)), Backend::new(Script::ok("backup")));
    let front = port();
    let http = format!(
        "upstream u {{ server {}; server {} backup; }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_next_upstream http_503; proxy_pass http://u; }} }}",
        primary.address(),
        backup.address()
    );
    let _limpet = Limpet::http(front, &http);
    assert_eq!(get(front, "/", &[]).text(), "backup");
}

#[test]
fn max_conns_counts_sessions_and_new_clients_together() {
    let slow = Backend::planned(|_, request| match request.starts_with("GET /hang") {
        true => Script::Hang,
        false => Script::ok("slow"),
    });
    let other = Backend::new(Script::ok("other"));
    let front = port();
    let http = format!(
        "upstream u {{ server {} max_conns=2; server {}; session_sticky hash=plain; }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        slow.address(),
        other.address()
    );
    let _limpet = Limpet::http_with(front, "worker_processes 2;", &http);
    let cookie = format!("Cookie: route={}", slow.address());
    // One by its session, one by the round robin.
    let mut session = Client::connect(front);
    session.send(format!("GET /hang HTTP/1.1\r\nHost: x\r\n{cookie}\r\n\r\n"));
    eventually("it is there", || slow.requests().len() == 1);
    let mut new: Vec<Client> = Vec::new();
    while slow.requests().len() < 2 {
        let mut client = Client::connect(front);
        client.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
        let (asked, before) = (|| slow.requests().len() + other.requests().len(), new.len() + 1);
        eventually("it was asked", || asked() > before);
        new.push(client);
    }
    for headers in [&[cookie.as_str()][..], &[]] {
        assert!((0..6).all(|_| get(front, "/", headers).text() == "other"));
    }
    drop((session, new));
    eventually("there is room again", || get(front, "/", &[&cookie]).text() == "slow");
}

#[test]
fn connections_leave_from_where_proxy_bind_says() {
    let (front, back, to) = (port(), port(), scheme());
    let http = format!(
        "server {{ listen 127.0.0.1:{back}; return 200 $remote_addr; }}
         server {{ listen 127.0.0.1:{front}; proxy_bind 127.0.0.9;
         location / {{ proxy_pass {to}://127.0.0.1:{back}; }}
         location /off {{ proxy_bind off; proxy_pass {to}://127.0.0.1:{back}; }}
         location /variable {{ proxy_bind $arg_from; proxy_pass {to}://127.0.0.1:{back}; }}
         location /foreign {{ proxy_bind 192.0.2.1; proxy_pass {to}://127.0.0.1:{back}; }} }}"
    );
    let limpet = Limpet::http(front, &http);
    for (target, from) in [
        ("/", "127.0.0.9"),
        ("/off", "127.0.0.1"),
        ("/variable?from=127.0.0.8", "127.0.0.8"),
        ("/variable", "127.0.0.1"),
        ("/variable?from=nowhere", "127.0.0.1"),
    ] {
        assert_eq!(get(front, target, &[]).text(), from, "{target}");
    }
    limpet.logs("[error]");
    assert!(limpet.error_log().contains("invalid local address \"nowhere\""), "{}", limpet.error_log());
    assert_eq!(get(front, "/foreign", &[]).status, 500);
    limpet.logs("[crit]");
    assert!(limpet.error_log().contains("bind(192.0.2.1) failed (99: "), "{}", limpet.error_log());
}
