//! The servers that are measured.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server; it ends with its guard.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    child: Child,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// User and system time so far, in microseconds.
    pub fn cpu(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process runs");
        let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
        // The kernel counts in hundredths of a second.
        (fields[11] * 10_000.0, fields[12] * 10_000.0)
    }

    /// Ends a server that counts, and says how many instructions there were outside the kernel.
    pub fn instructions(mut self) -> u64 {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").arg(id).status();
        let _ = self.child.wait();
        let log = std::fs::read_to_string(self.folder.path().join("valgrind")).expect("valgrind's log");
        let line = log.lines().find_map(|line| line.split_once("Collected : ")).expect("a count");
        line.1.trim().parse().expect("a number")
    }

    /// Memory of its own, in bytes.
    pub fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id())).expect("the process runs");
        let kib = text.lines().filter(|line| line.starts_with("Private_")).filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.sum::<u64>() * 1024
    }
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Servers that start from now on have their instructions counted, which makes them slow.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// Runs with servers that count their instructions.
pub fn counting<R>(run: impl FnOnce() -> R) -> R {
    COUNTING.store(true, Ordering::Relaxed);
    let result = run();
    COUNTING.store(false, Ordering::Relaxed);
    result
}

/// The same command under valgrind, whose log goes into the folder.
fn counted(command: &Command, folder: &Path) -> Command {
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    counted.arg(format!("--log-file={}", folder.join("valgrind").display()));
    counted.arg(command.get_program()).args(command.get_args());
    counted
}

fn start(name: &'static str, configuration: impl Fn(&Path, u16) -> String, command: impl Fn(&Path) -> Command) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    std::fs::create_dir(folder.path().join("logs")).expect("a folder");
    std::fs::write(folder.path().join("server.conf"), configuration(folder.path(), port)).expect("a configuration");
    let mut command = command(folder.path());
    if COUNTING.load(Ordering::Relaxed) {
        command = counted(&command, folder.path());
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let child = command.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "{name} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Server { name, port, child, folder }
}

/// No access log, unless the directives have one.
fn unless_logged(http: &str) -> &'static str {
    if http.contains("access_log") { "" } else { "access_log off;" }
}

const NGINX: &str = "daemon off; master_process off; worker_processes 1; events { worker_connections 16384; }";

fn nginx_command(folder: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("server.conf"));
    command
}

/// The origin: an nginx with answers of three sizes.
pub fn backend() -> Server {
    origin("127.0.0.1:")
}

/// The same on every address of the machine: 127.0.0.1 to 127.255.255.254 are as many servers.
pub fn backends() -> Server {
    origin("")
}

fn origin(host: &str) -> Server {
    let configuration = |folder: &Path, port: u16| {
        for (name, size) in [("64k", 65_536), ("1m", 1 << 20)] {
            std::fs::write(folder.join(name), vec![b'x'; size]).expect("a page");
        }
        let large = std::fs::File::create(folder.join("100m")).expect("a page");
        large.set_len(100 << 20).expect("a page");
        let folder = folder.display();
        format!(
            "{NGINX} pid {folder}/pid; error_log {folder}/log; http {{ access_log off; keepalive_requests 1000000000;
             server {{ listen {host}{port} backlog=4096; root {folder}; location = /19 {{ return 200 \"nineteen bytes here\"; }} }} }}"
        )
    };
    start("backend", configuration, nginx_command)
}

pub fn nginx(backend: u16) -> Server {
    nginx_with(&format!("server 127.0.0.1:{backend};"))
}

/// nginx with these servers in its upstream.
pub fn nginx_with(servers: &str) -> Server {
    nginx_of("nginx", servers, "")
}

/// The same with directives of the http block.
pub fn nginx_of(name: &'static str, servers: &str, http: &str) -> Server {
    let log = unless_logged(http);
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        format!(
            "{NGINX} pid {folder}/pid; error_log {folder}/log; http {{ {http} {log} keepalive_requests 1000000000; proxy_temp_path {folder}/p; client_body_temp_path {folder}/c;
             upstream u {{ {servers} keepalive 256; keepalive_requests 1000000000; }}
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}"
        )
    };
    start(name, configuration, nginx_command)
}

pub fn haproxy(backend: u16) -> Server {
    let configuration = |_: &Path, port: u16| {
        format!(
            "global\n  nbthread 1\n  maxconn 8000\ndefaults\n  mode http\n  timeout client 75s\n  timeout server 60s\n  timeout connect 60s\n  timeout http-keep-alive 75s\n  http-reuse always\n\
             frontend f\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend b\nbackend b\n  cookie SRV insert indirect nocache\n  server s1 127.0.0.1:{backend} cookie s1\n"
        )
    };
    start("HAProxy", configuration, |folder| {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(folder.join("server.conf"));
        command
    })
}

/// What three proxies have in common, in the words of each.
#[derive(Default)]
pub struct Trio {
    /// Directives of the http block, for nginx and limpet.
    http: String,
    /// Behind the address of `listen`, for nginx, and for limpet.
    listen: [&'static str; 2],
    /// Of limpet's http block alone.
    limpet: &'static str,
    /// What hands requests on to the upstream `u`.
    location: &'static str,
    /// HAProxy's: in `global`, behind the address of `bind`, and behind that of `server`.
    global: &'static str,
    bind: String,
    server: &'static str,
}

impl Trio {
    /// TLS and HTTP/2, with one certificate in `identity.pem`.
    pub fn tls(identity: &Path) -> Trio {
        let identity = identity.display();
        Trio {
            http: format!(
                "ssl_certificate {identity}; ssl_certificate_key {identity}; ssl_protocols TLSv1.3; ssl_session_cache shared:S:10m; http2_max_concurrent_streams 128;"
            ),
            listen: ["ssl http2", "ssl"],
            limpet: "http2 on;",
            location: "proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\";",
            global: "ssl-default-bind-options ssl-min-ver TLSv1.3",
            bind: format!("ssl crt {identity} alpn h2,http/1.1"),
            ..Trio::default()
        }
    }

    /// gRPC in the clear.
    pub fn grpc() -> Trio {
        Trio {
            listen: ["http2", ""],
            limpet: "http2 on;",
            location: "grpc_pass grpc://u;",
            bind: "proto h2".into(),
            server: "proto h2",
            ..Trio::default()
        }
    }

    /// WebSockets.
    pub fn websockets() -> Trio {
        Trio {
            location: "proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_read_timeout 1h;",
            ..Trio::default()
        }
    }

    /// nginx, HAProxy and limpet before a backend.
    pub fn start(&self, backend: u16) -> [Server; 3] {
        let Trio { http, listen, limpet, location, global, bind, server } = self;
        let to = format!("server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000;");
        let nginx = |folder: &Path, port: u16| {
            let folder = folder.display();
            format!(
                "{NGINX} pid {folder}/pid; error_log {folder}/log; http {{ {http} access_log off; keepalive_requests 1000000000;
                 upstream u {{ {to} }} server {{ listen 127.0.0.1:{port} {} backlog=4096; location / {{ {location} }} }} }}",
                listen[0]
            )
        };
        let haproxy = |_: &Path, port: u16| {
            format!(
                "global\n  nbthread 1\n  maxconn 8000\n  {global}\ndefaults\n  mode http\n  timeout client 75s\n  timeout server 60s\n  timeout tunnel 1h\n  timeout connect 60s\n  timeout http-keep-alive 75s\n  http-reuse always\n\
                 frontend f\n  bind 127.0.0.1:{port} {bind} backlog 4096\n  default_backend b\nbackend b\n  cookie SRV insert indirect nocache\n  server s1 127.0.0.1:{backend} {server} cookie s1\n"
            )
        };
        let limpet = |_: &Path, port: u16| {
            format!(
                "daemon off; worker_processes 1; events {{ worker_connections 16384; }} http {{ {http} {limpet} access_log off; keepalive_requests 1000000000;
                 upstream u {{ {to} session_sticky; }} server {{ listen 127.0.0.1:{port} {} backlog=4096; location / {{ {location} }} }} }}",
                listen[1]
            )
        };
        [
            start("nginx", nginx, nginx_command),
            start("HAProxy", haproxy, |folder| {
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(folder.join("server.conf"));
                command
            }),
            start("limpet", limpet, |folder| {
                let mut command = Command::new(limpet_binary());
                command.arg("-p").arg(folder).args(["-c", "server.conf"]);
                command
            }),
        ]
    }
}

/// A server of gRPC, as far as its callers can tell: each call has one message and a status behind it.
pub fn grpc_backend() -> Server {
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        format!(
            "{NGINX} pid {folder}/pid; error_log {folder}/log; http {{ access_log off; keepalive_requests 1000000000; default_type application/grpc;
             server {{ listen 127.0.0.1:{port} http2 backlog=4096; location / {{ add_trailer grpc-status 0; return 200 \"nineteen bytes here\"; }} }} }}"
        )
    };
    start("backend", configuration, nginx_command)
}

/// The binary that is measured: that of `make build`, or the one that `LIMPET` names.
pub fn limpet_binary() -> PathBuf {
    if let Some(named) = std::env::var_os("LIMPET") {
        return named.into();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/limpet")
}

/// limpet as `make build` makes it.
pub fn limpet(backend: u16) -> Server {
    limpet_with(&format!("server 127.0.0.1:{backend};"))
}

/// limpet with Pingora's proxy as the carrier.
pub fn limpet_on_pingora(backend: u16) -> Server {
    limpet_of("limpet, carrier pingora", &format!("server 127.0.0.1:{backend};"), "carrier pingora;")
}

/// limpet with these servers, or anything else, in its upstream.
pub fn limpet_with(servers: &str) -> Server {
    limpet_of("limpet", servers, "")
}

/// limpet with directives of the http block.
pub fn limpet_of(name: &'static str, servers: &str, http: &str) -> Server {
    let log = unless_logged(http);
    let configuration = |_: &Path, port: u16| {
        format!(
            "daemon off; worker_processes 1; events {{ worker_connections 16384; }} http {{ {http} {log} keepalive_requests 1000000000;
             upstream u {{ {servers} keepalive 256; keepalive_requests 1000000000; session_sticky; }}
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://u; }} }} }}"
        )
    };
    start(name, configuration, |folder| {
        let mut command = Command::new(limpet_binary());
        command.arg("-p").arg(folder).args(["-c", "server.conf"]);
        command
    })
}
