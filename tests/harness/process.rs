//! Processes that end with their guard, and waiting for conditions.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A child process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub name: String,
}

impl Process {
    /// Starts a command; what it prints goes to a file in `folder`.
    pub fn start(name: &str, command: &mut Command, folder: &std::path::Path) -> Process {
        Process::start_with_input(name, command, folder, Stdio::null())
    }

    /// The same with something to read from, or to listen on.
    pub fn start_with_input(name: &str, command: &mut Command, folder: &std::path::Path, input: Stdio) -> Process {
        let log: PathBuf = folder.join(format!("{name}.output"));
        let file = std::fs::File::create(&log).expect("a log file");
        let errors = file.try_clone().expect("a second descriptor");
        let child = command.stdin(input).stdout(file).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error} ({command:?})"));
        Process { child, name: name.to_owned() }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("no {signal} to {}: {error}", self.name));
    }

    /// Whether it has ended, and with which status.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let name = self.name.clone();
        let mut status = None;
        eventually(&format!("{name} ends"), || {
            status = self.ended();
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so; a test that waits in vain fails.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never happened that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Turns at a steady rate, the first at once. What took longer than its turn does not make later ones hurry.
pub fn pace(rate: Duration) -> impl Iterator<Item = ()> {
    let mut next = Instant::now();
    std::iter::repeat_with(move || {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next = Instant::now() + rate;
    })
}
