//! The methods of an upstream, with and without sessions.

use std::collections::BTreeMap;

use limpet_tests::{Backend, Client, Limpet, Script, get, port};

/// Backends that say their number, behind an upstream whose block is made by `block` from their `server` lines.
struct Setup {
    backends: Vec<Backend>,
    front: u16,
    _limpet: Limpet,
}

impl Setup {
    fn new(count: usize, block: impl Fn(&[String]) -> String) -> Setup {
        let backends: Vec<Backend> = (0..count).map(|n| Backend::new(Script::ok(&n.to_string()))).collect();
        let servers: Vec<String> = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
        let front = port();
        let http = format!(
            "upstream u {{ {} }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            block(&servers)
        );
        let _limpet = Limpet::http(front, &http);
        Setup { backends, front, _limpet }
    }

    /// Who answered a new client.
    fn ask(&self, target: &str) -> String {
        get(self.front, target, &[]).text()
    }
}

const METHODS: [&str; 11] = [
    "least_conn;",
    "least_time header;",
    "least_time last_byte inflight;",
    "ip_hash;",
    "hash $arg_k;",
    "hash $arg_k consistent;",
    "consistent_hash $arg_k;",
    "random;",
    "random two least_conn;",
    "vnswrr;",
    "iwrr;",
];

#[test]
fn every_method_serves_new_clients_of_a_sticky_upstream_in_either_order() {
    for method in METHODS {
        for block in [format!("{method} SERVERS session_sticky;"), format!("session_sticky; SERVERS {method}")] {
            let setup = Setup::new(3, |servers| block.replace("SERVERS", &servers.concat()));
            for key in 0..6 {
                let first = get(setup.front, &format!("/?k={key}"), &[]);
                let cookie = first.value("set-cookie").split(';').next().unwrap_or_default().to_owned();
                for other in 0..3 {
                    let next = get(setup.front, &format!("/?k=other{other}"), &[&format!("Cookie: {cookie}")]);
                    assert_eq!(next.text(), first.text(), "{block}");
                    assert!(next.values("set-cookie").is_empty(), "{block}");
                }
            }
        }
    }
}

#[test]
fn a_key_always_goes_to_one_server_and_keys_are_spread() {
    for method in ["hash $arg_k;", "hash $arg_k consistent;", "consistent_hash $arg_k;"] {
        let setup = Setup::new(4, |servers| format!("{method} {}", servers.concat()));
        let mut spread: BTreeMap<String, usize> = BTreeMap::new();
        for key in 0..40 {
            let first = setup.ask(&format!("/?k={key}"));
            assert_eq!(setup.ask(&format!("/?k={key}")), first, "{method}");
            *spread.entry(first).or_default() += 1;
        }
        assert_eq!(spread.len(), 4, "{method} {spread:?}");
    }
}

#[test]
fn ip_hash_looks_at_the_network_of_the_client() {
    let setup = Setup::new(4, |servers| format!("ip_hash; {}", servers.concat()));
    let first = setup.ask("/");
    assert!((0..8).all(|_| setup.ask("/") == first));
}

#[test]
fn the_sequences_go_round_all_servers() {
    for method in ["vnswrr;", "iwrr;"] {
        let setup = Setup::new(3, |servers| format!("{method} {}", servers.concat()));
        let round: Vec<String> = (0..6).map(|_| setup.ask("/")).collect();
        assert_eq!(round[..3], round[3..], "{method}");
        let mut sorted = round[..3].to_vec();
        sorted.sort();
        assert_eq!(sorted, ["0", "1", "2"], "{method}");
    }
}

#[test]
fn random_reaches_all_servers_by_weight() {
    for method in ["random;", "random two;"] {
        let weight = |servers: &[String]| format!("{method} {} {}", servers[0].replace(';', " weight=9;"), servers[1]);
        let setup = Setup::new(2, weight);
        let heavy = (0..100).filter(|_| setup.ask("/") == "0").count();
        // Of two servers, `two` draws both, and nobody is busy: the one that was drawn later.
        assert!((if method == "random;" { 70..100 } else { 1..50 }).contains(&heavy), "{method} {heavy}");
    }
}

#[test]
fn least_conn_and_random_two_leave_a_busy_server_alone() {
    for method in ["least_conn;", "random two least_conn;", "least_time header;"] {
        let hanging = Backend::planned(|_, request| match request.starts_with("GET /hang") {
            true => Script::Hang,
            false => Script::ok("busy"),
        });
        let free = Backend::new(Script::ok("free"));
        let front = port();
        let http = format!(
            "upstream u {{ {method} server {}; server {}; session_sticky; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            hanging.address(),
            free.address()
        );
        let _limpet = Limpet::http(front, &http);
        // A session that belongs to the first server keeps it busy.
        let cookie = std::iter::repeat_with(|| get(front, "/", &[]))
            .find(|response| response.text() == "busy")
            .map(|response| response.value("set-cookie").to_owned());
        let cookie = cookie.expect("a cookie").split(';').next().unwrap_or_default().to_owned();
        let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(front)).collect();
        let before = hanging.requests().len();
        for client in &mut clients {
            client.send(format!("GET /hang HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"));
        }
        limpet_tests::eventually("it hangs", || hanging.requests().len() == before + 3);
        assert!((0..10).all(|_| get(front, "/", &[]).text() == "free"), "{method}");
    }
}

#[test]
fn least_time_prefers_the_server_that_answers_sooner() {
    // A byte each millisecond.
    let slow = Backend::new(Script::Dribble(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nslow".to_vec(),
    ));
    let quick = Backend::new(Script::ok("quick"));
    let front = port();
    let http = format!(
        "upstream u {{ least_time header; server {}; server {}; }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
        slow.address(),
        quick.address()
    );
    let _limpet = Limpet::http(front, &http);
    // On a busy machine a time or two may be long for the quick one as well.
    let answers: Vec<String> = (0..40).map(|_| get(front, "/", &[]).text()).collect();
    assert!(answers.iter().filter(|answer| *answer == "slow").count() <= 10, "{answers:?}");
}

#[test]
fn a_dead_server_is_passed_over_by_every_method() {
    for method in METHODS {
        let setup = Setup::new(2, |servers| {
            format!("{method} {} server 127.0.0.1:1 weight=3 fail_timeout=1h; {}", servers[0], servers[1])
        });
        for key in 0..12 {
            assert_ne!(setup.ask(&format!("/?k={key}")), "", "{method}");
        }
        let asked: usize = setup.backends.iter().map(|backend| backend.requests().len()).sum();
        assert_eq!(asked, 12, "{method}");
    }
}
