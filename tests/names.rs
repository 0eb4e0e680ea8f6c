//! Names of servers that are looked up while requests are served.

use std::time::{Duration, Instant};

use limpet_tests::{Backend, Dns, Limpet, Record, Script, eventually, get, port};
use nix::sys::signal::Signal;

/// Servers on 127.0.0.2, .3 and .4 that say their last number, all on one port, and a front with an upstream.
fn configuration(front: u16, back: u16, upstream: &str) -> String {
    let servers: String = (2..5)
        .map(|n| format!("server {{ listen 127.0.0.{n}:{back}; access_log off; location / {{ return 200 {n}; }} }}\n"))
        .collect();
    format!(
        "{servers} upstream u {{ {upstream} }}
         server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} location /new {{ return 200 new; }} }}"
    )
}

fn ask(front: u16) -> String {
    get(front, "/", &[]).text()
}

/// Everybody who answers within some requests, in order.
fn who(front: u16) -> String {
    let mut all: Vec<String> = (0..8).map(|_| ask(front)).collect();
    all.sort();
    all.dedup();
    all.concat()
}

const TWO: &str = "127.0.0.2";
const THREE: &str = "127.0.0.3";
const FOUR: &str = "127.0.0.4";

#[test]
fn a_server_that_moves_is_followed() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set("app.test", &[Record::address(TWO)]);
    let upstream = format!("{} server app.test:{back} resolve;", dns.resolver());
    let _limpet = Limpet::http(front, &configuration(front, back, &upstream));
    // The first request waits for nothing: the name was known before anybody was let in.
    assert_eq!(ask(front), "2");
    dns.set("app.test", &[Record::address(THREE), Record::address(FOUR)]);
    eventually("the servers are the new ones", || who(front) == "34");
}

#[test]
fn a_session_stays_while_its_address_is_in_the_answer() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set("app.test", &[Record::address(TWO), Record::address(THREE)]);
    let upstream = format!("server app.test:{back} resolve; session_sticky hash=plain;");
    let http = format!("{} {}", dns.resolver(), configuration(front, back, &upstream));
    let _limpet = Limpet::http(front, &http);
    let cookie = format!("Cookie: route=127.0.0.3:{back}");
    let stays = || (0..4).all(|_| get(front, "/", &[&cookie]).text() == "3");
    assert!(stays());
    dns.set("app.test", &[Record::address(FOUR), Record::address(THREE)]);
    eventually("the fourth is there", || who(front) == "34");
    assert!(stays());
    dns.set("app.test", &[Record::address(FOUR)]);
    eventually("the third is gone", || who(front) == "4");
    let response = get(front, "/", &[&cookie]);
    assert_eq!(response.value("set-cookie"), format!("route=127.0.0.4:{back}; Path=/"));
}

#[test]
fn a_lookup_that_fails_keeps_the_last_good_answer_and_says_so() {
    let (dns, front, back, other) = (Dns::start(), port(), port(), port());
    dns.set("app.test", &[Record::address(TWO)]);
    let upstream = format!("{} resolver_timeout 300ms; server app.test:{back} resolve;", dns.resolver());
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    assert_eq!(ask(front), "2");
    dns.set("app.test", &[Record::failure(TWO)]);
    limpet.logs("[error]");
    limpet.logs("app.test could not be resolved (2: Server failure) in upstream u: its last addresses are kept");
    assert_eq!(ask(front), "2");
    // Over a reload, too, to another port, and with nobody who answers.
    dns.set_silent(true);
    let upstream = upstream.replace(&format!("app.test:{back}"), &format!("app.test:{other}"));
    let text = configuration(front, back, &upstream).replace("return 200 new", "return 200 newer")
        + &format!("server {{ listen 127.0.0.2:{other}; return 200 other; }}");
    limpet.rewrite(&text);
    limpet.signal(Signal::SIGHUP);
    eventually("the new configuration is in place", || get(front, "/new", &[]).text() == "newer");
    assert_eq!(ask(front), "other");
    limpet.logs("app.test could not be resolved (110: Operation timed out)");
}

#[test]
fn a_kind_of_addresses_that_fails_leaves_the_other_alone() {
    // FORMERR, SERVFAIL, NOTIMP, REFUSED, and silence, from the start and for good.
    for code in [Some(1), Some(2), Some(4), Some(5), None] {
        let (dns, front, back) = (Dns::start(), port(), port());
        let six = Record::failing("::1", code);
        dns.set("app.test", &[Record::address(TWO), six.clone()]);
        let upstream = format!("{} server app.test:{back} resolve;", dns.resolver());
        let limpet = Limpet::http(front, &configuration(front, back, &upstream));
        assert_eq!(ask(front), "2", "{code:?}: {}", limpet.error_log());
        dns.set("app.test", &[Record::address(THREE), six]);
        eventually("the address is followed", || who(front) == "3");
        let told = limpet.error_log().matches("AAAA of app.test could not be resolved (").count();
        assert_eq!(told, 1, "it is told, and once: {code:?}: {}", limpet.error_log());
    }
}

#[test]
fn a_kind_of_addresses_that_fails_keeps_its_own() {
    let (dns, front, back) = (Dns::start(), port(), port());
    let both = format!("server {{ listen [::1]:{back}; access_log off; return 200 six; }}");
    dns.set("app.test", &[Record::address(TWO), Record::address("::1")]);
    let upstream = format!("{} server app.test:{back} resolve;", dns.resolver());
    let limpet = Limpet::http(front, &(configuration(front, back, &upstream) + &both));
    assert_eq!(who(front), "2six");
    dns.set("app.test", &[Record::address(THREE), Record::failure("::1")]);
    eventually("one kind has moved, the other stays", || who(front) == "3six");
    limpet
        .logs("AAAA of app.test could not be resolved (2: Server failure) in upstream u: its last addresses are kept");
    dns.set("app.test", &[Record::failure(TWO), Record::address("::1")]);
    limpet.logs("A of app.test could not be resolved (2: Server failure) in upstream u: its last addresses are kept");
    assert_eq!(who(front), "3six");
    // A name that has no address of a kind has none: that is no failure.
    dns.set("app.test", &[Record::address(FOUR)]);
    eventually("the other kind is gone", || who(front) == "4");
}

#[test]
fn the_servers_of_a_name_that_is_gone_go() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set("app.test", &[Record::address(TWO)]);
    let upstream = format!("{} server app.test:{back} resolve; server 127.0.0.3:{back} backup;", dns.resolver());
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    assert_eq!(who(front), "2");
    // A name with nothing behind it is as good as none.
    for records in [&[][..], &[Record::Service { priority: 1, weight: 1, port: 1, target: "x.test".into() }]] {
        dns.set("app.test", records);
        eventually("the backup is asked", || who(front) == "3");
        dns.set("app.test", &[Record::address(FOUR)]);
        eventually("the name is back", || who(front) == "4");
    }
    limpet.logs("app.test could not be resolved (3: Host not found) in upstream u: its servers are gone");
}

#[test]
fn requests_do_not_wait_for_names() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set_silent(true);
    let upstream = format!("{} resolver_timeout 200ms; server app.test:{back} resolve;", dns.resolver());
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    let begun = Instant::now();
    assert_eq!(get(front, "/", &[]).status, 502);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(limpet.error_log().contains("no live upstreams while connecting to upstream"));
    limpet.logs("app.test could not be resolved (110: Operation timed out) in upstream u: there is no address");
    dns.set("app.test", &[Record::address(FOUR)]);
    dns.set_silent(false);
    eventually("the server is asked", || ask(front) == "4");
}

#[test]
fn services_name_hosts_ports_weights_and_backups() {
    let (dns, front, back) = (Dns::start(), port(), port());
    let service =
        |priority, weight, target: &str| Record::Service { priority, weight, port: back, target: target.into() };
    dns.set("two.test", &[Record::address(TWO)]);
    dns.set("three.test", &[Record::address(THREE)]);
    dns.set("four.test", &[Record::address(FOUR)]);
    dns.set(
        "_http._tcp.app.test",
        &[service(1, 3, "two.test"), service(1, 1, "three.test"), service(9, 1, "four.test")],
    );
    let upstream = format!("{} server app.test service=http resolve;", dns.resolver());
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    let mut answers: Vec<String> = (0..8).map(|_| ask(front)).collect();
    answers.sort();
    assert_eq!(answers.concat(), "22222233");
    // One of them can't be looked up: its last address stays, and the others are as they are told.
    dns.set("two.test", &[Record::failure(TWO)]);
    dns.set("_http._tcp.app.test", &[service(1, 1, "two.test"), service(1, 1, "four.test")]);
    eventually("the servers are others", || who(front) == "24");
    limpet
        .logs("a server of service http of app.test could not be resolved (2: Server failure) in upstream u: its last");
    // None of them exists.
    dns.set("two.test", &[]);
    dns.set("four.test", &[]);
    eventually("nobody is there", || get(front, "/", &[]).status == 502);
    limpet
        .logs("service http of app.test could not be resolved (3: Host not found) in upstream u: its servers are gone");
    dns.set("four.test", &[Record::address(FOUR)]);
    // By another name.
    dns.set("srv.test", &[service(9, 1, "four.test")]);
    dns.set("_http._tcp.app.test", &[Record::Alias("srv.test".into())]);
    eventually("the last one is no backup any more", || who(front) == "4");
}

#[test]
fn a_target_that_could_not_be_looked_up_is_asked_for_again_soon() {
    let (dns, front, back) = (Dns::start(), port(), port());
    let service = |target: &str| Record::Service { priority: 1, weight: 1, port: back, target: target.into() };
    dns.set("two.test", &[Record::failure(TWO)]);
    dns.set("four.test", &[Record::address(FOUR)]);
    dns.set("_http._tcp.app.test", &[service("two.test"), service("four.test")]);
    // Whole answers count for an hour.
    let upstream = format!("{} server app.test service=http resolve;", dns.resolver().replace(';', " valid=1h;"));
    let _limpet = Limpet::http(front, &configuration(front, back, &upstream));
    assert_eq!(who(front), "4");
    dns.set("two.test", &[Record::address(TWO)]);
    eventually("both answer", || who(front) == "24");
}

#[test]
fn dynamic_resolve_looks_every_name_up_again() {
    for (fallback, kept) in [("stale", true), ("next", true), ("shutdown", false)] {
        // Within `fail_timeout` the next server is not asked for the last address's sake, as in Tengine.
        let (dns, front, back) = (Dns::start(), port(), port());
        // The system finds an address for this one everywhere, and it is none for limpet.
        let name = "127.1";
        dns.set(name, &[Record::address(TWO)]);
        let upstream = format!("dynamic_resolve fallback={fallback} fail_timeout=1s; server {name}:{back};");
        let http = format!("{} {}", dns.resolver(), configuration(front, back, &upstream));
        let limpet = Limpet::http(front, &http);
        eventually("the name is looked up", || ask(front) == "2");
        dns.set(name, &[]);
        limpet.logs("127.1 could not be resolved (3: Host not found) in upstream u");
        match kept {
            true => assert_eq!(ask(front), "2", "{fallback}"),
            false => eventually("nobody is asked", || get(front, "/", &[]).status == 502),
        }
        dns.set(name, &[Record::address(THREE)]);
        eventually("it goes on", || ask(front) == "3");
    }
}

#[test]
fn while_a_name_can_not_be_looked_up_the_next_server_is_asked() {
    let (dns, front, back) = (Dns::start(), port(), port());
    let name = "127.1";
    dns.set(name, &[Record::address(TWO)]);
    // `next` is the default.
    for words in ["fallback=next", ""] {
        let upstream = format!("dynamic_resolve {words}; server {name}:{back} max_fails=0; server 127.0.0.3:{back};");
        let http = format!("{} {}", dns.resolver(), configuration(front, back, &upstream));
        let limpet = Limpet::http(front, &http);
        eventually("both answer", || who(front) == "23");
        dns.set(name, &[]);
        limpet.logs(
            "127.1 could not be resolved (3: Host not found) in upstream u: other servers are asked until it can be",
        );
        assert_eq!(who(front), "3");
        // Over a reload, too, before the first lookup has ended.
        dns.set_silent(true);
        limpet.rewrite(&http.replace("return 200 new", "return 200 newer"));
        limpet.signal(Signal::SIGHUP);
        eventually("the new configuration is in place", || get(front, "/new", &[]).text() == "newer");
        assert_eq!(who(front), "3");
        dns.set_silent(false);
        dns.set(name, &[Record::address(TWO)]);
        eventually("both answer again", || who(front) == "23");
    }
}

#[test]
fn answers_count_as_long_as_told() {
    let (short, long, front, back) = (Dns::start(), Dns::start(), port(), port());
    for dns in [&short, &long] {
        dns.set("app.test", &[Record::address(TWO)]);
    }
    let valid = long.resolver().replace(';', " valid=1h ipv6=off;");
    let upstream = format!("{} server app.test:{back} resolve;", short.resolver());
    let http =
        configuration(front, back, &upstream) + &format!("upstream v {{ {valid} server app.test:{back} resolve; }}");
    let _limpet = Limpet::http(front, &http);
    // An answer of one second for both kinds of address, again and again.
    eventually("the name was looked up three times", || short.queries() >= 6);
    assert_eq!(long.queries(), 1);
}

#[test]
fn servers_that_come_by_name_are_checked_too() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set("app.test", &[Record::address(TWO)]);
    let upstream =
        format!("{} server app.test:{back} resolve; check interval=20 rise=1 fall=1 type=http;", dns.resolver());
    let _limpet = Limpet::http(front, &configuration(front, back, &upstream));
    eventually("the server is up", || ask(front) == "2");
    dns.set("app.test", &[Record::address(THREE)]);
    eventually("the other one is up", || ask(front) == "3");
}

#[test]
fn a_resolver_that_lies_changes_nothing_and_circles_are_no_names() {
    let (dns, front, back) = (Dns::start(), port(), port());
    dns.set("app.test", &[Record::address(TWO)]);
    let upstream = format!("{} resolver_timeout 500ms; server app.test:{back} resolve;", dns.resolver());
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    assert_eq!(ask(front), "2");
    // Answers to what was not asked.
    dns.set("app.test", &[Record::address(THREE)]);
    dns.set_lying(true);
    limpet.logs("app.test could not be resolved (110: Operation timed out) in upstream u: its last addresses are kept");
    assert_eq!(who(front), "2");
    // Names that stand for each other.
    dns.set("app.test", &[Record::Alias("other.test".into())]);
    dns.set("other.test", &[Record::Alias("app.test".into())]);
    dns.set_lying(false);
    limpet.logs("app.test could not be resolved (3: Host not found) in upstream u: its servers are gone");
    assert_eq!(get(front, "/", &[]).status, 502);
    let queries = dns.queries();
    assert!(queries < 500, "{queries} queries");
    // An alias that leads somewhere is followed.
    dns.set("other.test", &[Record::address(FOUR)]);
    eventually("the alias is followed", || who(front) == "4");
}

#[test]
fn a_hundred_thousand_addresses_are_ten_thousand_servers() {
    let (dns, front, back) = (Dns::start(), port(), port());
    let thousand: Vec<Record> =
        (0..1000).map(|n| Record::Address([127, 1 + (n / 250) as u8, 0, 1 + (n % 250) as u8].into())).collect();
    let targets: Vec<Record> = (0..100)
        .map(|n| Record::Service { priority: 1, weight: 1, port: 20_000 + n, target: format!("t{n}.test") })
        .collect();
    (0..100).for_each(|n| dns.set(&format!("t{n}.test"), &thousand));
    dns.set("_http._tcp.app.test", &targets);
    let upstream = format!(
        "{} server app.test service=http resolve; server 127.0.0.2:{back};",
        dns.resolver().replace(';', " valid=1h;")
    );
    let limpet = Limpet::http(front, &configuration(front, back, &upstream));
    limpet.logs("service http of app.test has more than 10000 addresses in upstream u: the rest is left out");
    // So many targets at a time, and two kinds of addresses.
    assert!(dns.queries() < 200, "{} queries", dns.queries());
    assert_eq!(get(front, "/new", &[]).text(), "new");
}

#[test]
fn of_two_name_servers_the_one_that_answers_counts() {
    let (good, bad) = (Dns::start(), Dns::start());
    let backends = [Backend::new(Script::ok("one")), Backend::new(Script::ok("two"))];
    let ports: Vec<String> =
        backends.iter().map(|backend| backend.address().rsplit(':').next().unwrap_or_default().to_owned()).collect();
    let address = |dns: &Dns| dns.resolver().trim_start_matches("resolver ").trim_end_matches(';').to_owned();
    good.set("a.test", &[Record::address("127.0.0.1")]);
    bad.set("a.test", &[Record::failing("127.0.0.1", Some(2))]);
    for (round, servers) in [(0, [&bad, &good]), (1, [&good, &bad])] {
        let front = port();
        let http = format!(
            "resolver {} {} valid=1s ipv6=off; resolver_timeout 2s;
             upstream u {{ zone u 64k; server a.test:{} resolve; }}
             server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}",
            address(servers[0]),
            address(servers[1]),
            ports[round]
        );
        let limpet = Limpet::http(front, &http);
        for _ in 0..3 {
            let asked = good.queries();
            assert_eq!(get(front, "/", &[]).status, 200, "{}", limpet.error_log());
            eventually("it is asked again", || good.queries() > asked);
        }
    }
}
