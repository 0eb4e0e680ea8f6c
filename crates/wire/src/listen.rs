//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use limpet_log::os_error;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::Address;

/// nginx's own on Linux.
const BACKLOG: i32 = 511;

/// The socket options of a `listen`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: Option<u32>,
    /// Bytes.
    pub rcvbuf: Option<u64>,
    /// Bytes.
    pub sndbuf: Option<u64>,
    /// IPv6 sockets take no IPv4 connections (nginx's default).
    pub ipv6only: Option<bool>,
}

/// A bound socket, listening. All workers accept from it.
#[derive(Debug)]
pub struct Listener {
    pub address: Address,
    /// What it was made with.
    pub options: ListenOptions,
    socket: Arc<OwnedFd>,
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ListenError {
    message: String,
    /// Worth another try in a moment.
    pub in_use: bool,
}

impl Listener {
    /// Binds an address and listens on it.
    ///
    /// # Errors
    /// In nginx's words.
    pub fn bind(address: &Address, options: &ListenOptions) -> Result<Self, ListenError> {
        let fail = |call: &str, error: io::Error| ListenError {
            in_use: error.kind() == io::ErrorKind::AddrInUse,
            message: format!("{call} to {} failed ({})", address, os_error(&error)),
        };
        let (domain, name) = match address {
            Address::Ip(ip) => (Domain::for_address(*ip), Ok(SockAddr::from(*ip))),
            Address::Unix(path) => {
                remove_stale_socket(path);
                (Domain::UNIX, SockAddr::unix(path))
            }
        };
        let name = name.map_err(|error| fail("bind()", error))?;
        let socket = Socket::new(domain, Type::STREAM, None).map_err(|error| fail("socket()", error))?;
        let prepare = || -> io::Result<()> {
            socket.set_nonblocking(true)?;
            if let Address::Ip(ip) = address {
                socket.set_reuse_address(true)?;
                if ip.is_ipv6() {
                    socket.set_only_v6(options.ipv6only.unwrap_or(true))?;
                }
            }
            if let Some(size) = options.rcvbuf {
                socket.set_recv_buffer_size(size as usize)?;
            }
            if let Some(size) = options.sndbuf {
                socket.set_send_buffer_size(size as usize)?;
            }
            Ok(())
        };
        prepare().map_err(|error| fail("setsockopt()", error))?;
        socket.bind(&name).map_err(|error| fail("bind()", error))?;
        let backlog = options.backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(BACKLOG);
        socket.listen(backlog).map_err(|error| fail("listen()", error))?;
        if let Address::Unix(path) = address {
            // nginx lets everybody connect.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
            std::fs::set_permissions(path, mode).map_err(|error| fail("chmod()", error))?;
        }
        Ok(Listener { address: address.clone(), options: options.clone(), socket: Arc::new(socket.into()) })
    }

    /// The socket, for a worker. It is closed when the last one has let go of it.
    pub fn share(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.socket)
    }

    /// Removes the file of a Unix socket, so that nobody can connect any more.
    pub fn remove_file(&self) {
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
    }

    /// The port that the kernel chose, where 0 was asked for.
    pub fn local_address(&self) -> Option<SocketAddr> {
        SockRef::from(&*self.socket).local_addr().ok()?.as_socket()
    }
}

/// A socket file that nobody listens on any more is in the way of `bind`.
fn remove_stale_socket(path: &std::path::Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
}
