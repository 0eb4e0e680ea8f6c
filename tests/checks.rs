//! Active checks: who is asked, what takes a server out and brings it back, and the page about it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use limpet_tests::{Backend, Limpet, Script, eventually, fcgiwrap, get, mariadb, nginx, openssl, port};
use nix::sys::signal::Signal;

/// A quick check, for a test.
const QUICK: &str = "interval=20 rise=2 fall=2 timeout=3000";

/// A backend that answers probes (`GET /health`) with a status that can be changed, and everything else with its name.
fn probed(name: &'static str, status: u16) -> (Backend, Arc<AtomicU16>) {
    let health = Arc::new(AtomicU16::new(status));
    let shown = Arc::clone(&health);
    let backend = Backend::planned(move |_, request| match request.starts_with("GET /health ") {
        true => Script::page(shown.load(Ordering::Acquire), "", ""),
        false => Script::ok(name),
    });
    (backend, health)
}

const HEALTH: &str = "check_http_send \"GET /health HTTP/1.0\\r\\n\\r\\n\";";

/// The states of all servers, in their order.
fn states(front: u16) -> Vec<String> {
    let csv = get(front, "/status?format=csv", &[]).text();
    csv.lines().map(|line| line.split(',').nth(3).unwrap_or_default().to_owned()).collect()
}

fn limpet(front: u16, upstreams: &str) -> Limpet {
    let http = format!(
        "{upstreams} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }}
         location /status {{ access_log off; check_status; }} }}"
    );
    Limpet::http(front, &http)
}

#[test]
fn a_server_that_fails_its_checks_is_left_out_until_it_passes_them() {
    let (one, health) = probed("one", 200);
    let (two, _) = probed("two", 200);
    let front = port();
    let block = format!(
        "upstream u {{ server {}; server {}; check {QUICK} type=http default_down=false; {HEALTH} }}",
        one.address(),
        two.address()
    );
    let limpet = limpet(front, &block);
    assert_eq!(states(front), ["up", "up"]);
    health.store(503, Ordering::Release);
    eventually("the server is down", || states(front) == ["down", "up"]);
    limpet.logs("disable check peer");
    assert!(
        limpet.error_log().contains(&format!("disable check peer: {} \n", one.address())),
        "{}",
        limpet.error_log()
    );
    assert!(limpet.error_log().contains(&format!("check protocol http error with peer: {} \n", one.address())));
    assert!((0..6).all(|_| get(front, "/", &[]).text() == "two"));
    health.store(204, Ordering::Release);
    eventually("the server is up", || states(front) == ["up", "up"]);
    assert!(limpet.error_log().contains(&format!("enable check peer: {} \n", one.address())));
    let answers: Vec<String> = (0..4).map(|_| get(front, "/", &[]).text()).collect();
    assert!(answers.contains(&"one".to_owned()), "{answers:?}");
}

#[test]
fn servers_are_down_until_they_have_passed_where_the_default_says_so() {
    let (one, health) = probed("one", 500);
    let front = port();
    let block = format!("upstream u {{ server {}; check {QUICK} type=http; {HEALTH} }}", one.address());
    let limpet = limpet(front, &block);
    assert_eq!((states(front), get(front, "/", &[]).status), (vec!["down".to_owned()], 502));
    assert!(limpet.error_log().contains("no live upstreams while connecting to upstream"));
    health.store(200, Ordering::Release);
    eventually("the server is up", || get(front, "/", &[]).text() == "one");
}

#[test]
fn sessions_obey_the_checks() {
    for (fallback, status) in [("on", 200), ("off", 502)] {
        let (one, health) = probed("one", 200);
        let (two, _) = probed("two", 200);
        let front = port();
        let block = format!(
            "upstream u {{ server {}; server {}; check {QUICK} type=http default_down=false; {HEALTH}
             session_sticky hash=plain fallback={fallback}; }}",
            one.address(),
            two.address()
        );
        let limpet = limpet(front, &block);
        let cookie = format!("Cookie: route={}", one.address());
        assert_eq!(get(front, "/", &[&cookie]).text(), "one");
        health.store(500, Ordering::Release);
        eventually("the server is down", || states(front) == ["down", "up"]);
        let response = get(front, "/", &[&cookie]);
        assert_eq!(response.status, status, "{fallback}");
        match fallback {
            "on" => assert_eq!(response.value("set-cookie"), format!("route={}; Path=/", two.address())),
            _ => assert!(limpet.error_log().contains("is down by its check, and fallback is off")),
        }
    }
}

#[test]
fn backups_are_probed_and_take_over() {
    let (one, _) = probed("one", 500);
    let (two, _) = probed("two", 200);
    let front = port();
    let block = format!(
        "upstream u {{ server {} backup; server {}; server 127.0.0.1:1 down; check {QUICK} type=http; {HEALTH} }}",
        two.address(),
        one.address()
    );
    let _limpet = limpet(front, &block);
    // The primary one first; who is down in the file is not probed.
    eventually("the backup is up", || states(front) == ["down", "up"]);
    assert_eq!(get(front, "/", &[]).text(), "two");
}

#[test]
fn what_counts_as_alive_can_be_chosen() {
    let (one, _) = probed("one", 404);
    let front = port();
    let block = format!(
        "upstream u {{ check_http_expect_alive http_4xx; server {}; check {QUICK} type=http; {HEALTH} }}",
        one.address()
    );
    let _limpet = limpet(front, &block);
    eventually("the server is up", || states(front) == ["up"]);
}

#[test]
fn probes_share_connections_as_often_as_told() {
    for (requests, shared) in [(1, false), (5, true)] {
        let (one, _) = probed("one", 200);
        let front = port();
        let send = "check_http_send \"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\";";
        let block = format!(
            "upstream u {{ server {}; check interval=5 type=http; {send} check_keepalive_requests {requests}; }}",
            one.address()
        );
        let _limpet = limpet(front, &block);
        eventually("there were probes", || one.requests().len() >= 20);
        let (probes, connections) = (one.requests().len(), one.connections());
        assert_eq!(connections * 3 < probes, shared, "{probes} probes over {connections} connections");
    }
}

#[test]
fn a_server_with_slow_start_comes_back_by_and_by() {
    let (one, health) = probed("one", 200);
    let (two, _) = probed("two", 200);
    let front = port();
    let block = format!(
        "upstream u {{ server {} slow_start=1h; server {}; check {QUICK} type=http default_down=false; {HEALTH} }}",
        one.address(),
        two.address()
    );
    let _limpet = limpet(front, &block);
    let share = || (0..20).filter(|_| get(front, "/", &[]).text() == "one").count();
    assert_eq!(share(), 10);
    health.store(500, Ordering::Release);
    eventually("the server is down", || states(front) == ["down", "up"]);
    health.store(200, Ordering::Release);
    eventually("the server is up", || states(front) == ["up", "up"]);
    // On a busy machine a probe of the other one may be late.
    eventually("the other one gets nearly all", || share() <= 2);
}

/// A server that says something to everybody, once it has heard enough.
fn scripted(heard: usize, says: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = limpet_tests::listener();
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = vec![0; heard];
            if stream.read_exact(&mut buffer).is_ok() && stream.write_all(says).is_ok() {
                counted.fetch_add(1, Ordering::AcqRel);
            }
        }
    });
    (port, count)
}

#[test]
fn ajp_is_pinged() {
    let (pong, count) = scripted(5, &[0x41, 0x42, 0, 1, 9]);
    let (other, _) = scripted(5, b"HTTP/1.1 400 Bad Request\r\n");
    let front = port();
    let block = format!("upstream u {{ server 127.0.0.1:{pong}; server 127.0.0.1:{other}; check {QUICK} type=ajp; }}");
    let limpet = limpet(front, &block);
    eventually("the one that pongs is up", || states(front) == ["up", "down"]);
    assert!(count.load(Ordering::Acquire) >= 2);
    limpet.logs(&format!("check protocol ajp error with peer: 127.0.0.1:{other} "));
}

#[test]
fn a_server_that_says_nothing_or_closes_is_down() {
    let (silent, closing) = (Backend::new(Script::Hang), Backend::new(Script::Close));
    let front = port();
    let block = format!(
        "upstream u {{ server {}; server {}; check interval=20 rise=1 fall=2 timeout=100 type=http default_down=false; }}",
        silent.address(),
        closing.address()
    );
    let limpet = limpet(front, &block);
    eventually("both are down", || states(front) == ["down", "down"]);
    limpet.logs(&format!("check time out with peer: {} ", silent.address()));
    limpet.logs(&format!("check peer closed connection with an incomplete response, peer: {} ", closing.address()));
}

#[test]
fn a_connection_is_enough_for_tcp_and_another_port_may_be_asked() {
    let (one, two) = (Backend::new(Script::ok("one")), Backend::new(Script::ok("two")));
    let front = port();
    let block = format!(
        "upstream u {{ server {}; server 127.0.0.1:1; check {QUICK}; }}
         upstream v {{ server 127.0.0.1:1; check {QUICK} port={}; }}",
        one.address(),
        two.port
    );
    let _limpet = limpet(front, &block);
    eventually("what listens is up", || states(front) == ["up", "down", "up"]);
}

#[test]
fn a_tls_server_answers_a_hello() {
    let (tls, plain) = (openssl(), Backend::new(Script::Close));
    let front = port();
    let block =
        format!("upstream u {{ server {}; server {}; check {QUICK} type=ssl_hello; }}", tls.address(), plain.address());
    let _limpet = limpet(front, &block);
    eventually("the TLS server is up", || states(front) == ["up", "down"]);
}

#[test]
fn a_page_over_tls_says_how_a_server_is() {
    let folder = tempfile::tempdir().expect("a folder");
    limpet_tests::Identity::own(&["up.example"]).write(folder.path(), "a");
    let (path, secure) = (folder.path().display(), port());
    let _nginx = limpet_tests::nginx(&format!(
        "listen 127.0.0.1:{secure} ssl; ssl_certificate {path}/a.crt; ssl_certificate_key {path}/a.key;
         if ($ssl_server_name != up.example) {{ return 503; }} return 200;"
    ));
    let plain = Backend::new(Script::ok("no TLS"));
    let front = port();
    let block = |host: &str| {
        format!(
            "upstream u {{ server 127.0.0.1:{secure}; server {}; check {QUICK} type=https;
             check_http_send \"HEAD / HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n\"; }}",
            plain.address()
        )
    };
    let limpet = limpet(front, &block("up.example"));
    eventually("only who speaks TLS is up", || states(front) == ["up", "down"]);
    drop(limpet);
    let front = port();
    let _limpet = self::limpet(front, &block("other.example"));
    eventually("the status counts", || states(front) == ["down", "down"]);
}

#[test]
fn a_mysql_server_greets() {
    let (mysql, other) = (mariadb(), Backend::new(Script::Close));
    let front = port();
    let block =
        format!("upstream u {{ server {}; server {}; check {QUICK} type=mysql; }}", mysql.address(), other.address());
    let _limpet = limpet(front, &block);
    eventually("the database is up", || states(front) == ["up", "down"]);
}

#[test]
fn a_fastcgi_server_runs_a_script() {
    // The status is in a file, and in a parameter.
    let fastcgi = fcgiwrap(
        "#!/bin/sh\nread -r status < \"${0%/*}/status\"\n\
         printf 'Status: %s\\r\\nX-Param: %s\\r\\n\\r\\nok' \"${CHECK_STATUS:-$status}\" \"$REQUEST_METHOD\"\n",
    );
    let says = |status: &str| std::fs::write(fastcgi.path("status"), format!("{status}\n")).expect("a status");
    says("200");
    let front = port();
    let (address, script) = (fastcgi.address(), fastcgi.path("script"));
    let params =
        format!("check_fastcgi_param REQUEST_METHOD GET; check_fastcgi_param SCRIPT_FILENAME {};", script.display());
    let block = |rest: &str| format!("{{ server {address}; check {QUICK} type=fastcgi; {params} {rest} }}\n");
    let other = nginx("");
    let upstreams = format!(
        "upstream u {} upstream v {} upstream w {} upstream x {{ server {}; check {QUICK} type=fastcgi; }}",
        block(""),
        block("check_http_expect_alive http_2xx;"),
        block("check_http_expect_alive http_2xx; check_fastcgi_param CHECK_STATUS 404;"),
        other.address()
    );
    let limpet = limpet(front, &upstreams);
    eventually("it is up where its status is expected", || states(front) == ["up", "up", "down", "down"]);
    says("503");
    // Any status is good where none is named.
    eventually("it is down where another is expected", || states(front) == ["up", "down", "down", "down"]);
    limpet.logs(&format!("check protocol fastcgi error with peer: {} ", other.address()));
    assert!(get(front, "/status?format=csv", &[]).text().contains(",fastcgi,0\n"));
}

#[test]
fn what_is_known_survives_a_reload_for_servers_that_stay() {
    let (one, health) = probed("one", 200);
    let (two, _) = probed("two", 200);
    let front = port();
    let block = |servers: &str, interval: &str| {
        format!(
            "upstream u {{ {servers} check interval={interval} rise=2 fall=2 type=http; {HEALTH} }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }}
             location /status {{ access_log off; check_status json; }} }}"
        )
    };
    let first = format!("server {};", one.address());
    let limpet = Limpet::http(front, &block(&first, "20"));
    eventually("the server is up", || states(front) == ["up"]);
    let generation = |front| get(front, "/status", &[]).text().contains("\"generation\": 2,");
    assert!(!generation(front));
    limpet.rewrite(&block(&format!("{first} server {};", two.address()), "100000"));
    limpet.signal(Signal::SIGHUP);
    eventually("the new configuration is in place", || generation(front));
    health.store(500, Ordering::Release);
    // The new one has to pass twice, and the second probe of so long an interval is far away.
    assert_eq!(states(front), ["up", "down"]);
    // Without checks nothing speaks against a server.
    limpet.rewrite(&format!(
        "upstream u {{ server {}; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        two.address()
    ));
    limpet.signal(Signal::SIGHUP);
    eventually("the server is asked", || get(front, "/", &[]).text() == "two");
}

#[test]
fn the_status_comes_in_four_formats() {
    let (one, _) = probed("one", 200);
    let front = port();
    let block = format!(
        "upstream u {{ server {}; server 127.0.0.1:1; check interval=10 rise=1 fall=100000 type=tcp; }}
         upstream <b> {{ server {0}; check interval=100000 type=http port=7; }}",
        one.address()
    );
    let _limpet = limpet(front, &block);
    eventually("the server is up", || states(front)[0] == "up");
    let csv = get(front, "/status?format=csv", &[]);
    assert_eq!(csv.value("content-type"), "text/plain");
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    let fields: Vec<&str> = lines[0].split(',').collect();
    assert_eq!(
        [fields[0], fields[1], fields[2], fields[3], fields[5], fields[6], fields[7]],
        ["0", "u", &one.address(), "up", "0", "tcp", "0"]
    );
    assert!(lines[2].starts_with(&format!("2,<b>,{},down,0,", one.address())), "{lines:?}");
    let json = get(front, "/status?format=json&status=down", &[]);
    assert_eq!(json.value("content-type"), "application/json");
    let text = json.text();
    let beginning = "{\"servers\": {\n  \"total\": 2,\n  \"up\": 0,\n  \"down\": 2,\n  \"generation\": 1,\n  \"server\": [\n    {\"index\": 1, \"upstream\": \"u\", \"name\": \"127.0.0.1:1\", \"status\": \"down\", \"rise\": 0, \"fall\": ";
    assert!(text.starts_with(beginning) && text.ends_with("\"port\": 7}\n  ]\n}}\n"), "{text}");
    let metrics = get(front, "/status?format=prometheus", &[]).text();
    assert!(metrics.contains("nginx_upstream_count_total 3\n"), "{metrics}");
    let active = format!(
        "nginx_upstream_server_active{{index=\"0\",upstream=\"u\",name=\"{}\",type=\"tcp\",port=\"0\"}} 1\n",
        one.address()
    );
    assert!(metrics.contains(&active), "{metrics}");
    let page = get(front, "/status", &[]);
    assert_eq!(page.value("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("<h2>&lt;b></h2>"), "{}", page.text());
    // It updates itself, with scripts and without.
    assert!(page.text().contains("setInterval(") && page.text().contains("http-equiv=\"refresh\""));
    assert!(page.text().contains(&one.address()) && page.text().contains("<tr class=\"down\"><td>127.0.0.1:1<td>"));
    // An argument that makes no sense is left out, and other methods are not served.
    assert_eq!(get(front, "/status?format=xml", &[]).value("content-type"), "text/html; charset=utf-8");
    let mut client = limpet_tests::Client::connect(front);
    assert_eq!(client.request("DELETE /status", &[]).status, 405);
}
