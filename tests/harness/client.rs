//! Clients on raw sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use openssl::ssl::{SslConnector, SslRef, SslStream};

use crate::tls;

/// A connection to a server under test.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What is spoken over it, if it is encrypted.
    tls: Option<SslStream<TcpStream>>,
    /// Read, and not yet asked for.
    waiting: Vec<u8>,
}

/// A response as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Status line and headers, without the blank line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The values of a header, whatever the case of its name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The only value of a header; none is `""`, and two are a failure.
    pub fn value(&self, name: &str) -> &str {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} stands more than once in {}", self.head);
        values.first().copied().unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a cookie that is set here.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let set = self.values("set-cookie").into_iter().filter_map(|line| line.split(';').next()?.split_once('='));
        set.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    }
}

impl Client {
    pub fn connect(port: u16) -> Client {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|error| panic!("no connection to {port}: {error}"));
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        let tls = tls::secure(port, &stream);
        Client { stream, tls, waiting: Vec::new() }
    }

    /// One that speaks TLS by terms of its own; the name is that of the server.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn over_tls(port: u16, name: &str, connector: &SslConnector) -> Result<Client, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        let second = stream.try_clone().expect("a second handle");
        let mut configuration = connector.configure().expect("a client").verify_hostname(false);
        configuration.set_use_server_name_indication(!name.is_empty());
        let tls = configuration.connect(name, second).map_err(|error| error.to_string())?;
        Ok(Client { stream, tls: Some(tls), waiting: Vec::new() })
    }

    /// What is known of its encryption.
    pub fn ssl(&self) -> &SslRef {
        self.tls.as_ref().expect("TLS").ssl()
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.tls {
            Some(tls) => tls,
            None => &mut self.stream,
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.writer().write_all(bytes.as_ref()).expect("the request is sent");
        self
    }

    /// Sends what a server may refuse to read to its end.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.writer().write_all(bytes.as_ref()).is_ok()
    }

    /// A request of HTTP/1.1 with Host, and what else is wanted (`Name: value` lines).
    pub fn request(&mut self, line: &str, headers: &[&str]) -> Response {
        let mut text = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        self.send(text);
        self.response_to(line.starts_with("HEAD "))
    }

    pub fn response(&mut self) -> Response {
        self.response_to(false)
    }

    /// Reads a response. HEAD has none of the body that it speaks of.
    pub fn response_to(&mut self, head: bool) -> Response {
        let end = loop {
            match find(&self.waiting, b"\r\n\r\n") {
                Some(end) => break end,
                None => {
                    assert!(self.fill(), "the connection ended in a head: {:?}", String::from_utf8_lossy(&self.waiting))
                }
            }
        };
        let text = String::from_utf8_lossy(&self.waiting[..end]).into_owned();
        self.waiting.drain(..end + 4);
        let status =
            text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no status in {text:?}"));
        let mut response = Response { status, head: text, body: Vec::new() };
        let chunked = response.value("transfer-encoding").eq_ignore_ascii_case("chunked");
        let length = response.values("content-length").first().map(|length| length.parse::<usize>().expect("a length"));
        response.body = match length {
            _ if head || matches!(status, 100..=199 | 204 | 304) => Vec::new(),
            _ if chunked => self.chunks(),
            Some(length) => self.exactly(length),
            None => self.to_end(),
        };
        response
    }

    /// The next bytes, whatever they are.
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.waiting.len() < length {
            assert!(self.fill(), "the connection ended after {} of {length} bytes", self.waiting.len());
        }
        self.waiting.drain(..length).collect()
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match find(&self.waiting, b"\r\n") {
                    Some(end) => break self.exactly(end + 2),
                    None => assert!(self.fill(), "the connection ended in a chunk's size"),
                }
            };
            let size = String::from_utf8_lossy(&line);
            let size =
                usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("no size of a chunk: {size:?}"));
            let mut chunk = self.exactly(size + 2);
            chunk.truncate(size);
            body.extend(chunk);
            if size == 0 {
                return body;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub fn to_end(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.waiting)
    }

    /// Whether the server has closed the connection, or does so now.
    pub fn is_closed(&mut self) -> bool {
        self.waiting.is_empty() && !self.fill()
    }

    /// Nothing more is sent; the server may still answer.
    pub fn half_close(&mut self) {
        if let Some(tls) = &mut self.tls {
            let _ = tls.shutdown();
        }
        self.stream.shutdown(Shutdown::Write).expect("half closed");
    }

    /// Ends the connection with a reset, which overtakes what is still to be sent.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a linger time");
    }

    /// How long sending may take before it is given up.
    pub fn set_write_patience(&mut self, patience: Duration) {
        self.stream.set_write_timeout(Some(patience)).expect("a time-out");
    }

    pub fn set_patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a time-out");
    }

    /// Reads what is there; `false` at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        let read = match &mut self.tls {
            Some(tls) => tls.read(&mut buffer),
            None => self.stream.read(&mut buffer),
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.waiting.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}; so far {:?}", String::from_utf8_lossy(&self.waiting)),
        }
    }
}

/// One request over a connection of its own.
pub fn get(port: u16, target: &str, headers: &[&str]) -> Response {
    let mut all = vec!["Connection: close"];
    all.extend_from_slice(headers);
    Client::connect(port).request(&format!("GET {target}"), &all)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
