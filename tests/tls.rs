//! TLS on both sides: certificates, versions, sessions, certificates of clients, and what goes wrong.

use std::io::Write;
use std::net::TcpStream;

use limpet_tests::{Backend, Client, Identity, Limpet, Process, Script, connector, eventually, get, nginx, port, run};
use nix::sys::signal::Signal;
use openssl::ssl::{SslConnector, SslSession, SslSessionCacheMode, SslVersion};
use openssl::x509::X509;
use parking_lot::Mutex;
use std::sync::Arc;

/// A folder with the identities `a`, `b` (RSA, for other names), `ca`, and `client`, which `ca` has signed.
fn folder(configuration: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    Identity::own(&["a.example"]).write(folder.path(), "a");
    Identity::rsa(&["b.example", "a.example"]).write(folder.path(), "b");
    let ca = Identity::own(&["authority"]);
    ca.write(folder.path(), "ca");
    ca.signs(&["client"]).write(folder.path(), "client");
    std::fs::write(folder.path().join("nginx.conf"), configuration).expect("a configuration");
    folder
}

fn text(http: &str) -> String {
    format!("error_log logs/error.log info; events {{}} http {{ access_log logs/access.log; {http} }}")
}

fn start(port: u16, http: &str) -> Limpet {
    Limpet::start_in(folder(&text(http)), port)
}

const A: &str = "ssl_certificate a.crt; ssl_certificate_key a.key;";

fn over_tls(port: u16, name: &str) -> Client {
    Client::over_tls(port, name, &connector().build()).expect("a handshake")
}

/// A client that keeps its sessions, and begins with the last one.
fn returning(most: SslVersion) -> (SslConnector, Arc<Mutex<Option<SslSession>>>) {
    let kept = Arc::new(Mutex::new(None));
    let mut builder = connector();
    builder.set_max_proto_version(Some(most)).expect("a version");
    builder.set_session_cache_mode(SslSessionCacheMode::CLIENT);
    let keep = Arc::clone(&kept);
    builder.set_new_session_callback(move |_, session| *keep.lock() = Some(session));
    (builder.build(), kept)
}

#[test]
fn the_name_in_the_handshake_chooses_the_server() {
    let port = port();
    let limpet = start(
        port,
        &format!(
            "server {{ listen 127.0.0.1:{port} ssl; server_name a.example; {A} ssl_certificate b.crt; ssl_certificate_key b.key;
             return 200 \"a $scheme $https $ssl_protocol $ssl_server_name $ssl_session_reused\"; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name *.b.example; ssl_certificate b.crt; ssl_certificate_key b.key;
             ssl_protocols TLSv1.2; ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256; return 200 \"b $ssl_protocol $ssl_cipher\"; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name no.example; ssl_reject_handshake on; }}"
        ),
    );
    let mut client = over_tls(port, "a.example");
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let response = client.response();
    assert_eq!(response.text(), "a https on TLSv1.3 a.example .");
    let shown = client.ssl().peer_certificate().expect("a certificate");
    assert!(shown.public_key().expect("a key").ec_key().is_ok(), "the one on a curve comes first");
    // A client that knows no curve's signatures gets the other one.
    let mut builder = connector();
    builder.set_max_proto_version(Some(SslVersion::TLS1_2)).expect("a version");
    builder.set_cipher_list("ECDHE-RSA-AES256-GCM-SHA384").expect("a cipher");
    let client = Client::over_tls(port, "a.example", &builder.build()).expect("a handshake");
    assert!(client.ssl().peer_certificate().expect("a certificate").public_key().expect("a key").rsa().is_ok());
    let mut client = over_tls(port, "www.B.example");
    assert!(client.ssl().peer_certificate().expect("a certificate").public_key().expect("a key").rsa().is_ok());
    client.send("GET / HTTP/1.1\r\nHost: www.b.example\r\n\r\n");
    assert_eq!(client.response().text(), "b TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256");
    // Without a name it is the first one; a name can be refused.
    let mut client = over_tls(port, "");
    assert!(client.request("GET /", &[]).text().starts_with("a https on TLSv1.3  "));
    let refused = Client::over_tls(port, "no.example", &connector().build()).expect_err("no handshake");
    assert!(refused.contains("unrecognized name"), "{refused}");
    assert!(!limpet.error_log().contains("[crit]"));
}

#[test]
fn http_in_the_clear_on_a_port_for_tls_is_400() {
    let port = port();
    let limpet = start(port, &format!("server {{ listen 127.0.0.1:{port} ssl; {A} return 200 x; }}"));
    let mut client = Client::connect(port);
    let response = client.request("GET /", &[]);
    assert_eq!((response.status, response.value("connection")), (400, "close"));
    assert!(response.text().contains("The plain HTTP request was sent to HTTPS port"), "{}", response.text());
    limpet.logs("client sent plain HTTP request to HTTPS port");
}

#[test]
fn sessions_are_resumed_over_a_reload_by_ticket_and_by_identifier() {
    for (most, settings) in [
        (SslVersion::TLS1_3, ""),
        (SslVersion::TLS1_2, ""),
        (SslVersion::TLS1_3, "ssl_session_tickets off; ssl_session_cache shared:S:1m;"),
        (SslVersion::TLS1_2, "ssl_session_tickets off; ssl_session_cache builtin shared:S:1m;"),
    ] {
        let port = port();
        let http = format!(
            "server {{ listen 127.0.0.1:{port} ssl; {A} {settings} location / {{ return 200 $ssl_session_reused; }} location /v {{ return 200 old; }} }}"
        );
        let limpet = start(port, &http);
        let (connector, kept) = returning(most);
        let ask = |expected: &str| {
            let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
            let mut ssl =
                connector.configure().expect("a client").verify_hostname(false).into_ssl("x").expect("a client");
            if let Some(session) = &*kept.lock() {
                #[allow(unsafe_code, reason = "a session may be given to a client of another kind")]
                // SAFETY: it is one of the same client.
                unsafe {
                    ssl.set_session(session).expect("a session");
                }
            }
            let mut tls = ssl.connect(stream).expect("a handshake");
            tls.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
            let mut answer = String::new();
            let _ = std::io::Read::read_to_string(&mut tls, &mut answer);
            // A session that ends without a farewell is not resumed.
            let _ = tls.shutdown();
            assert!(answer.ends_with(expected), "{most:?} {settings}: {answer}");
        };
        ask("\r\n.");
        ask("\r\nr");
        let text = std::fs::read_to_string(limpet.path("nginx.conf")).expect("a configuration");
        std::fs::write(limpet.path("nginx.conf"), text.replace("old", "new")).expect("written");
        limpet.signal(Signal::SIGHUP);
        eventually("it is reloaded", || over_tls(port, "").request("GET /v", &[]).text() == "new");
        ask("\r\nr");
    }
}

/// Asks a server by name, with the last session there was.
fn ask_again(port: u16, (connector, kept): &(SslConnector, Arc<Mutex<Option<SslSession>>>), name: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let mut ssl = connector.configure().expect("a client").verify_hostname(false).into_ssl(name).expect("a client");
    let session = kept.lock().clone();
    if let Some(session) = &session {
        #[allow(unsafe_code, reason = "a session may be given to a client of another kind")]
        // SAFETY: it is one of the same client.
        unsafe {
            ssl.set_session(session).expect("a session");
        }
    }
    let mut tls = ssl.connect(stream).expect("a handshake");
    tls.write_all(format!("GET / HTTP/1.0\r\nHost: {name}\r\n\r\n").as_bytes()).expect("sent");
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut tls, &mut answer);
    let _ = tls.shutdown();
    answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

#[test]
fn a_session_that_is_resumed_by_another_name_is_that_names() {
    let port = port();
    let said = "return 200 \"$ssl_server_name $ssl_session_reused\"; ssl_verify_client optional;";
    let _limpet = start(
        port,
        &format!(
            "{A} ssl_client_certificate ca.crt; ssl_session_cache shared:S:1m;
             server {{ listen 127.0.0.1:{port} ssl; server_name one.example; {said} }}
             server {{ listen 127.0.0.1:{port} ssl; server_name two.example; {said} }}"
        ),
    );
    let client = returning(SslVersion::TLS1_2);
    assert_eq!(ask_again(port, &client, "one.example"), "one.example .");
    assert!(ask_again(port, &client, "two.example").starts_with("two.example "));
    assert!(ask_again(port, &client, "one.example").starts_with("one.example "));
}

#[test]
fn a_server_without_tickets_behind_one_with_them_keeps_its_sessions_in_the_cache() {
    let port = port();
    let _limpet = start(
        port,
        &format!(
            "{A} ssl_session_cache shared:S:1m;
             server {{ listen 127.0.0.1:{port} ssl; return 200 first; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name two.example; ssl_session_tickets off;
             return 200 $ssl_session_reused; }}"
        ),
    );
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let client = returning(version);
        let answers = [0; 2].map(|_| ask_again(port, &client, "two.example"));
        assert_eq!(answers, [".", "r"], "{version:?}");
    }
}

#[test]
fn without_a_cache_and_tickets_no_session_is_resumed() {
    let port = port();
    let http = "ssl_session_tickets off; ssl_session_cache off; return 200 $ssl_session_reused;";
    let _limpet = start(port, &format!("server {{ listen 127.0.0.1:{port} ssl; {A} {http} }}"));
    let (connector, kept) = returning(SslVersion::TLS1_2);
    let mut client = Client::over_tls(port, "x", &connector).expect("a handshake");
    assert_eq!(client.request("GET /", &[]).text(), ".");
    assert!(kept.lock().is_none());
}

#[test]
fn clients_show_certificates_where_they_have_to() {
    let port = port();
    let said = "$ssl_client_verify $ssl_client_s_dn $ssl_client_i_dn";
    let limpet = start(
        port,
        &format!(
            "{A} ssl_client_certificate ca.crt; log_format s '$status'; access_log logs/s.log s;
             server {{ listen 127.0.0.1:{port} ssl; server_name open.example; return 200 \"{said}\"; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name on.example; ssl_verify_client on; return 200 \"{said}\"; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name may.example; large_client_header_buffers 2 2k; ssl_verify_client optional; return 200 \"{said}\"; }}
             server {{ listen 127.0.0.1:{port} ssl; server_name any.example; ssl_verify_client optional_no_ca; return 200 \"{said}\"; }}"
        ),
    );
    let with = |identity: Option<&str>| {
        let mut builder = connector();
        if let Some(name) = identity {
            let (certificate, key) = (limpet.path(&format!("{name}.crt")), limpet.path(&format!("{name}.key")));
            builder.set_certificate_file(certificate, openssl::ssl::SslFiletype::PEM).expect("a certificate");
            builder.set_private_key_file(key, openssl::ssl::SslFiletype::PEM).expect("a key");
        }
        builder.build()
    };
    let ask = |name: &str, host: &str, identity: Option<&str>| {
        let mut client = Client::over_tls(port, name, &with(identity)).expect("a handshake");
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = client.response();
        (response.status, response.text())
    };
    let own = |name: &str, identity| ask(name, name, identity);
    let good = "SUCCESS CN=client CN=authority".to_owned();
    for (name, identity, status, expected) in [
        ("open.example", Some("client"), 200, "NONE  "),
        ("on.example", Some("client"), 200, &*good),
        ("on.example", Some("a"), 400, "The SSL certificate error"),
        ("on.example", None, 400, "No required SSL certificate was sent"),
        ("may.example", None, 200, "NONE  "),
        ("may.example", Some("client"), 200, &*good),
        ("may.example", Some("a"), 400, "The SSL certificate error"),
        ("any.example", Some("client"), 200, &*good),
        ("any.example", Some("a"), 200, "FAILED:self-signed certificate CN=a.example CN=a.example"),
    ] {
        let (got, text) = own(name, identity);
        assert_eq!(got, status, "{name} {identity:?}: {text}");
        assert!(text.contains(expected), "{name} {identity:?}: {text}");
    }
    // Who has shown nothing to one server can't go on to another that wants it.
    let (status, _) = ask("open.example", "on.example", Some("client"));
    assert_eq!(status, 421);
    // A name that nobody has is no other server's: what the default one has not asked for is missing.
    let (status, text) = ask("nobody.example", "on.example", Some("client"));
    assert!(status == 400 && text.contains("No required SSL certificate was sent"), "{text}");
    // Until a host is named the server is that of the handshake.
    let mut client = Client::over_tls(port, "may.example", &with(None)).expect("a handshake");
    client.send(format!("GET /{} HTTP/1.1\r\n", "x".repeat(3000)));
    assert_eq!(client.response().status, 414);
    limpet.logs("client SSL certificate verify error: (18:self-signed certificate)");
    limpet.logs("client sent no required SSL certificate");
    limpet.logs("client attempted to request the server name different from the one that was negotiated");
}

#[test]
fn a_reload_brings_new_certificates_and_connections_go_on() {
    let port = port();
    let limpet = start(port, &format!("server {{ listen 127.0.0.1:{port} ssl; {A} return 200 x; }}"));
    let mut before = over_tls(port, "a.example");
    assert_eq!(before.request("GET /", &[]).status, 200);
    let serial = |client: &Client| {
        let shown = client.ssl().peer_certificate().expect("a certificate");
        shown.serial_number().to_bn().expect("a number").to_vec()
    };
    Identity::own(&["a.example"]).write(&limpet.path(""), "a");
    limpet.signal(Signal::SIGHUP);
    eventually("the new one is shown", || serial(&over_tls(port, "a.example")) != serial(&before));
    let mut after = over_tls(port, "a.example");
    assert_eq!((before.request("GET /", &[]).status, after.request("GET /", &[]).status), (200, 200));
    // One that can't be read changes nothing.
    std::fs::write(limpet.path("a.key"), "nonsense").expect("written");
    limpet.signal(Signal::SIGHUP);
    limpet.logs("cannot load certificate key");
    assert_eq!(serial(&over_tls(port, "a.example")), serial(&after));
}

#[test]
fn what_is_wrong_with_files_is_told_at_load() {
    let cases = [
        (
            "ssl_certificate none.crt; ssl_certificate_key a.key;",
            "cannot load certificate \"DIR/none.crt\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:calling fopen(DIR/none.crt, r) error:10000080:BIO routines::no such file) in DIR/nginx.conf:2",
        ),
        (
            "ssl_certificate a.key; ssl_certificate_key a.key;",
            "cannot load certificate \"DIR/a.key\": PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE) in DIR/nginx.conf:2",
        ),
        (
            "ssl_certificate a.crt; ssl_certificate_key a.crt;",
            "cannot load certificate key \"DIR/a.crt\": PEM_read_bio_PrivateKey() failed (SSL: error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM) in DIR/nginx.conf:2",
        ),
        (
            "ssl_certificate a.crt; ssl_certificate_key client.key;",
            "SSL_CTX_use_PrivateKey(\"DIR/client.key\") failed (SSL: error:05800074:x509 certificate routines::key values mismatch) in DIR/nginx.conf:2",
        ),
        (
            "ssl_certificate a.crt; ssl_certificate_key sealed.key;",
            "cannot load certificate key \"DIR/sealed.key\": PEM_read_bio_PrivateKey() failed (SSL:",
        ),
        (
            "ssl_ciphers NONSENSE;",
            "SSL_CTX_set_cipher_list(\"NONSENSE\") failed (SSL: error:0A0000B9:SSL routines::no cipher match) in DIR/nginx.conf:2",
        ),
        ("ssl_ecdh_curve nonsense;", "SSL_CTX_set1_curves_list(\"nonsense\") failed (SSL:"),
        (
            "ssl_conf_command Nonsense x;",
            "SSL_CONF_cmd(\"Nonsense\", \"x\") failed (SSL: error:0A000182:SSL routines::unknown cmd name:cmd=Nonsense) in DIR/nginx.conf:2",
        ),
        ("ssl_dhparam none;", "BIO_new_file(\"DIR/none\") failed (SSL:"),
        ("ssl_session_ticket_key a.crt;", "\"DIR/a.crt\" must be 48 or 80 bytes in DIR/nginx.conf:2"),
        (
            "ssl_client_certificate none; ssl_verify_client on;",
            "cannot load certificate \"DIR/none\": BIO_new_file() failed (SSL:",
        ),
        (
            "ssl_crl none; ssl_trusted_certificate ca.crt; ssl_verify_client on;",
            "cannot load CRL \"DIR/none\": BIO_new_file() failed (SSL:",
        ),
        ("ssl_password_file none;", "open() \"DIR/none\" failed (2: No such file or directory) in DIR/nginx.conf:2"),
        (
            "location / { proxy_pass https://127.0.0.1; proxy_ssl_verify on; }",
            "no proxy_ssl_trusted_certificate for proxy_ssl_verify in DIR/nginx.conf:2",
        ),
        (
            "location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate a.crt; }",
            "no \"proxy_ssl_certificate_key\" is defined for certificate \"a.crt\" in DIR/nginx.conf:2",
        ),
        (
            "location / { proxy_pass https://127.0.0.1; proxy_ssl_ciphers NONSENSE; }",
            "SSL_CTX_set_cipher_list(\"NONSENSE\") failed",
        ),
    ];
    for (directives, expected) in cases {
        let own = if directives.starts_with("ssl_certificate ") { "" } else { A };
        let folder = folder(&text(&format!("\nserver {{ listen 127.0.0.1:{} ssl; {own} {directives} }}", port())));
        let sealed =
            Identity::own(&[]).key.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret");
        std::fs::write(folder.path().join("sealed.key"), sealed.expect("PEM")).expect("written");
        let path = folder.path().to_str().expect("a path");
        let output = run(&["-p", path, "-c", "nginx.conf", "-t"]);
        let expected = expected.replace("DIR", path);
        assert_eq!(output.status, 1, "{directives}");
        assert!(output.stderr.contains(&expected), "{directives}: {}", output.stderr);
    }
}

#[test]
fn keys_may_be_sealed_and_stand_in_the_file() {
    let port = port();
    let identity = Identity::own(&["a.example"]);
    let data = |pem: Vec<u8>| format!("\"data:{}\"", String::from_utf8(pem).expect("text"));
    let certificate = data(identity.certificate.to_pem().expect("PEM"));
    let folder = folder(&text(&format!(
        "ssl_password_file words; server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key sealed.key; return 200 x; }}"
    )));
    let sealed = identity.key.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret");
    std::fs::write(folder.path().join("sealed.key"), sealed.expect("PEM")).expect("written");
    std::fs::write(folder.path().join("words"), "wrong\nsecret\n").expect("written");
    let _limpet = Limpet::start_in(folder, port);
    assert_eq!(over_tls(port, "a.example").request("GET /", &[]).text(), "x");
}

#[test]
fn broken_slow_and_abandoned_handshakes_hurt_nobody_else() {
    let port = port();
    let http = format!("client_header_timeout 1s; server {{ listen 127.0.0.1:{port} ssl; {A} return 200 x; }}");
    let limpet = start(port, &http);
    let begin = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.write_all(bytes).expect("sent");
        stream
    };
    let silent: Vec<TcpStream> = (0..50).map(|_| begin(b"")).collect();
    let slow: Vec<TcpStream> = (0..50).map(|_| begin(b"\x16\x03\x01\x02\x00\x01")).collect();
    let broken: Vec<TcpStream> = (0..50).map(|_| begin(b"\x16\x03\x01\x00\x05nonsense and more of it")).collect();
    drop((0..50).map(|_| begin(b"\x16\x03\x01\x02\x00\x01")).collect::<Vec<_>>());
    assert_eq!(over_tls(port, "a.example").request("GET /", &[]).text(), "x");
    for mut stream in silent.into_iter().chain(slow).chain(broken) {
        // An alert may come first.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    limpet.logs("client timed out (110: Connection timed out) while SSL handshaking, client: 127.0.0.1");
    limpet.logs("peer closed connection in SSL handshake while SSL handshaking");
    limpet.logs("SSL_do_handshake() failed (SSL: error:");
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn sessions_with_backends_are_resumed_by_server() {
    let said = "ssl_certificate SELF; ssl_certificate_key SELF; return 200 \"$ssl_session_reused $ssl_server_name\";";
    let own = Identity::own(&["back.example"]);
    let folder = folder("");
    let pem = [own.certificate.to_pem().expect("PEM"), own.key.private_key_to_pem_pkcs8().expect("PEM")].concat();
    let both = folder.path().join("both.pem");
    std::fs::write(&both, pem).expect("written");
    let said = said.replace("SELF", both.to_str().expect("a path"));
    let backends = || {
        let tls = port();
        let server = nginx(&format!("listen 127.0.0.1:{tls} ssl; keepalive_requests 1; {said}"));
        (server, tls)
    };
    let ((_one, first), (_two, second)) = (backends(), backends());
    let front = port();
    let both = both.display();
    let http = format!(
        "upstream u {{ server 127.0.0.1:{first} max_fails=0; server 127.0.0.1:{second} max_fails=0; }}
         server {{ listen 127.0.0.1:{front}; proxy_set_header Connection close;
         location / {{ proxy_pass https://u; proxy_ssl_server_name on; proxy_ssl_name back.example; }}
         location /never {{ proxy_pass https://u; proxy_ssl_session_reuse off; }}
         location /right {{ proxy_pass https://u; proxy_ssl_name back.example; proxy_ssl_verify on; proxy_ssl_trusted_certificate {both}; }}
         location /wrong {{ proxy_pass https://u; proxy_ssl_name other.example; proxy_ssl_verify on; proxy_ssl_trusted_certificate {both}; }}
         location /strange {{ proxy_pass https://u; proxy_ssl_name back.example; proxy_ssl_verify on; proxy_ssl_trusted_certificate a.crt; }}
         location /plain {{ proxy_pass https://127.0.0.1:{front}; }} }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), text(&http)).expect("written");
    let limpet = Limpet::start_in(folder, front);
    let ask = |path: &str| get(front, path, &[]).text();
    let answers: Vec<String> = (0..4).map(|_| ask("/")).collect();
    assert_eq!(answers, [". back.example", ". back.example", "r back.example", "r back.example"]);
    assert_eq!((0..4).map(|_| ask("/never")).collect::<Vec<_>>(), [". ", ". ", ". ", ". "]);
    assert_eq!(ask("/right"), ". ");
    assert_eq!(get(front, "/wrong", &[]).status, 502);
    limpet.logs("upstream SSL certificate does not match \"other.example\" while SSL handshaking to upstream");
    assert_eq!(get(front, "/strange", &[]).status, 502);
    limpet
        .logs("upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking to upstream");
    assert_eq!(get(front, "/plain", &[]).status, 502);
    limpet.logs(
        "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) while SSL handshaking",
    );
}

#[test]
fn a_session_stays_on_its_server_over_tls_on_both_sides() {
    let (front, first, second) = (port(), port(), port());
    let server = |port: u16, name: &str| format!("server {{ listen 127.0.0.1:{port} ssl; return 200 {name}; }}");
    let http = format!(
        "{A} upstream u {{ session_sticky; keepalive 8; server 127.0.0.1:{first}; server 127.0.0.1:{second}; }}
         server {{ listen 127.0.0.1:{front} ssl; location / {{ proxy_pass https://u; proxy_set_header Connection ''; }} }} {} {}",
        server(first, "one"),
        server(second, "two")
    );
    let limpet = start(front, &http);
    let mut client = over_tls(front, "a.example");
    let greeting = client.request("GET /", &[]);
    let cookie = format!("Cookie: route={}", greeting.cookie("route").expect("a cookie"));
    for _ in 0..20 {
        assert_eq!(client.request("GET /", &[&cookie]).text(), greeting.text());
        assert_eq!(over_tls(front, "a.example").request("GET /", &[&cookie]).text(), greeting.text());
    }
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn a_server_that_says_nothing_in_its_handshake_is_given_up_in_time() {
    let silent = Backend::driven(|_, mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let good = Backend::new(Script::ok("x"));
    let front = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{front}; proxy_connect_timeout 300ms;
         location / {{ proxy_pass https://{}; }} location /other {{ proxy_pass http://{}; }} }}",
        silent.address(),
        good.address()
    );
    let limpet = start(front, &http);
    let waiting = std::thread::spawn(move || get(front, "/", &[]).status);
    assert_eq!(get(front, "/other", &[]).text(), "x");
    assert_eq!(waiting.join().expect("an answer"), 504);
    limpet.logs("upstream timed out (110: Connection timed out) while SSL handshaking to upstream");
    eventually("it is let go", || silent.connections() == 1);
}

#[test]
fn early_data_is_taken_and_told_to_backends() {
    let backend =
        Backend::planned(|_, request| match request.contains("Early-Data: 1") && request.contains("/careful") {
            true => Script::page(425, "", "too early"),
            false => Script::ok(request),
        });
    let port = port();
    let http = format!(
        "ssl_early_data on; server {{ listen 127.0.0.1:{port} ssl; {A} location / {{ proxy_pass http://{}; proxy_set_header Early-Data $ssl_early_data; }} }}",
        backend.address()
    );
    let limpet = start(port, &http);
    let (connector, kept) = returning(SslVersion::TLS1_3);
    let ask = |path: &str, body: &str| {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let mut ssl = connector.configure().expect("a client").verify_hostname(false).into_ssl("x").expect("a client");
        let session = kept.lock().take();
        let is_early = session.is_some();
        if let Some(session) = &session {
            #[allow(unsafe_code, reason = "a session may be given to a client of another kind")]
            // SAFETY: it is one of the same client.
            unsafe {
                ssl.set_session(session).expect("a session");
            }
        }
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut tls = openssl::ssl::SslStream::new(ssl, stream).expect("a stream");
        let mut rest = request.as_bytes();
        if is_early {
            // What is larger than early data may be goes after the handshake.
            let (early, later) = rest.split_at(rest.len().min(10_000));
            assert_eq!(tls.write_early_data(early).expect("early data"), early.len());
            rest = later;
        }
        tls.connect().expect("a handshake");
        tls.write_all(rest).expect("sent");
        let mut answer = String::new();
        let _ = std::io::Read::read_to_string(&mut tls, &mut answer);
        let _ = tls.shutdown();
        answer
    };
    assert!(!ask("/", "first").contains("Early-Data"));
    for body in ["second".to_owned(), "x".repeat(50_000)] {
        let answer = ask("/", &body);
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{body}")),
            "{}",
            answer.len()
        );
        // A body that goes on behind the handshake is no early one any more when the backend is asked.
        assert_eq!(answer.contains("Early-Data: 1"), body.len() < 10_000);
    }
    assert!(ask("/careful", "").starts_with("HTTP/1.1 425 "));
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn files_that_are_not_needed_are_not_opened_and_names_begin_at_the_files_folder() {
    let port = port();
    let folder = folder("");
    let conf = folder.path().join("conf");
    std::fs::create_dir(&conf).expect("a folder");
    for name in ["a.crt", "a.key", "ca.crt"] {
        std::fs::rename(folder.path().join(name), conf.join(name)).expect("moved");
    }
    let http = format!(
        "proxy_ssl_verify on; proxy_ssl_certificate none; server {{ listen 127.0.0.1:{port} ssl; {A} ssl_client_certificate none; return 200 x; }}
         server {{ listen 127.0.0.1:{port} ssl; server_name b; {A} ssl_verify_client optional; ssl_client_certificate ca.crt; ssl_crl \"\";
         ssl_session_cache none; ssl_session_cache builtin:99999999999;
         location / {{ proxy_pass http://127.0.0.1:{port}; }} location /s {{ proxy_pass https://127.0.0.1:{port}; proxy_ssl_verify off; proxy_ssl_certificate \"\"; proxy_ssl_trusted_certificate none; }} }}"
    );
    std::fs::write(conf.join("nginx.conf"), text(&http)).expect("written");
    let path = folder.path().to_str().expect("a path");
    let output = run(&["-p", path, "-c", "conf/nginx.conf", "-t"]);
    assert!(output.stderr.contains("test is successful"), "{}", output.stderr);
}

#[test]
fn what_one_handshake_leaves_behind_hurts_no_other() {
    let port = port();
    let ca = Identity::own(&["authority"]);
    let folder = folder(&text(&format!(
        "server {{ listen 127.0.0.1:{port} ssl; {A} ssl_verify_client on; ssl_client_certificate ca.crt; return 200 x; }}"
    )));
    // Signed by another one of the same name.
    ca.signs(&["forged"]).write(folder.path(), "forged");
    let limpet = Limpet::start_in(folder, port);
    let with = |name: &str| {
        let mut builder = connector();
        let (certificate, key) = (limpet.path(&format!("{name}.crt")), limpet.path(&format!("{name}.key")));
        builder.set_certificate_file(certificate, openssl::ssl::SslFiletype::PEM).expect("a certificate");
        builder.set_private_key_file(key, openssl::ssl::SslFiletype::PEM).expect("a key");
        Client::over_tls(port, "a.example", &builder.build()).expect("a handshake")
    };
    for _ in 0..5 {
        let mut forged = with("forged");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let response = forged.request("GET /", &[]);
        assert_eq!(response.status, 400);
        assert!(response.text().contains("The SSL certificate error"), "{}", response.text());
        assert_eq!(with("client").request("GET /", &[]).text(), "x");
    }
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let backend = Backend::planned(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        Script::ok("late")
    });
    let port = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{port} ssl; {A} location / {{ proxy_pass http://{}; }} }}",
        backend.address()
    );
    let _limpet = start(port, &http);
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let ssl =
        connector().build().configure().expect("a client").verify_hostname(false).into_ssl("x").expect("a client");
    let mut tls = ssl.connect(stream).expect("a handshake");
    tls.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    // Its half of TLS is over, and the connection is not.
    let _ = tls.shutdown();
    let mut answer = String::new();
    let _ = std::io::Read::read_to_string(&mut tls, &mut answer);
    assert!(answer.ends_with("late"), "{answer:?}");
}

#[test]
fn a_client_that_leaves_without_a_word_keeps_its_session() {
    let port = port();
    let settings = "ssl_session_tickets off; ssl_session_cache shared:S:1m;";
    let _limpet = start(
        port,
        &format!("server {{ listen 127.0.0.1:{port} ssl; {A} {settings} return 200 $ssl_session_reused; }}"),
    );
    let (connector, kept) = returning(SslVersion::TLS1_2);
    let ask = |session: Option<SslSession>| {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let mut ssl = connector.configure().expect("a client").verify_hostname(false).into_ssl("x").expect("a client");
        if let Some(session) = &session {
            #[allow(unsafe_code, reason = "a session may be given to a client of another kind")]
            // SAFETY: it is one of the same client.
            unsafe {
                ssl.set_session(session).expect("a session");
            }
        }
        let mut tls = ssl.connect(stream).expect("a handshake");
        tls.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut space = [0; 1024];
        let count = std::io::Read::read(&mut tls, &mut space).expect("an answer");
        // The end comes to the server without a farewell; here it counts as one, so that the session may be used.
        tls.set_shutdown(openssl::ssl::ShutdownState::SENT);
        space[count - 1]
    };
    assert_eq!(ask(None), b'.');
    let session = kept.lock().take();
    assert_eq!(ask(session), b'r');
}

/// OpenSSL's own responder, for the certificate `client` that `ca` has signed. `status`: `V` or `R`.
fn responder(folder: &std::path::Path, status: char) -> (Process, u16) {
    let port = port();
    let certificate =
        X509::from_pem(&std::fs::read(folder.join("client.crt")).expect("a file")).expect("a certificate");
    let serial = certificate.serial_number().to_bn().expect("a number").to_hex_str().expect("digits").to_string();
    let revoked = if status == 'R' { "200101000000Z" } else { "" };
    let line = format!("{status}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=client\n");
    std::fs::write(folder.join("index.txt"), line).expect("written");
    let mut command = std::process::Command::new("openssl");
    command.current_dir(folder).args(["ocsp", "-index", "index.txt", "-CA", "ca.crt", "-rsigner", "ca.crt"]);
    command.args(["-rkey", "ca.key", "-nmin", "60", "-port", &port.to_string()]);
    let name = format!("responder-{status}");
    let process = Process::start(&name, &mut command, folder);
    let output = folder.join(format!("{name}.output"));
    eventually("the responder listens", || {
        std::fs::read_to_string(&output).is_ok_and(|text| text.contains("waiting for OCSP client connections"))
    });
    (process, port)
}

/// What a client is shown of the certificate's status.
fn shown_status(port: u16) -> String {
    let mut command = std::process::Command::new("openssl");
    command.args(["s_client", "-status", "-connect", &format!("127.0.0.1:{port}")]);
    let output = command.stdin(std::process::Stdio::null()).output().expect("openssl runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_an_authority_says_of_a_certificate_is_fetched_and_shown() {
    let ports = [port(), port(), port()];
    let folder = folder("");
    let (good, good_port) = responder(folder.path(), 'V');
    let (_revoked, revoked_port) = responder(folder.path(), 'R');
    let server = |port: u16, more: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate client.crt; ssl_certificate_key client.key;
             ssl_trusted_certificate ca.crt; ssl_stapling on; ssl_stapling_verify on; {more} return 200; }}"
        )
    };
    let url = |port: u16| format!("ssl_stapling_responder http://127.0.0.1:{port}/;");
    let http = [
        server(ports[0], &url(good_port)),
        server(ports[1], &url(revoked_port)),
        server(ports[2], &url(Backend::refusing())),
    ]
    .concat();
    let path = folder.path().to_owned();
    std::fs::write(path.join("nginx.conf"), text(&http)).expect("written");
    let limpet = Limpet::start_in(folder, ports[0]);
    eventually("it is shown", || shown_status(ports[0]).contains("Cert Status: good"));
    limpet.logs(
        "certificate status \"revoked\" in the OCSP response while requesting certificate status, responder: 127.0.0.1",
    );
    limpet.logs("failed (111: Connection refused) while requesting certificate status, responder: 127.0.0.1");
    for port in &ports[1..] {
        assert!(shown_status(*port).contains("OCSP response: no response sent"), "{}", shown_status(*port));
    }
    // It is known over a reload, without being asked for again.
    drop(good);
    limpet.signal(Signal::SIGHUP);
    let changed = text(&http.replace("return 200;", "return 200 changed;"));
    std::fs::write(path.join("nginx.conf"), changed).expect("written");
    limpet.signal(Signal::SIGHUP);
    let says = |text: &str| over_tls(ports[0], "client").request("GET /", &[]).text() == text;
    eventually("the new configuration is in place", || says("changed"));
    assert!(shown_status(ports[0]).contains("Cert Status: good"));
}

#[test]
fn stapling_that_can_not_be_is_a_warning() {
    let port = port();
    let stapling = "ssl_stapling on;";
    for (http, warning) in [
        (
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate client.crt; ssl_certificate_key client.key; {stapling} }}"
            ),
            "[warn] \"ssl_stapling\" ignored, issuer certificate not found for certificate \"",
        ),
        (
            format!("server {{ listen 127.0.0.1:{port} ssl; {A} {stapling} ssl_trusted_certificate a.crt; }}"),
            "[warn] \"ssl_stapling\" ignored, no OCSP responder URL in the certificate \"",
        ),
        (
            format!(
                "server {{ listen 127.0.0.1:{port} ssl; {A} {stapling} ssl_trusted_certificate a.crt; ssl_stapling_responder https://x/; }}"
            ),
            "[warn] \"ssl_stapling\" ignored, invalid URL prefix in OCSP responder \"https://x/\" in the certificate \"",
        ),
    ] {
        let folder = folder(&text(&http));
        let output = run(&["-t", "-p", folder.path().to_str().expect("a path"), "-c", "nginx.conf"]);
        assert!(output.status == 0 && output.stderr.contains(warning), "{}", output.stderr);
    }
}

/// The name in the certificate that a server shows for a name.
fn shown_name(port: u16, name: &str) -> Option<String> {
    let client = Client::over_tls(port, name, &connector().build()).ok()?;
    let certificate = client.ssl().peer_certificate()?;
    let entry = certificate.subject_name().entries().next()?;
    Some(entry.data().to_string().expect("text"))
}

#[test]
fn certificates_are_found_by_the_name_that_a_client_asks_for() {
    let ports = [port(), port()];
    let named = "ssl_certificate certs/$ssl_server_name.crt; ssl_certificate_key certs/${ssl_server_name}.key;";
    let http = format!(
        "server {{ listen 127.0.0.1:{} ssl; {named} return 200; }}
         server {{ listen 127.0.0.1:{} ssl; {named} ssl_certificate_cache max=2 valid=1h inactive=1h; return 200; }}",
        ports[0], ports[1]
    );
    let folder = folder(&text(&http));
    let certificates = folder.path().join("certs");
    std::fs::create_dir(&certificates).expect("a folder");
    for name in ["a.example", "b.example", "c.example"] {
        Identity::own(&[name]).write(&certificates, name);
    }
    let limpet = Limpet::start_in(folder, ports[0]);
    for port in ports {
        for name in ["a.example", "B.example", "a.example"] {
            assert_eq!(shown_name(port, name), Some(name.to_lowercase()), "{name}");
        }
        assert_eq!(shown_name(port, "nobody.example"), None);
        // A name is no path.
        assert_eq!(shown_name(port, "../certs/a.example"), None);
    }
    limpet.logs("[error]");
    limpet.logs("cannot load certificate \"");
    limpet.logs("/certs/nobody.example.crt\": BIO_new_file() failed (SSL: ");
    limpet.logs("while SSL handshaking, client: 127.0.0.1, server: ");
    assert!(!limpet.error_log().contains("../certs"), "{}", limpet.error_log());
    // What is kept is not read again, and the one asked for longest ago makes room.
    Identity::own(&["another"]).write(&certificates, "a.example");
    assert_eq!(shown_name(ports[0], "a.example"), Some("another".to_owned()));
    assert_eq!(shown_name(ports[1], "a.example"), Some("a.example".to_owned()));
    assert_eq!(shown_name(ports[1], "c.example"), Some("c.example".to_owned()));
    assert_eq!(shown_name(ports[1], "b.example"), Some("b.example".to_owned()));
    assert_eq!(shown_name(ports[1], "a.example"), Some("another".to_owned()));
}

#[test]
fn certificates_with_remarks_about_trust_are_read() {
    let folder = folder("");
    let converted = std::process::Command::new("openssl")
        .args(["x509", "-in", "a.crt", "-trustout", "-addtrust", "serverAuth", "-out", "trusted.crt"])
        .current_dir(folder.path())
        .output()
        .expect("openssl runs");
    assert!(converted.status.success(), "{converted:?}");
    let pem = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    assert!(pem("trusted.crt").contains("BEGIN TRUSTED CERTIFICATE"));
    std::fs::write(folder.path().join("chain.crt"), pem("trusted.crt") + &pem("ca.crt")).expect("written");
    let port = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate chain.crt; ssl_certificate_key a.key; return 200; }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), text(&http)).expect("written");
    let _limpet = Limpet::start_in(folder, port);
    let client = over_tls(port, "a.example");
    assert_eq!(client.ssl().peer_cert_chain().expect("a chain").len(), 2);
    drop(client);
    assert_eq!(shown_name(port, "a.example"), Some("a.example".to_owned()));
}

#[test]
fn a_version_that_is_named_twice_is_a_warning() {
    let folder = folder(&text("ssl_protocols TLSv1.2 TLSv1.3 tlsv1.2; server { }"));
    let output = run(&["-t", "-p", folder.path().to_str().expect("a path"), "-c", "nginx.conf"]);
    assert!(
        output.status == 0 && output.stderr.contains("[warn] duplicate value \"tlsv1.2\" in "),
        "{}",
        output.stderr
    );
}

#[test]
fn what_is_wrong_with_names_of_certificates_is_told_at_load() {
    for (directive, message) in [
        ("ssl_certificate $host.crt;", "\"$host\" can't be had in a handshake by limpet"),
        ("ssl_certificate_cache inactive=1m;", "\"ssl_certificate_cache\" must have the \"max\" parameter in "),
        ("ssl_certificate_cache max=0;", "invalid parameter \"max=0\" in "),
        ("ssl_certificate_cache max=1 valid=x;", "invalid parameter \"valid=x\" in "),
        (
            "ssl_session_cache shared:S:1m; server { ssl_session_cache shared:S:2m; }",
            "the size 2097152 of shared memory zone \"S\" conflicts with already declared size 1048576 in ",
        ),
        ("ssl_certificate_cache on;", "invalid parameter \"on\" in "),
    ] {
        let folder = folder(&text(&format!("{directive} server {{ }}")));
        let output = run(&["-t", "-p", folder.path().to_str().expect("a path"), "-c", "nginx.conf"]);
        assert!(output.status == 1 && output.stderr.contains(message), "{directive}: {}", output.stderr);
        assert!(output.stderr.contains("nginx.conf:1"), "{}", output.stderr);
    }
}
