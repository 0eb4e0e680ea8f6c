//! What reading a configuration asks of this machine.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use limpet_kernel::{Disk, FileSystem, Outside};
use nix::unistd::{Group, User};

/// This machine.
pub struct Machine;

impl FileSystem for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn matches(&self, pattern: &Path) -> Vec<PathBuf> {
        Disk.matches(pattern)
    }
}

impl Outside for Machine {
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }

    fn has_user(&self, name: &str) -> bool {
        matches!(User::from_name(name), Ok(Some(_)))
    }

    fn has_group(&self, name: &str) -> bool {
        matches!(Group::from_name(name), Ok(Some(_)))
    }

    fn hostname(&self) -> String {
        limpet_http::hostname().to_owned()
    }
}
