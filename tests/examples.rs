//! Every file of conf/ is started, and makes a client stick.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use limpet_tests::{Client, Identity, Limpet, apache, connector, get, lighttpd, nginx, port};

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf")
}

/// The text of a file with every port replaced by a free one, or by the one that is given for it.
fn with_ports(file: &Path, given: &[(u16, u16)]) -> (String, BTreeMap<u16, u16>) {
    let mut text = std::fs::read_to_string(file).expect("an example");
    let mut ports: BTreeMap<u16, u16> = given.iter().copied().collect();
    for original in 8080..8090 {
        if text.contains(&format!(":{original}")) {
            let new = *ports.entry(original).or_insert_with(port);
            text = text.replace(&format!(":{original}"), &format!(":{new}"));
        }
    }
    (text, ports)
}

fn start(file: &Path, given: &[(u16, u16)]) -> (Limpet, u16) {
    let (text, ports) = with_ports(file, given);
    let front = ports[&8080];
    let folder = tempfile_with(&text);
    (Limpet::start_in(folder, front), front)
}

fn tempfile_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
    std::fs::copy(conf().join("mime.types"), folder.path().join("mime.types")).expect("the types");
    std::fs::write(folder.path().join("nginx.conf"), text).expect("a configuration");
    folder
}

/// The first answer's cookies bring the client back to the same server; without them it meets another one.
fn sticks(front: u16, target: &str, host: &str) {
    let host = format!("Host: {host}");
    let ask = |cookie: Option<&str>| {
        let mut client = limpet_tests::Client::connect(front);
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        client.send(format!("GET {target} HTTP/1.1\r\n{host}\r\n{cookie}Connection: close\r\n\r\n"));
        client.response()
    };
    let first = ask(None);
    let cookies: Vec<&str> = first.values("set-cookie").iter().filter_map(|line| line.split(';').next()).collect();
    assert!(!cookies.is_empty(), "no cookie in {}", first.head);
    let cookies = cookies.join("; ");
    for _ in 0..6 {
        assert_eq!(ask(Some(&cookies)).text(), first.text(), "a client left its server");
    }
    let others: Vec<String> = (0..4).map(|_| ask(None).text()).collect();
    assert!(others.iter().any(|other| *other != first.text()), "new clients all meet the same server");
}

#[test]
fn the_demo_makes_a_client_stick() {
    let (_limpet, front) = start(&conf().join("nginx.conf"), &[]);
    sticks(front, "/", "localhost");
}

#[test]
fn every_example_with_backends_of_its_own_makes_a_client_stick() {
    for (name, target, host) in [
        ("insert", "/", "x"),
        ("prefix", "/", "x"),
        ("rewrite", "/", "x"),
        ("limits", "/", "x"),
        ("no-fallback", "/", "x"),
        ("checks", "/", "x"),
        ("retry", "/", "x"),
        ("plain", "/", "x"),
        ("several", "/shop/a", "x"),
        ("several", "/forum/a", "x"),
        ("manual-1", "/", "x"),
        ("manual-2", "/", "www.example.com"),
    ] {
        let (_limpet, front) = start(&conf().join(format!("examples/{name}.conf")), &[]);
        sticks(front, target, host);
    }
}

#[test]
fn the_indirect_example_hides_its_cookie_from_the_backends() {
    let (_limpet, front) = start(&conf().join("examples/insert-indirect.conf"), &[]);
    let first = get(front, "/", &["Cookie: a=1"]);
    let sid = first.cookie("uid").expect("a cookie");
    let again = get(front, "/", &[&format!("Cookie: a=1; uid={sid}")]);
    assert!(again.text().ends_with("saw <a=1>\n"), "{}", again.text());
    assert_eq!(again.text(), first.text());
}

#[test]
fn clients_stick_to_apache_by_the_cookie_of_mod_usertrack() {
    let tracking = "CookieTracking on\nCookieName JSESSIONID\nCookieStyle Cookie\n";
    let (one, two) = (apache(tracking), apache(tracking));
    let (_limpet, front) = start(&conf().join("examples/apache-usertrack.conf"), &[(8081, one.port), (8082, two.port)]);
    sticks(front, "/", "localhost");
}

#[test]
fn clients_stick_to_nginx_by_the_cookie_of_add_header() {
    let cookie = "add_header Set-Cookie \"backend_cookie=1; Path=/\";";
    let (one, two) = (nginx(cookie), nginx(cookie));
    let (_limpet, front) = start(&conf().join("examples/nginx-add-header.conf"), &[(8081, one.port), (8082, two.port)]);
    sticks(front, "/", "localhost");
}

#[test]
fn clients_stick_to_lighttpd_by_the_cookie_of_mod_setenv() {
    let cookie = "setenv.add-response-header = ( \"Set-Cookie\" => \"backend_cookie=1; Path=/\" )";
    let (one, two) = (lighttpd(cookie), lighttpd(cookie));
    let (_limpet, front) = start(&conf().join("examples/lighttpd-setenv.conf"), &[(8081, one.port), (8082, two.port)]);
    sticks(front, "/", "localhost");
}

#[test]
fn clients_stick_to_servers_of_grpc() {
    let ports = [port(), port()];
    let server = |port: u16| nginx(&format!("listen 127.0.0.1:{port} http2; return 200 {port};"));
    let _servers = ports.map(server);
    let (_limpet, front) = start(&conf().join("examples/grpc.conf"), &[(8081, ports[0]), (8082, ports[1])]);
    sticks(front, "/e.Echo/Say", "localhost");
}

#[test]
fn clients_stick_at_the_edge_over_tls() {
    let (text, ports) = with_ports(&conf().join("examples/edge.conf"), &[]);
    let folder = tempfile_with(&text);
    Identity::own(&["www.example.com"]).write(folder.path(), "edge");
    let _limpet = Limpet::start_in(folder, ports[&8080]);
    let redirect = get(ports[&8080], "/a?b", &[]);
    assert_eq!((redirect.status, redirect.value("location")), (301, "https://localhost/a?b"));
    let ask = |headers: &[&str]| {
        let mut client = Client::over_tls(ports[&8084], "www.example.com", &connector().build()).expect("a handshake");
        client.request("GET /", headers)
    };
    let first = ask(&[]);
    let cookie = first.values("set-cookie")[0].to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; Secure") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a cookie"));
    for _ in 0..6 {
        assert_eq!(ask(&[&cookie]).text(), first.text());
    }
    assert_eq!(first.value("strict-transport-security"), "max-age=63072000");
}

#[test]
fn no_example_is_without_a_test() {
    let this = include_str!("examples.rs");
    for entry in std::fs::read_dir(conf().join("examples")).expect("the examples") {
        let name = entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(this.contains(&name), "conf/examples/{name}.conf is started by no test");
    }
}
