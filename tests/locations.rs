//! Which server and which location a request is for.

use limpet_tests::{Client, Limpet, get, port};

#[test]
fn locations_are_chosen_in_nginxs_order() {
    let port = port();
    let names = [
        "= /",
        "/",
        "/documents/",
        "^~ /images/",
        "~* \\.(gif|jpg)$",
        "= /exact",
        "/exact",
        "~ ^/Re",
        "~* ^/re",
        "/p",
        "/prefix",
    ];
    let locations: String =
        names.iter().enumerate().map(|(n, name)| format!("location {name} {{ return 200 {n}; }}\n")).collect();
    let nested = "location /n/ { location = /n/eq { return 200 neq; } location /n/a { return 200 na; }
        location ~ \\.x$ { return 200 nx; } location ^~ /n/nr/ { return 200 nnr; } return 200 n; }";
    let _limpet = Limpet::http(port, &format!("server {{ listen 127.0.0.1:{port}; {locations} {nested} }}"));
    for (asked, expected) in [
        ("/", "= /"),
        ("/index.html", "/"),
        ("/documents/document.html", "/documents/"),
        ("/documents/1.JPG", "~* \\.(gif|jpg)$"),
        ("/images/1.gif", "^~ /images/"),
        ("//documents//x", "/documents/"),
        ("/exact", "= /exact"),
        ("/exact/", "/exact"),
        ("/Regex", "~ ^/Re"),
        ("/regex", "~* ^/re"),
        ("/prefix/long", "/prefix"),
        ("/PREFIX", "/"),
        ("/n/eq", "neq"),
        ("/n/ab", "na"),
        ("/n/a.x", "nx"),
        ("/n/nr/a.x", "nnr"),
        ("/n/nr/a.gif", "~* \\.(gif|jpg)$"),
        ("/n/b", "n"),
    ] {
        let expected = names.iter().position(|name| *name == expected).map_or(expected.to_owned(), |n| n.to_string());
        assert_eq!(get(port, asked, &[]).text(), expected, "{asked}");
    }
}

#[test]
fn servers_are_chosen_by_host() {
    let port = port();
    let servers: String = [
        ("first", "a.example"),
        ("exact", "example.com UPPER.Example"),
        ("suffix", "*.example.com"),
        ("longer", "*.sub.example.com"),
        ("domain", ".dot.example"),
        ("prefix", "www.example.*"),
        ("regex", "~^r\\d+\\.example\\.com$ ~^only"),
        ("none", "\"\""),
    ]
    .iter()
    .map(|(text, names)| {
        let default = if *text == "first" { " default_server" } else { "" };
        format!("server {{ listen 127.0.0.1:{port}{default}; server_name {names}; return 200 {text}; }}\n")
    })
    .collect();
    let _limpet = Limpet::http(port, &servers);
    for (host, expected) in [
        ("example.com", "exact"),
        ("EXAMPLE.com:81", "exact"),
        ("example.com.", "exact"),
        ("upper.example", "exact"),
        ("x.example.com", "suffix"),
        ("x.sub.example.com", "longer"),
        ("r1.example.com", "suffix"),
        ("dot.example", "domain"),
        ("a.b.dot.example", "domain"),
        ("www.example.org", "prefix"),
        ("only", "regex"),
        ("unknown", "first"),
    ] {
        let mut client = Client::connect(port);
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response().text(), expected, "{host}");
    }
    let mut client = Client::connect(port);
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "none");
}

#[test]
fn unix_sockets_can_be_listened_on() {
    use std::io::{Read, Write};
    let port = port();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let _limpet = Limpet::http(
        port,
        &format!(
            "upstream u {{ server unix:{0}; session_sticky hash=plain; }}
             server {{ listen unix:{0}; return 200 \"$remote_addr\"; }}
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; }} location /direct {{ proxy_pass http://unix:{0}:/x; }} }}",
            path.display()
        ),
    );
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connected");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("\r\n\r\nunix:"), "{text}");
    let through = get(port, "/", &[]);
    assert_eq!((through.text().as_str(), through.cookie("route")), ("unix:", Some(format!("unix:{}", path.display()))));
    assert_eq!(get(port, "/direct", &[]).text(), "unix:");
}

#[test]
fn addresses_of_one_port_have_their_own_servers() {
    let port = port();
    let _limpet = Limpet::http(
        port,
        &format!("server {{ listen {port}; return 200 any; }} server {{ listen 127.0.0.2:{port}; return 200 two; }}"),
    );
    assert_eq!(get(port, "/", &[]).text(), "any");
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.2", port)).expect("connected");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.ends_with("two"), "{text}");
}
