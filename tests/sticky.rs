//! `session_sticky` as clients and backends see it.

use limpet_tests::{Backend, Client, Limpet, Response, Script, eventually, get, port, scheme};

/// Some backends that say their number, and limpet in front of them.
struct Setup {
    backends: Vec<Backend>,
    front: u16,
    limpet: Limpet,
}

impl Setup {
    fn new(count: usize, sticky: &str, location: &str) -> Setup {
        Setup::with(count, sticky, location, |n| Script::ok(&n.to_string()))
    }

    fn with(count: usize, sticky: &str, location: &str, script: impl Fn(usize) -> Script) -> Setup {
        let backends: Vec<Backend> = (0..count).map(|n| Backend::new(script(n))).collect();
        let servers: String = backends.iter().map(|backend| format!("server {};\n", backend.address())).collect();
        Setup::behind(backends, &format!("{servers} {sticky}"), location)
    }

    fn behind(backends: Vec<Backend>, upstream: &str, location: &str) -> Setup {
        let front = port();
        let http = format!(
            "log_format s '$status $upstream_addr $upstream_status $session_sticky_state $session_sticky_server $session_sticky_sid';
             access_log logs/sticky.log s;
             upstream u {{ {upstream} }}
             server {{ listen 127.0.0.1:{front}; location / {{ {location} proxy_pass http://u; }} }}"
        );
        let limpet = Limpet::http(front, &http);
        Setup { backends, front, limpet }
    }

    fn get(&self, cookie: &str) -> Response {
        get(self.front, "/", &[&format!("Cookie: {cookie}")])
    }

    fn fresh(&self) -> Response {
        get(self.front, "/", &[])
    }

    fn sid(&self, n: usize) -> String {
        sid(&self.backends[n].address())
    }

    /// The state word of the last request.
    fn state(&self, requests: usize) -> String {
        let path = self.limpet.path("logs/sticky.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        limpet_tests::eventually("the log line is there", || read().lines().count() >= requests);
        read().lines().last().unwrap_or_default().to_owned()
    }
}

/// The SID of an address, by the program that everybody has.
fn sid(address: &str) -> String {
    let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {address} | md5sum")).output();
    String::from_utf8_lossy(&output.expect("md5sum runs").stdout)[..32].to_owned()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn a_new_client_gets_the_sid_of_its_server() {
    let setup = Setup::new(2, "session_sticky;", "");
    for n in [0, 1] {
        let response = setup.fresh();
        assert_eq!(response.text(), n.to_string());
        assert_eq!(response.value("set-cookie"), format!("route={}; Path=/", setup.sid(n)));
    }
    assert!(setup.state(2).contains(" new "), "{}", setup.state(2));
}

#[test]
fn a_client_with_a_session_stays_and_gets_no_new_cookie() {
    let setup = Setup::new(3, "session_sticky;", "");
    for _ in 0..4 {
        let response = setup.get(&format!("a=b; route={}", setup.sid(1)));
        assert_eq!(response.text(), "1");
        assert_eq!(response.values("set-cookie"), Vec::<&str>::new());
    }
    let line = setup.state(4);
    assert_eq!(line, format!("200 {0} 200 kept {0} {1}", setup.backends[1].address(), setup.sid(1)));
}

#[test]
fn sticky_hits_do_not_advance_the_round_robin() {
    let setup = Setup::new(2, "session_sticky;", "");
    assert_eq!(setup.fresh().text(), "0");
    for _ in 0..3 {
        setup.get(&format!("route={}", setup.sid(0)));
    }
    assert_eq!(setup.fresh().text(), "1");
}

#[test]
fn unknown_sid_with_fallback_on_is_balanced_and_gets_a_new_cookie() {
    let setup = Setup::new(2, "session_sticky;", "");
    let response = setup.get("route=00000000000000000000000000000000");
    assert_eq!((response.status, response.cookie("route")), (200, Some(setup.sid(0))));
    assert!(setup.state(1).contains(" unknown "));
}

#[test]
fn unknown_sid_with_fallback_off_is_502() {
    let setup = Setup::new(2, "session_sticky fallback=off;", "");
    let response = setup.get("route=unknown");
    assert_eq!(response.status, 502);
    assert_eq!(response.values("set-cookie"), Vec::<&str>::new());
    assert_eq!(setup.backends.iter().map(Backend::connections).sum::<usize>(), 0, "a server was contacted");
    setup.limpet.logs("no server has the SID \"unknown\"");
    assert_eq!(setup.fresh().status, 200, "a client without a session is served");
}

#[test]
fn a_refusing_server_with_fallback_on_is_left_once_for_another() {
    let dead = Backend::refusing();
    let live = Backend::new(Script::ok("live"));
    let upstream =
        format!("server 127.0.0.1:{dead} max_fails=0; server {} max_fails=0; session_sticky;", live.address());
    let setup = Setup::behind(vec![live], &upstream, "");
    let response = setup.get(&format!("route={}", sid(&format!("127.0.0.1:{dead}"))));
    assert_eq!((response.text().as_str(), response.cookie("route")), ("live", Some(setup.sid(0))));
    let line = setup.state(1);
    let expected = format!("200 127.0.0.1:{dead}, {0} 502, 200 failed_over {0} ", setup.backends[0].address());
    assert!(line.starts_with(&expected), "{line} does not start with {expected}");
}

#[test]
fn a_refusing_server_with_fallback_off_is_502_after_one_attempt() {
    let dead = Backend::refusing();
    let live = Backend::new(Script::ok("live"));
    let upstream = format!("server 127.0.0.1:{dead}; server {}; session_sticky fallback=off;", live.address());
    let setup = Setup::behind(vec![live], &upstream, "");
    let response = setup.get(&format!("route={}", sid(&format!("127.0.0.1:{dead}"))));
    assert_eq!((response.status, response.values("set-cookie").len()), (502, 0));
    assert_eq!(setup.state(1).split(' ').nth(1), Some(format!("127.0.0.1:{dead}").as_str()));
    assert_eq!(setup.backends[0].connections(), 0);
}

#[test]
fn the_first_request_of_a_client_is_tried_across_servers_even_with_fallback_off() {
    let dead = Backend::refusing();
    let live = Backend::new(Script::ok("live"));
    let upstream = format!("server 127.0.0.1:{dead}; server {}; session_sticky fallback=off;", live.address());
    let setup = Setup::behind(vec![live], &upstream, "");
    let response = setup.fresh();
    assert_eq!((response.text().as_str(), response.cookie("route")), ("live", Some(setup.sid(0))));
}

#[test]
fn sessions_stay_on_a_server_that_is_down_and_new_clients_do_not_reach_it() {
    for word in ["down", "drain"] {
        let backends: Vec<Backend> = (0..2).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
        let upstream =
            format!("server {} {word}; server {}; session_sticky;", backends[0].address(), backends[1].address());
        let setup = Setup::behind(backends, &upstream, "");
        assert_eq!(setup.get(&format!("route={}", setup.sid(0))).text(), "0", "{word}");
        assert_eq!([setup.fresh().text(), setup.fresh().text()], ["1", "1"], "{word}");
        setup.limpet.logs("is down: sessions stay on it");
    }
}

#[test]
fn passive_failures_do_not_move_a_session() {
    let flaky = Backend::planned(|n, _| if n == 0 { Script::Close } else { Script::ok("flaky") });
    let other = Backend::new(Script::ok("other"));
    let setup_sid = sid(&flaky.address());
    let upstream = format!("server {} fail_timeout=1h; server {}; session_sticky;", flaky.address(), other.address());
    let setup = Setup::behind(vec![flaky, other], &upstream, "");
    assert_eq!(setup.fresh().text(), "other", "the first server fails and is marked");
    assert_eq!(setup.fresh().text(), "other");
    assert_eq!(setup.get(&format!("route={setup_sid}")).text(), "flaky");
}

#[test]
fn a_backup_has_a_sid_of_its_own() {
    for order in [false, true] {
        let dead = Backend::refusing();
        let backup = Backend::new(Script::ok("backup"));
        let servers = format!("server 127.0.0.1:{dead}; server {} backup;", backup.address());
        let upstream = if order { format!("session_sticky; {servers}") } else { format!("{servers} session_sticky;") };
        let setup = Setup::behind(vec![backup], &upstream, "");
        let response = setup.fresh();
        assert_eq!((response.text().as_str(), response.cookie("route")), ("backup", Some(setup.sid(0))));
        assert_eq!(setup.get(&format!("route={}", setup.sid(0))).text(), "backup");
    }
}

#[test]
fn max_conns_moves_a_session_for_one_request_only() {
    let busy = Backend::planned(|n, _| if n == 0 { Script::Hang } else { Script::ok("home") });
    let other = Backend::new(Script::ok("other"));
    let upstream = format!("server {} max_conns=1; server {}; session_sticky;", busy.address(), other.address());
    let setup = Setup::behind(vec![busy, other], &upstream, "");
    let cookie = format!("Cookie: route={}", setup.sid(0));
    let mut hanging = Client::connect(setup.front);
    hanging.send(format!("GET / HTTP/1.1\r\nHost: x\r\n{cookie}\r\n\r\n"));
    limpet_tests::eventually("the first request is there", || setup.backends[0].requests().len() == 1);
    let response = get(setup.front, "/", &[&cookie]);
    assert_eq!((response.text().as_str(), response.values("set-cookie").len()), ("other", 0), "its place is kept");
    drop(hanging);
    limpet_tests::eventually("the server has room again", || get(setup.front, "/", &[&cookie]).text() == "home");
}

#[test]
fn timestamps_are_sent_every_time_and_first_is_kept() {
    let setup = Setup::new(1, "session_sticky maxidle=60 maxlife=600;", "");
    let value = setup.fresh().cookie("route").expect("a cookie");
    let parts: Vec<String> = value.split('|').map(str::to_owned).collect();
    assert_eq!((parts[0].as_str(), parts[1] == parts[2]), (setup.sid(0).as_str(), true));
    let first = now() - 100;
    let again =
        setup.get(&format!("route={}|{}|0{first}", setup.sid(0), now() - 10)).cookie("route").expect("a cookie");
    let parts: Vec<&str> = again.split('|').collect();
    assert!(parts[1].parse::<u64>().expect("a number") >= now() - 2, "LAST moves on");
    assert_eq!(parts[2], first.to_string(), "FIRST stays, in canonical decimal");
}

#[test]
fn expired_and_malformed_sessions_begin_anew_even_with_fallback_off() {
    let setup = Setup::new(2, "session_sticky maxidle=60 maxlife=600 fallback=off;", "");
    let cases = [
        (format!("{}|{}|{}", setup.sid(1), now() - 100, now() - 100), " expired "),
        (setup.sid(1), " malformed "),
        ("x|y|z".to_owned(), " malformed "),
    ];
    for (n, (value, state)) in cases.into_iter().enumerate() {
        let response = setup.get(&format!("route={value}"));
        assert_eq!(response.status, 200, "{value}");
        assert!(response.cookie("route").is_some());
        assert!(setup.state(n + 1).contains(state), "{}", setup.state(n + 1));
    }
}

#[test]
fn an_expired_session_alone_in_its_header_is_checked_with_indirect_too() {
    let setup = Setup::new(2, "session_sticky maxidle=60 option=indirect;", "session_sticky_hide_cookie upstream=u;");
    let old = now() - 1000;
    let response = setup.get(&format!("route={}|{old}|{old}", setup.sid(1)));
    assert_eq!(response.text(), "0", "an expired session was honoured");
}

#[test]
fn no_cookie_is_set_on_errors() {
    for (status, expected) in [(200, 1), (302, 1), (304, 1), (400, 0), (404, 0), (500, 0)] {
        let setup = Setup::with(1, "session_sticky;", "", |_| Script::page(status, "", ""));
        assert_eq!(setup.fresh().values("set-cookie").len(), expected, "{status}");
    }
}

#[test]
fn the_cookie_is_hidden_from_the_backend_and_others_are_not() {
    let setup = Setup::new(1, "session_sticky option=indirect;", "session_sticky_hide_cookie upstream=u;");
    for (cookie, expected) in [
        ("a=1; route=S; b=2", Some("Cookie: a=1; b=2")),
        ("route=S; b=2", Some("Cookie: b=2")),
        ("a=1; route=S", Some("Cookie: a=1")),
        ("route=S", None),
        ("myroute=S; b=2", Some("Cookie: myroute=S; b=2")),
    ] {
        setup.get(cookie);
        let request = setup.backends[0].requests().pop().expect("a request");
        assert_eq!(request.lines().find(|line| line.starts_with("Cookie")), expected, "{cookie}");
    }
}

#[test]
fn the_access_log_shows_what_the_client_sent() {
    let front = port();
    let backend = Backend::new(Script::ok("x"));
    let limpet = Limpet::http(
        front,
        &format!(
            "log_format c '$http_cookie|$cookie_route'; access_log logs/cookies.log c;
             upstream u {{ server {}; session_sticky option=indirect; }}
             server {{ listen 127.0.0.1:{front}; location / {{ session_sticky_hide_cookie upstream=u; proxy_pass http://u; }} }}",
            backend.address()
        ),
    );
    get(front, "/", &["Cookie: a=1; route=S"]);
    let read = || std::fs::read_to_string(limpet.path("logs/cookies.log")).unwrap_or_default();
    limpet_tests::eventually("the line is there", || !read().is_empty());
    assert_eq!(read(), "a=1; route=S|S\n");
}

#[test]
fn indirect_without_hide_cookie_neither_hides_nor_sets_but_routes() {
    let setup = Setup::new(2, "session_sticky option=indirect;", "");
    assert_eq!(setup.fresh().values("set-cookie").len(), 0);
    let response = setup.get(&format!("route={}", setup.sid(1)));
    assert_eq!(response.text(), "1");
    assert!(setup.backends[1].requests()[0].contains("Cookie: route="));
    setup.limpet.logs("option=indirect has no effect without session_sticky_hide_cookie");
}

#[test]
fn prefix_goes_into_the_backends_cookie_and_out_of_the_clients() {
    let script = |_| Script::page(200, "Set-Cookie: JS=abc; Path=/x; HttpOnly\r\nSet-Cookie: o=1; Path=/JS\r\n", "");
    let setup =
        Setup::with(2, "session_sticky cookie=JS mode=prefix;", "session_sticky_hide_cookie upstream=u;", script);
    let response = setup.fresh();
    assert_eq!(
        response.values("set-cookie"),
        [format!("JS={}~abc; Path=/x; HttpOnly", setup.sid(0)).as_str(), "o=1; Path=/JS"]
    );
    setup.get(&format!("a=1; JS={}~abc", setup.sid(1)));
    assert!(setup.backends[1].requests()[0].contains("Cookie: a=1; JS=abc\r\n"), "{:?}", setup.backends[1].requests());
}

#[test]
fn rewrite_replaces_the_value_of_the_backends_cookie_on_every_line() {
    let script = |_| {
        Script::page(
            200,
            "Set-Cookie: ROUTE=V; Path=/x\r\nSet-Cookie: myroute=V\r\nSet-Cookie: a=1; Path=/route/2\r\n",
            "",
        )
    };
    let setup = Setup::with(1, "session_sticky mode=rewrite;", "", script);
    let response = setup.fresh();
    let expected = [format!("route={}; Path=/x", setup.sid(0)), "myroute=V".into(), "a=1; Path=/route/2".into()];
    assert_eq!(response.values("set-cookie"), expected);
}

#[test]
fn rewrite_without_a_cookie_of_the_backend_begins_no_session() {
    let setup = Setup::new(1, "session_sticky mode=rewrite;", "");
    assert_eq!(setup.fresh().values("set-cookie").len(), 0);
}

#[test]
fn direct_passes_the_backends_own_cookie_on_and_adds_ours_last() {
    let setup = Setup::with(1, "session_sticky;", "", |_| {
        Script::page(200, "Set-Cookie: route=own\r\nSet-Cookie: b=2\r\n", "")
    });
    let ours = format!("route={}; Path=/", setup.sid(0));
    assert_eq!(setup.fresh().values("set-cookie"), ["route=own", "b=2", ours.as_str()]);
}

#[test]
fn indirect_replaces_the_backends_cookie_and_drops_it_for_a_returning_client() {
    let script = |_| Script::page(200, "Set-Cookie: route=own\r\nSet-Cookie: b=2\r\n", "");
    let setup = Setup::with(1, "session_sticky option=indirect;", "session_sticky_hide_cookie upstream=u;", script);
    let ours = format!("route={}; Path=/", setup.sid(0));
    assert_eq!(setup.fresh().values("set-cookie"), [ours.as_str(), "b=2"]);
    assert_eq!(setup.get(&format!("route={}", setup.sid(0))).values("set-cookie"), ["b=2"]);
}

#[test]
fn plain_ids_are_the_ids_of_the_servers_or_their_addresses() {
    let backends: Vec<Backend> = (0..2).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
    let upstream = format!(
        "server {} id=blue; server {}; session_sticky hash=plain;",
        backends[0].address(),
        backends[1].address()
    );
    let setup = Setup::behind(backends, &upstream, "");
    assert_eq!(setup.fresh().cookie("route").as_deref(), Some("blue"));
    assert_eq!(setup.fresh().cookie("route"), Some(setup.backends[1].address()));
    assert_eq!(setup.get("route=blue").text(), "0");
}

#[test]
fn attributes_are_sent_as_configured() {
    let setup = Setup::new(1, "session_sticky cookie=uid domain=.x.com path=/p maxage=60;", "");
    let line = setup.fresh().value("set-cookie").to_owned();
    let start = format!("uid={}; Domain=.x.com; Path=/p; Max-Age=60; Expires=", setup.sid(0));
    assert!(line.starts_with(&start) && line.ends_with(" GMT"), "{line}");
}

#[test]
fn broken_cookies_never_stop_a_request() {
    let setup = Setup::new(1, "session_sticky maxidle=60 option=indirect;", "session_sticky_hide_cookie upstream=u;");
    let long = "x".repeat(10_240);
    let pairs = "a=b;".repeat(2000);
    let bars = "|~".repeat(5000);
    let mut client = Client::connect(setup.front);
    for cookie in
        ["", ";", "=", "route", "route=", "route=|", "route=||", "route=|||", "route=\u{e9}|1|2", &long, &pairs]
            .into_iter()
            .map(str::to_owned)
            .chain([format!("route={bars}"), format!("route={long}|1|2")])
    {
        let response = client.request("GET /", &[&format!("Cookie: {cookie}")]);
        assert_eq!(response.status, 200, "{}", &cookie[..cookie.len().min(40)]);
    }
}

#[test]
fn the_cookie_names_the_server_that_finally_answered() {
    let closing = Backend::new(Script::Close);
    let live = Backend::new(Script::ok("live"));
    let upstream = format!("server {}; server {}; session_sticky;", closing.address(), live.address());
    let setup = Setup::behind(vec![closing, live], &upstream, "");
    assert_eq!(setup.fresh().cookie("route"), Some(setup.sid(1)));
}

#[test]
fn sessions_hold_whichever_worker_takes_the_connection() {
    let backends: Vec<Backend> = (0..3).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
    let servers: String = backends.iter().map(|backend| format!("server {};\n", backend.address())).collect();
    let front = port();
    let limpet = Limpet::http_with(
        front,
        "worker_processes 3;",
        &format!(
            "upstream u {{ session_sticky; {servers} keepalive 4; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}"
        ),
    );
    eventually("all workers run", || {
        std::fs::read_dir(format!("/proc/{}/task", limpet.pid())).expect("threads").count() >= 4
    });
    for (n, backend) in backends.iter().enumerate() {
        let cookie = format!("Cookie: route={}", sid(&backend.address()));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let cookie = cookie.clone();
                std::thread::spawn(move || (0..5).map(|_| get(front, "/", &[&cookie]).text()).collect::<String>())
            })
            .collect();
        for client in clients {
            assert_eq!(client.join().expect("it got its answers"), n.to_string().repeat(5));
        }
    }
}

#[test]
fn what_is_made_of_the_cookie_header_for_the_backend_lacks_the_session_too() {
    let location = "session_sticky_hide_cookie upstream=u; proxy_set_header Cookie $http_cookie;
                    proxy_set_header X-Route '[$cookie_route]';";
    let setup = Setup::new(1, "session_sticky option=indirect;", location);
    setup.get("a=1; route=S");
    let request = setup.backends[0].requests().pop().expect("a request");
    assert!(request.contains("\r\nCookie: a=1\r\n") && request.contains("\r\nX-Route: []\r\n"), "{request}");
}

#[test]
fn a_server_without_sessions_does_not_see_the_cookie_where_another_upstream_is_named() {
    let (sticky, plain) = (Backend::new(Script::ok("sticky")), Backend::new(Script::ok("plain")));
    let front = port();
    let http = format!(
        "upstream u {{ server {}; session_sticky option=indirect; }}
         server {{ listen 127.0.0.1:{front}; session_sticky_hide_cookie upstream=u;
         location / {{ proxy_pass http://u; }} location /plain {{ proxy_pass http://{}; }} }}",
        sticky.address(),
        plain.address()
    );
    let _limpet = Limpet::http(front, &http);
    get(front, "/plain", &["Cookie: route=S; a=1"]);
    assert!(plain.requests()[0].contains("\r\nCookie: a=1\r\n"), "{:?}", plain.requests());
}

#[test]
fn rewrite_hides_nothing_from_the_backend_with_option_indirect_either() {
    let location = "session_sticky_hide_cookie upstream=u;";
    let setup = Setup::new(1, "session_sticky mode=rewrite option=indirect;", location);
    setup.get("route=S; a=1");
    assert!(setup.backends[0].requests()[0].contains("\r\nCookie: route=S; a=1\r\n"));
}

#[test]
fn hide_cookie_is_inherited_and_works_at_every_level() {
    let hide = "session_sticky_hide_cookie upstream=u;";
    for level in ["http", "server", "location", "nested", "if"] {
        let backend = Backend::new(Script::ok("x"));
        let front = port();
        let at = |here: &str| if here == level { hide } else { "" };
        // The block of an `if` takes what stands around it.
        let nested = if level == "if" { hide } else { at("nested") };
        let http = format!(
            "upstream u {{ server {}; session_sticky option=indirect; }} {}
             server {{ listen 127.0.0.1:{front}; {} location / {{ {}
             location /in {{ {nested} if ($http_x) {{ proxy_pass http://u; }} proxy_pass http://u; }} }} }}",
            backend.address(),
            at("http"),
            at("server"),
            at("location"),
        );
        let _limpet = Limpet::http(front, &http);
        let headers: &[&str] = if level == "if" { &["Cookie: route=S", "X: 1"] } else { &["Cookie: route=S"] };
        let response = get(front, "/in", headers);
        assert_eq!(response.values("set-cookie").len(), 1, "{level}");
        assert!(!backend.requests()[0].contains("Cookie"), "{level}: {:?}", backend.requests());
    }
}

#[test]
fn hide_cookie_switches_nothing_else_off() {
    let location = "session_sticky_hide_cookie upstream=u; client_max_body_size 10; add_header X-Y z always;
                    proxy_set_header X-Addr $remote_addr; if ($arg_no) { return 403; }";
    let setup = Setup::new(1, "session_sticky option=indirect;", location);
    assert_eq!(setup.fresh().value("x-y"), "z");
    assert!(setup.backends[0].requests()[0].contains("\r\nX-Addr: 127.0.0.1\r\n"));
    assert_eq!(get(setup.front, "/?no=1", &[]).status, 403);
    let mut client = Client::connect(setup.front);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn the_named_upstream_must_be_a_block_and_the_one_that_is_asked_says_what_is_hidden() {
    let backend = Backend::new(Script::ok("x"));
    let front = port();
    let http = format!(
        "upstream u {{ server {0}; session_sticky cookie=mine option=indirect; }}
         upstream v {{ server {0}; session_sticky cookie=other option=indirect; }}
         server {{ listen 127.0.0.1:{front}; location / {{ session_sticky_hide_cookie upstream=v; proxy_pass http://u; }} }}",
        backend.address()
    );
    let _limpet = Limpet::http(front, &http);
    let response = get(front, "/", &["Cookie: mine=S; other=T"]);
    assert!(backend.requests()[0].contains("\r\nCookie: other=T\r\n"), "{:?}", backend.requests());
    assert!(response.value("set-cookie").starts_with("mine="));
}

#[test]
fn no_cookie_is_set_when_no_server_was_chosen() {
    let setup = Setup::behind(
        vec![Backend::new(Script::ok("x"))],
        "server 127.0.0.1:1 down; server 127.0.0.1:1 down; session_sticky option=indirect;",
        "session_sticky_hide_cookie upstream=u;",
    );
    let response = setup.fresh();
    assert_eq!((response.status, response.values("set-cookie").len()), (502, 0));
}

#[test]
fn a_sid_depends_on_the_address_alone() {
    let backends: Vec<Backend> = (0..2).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
    let block = |servers: &str| format!("{servers} session_sticky;");
    let (a, b) = (backends[0].address(), backends[1].address());
    let setup = Setup::behind(backends, &block(&format!("server {a}; server {b} weight=3;")), "");
    let cookie = format!("route={}", setup.sid(1));
    assert_eq!(setup.get(&cookie).text(), "1");
    // Another order, other weights, another server in between, after a reload.
    let http = format!(
        "upstream u {{ {} }} server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://u; }} location /v {{ return 200 new; }} }}",
        block(&format!("server {b} weight=7 id=x; server 127.0.0.1:1 backup; server {a} weight=2;")),
        setup.front
    );
    setup.limpet.rewrite(&http);
    setup.limpet.signal(nix::sys::signal::Signal::SIGHUP);
    limpet_tests::eventually("the new configuration is in place", || get(setup.front, "/v", &[]).text() == "new");
    assert_eq!(setup.get(&cookie).text(), "1");
}

#[test]
fn a_full_server_gives_its_sessions_to_others_without_losing_them() {
    let hanging = Backend::planned(|_, request| match request.starts_with("GET /hang") {
        true => Script::Hang,
        false => Script::ok("full"),
    });
    let other = Backend::new(Script::ok("other"));
    let block = format!("server {} max_conns=1; server {}; session_sticky;", hanging.address(), other.address());
    let setup = Setup::behind(vec![hanging, other], &block, "");
    let cookie = format!("route={}", setup.sid(0));
    assert_eq!(setup.get(&cookie).text(), "full");
    let mut busy = Client::connect(setup.front);
    busy.send(format!("GET /hang HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"));
    limpet_tests::eventually("the server is full", || setup.backends[0].requests().len() == 2);
    let response = setup.get(&cookie);
    assert_eq!((response.text().as_str(), response.values("set-cookie").len()), ("other", 0));
    drop(busy);
    limpet_tests::eventually("there is room again", || setup.get(&cookie).text() == "full");
}

#[test]
fn domain_path_and_maxage_do_nothing_where_the_backend_sets_the_cookie() {
    for mode in ["prefix", "rewrite"] {
        let sticky = format!("session_sticky cookie=JS mode={mode} domain=.x.com path=/p maxage=60;");
        let setup = Setup::with(1, &sticky, "session_sticky_hide_cookie upstream=u;", |_| {
            Script::page(200, "Set-Cookie: JS=v; Path=/own\r\n", "")
        });
        let value = if mode == "prefix" { format!("{}~v", setup.sid(0)) } else { setup.sid(0) };
        assert_eq!(setup.fresh().value("set-cookie"), format!("JS={value}; Path=/own"));
    }
}

#[test]
fn the_headers_name_is_spelled_as_the_reference_spells_it() {
    let setup = Setup::new(1, "session_sticky;", "");
    let mut client = Client::connect(setup.front);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8_lossy(&client.to_end()).into_owned();
    assert!(text.contains("\r\nSet-Cookie: route="), "{text}");
}

#[test]
fn browsers_are_told_what_they_want_to_know_of_the_cookie() {
    let backend = Backend::planned(|_, request| match () {
        () if request.contains("/missing") => Script::page(404, "", "missing"),
        () if request.contains("/private") => Script::page(200, "Cache-Control: no-store\r\n", "private"),
        () if request.contains("/public") => Script::page(200, "Cache-Control: max-age=60\r\n", "public"),
        () => Script::ok("x"),
    });
    let to = backend.address();
    let front = port();
    let upstream = |name: &str, arguments: &str| {
        format!("upstream {name} {{ session_sticky cookie={name} {arguments}; server {to}; }} ")
    };
    let location = |name: &str| format!("location /{name} {{ proxy_pass http://{name}; }} ");
    let upstreams = [
        ("all", "secure httponly samesite=none partitioned maxage=60"),
        ("auto", "secure=auto samesite=lax"),
        ("forwarded", "secure=forwarded samesite=strict"),
        ("always", "always"),
        ("refresh", "refresh maxage=60"),
        ("nocache", "nocache"),
    ];
    let blocks: String = upstreams.iter().map(|(name, arguments)| upstream(name, arguments)).collect();
    let locations: String = upstreams.iter().map(|(name, _)| location(name)).collect();
    let _limpet = Limpet::http(front, &format!("{blocks} server {{ listen 127.0.0.1:{front}; {locations} }}"));
    let set = |path: &str, headers: &[&str]| get(front, path, headers).value("set-cookie").to_owned();
    let all = set("/all", &[]);
    assert!(all.ends_with(" GMT; Secure; HttpOnly; SameSite=None; Partitioned"), "{all}");
    let is_secure = scheme() == "https";
    assert_eq!(set("/auto", &[]).ends_with("; Path=/; Secure; SameSite=Lax"), is_secure);
    assert_eq!(set("/auto", &["X-Forwarded-Proto: https"]).contains("; Secure"), is_secure);
    assert_eq!(set("/forwarded", &[]).contains("; Secure"), is_secure);
    assert!(set("/forwarded", &["X-Forwarded-Proto: https, http"]).contains("; Secure"));
    assert_eq!(set("/forwarded", &["X-Forwarded-Proto: http, https"]).contains("; Secure"), is_secure);
    assert!(set("/forwarded", &["X-Forwarded-Proto: HTTPS"]).ends_with("; Path=/; Secure; SameSite=Strict"));
    assert_eq!(set("/auto/missing", &[]), "");
    assert!(set("/always/missing", &[]).starts_with("always="));
    let cookie = format!("Cookie: {}", set("/refresh", &[]).split(';').next().expect("a pair"));
    assert!(set("/refresh", &[&cookie]).contains("; Max-Age=60"));
    assert_eq!(set("/refresh/missing", &[&cookie]), "");
    for (path, expected) in [("/nocache", "private"), ("/nocache/private", "no-store"), ("/auto", "")] {
        assert_eq!(get(front, path, &[]).value("cache-control"), expected, "{path}");
    }
    assert_eq!(get(front, "/nocache/public", &[]).values("cache-control"), ["max-age=60", "private"]);
    let cookie = format!("Cookie: {}", set("/nocache", &[]).split(';').next().expect("a pair"));
    assert_eq!(get(front, "/nocache", &[&cookie]).value("cache-control"), "");
}

#[test]
fn signed_sessions_are_shared_by_a_secret_and_can_not_be_made_up() {
    let backends: Vec<Backend> = (0..3).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
    let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
    let start = |arguments: &str| {
        let front = port();
        let http = format!(
            "log_format s '$session_sticky_state'; access_log logs/sticky.log s;
             upstream u {{ session_sticky hash=hmac {arguments}; {servers} }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}"
        );
        (Limpet::http(front, &http), front)
    };
    let (first, second) = ("secret=0123456789abcdef", "secret=another-secret-of-ours");
    let (one, front) = start(&format!("{first} maxidle=60"));
    let greeting = get(front, "/", &[]);
    let value = greeting.cookie("route").expect("a cookie");
    let (text, signature) = value.split_once('.').expect("a signature");
    assert_eq!((text.split('|').count(), signature.len()), (3, 43), "{value}");
    assert!(!value.contains(&sid(&backends[greeting.text().parse::<usize>().expect("a number")].address())), "{value}");
    // Another proxy with the same secret, and one that has a newer one as well, believe it.
    let (_two, other) = start(&format!("{first} maxidle=60"));
    let (_three, rotated) = start(&format!("{second} {first} maxidle=60"));
    let cookie = format!("Cookie: route={value}");
    for port in [front, other, rotated] {
        for _ in 0..6 {
            assert_eq!(get(port, "/", &[&cookie]).text(), greeting.text());
        }
    }
    // Who knows neither the secret nor has a signature has no session.
    let (strange, elsewhere) = start(&format!("{second} maxidle=60"));
    let times = text.split_once('|').expect("times").1;
    let plain = sid(&backends[2].address());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    for forged in [
        value.clone(),
        format!("{plain}|{times}.{signature}"),
        format!("{plain}|{now}|{now}"),
        text.to_owned(),
        value.replacen(times, &format!("{now}|{}", now - 1), 1),
        format!("{value}x"),
    ] {
        let (limpet, port) = if forged == value { (&strange, elsewhere) } else { (&one, front) };
        let response = get(port, "/", &[&format!("Cookie: route={forged}")]);
        assert!(response.cookie("route").is_some(), "{forged}");
        let log = || std::fs::read_to_string(limpet.path("logs/sticky.log")).unwrap_or_default();
        eventually("it is told", || log().lines().last() == Some("malformed"));
    }
    // Cookies from before count until their date.
    for (date, is_kept) in [("2001-01-01", false), ("2999-01-01", true)] {
        let (_limpet, front) = start(&format!("{first} accept_unsigned={date}"));
        let cookie = format!("Cookie: route={}", sid(&backends[1].address()));
        let answers: Vec<String> = (0..6).map(|_| get(front, "/", &[&cookie]).text()).collect();
        assert_eq!(answers.iter().all(|answer| answer == "1"), is_kept, "{date}: {answers:?}");
        // What was signed does not count without its signature.
        let sealed = text.split('|').next().expect("a SID");
        let cookie = format!("Cookie: route={sealed}");
        let set = get(front, "/", &[&cookie]).cookie("route");
        assert!(set.is_some(), "{date}");
    }
}

#[test]
fn secrets_are_read_from_files_and_must_be_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    std::fs::write(folder.path().join("short"), "0123456789abcdef\n\nshort\n").expect("written");
    std::fs::write(folder.path().join("empty"), "\n  \n").expect("written");
    std::fs::write(folder.path().join("good"), "0123456789abcdef\n# this one is a secret too\n").expect("written");
    for (arguments, expected) in [
        ("secret=file:good", "successful"),
        ("secret=file:short", "a secret of session_sticky has fewer than 16 bytes"),
        ("secret=short", "a secret of session_sticky has fewer than 16 bytes"),
        ("secret=file:empty", "empty\" holds no secret for session_sticky"),
        ("secret=file:good secret=file:empty", "empty\" holds no secret for session_sticky"),
        ("secret=file:none", "none\" failed (2: No such file or directory)"),
        ("", "upstream u: hash=hmac needs a secret"),
        ("secret=file:good mode=rewrite", "upstream u: hash=hmac is for mode=insert"),
        ("secret=file:good accept_unsigned=soon", "invalid accept_unsigned"),
        ("secret=file:good hash=md5", "upstream u: a secret is for hash=hmac"),
    ] {
        let text = format!(
            "events {{}} http {{ upstream u {{ server 127.0.0.1; session_sticky hash=hmac {arguments}; }}
             server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://u; }} }} }}",
            port()
        );
        std::fs::write(folder.path().join("nginx.conf"), text).expect("written");
        let output = limpet_tests::run(&["-p", &path.to_string(), "-c", "nginx.conf", "-t"]);
        assert!(output.stderr.contains(expected), "{arguments}: {}", output.stderr);
        assert!(output.status == 0 || output.stderr.contains(" in "), "{arguments}: {}", output.stderr);
    }
}
