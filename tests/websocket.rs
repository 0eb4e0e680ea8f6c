//! WebSockets: many of them, over both kinds of connections, with sessions, and over reloads.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use limpet_tests::{Identity, Limpet, connector, eventually, listener, port};
use nix::sys::signal::Signal;
use openssl::ssl::SslConnector;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// A server of WebSockets that says its name and then what it hears.
struct Echo {
    address: String,
    handshakes: Arc<AtomicUsize>,
}

impl Echo {
    fn new(name: &'static str) -> Echo {
        let listener = listener();
        let address = listener.local_addr().expect("an address").to_string();
        let handshakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&handshakes);
        std::thread::spawn(move || accept(&listener, name, &count));
        Echo { address, handshakes }
    }
}

fn accept(listener: &TcpListener, name: &'static str, count: &Arc<AtomicUsize>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        let count = Arc::clone(count);
        std::thread::spawn(move || {
            let Ok(mut socket) = tungstenite::accept(stream) else { return };
            count.fetch_add(1, Ordering::Relaxed);
            let _ = socket.send(Message::text(name));
            while let Ok(message) = socket.read() {
                if message.is_close() || (message.is_text() && socket.send(message).is_err()) {
                    break;
                }
            }
            // What is left to say of the end.
            while socket.read().is_ok() {}
        });
    }
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

fn open(port: u16, tls: Option<&SslConnector>, cookie: &str) -> (WebSocket<Box<dyn Stream>>, String) {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    let stream: Box<dyn Stream> = match tls {
        Some(connector) => {
            let configuration = connector.configure().expect("a client").verify_hostname(false);
            Box::new(configuration.connect("localhost", stream).expect("a handshake"))
        }
        None => Box::new(stream),
    };
    let mut request = "ws://localhost/chat".into_client_request().expect("a request");
    if !cookie.is_empty() {
        request.headers_mut().insert("cookie", cookie.parse().expect("a value"));
    }
    let (socket, response) = tungstenite::client(request, stream).expect("a WebSocket");
    let set = response.headers().get("set-cookie").map(|value| value.to_str().expect("text").to_owned());
    (socket, set.unwrap_or_default())
}

fn say(socket: &mut WebSocket<Box<dyn Stream>>, text: &str) {
    socket.send(Message::text(text)).expect("sent");
    assert_eq!(socket.read().expect("an answer").to_text().expect("text"), text);
}

/// limpet before these servers, in the clear and over TLS.
fn front(servers: &[&Echo], more: &str) -> (Limpet, u16, u16) {
    let (plain, secure) = (port(), port());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    Identity::own(&["localhost"]).write(folder.path(), "a");
    let servers: String = servers.iter().map(|server| format!("server {};", server.address)).collect();
    let text = format!(
        "error_log logs/error.log info; events {{ worker_connections 4096; }} http {{ access_log off;
         upstream u {{ session_sticky; {servers} }}
         server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl; ssl_certificate a.crt; ssl_certificate_key a.key;
         location /chat {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
         proxy_set_header Connection upgrade; {more} }} location /version {{ return 200 old; }} }} }}"
    );
    std::fs::write(folder.path().join("nginx.conf"), text).expect("a configuration");
    (Limpet::start_in(folder, plain), plain, secure)
}

#[test]
fn of_ten_thousand_handshakes_none_is_lost_or_cut() {
    const EACH: usize = 2_500;
    let echo = Echo::new("one");
    let (limpet, plain, secure) = front(&[&echo], "");
    let connector = Arc::new(connector().build());
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let connector = Arc::clone(&connector);
            std::thread::spawn(move || {
                for turn in 0..EACH {
                    let (port, tls) = if number % 2 == 0 { (plain, None) } else { (secure, Some(&*connector)) };
                    let (mut socket, _) = open(port, tls, "");
                    assert_eq!(socket.read().expect("a greeting").to_text().expect("text"), "one");
                    say(&mut socket, &format!("{number} {turn}"));
                    socket.close(None).expect("closed");
                    while socket.read().is_ok() {}
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every handshake");
    }
    assert_eq!(echo.handshakes.load(Ordering::Relaxed), 4 * EACH);
    assert!(!limpet.error_log().contains("[error]"), "{}", limpet.error_log());
}

#[test]
fn a_websocket_keeps_its_session_and_goes_on_over_a_reload() {
    let (one, two) = (Echo::new("one"), Echo::new("two"));
    let (limpet, plain, secure) = front(&[&one, &two], "");
    let connector = connector().build();
    let (mut first, set) = open(secure, Some(&connector), "");
    let name = first.read().expect("a greeting").to_text().expect("text").to_owned();
    let cookie = set.split(';').next().expect("a pair").to_owned();
    assert!(cookie.starts_with("route="), "the 101 has the cookie: {set}");
    for turn in 0..10 {
        let (port, tls) = if turn % 2 == 0 { (plain, None) } else { (secure, Some(&connector)) };
        let (mut again, set) = open(port, tls, &cookie);
        assert_eq!((again.read().expect("a greeting").to_text().expect("text"), &*set), (&*name, ""));
    }
    let text = std::fs::read_to_string(limpet.path("nginx.conf")).expect("a configuration");
    std::fs::write(limpet.path("nginx.conf"), text.replace("old", "new")).expect("written");
    for _ in 0..3 {
        limpet.signal(Signal::SIGHUP);
        eventually("it is reloaded", || limpet_tests::get(plain, "/version", &[]).text() == "new");
        say(&mut first, "still here");
    }
}

#[test]
fn a_websocket_that_says_nothing_ends_by_proxy_read_timeout() {
    let echo = Echo::new("one");
    let (_limpet, plain, secure) = front(&[&echo], "proxy_read_timeout 400ms;");
    let connector = connector().build();
    for (port, tls) in [(plain, None), (secure, Some(&connector))] {
        let (mut socket, _) = open(port, tls, "");
        socket.read().expect("a greeting");
        // As long as something moves it stays.
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(100));
            say(&mut socket, "moves");
        }
        assert!(socket.read().is_err(), "it ends");
    }
}
