//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process::{Process, eventually};
use crate::tls;

/// A running limpet with a folder of its own.
pub struct Limpet {
    pub folder: TempDir,
    process: Process,
}

/// What a run of the program printed, and its status.
#[derive(Debug)]
pub struct Output {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary that was built beside the tests; `LIMPET_BINARY` names another one.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LIMPET_BINARY") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("a path");
    let path = tests.parent().and_then(Path::parent).expect("a target folder").join("limpet");
    assert!(path.exists(), "{} is not built: run `make test`", path.display());
    path
}

/// A configuration from directives of the main level and the inside of an `http` block. `events` are as they are unless
/// the former have some.
fn text(main: &str, http: &str) -> String {
    let events = if main.contains("events {") { "" } else { "events {}" };
    let carrier = carrier();
    format!(
        "{main}\nerror_log logs/error.log info;\n{events}\nhttp {{\n{carrier}access_log logs/access.log;\n{http}\n}}\n"
    )
}

/// A folder with a configuration in it, and a place for logs.
fn prepare(configuration: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("logs")).expect("a folder for logs");
    let configuration = match configuration.contains(carrier()) {
        true => configuration.to_owned(),
        false => configuration.replacen("http {", &format!("http {{\n{}", carrier()), 1),
    };
    let configuration = tls::secured(&configuration, folder.path());
    std::fs::write(folder.path().join("nginx.conf"), configuration).expect("a configuration");
    folder
}

/// The line that chooses the carrier, for a test that stands in `on_pingora`.
fn carrier() -> &'static str {
    let is_on_pingora = std::thread::current().name().is_some_and(|name| name.starts_with("on_pingora::"));
    if is_on_pingora { "carrier pingora;\n" } else { "" }
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    let output = Command::new(binary()).args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { status: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Limpet {
    /// Starts it with the inside of an `http` block, and waits until it listens on `port`.
    pub fn http(port: u16, http: &str) -> Limpet {
        Limpet::http_with(port, "", http)
    }

    /// The same with directives of the main level before it.
    pub fn http_with(port: u16, main: &str, http: &str) -> Limpet {
        Limpet::start(port, &text(main, http))
    }

    /// Starts it with a whole configuration, and waits until it listens on `port`.
    pub fn start(port: u16, configuration: &str) -> Limpet {
        Limpet::start_in(prepare(configuration), port)
    }

    /// Starts it with the inside of an `http` block and so many descriptors.
    pub fn with_descriptors(most: u32, port: u16, http: &str) -> Limpet {
        Limpet::start_with_descriptors(most, port, &text("", http))
    }

    /// The same with a whole configuration.
    pub fn start_with_descriptors(most: u32, port: u16, configuration: &str) -> Limpet {
        let folder = prepare(configuration);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")]).arg(binary());
        Limpet::launch(command, folder, port)
    }

    /// Starts it in a folder that holds its `nginx.conf`.
    pub fn start_in(folder: TempDir, port: u16) -> Limpet {
        Limpet::launch(Command::new(binary()), folder, port)
    }

    fn launch(mut command: Command, folder: TempDir, port: u16) -> Limpet {
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-g", "daemon off;"]);
        let mut process = Process::start("limpet", &mut command, folder.path());
        let path = folder.path().to_owned();
        eventually("limpet listens", || {
            if let Some(status) = process.ended() {
                let said = std::fs::read_to_string(path.join("limpet.output")).unwrap_or_default();
                panic!("limpet ended with {status}: {said}");
            }
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Limpet { folder, process }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the configuration; [`Limpet::reload`] puts it to work.
    pub fn rewrite(&self, http: &str) {
        let configuration = tls::secured(&text("", http), self.folder.path());
        std::fs::write(self.path("nginx.conf"), configuration).expect("a configuration");
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw()
    }

    /// What it holds of the machine's memory, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse().ok()).expect("a number")
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait()
    }

    pub fn error_log(&self) -> String {
        std::fs::read_to_string(self.path("logs/error.log")).unwrap_or_default()
    }

    /// Waits for a line in the error log.
    pub fn logs(&self, text: &str) {
        eventually(&format!("the error log says {text:?}"), || self.error_log().contains(text));
    }

    /// The access log once it has this many lines.
    pub fn access_log(&self, lines: usize) -> Vec<String> {
        let read = || std::fs::read_to_string(self.path("logs/access.log")).unwrap_or_default();
        eventually("the access log has its lines", || read().lines().count() >= lines);
        read().lines().map(str::to_owned).collect()
    }
}
