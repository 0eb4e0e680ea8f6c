//! Reading the configuration, and testing it.

use std::io::Write;
use std::path::{Path, PathBuf};

use limpet_http::Shared;
use limpet_kernel::dump::Notation;
use limpet_kernel::{Disk, dump};
use limpet_log::LogLevel;
use limpet_modules::Loaded;
use limpet_modules::build::{Built, Environment};
use limpet_modules::core::Workers;
use limpet_modules::model::Config;
use limpet_wire::Address;
use limpet_wire::listen::{ListenOptions, Listener};

use crate::cli::Options;
use crate::machine::Machine;
use crate::messages::{Failure, say, show_notices};
use crate::pid::PidFile;

/// Where nginx writes its process number when nothing is said.
const PID: &str = "logs/nginx.pid";

/// Reads the main file and shows what it warns of.
///
/// # Errors
/// The first error in it.
pub fn load(options: &Options, quiet: bool) -> Result<(Config, Loaded), Failure> {
    let mut loaded = read(options);
    let config = std::mem::replace(&mut loaded.config, Ok(Config::default()));
    let config = config.map_err(|diagnostic| Failure::configuration(&diagnostic, &loaded.tree.sources))?;
    show_notices(&loaded.notices, quiet);
    Ok((config, loaded))
}

/// Reads the main file.
pub fn read(options: &Options) -> Loaded {
    limpet_modules::load(&options.configuration, &options.globals, &Machine)
}

/// The file for the process number.
pub fn pid_path(options: &Options, config: &Config) -> PathBuf {
    options.prefix.join(config.main.pid.as_deref().unwrap_or(Path::new(PID)))
}

/// What building wants to know.
pub fn environment(options: &Options, config: &Config) -> Environment {
    let workers = match config.main.workers {
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        Workers::Count(count) => count as usize,
    };
    // nginx's default files lie in this folder; it is made, so that a bare prefix is enough.
    let _ = std::fs::create_dir_all(options.prefix.join("logs"));
    let conf_prefix = options.configuration.parent().unwrap_or(Path::new(".")).to_owned();
    Environment { prefix: options.prefix.clone(), conf_prefix, workers, error_log: options.error_log.clone() }
}

/// Makes what requests work with out of a configuration.
///
/// # Errors
/// What can be seen only now: files that can't be opened, patterns that can't be compiled, too few connections.
pub fn build(config: &Config, environment: &Environment, shared: &Shared) -> Result<Built, Failure> {
    let (connections, sockets) = (config.main.worker_connections, addresses(config).len());
    if connections < sockets as u64 + 1 {
        let message = format!("{connections} worker_connections are not enough for {sockets} listening sockets");
        return Err(Failure::new(LogLevel::Emerg, message));
    }
    let built = limpet_modules::build::build(config, environment, shared);
    built.map_err(|error| Failure::new(LogLevel::Emerg, error.to_string()))
}

/// The addresses to listen on, each once, with the options of the first `listen` that has any.
pub fn addresses(config: &Config) -> Vec<(Address, ListenOptions)> {
    let mut addresses: Vec<(Address, ListenOptions)> = Vec::new();
    let servers = config.http.iter().flat_map(|http| &http.servers);
    for listen in servers.flat_map(|server| &server.listens) {
        match addresses.iter_mut().find(|(address, _)| *address == listen.address) {
            Some((_, options)) if *options == ListenOptions::default() => options.clone_from(&listen.options),
            Some(_) => {}
            None => addresses.push((listen.address.clone(), listen.options.clone())),
        }
    }
    // A socket on all addresses of a port takes the connections of each.
    let any = |address: &Address| matches!(address, Address::Ip(ip) if ip.ip().is_unspecified());
    let wide: Vec<Address> = addresses.iter().map(|(address, _)| address.clone()).filter(any).collect();
    let covered = |address: &Address| match address {
        Address::Ip(ip) => wide.iter().any(|other| match other {
            Address::Ip(other) => other != ip && other.port() == ip.port() && other.is_ipv4() == ip.is_ipv4(),
            Address::Unix(_) => false,
        }),
        Address::Unix(_) => false,
    };
    addresses.retain(|(address, _)| !covered(address));
    addresses
}

/// `-t` and `-T`
///
/// # Errors
/// What would keep the program from starting.
pub fn test(options: &Options) -> Result<(), Failure> {
    let path = options.configuration.display();
    let failed = |failure: Failure| failure.and(format!("limpet: configuration file {path} test failed"));
    let (config, loaded) = load(options, options.quiet).map_err(failed)?;
    if !options.quiet {
        say(&format!("limpet: the configuration file {path} syntax is ok"));
    }
    try_out(options, &config).map_err(failed)?;
    if !options.quiet {
        say(&format!("limpet: configuration file {path} test is successful"));
    }
    if options.dump {
        let mut out = std::io::stdout().lock();
        for file in loaded.tree.sources.iter() {
            let written = writeln!(out, "# configuration file {}:", file.path.display())
                .and_then(|()| out.write_all(&file.bytes))
                .and_then(|()| out.write_all(b"\n"));
            written.map_err(|error| Failure::plain(format!("write() to the standard output failed: {error}")))?;
        }
    }
    Ok(())
}

/// Opens what a start would open. An address in use is the running program's own, most likely.
fn try_out(options: &Options, config: &Config) -> Result<(), Failure> {
    let shared = Shared::default();
    let (.., remarks) = build(config, &environment(options, config), &shared)?;
    for (level, remark) in remarks {
        say(&format!("limpet: [{}] {remark}", level.name()));
    }
    PidFile::test(&pid_path(options, config))?;
    for (address, listen) in addresses(config) {
        // A socket file would be made anew, and taken from who listens on it.
        if matches!(address, Address::Unix(_)) {
            continue;
        }
        match Listener::bind(&address, &listen) {
            Ok(_) => {}
            Err(error) if error.in_use => {}
            Err(error) => return Err(Failure::new(LogLevel::Emerg, error.to_string())),
        }
    }
    Ok(())
}

/// `--dump-tree`
///
/// # Errors
/// The error of the grammar that stopped the reading.
pub fn dump_tree(options: &Options, notation: Notation) -> Result<(), Failure> {
    let tree = limpet_kernel::tree(&options.configuration, &Disk);
    if let Some(diagnostic) = tree.failure() {
        return Err(Failure::configuration(diagnostic, &tree.sources));
    }
    let text = dump::tree(&tree, notation).map_err(Failure::plain)?;
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::plain(format!("write() to the standard output failed: {error}")))
}
