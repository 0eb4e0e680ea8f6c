//! Sessions in a real browser: Chromium keeps the cookies and is asked what it has kept.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use limpet_tests::{Backend, Identity, Limpet, Process, Script, eventually, port};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A headless browser with a profile of its own.
struct Browser {
    socket: WebSocket<TcpStream>,
    number: u64,
    _process: Process,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a folder");
        // Without a window cookies of other sites are refused by default, other than with one.
        let preferences = json!({ "profile": { "cookie_controls_mode": 0, "block_third_party_cookies": false } });
        std::fs::create_dir(profile.path().join("Default")).expect("a folder");
        std::fs::write(profile.path().join("Default/Preferences"), preferences.to_string()).expect("written");
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors"]);
        command.args(["--host-resolver-rules=MAP * 127.0.0.1", "--remote-debugging-port=0", "about:blank"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let process = Process::start("chromium", &mut command, profile.path());
        let told = profile.path().join("DevToolsActivePort");
        let mut lines = Vec::new();
        eventually("the browser is there", || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            lines = text.lines().map(str::to_owned).collect();
            lines.len() == 2
        });
        let port: u16 = lines[0].parse().expect("a port");
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        let url = format!("ws://127.0.0.1:{port}{}", lines[1]);
        let (socket, _) = tungstenite::client(url.as_str(), stream).expect("a handshake");
        Browser { socket, number: 0, _process: process, _profile: profile }
    }

    /// Says a method of the DevTools protocol, to the browser or to a page, and waits for its result.
    fn say(&mut self, page: Option<&str>, method: &str, parameters: Value) -> Value {
        self.try_say(page, method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The same where it may come at a bad moment.
    fn try_say(&mut self, page: Option<&str>, method: &str, parameters: Value) -> Result<Value, Value> {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(page) = page {
            message["sessionId"] = json!(page);
        }
        self.socket.send(Message::text(message.to_string())).expect("sent");
        loop {
            let Message::Text(text) = self.socket.read().expect("an answer") else { continue };
            let answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == json!(self.number) {
                let error = &answer["error"];
                return if error.is_null() { Ok(answer["result"].clone()) } else { Err(error.clone()) };
            }
        }
    }

    /// Opens a page, and waits until its own script says what it has come to in its title.
    fn title_of(&mut self, url: &str) -> String {
        let target = self.say(None, "Target.createTarget", json!({ "url": url }))["targetId"].clone();
        let attached = self.say(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let page = attached["sessionId"].as_str().expect("a session").to_owned();
        let mut title = String::new();
        eventually("the page is done", || {
            let asked = json!({ "expression": "document.title" });
            // While it goes from one page to the next there is none.
            let result = self.try_say(Some(&page), "Runtime.evaluate", asked).unwrap_or_default();
            title = result["result"]["value"].as_str().unwrap_or_default().to_owned();
            title.starts_with("done ")
        });
        title
    }

    fn cookies(&mut self) -> Vec<Value> {
        self.say(None, "Storage.getCookies", json!({}))["cookies"].as_array().expect("a list").clone()
    }

    /// The only cookie of the sessions.
    fn cookie(&mut self) -> Value {
        let route: Vec<_> = self.cookies().into_iter().filter(|cookie| cookie["name"] == json!("route")).collect();
        assert_eq!(route.len(), 1, "{route:?}");
        route[0].clone()
    }
}

/// A page that loads itself until it has been here 30 times, and then says by how many servers. It remembers that in its window's
/// name, which no cookie has a part in.
fn page(server: usize) -> String {
    format!(
        "<script>const seen = (window.name || '').split(',').filter(x => x); seen.push('{server}'); window.name = seen.join();
         const text = 'done ' + seen.length + ' ' + new Set(seen).size;
         if (seen.length < 30) location.href = '/r?' + seen.length;
         else if (parent === window) document.title = text; else parent.postMessage(text, '*');</script>"
    )
}

/// Three servers, which answer `/r…` with a redirect now and then, and a proxy for them with a cookie such as these parameters
/// say.
struct Site {
    backends: Vec<Backend>,
    _limpet: Limpet,
    plain: u16,
    secure: u16,
    top: u16,
}

impl Site {
    fn new(parameters: &str) -> Site {
        let answer = |server: usize, request: &str| {
            let count = request.split("/r?").nth(1).and_then(|rest| rest.split(' ').next());
            match count.and_then(|count| count.parse::<u32>().ok()) {
                // Each third time by way of another page.
                Some(count) if count.is_multiple_of(3) => {
                    Script::page(302, &format!("Location: /to?{count}\r\nContent-Type: text/html\r\n"), "")
                }
                _ => Script::page(200, "Content-Type: text/html\r\nCache-Control: no-store\r\n", &page(server)),
            }
        };
        let backends: Vec<Backend> =
            (0..3).map(|server| Backend::planned(move |_, request| answer(server, request))).collect();
        let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
        let (plain, secure, top) = (port(), port(), port());
        let frame = format!(
            "<script>onmessage = event => document.title = event.data</script>\
             <iframe src=https://app.example:{secure}/></iframe>"
        );
        let http = format!(
            "ssl_certificate a.crt; ssl_certificate_key a.key; default_type text/html;
             upstream u {{ session_sticky {parameters}; {servers} }}
             server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://u; }} }}
             server {{ listen 127.0.0.1:{secure} ssl; http2 on; location / {{ proxy_pass http://u; }} }}
             server {{ listen 127.0.0.1:{top} ssl; location / {{ return 200 '{frame}'; }} }}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("logs")).expect("a folder");
        Identity::own(&["app.example", "top.example"]).write(folder.path(), "a");
        let text = format!("error_log logs/error.log info; events {{}} http {{ access_log logs/access.log; {http} }}");
        std::fs::write(folder.path().join("nginx.conf"), text).expect("written");
        let limpet = Limpet::start_in(folder, plain);
        Site { backends, _limpet: limpet, plain, secure, top }
    }

    /// How many servers have been asked for the page.
    fn asked(&self) -> usize {
        let asked = |backend: &&Backend| backend.requests().iter().any(|request| request.contains("/r?"));
        self.backends.iter().filter(asked).count()
    }
}

#[test]
fn a_page_that_loads_itself_stays_on_its_server() {
    let mut browser = Browser::start();
    let site = Site::new("httponly samesite=lax secure=auto");
    let title = browser.title_of(&format!("http://app.example:{}/", site.plain));
    assert_eq!((title.as_str(), site.asked()), ("done 30 1", 1));
    let cookie = browser.cookie();
    assert_eq!(
        (&cookie["httpOnly"], &cookie["secure"], &cookie["sameSite"]),
        (&json!(true), &json!(false), &json!("Lax"))
    );
    // Over TLS another browser gets one for TLS only.
    let mut browser = Browser::start();
    let site = Site::new("httponly samesite=lax secure=auto");
    let title = browser.title_of(&format!("https://app.example:{}/", site.secure));
    assert_eq!((title.as_str(), site.asked()), ("done 30 1", 1));
    assert_eq!(browser.cookie()["secure"], json!(true));
}

#[test]
fn a_page_in_a_frame_of_another_site_stays_on_its_server_where_the_cookie_is_made_for_that() {
    for (parameters, same_site, is_partitioned) in
        [("secure samesite=none", "None", false), ("secure samesite=none partitioned", "None", true)]
    {
        let mut browser = Browser::start();
        let site = Site::new(parameters);
        let title = browser.title_of(&format!("https://top.example2:{}/", site.top));
        assert_eq!((title.as_str(), site.asked()), ("done 30 1", 1), "{parameters}");
        let cookie = browser.cookie();
        assert_eq!((&cookie["secure"], &cookie["sameSite"]), (&json!(true), &json!(same_site)));
        assert_eq!(!cookie["partitionKey"].is_null(), is_partitioned, "{cookie}");
    }
    // With the defaults of today's browsers a frame is no session's.
    let mut browser = Browser::start();
    let site = Site::new("");
    let title = browser.title_of(&format!("https://top.example2:{}/", site.top));
    assert_eq!((title.as_str(), browser.cookies().len(), site.asked()), ("done 30 3", 0, 3));
}
