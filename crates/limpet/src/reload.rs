//! HUP: another configuration, without touching a connection.

use std::sync::Arc;

use limpet_log::LogLevel;
use limpet_modules::core::Workers;
use limpet_modules::model::Config;
use limpet_wire::Address;
use limpet_wire::listen::{ListenOptions, Listener};

use crate::load;
use crate::messages::Failure;
use crate::process::{Running, bind_all, raise_open_files, report};

/// Reads the file again and puts it to work. A file that does not pass changes nothing.
///
/// # Errors
/// Why everything stays as it was.
pub fn reload(running: &mut Running) -> Result<Config, Failure> {
    let mut loaded = load::read(&running.options);
    let config = std::mem::replace(&mut loaded.config, Ok(Config::default()));
    let config = config.map_err(|diagnostic| Failure::new(LogLevel::Emerg, diagnostic.to_string()))?;
    let (runtime, error_log, remarks) = load::build(&config, &running.environment, &running.shared)?;
    let wanted = load::addresses(&config);
    let has = |listeners: &[Listener], address: &Address| listeners.iter().any(|listener| listener.address == *address);
    let missing: Vec<_> = wanted.iter().filter(|(address, _)| !has(&running.listeners, address)).cloned().collect();
    let opened = bind_all(&missing, |message| limpet_log::write_default(LogLevel::Emerg, message))?;
    running.pid.move_to(&load::pid_path(&running.options, &config))?;

    let runtime = Arc::new(runtime);
    runtime.prepare(&running.background);

    // From here on nothing can fail.
    limpet_log::set_default(error_log);
    raise_open_files(&config);
    running.shared.install(Arc::clone(&runtime));
    runtime.begin(&running.background);
    report(&loaded.notices, &remarks);
    for listener in &opened {
        running.workers.iter().for_each(|worker| worker.listen(listener.address.clone(), listener.share()));
    }
    running.listeners.extend(opened);
    let gone = |address: &Address| !wanted.iter().any(|(other, _)| other == address);
    for listener in running.listeners.extract_if(.., |listener| gone(&listener.address)) {
        running.workers.iter().for_each(|worker| worker.close(&listener.address));
        listener.remove_file();
    }
    note_what_waits(running, &config, &wanted);
    Ok(config)
}

/// What takes effect only at the next start.
fn note_what_waits(running: &Running, config: &Config, wanted: &[(Address, ListenOptions)]) {
    for (address, options) in wanted {
        if running.listeners.iter().any(|listener| listener.address == *address && listener.options != *options) {
            let message = format!("changed options of \"listen {address}\" take effect when limpet is started again");
            limpet_log::write_default(LogLevel::Notice, &message);
        }
    }
    let same = match config.main.workers {
        Workers::Auto => true,
        Workers::Count(count) => count as usize == running.environment.workers,
    };
    if !same {
        let message = "the change of \"worker_processes\" takes effect when limpet is started again";
        limpet_log::write_default(LogLevel::Notice, message);
    }
}
