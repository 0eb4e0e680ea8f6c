//! `-s`: a signal to the running program.

use limpet_log::LogLevel;
use nix::sys::signal::{Signal, kill};

use crate::cli::{Options, SignalName};
use crate::messages::Failure;
use crate::{load, pid};

/// Sends it to the process whose number is in the pid file.
///
/// # Errors
/// A configuration that can't be read, a pid file that is not there or makes no sense, a process that is gone.
pub fn send(options: &Options, name: SignalName) -> Result<(), Failure> {
    let (config, _) = load::load(options, true)?;
    let number = pid::read(&load::pid_path(options, &config))?;
    let signal = match name {
        SignalName::Stop => Signal::SIGTERM,
        SignalName::Quit => Signal::SIGQUIT,
        SignalName::Reload => Signal::SIGHUP,
        SignalName::Reopen => Signal::SIGUSR1,
    };
    kill(number, signal).map_err(|error| {
        let message = format!("kill({number}, {}) failed ({}: {})", signal as i32, error as i32, error.desc());
        Failure::new(LogLevel::Alert, message)
    })
}
