//! Finding a file, or the index of a folder.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use limpet_http::ctx::Undecided;
use limpet_http::decision::{Decision, Target};
use limpet_http::phase::Step;
use limpet_http::routing::{add_slash, error_page};
use limpet_http::{Request, Text, file};
use limpet_log::{LogLevel, os_error};
use nix::errno::Errno;

/// The files below a location's folder.
pub struct Files {
    pub index: Vec<Text>,
}

impl Step for Files {
    fn run(&self, request: &mut Request) -> Result<Decision, Undecided> {
        Ok(find(&self.index, request))
    }
}

fn find(names: &[Text], request: &mut Request) -> Decision {
    let is_folder = request.uri.ends_with(b"/");
    if !request.wants_content() {
        // A POST to a folder looks for its index first, as in nginx.
        if !(is_folder && request.head.method() == b"POST") {
            let missing = request.head.method() == b"POST" && metadata(&request.file_path(&request.uri)).is_err();
            return error_page(request, if missing { 404 } else { 405 });
        }
    }
    if is_folder { index(names, request) } else { open(request) }
}

/// The first index file that is there.
fn index(names: &[Text], request: &mut Request) -> Decision {
    let folder = request.file_path(&request.uri);
    for file in names {
        let name = file.render(request);
        if name.starts_with(b"/") {
            return Decision::Reroute(Target::Path(name));
        }
        let mut path = folder.clone();
        path.extend_from_slice(&name);
        match metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let mut uri = request.uri.clone();
                uri.extend_from_slice(&name);
                return Decision::Reroute(Target::Path(uri));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let message = format!("\"{}\" is forbidden ({})", shown(&path), os_error(&error));
                request.log_error(LogLevel::Error, &message);
                return error_page(request, 403);
            }
            Err(error) => {
                // A folder that is not there has no index either.
                let missing = !metadata(&folder).is_ok_and(|found| found.is_dir());
                if missing {
                    if request.location.settings.log_not_found {
                        let message = format!("\"{}\" is not found ({})", shown(&path), os_error(&error));
                        request.log_error(LogLevel::Error, &message);
                    }
                    return error_page(request, 404);
                }
            }
        }
    }
    request.log_error(LogLevel::Error, &format!("directory index of \"{}\" is forbidden", shown(&folder)));
    error_page(request, 403)
}

fn open(request: &mut Request) -> Decision {
    let path = request.file_path(&request.uri);
    let found = metadata(&path).and_then(|metadata| match metadata.is_file() {
        true => Ok((Some(File::open(OsStr::from_bytes(&path))?), metadata)),
        // A pipe or device would block; a folder is redirected to.
        false => Ok((None, metadata)),
    });
    match found {
        Ok((Some(opened), metadata)) => file::answer(request, opened, &metadata),
        Ok((None, metadata)) if metadata.is_dir() => add_slash(request),
        Ok((None, _)) => {
            request.log_error(LogLevel::Crit, &format!("\"{}\" is not a regular file", shown(&path)));
            error_page(request, 404)
        }
        Err(error) => {
            // nginx tells a missing file from one that may not be read; anything else is about this machine.
            let (level, status) = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
                    (LogLevel::Error, 404)
                }
                io::ErrorKind::PermissionDenied => (LogLevel::Error, 403),
                // Links that lead nowhere.
                _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => (LogLevel::Error, 403),
                // A name with a NUL in it.
                _ if error.raw_os_error().is_none() => (LogLevel::Error, 404),
                _ => (LogLevel::Crit, 500),
            };
            if status != 404 || request.location.settings.log_not_found {
                let message = format!("open() \"{}\" failed ({})", shown(&path), os_error(&error));
                request.log_error(level, &message);
            }
            error_page(request, status)
        }
    }
}

fn metadata(path: &[u8]) -> io::Result<Metadata> {
    Path::new(OsStr::from_bytes(path)).metadata()
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
