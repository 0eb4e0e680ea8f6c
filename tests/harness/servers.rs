//! The real servers of other projects, each in a folder and on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::port;
use crate::process::{Process, eventually};

/// A running server; it ends with its guard.
pub struct Server {
    pub port: u16,
    _process: Process,
    folder: TempDir,
}

impl Server {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A file of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn start(name: &str, configuration: impl Fn(&Path, u16) -> String, command: impl Fn(&Path) -> Command) -> Server {
    start_with_input(name, configuration, command, |_| Stdio::null())
}

fn start_with_input(
    name: &str,
    configuration: impl Fn(&Path, u16) -> String,
    command: impl Fn(&Path) -> Command,
    input: impl Fn(u16) -> Stdio,
) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let port = port();
    std::fs::create_dir(folder.path().join("html")).expect("a folder for pages");
    // Servers started by root give up its rights, and must still reach their pages.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("an open folder");
    std::fs::write(folder.path().join("html/index.html"), format!("{name} on {port}\n")).expect("a page");
    std::fs::write(folder.path().join("server.conf"), configuration(folder.path(), port)).expect("a configuration");
    let mut command = command(folder.path());
    let mut process = Process::start_with_input(name, &mut command, folder.path(), input(port));
    let output = folder.path().join(format!("{name}.output"));
    eventually(&format!("{name} listens"), || {
        if let Some(status) = process.ended() {
            panic!("{name} ended with {status}: {}", std::fs::read_to_string(&output).unwrap_or_default());
        }
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Server { port, _process: process, folder }
}

fn command(name: &str) -> Command {
    // Daemons lie where a user's path may not look.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let mut command = Command::new(name);
    command.env("PATH", path);
    command
}

/// nginx with directives of ours in its only server block.
pub fn nginx(server: &str) -> Server {
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
             events {{}}
             http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
             fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{ listen 127.0.0.1:{port}; root {folder}/html; {server} }} }}"
        )
    };
    start("nginx", configuration, |folder| {
        let mut command = command("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("server.conf"));
        command
    })
}

/// Apache with directives of ours.
pub fn apache(directives: &str) -> Server {
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        let modules = ["mpm_event", "authz_core", "dir", "usertrack", "headers"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
        format!(
            "{modules}ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {folder}/apache.pid\n\
             ErrorLog {folder}/error.log\nMutex file:{folder}\nDocumentRoot {folder}/html\nUser www-data\nGroup www-data\n\
             StartServers 1\n<Directory />\nRequire all granted\n</Directory>\n{directives}\n"
        )
    };
    start("apache2", configuration, |folder| {
        let mut command = command("apache2");
        command.arg("-d").arg(folder).arg("-f").arg(folder.join("server.conf")).args(["-D", "FOREGROUND"]);
        command
    })
}

/// Lighttpd with directives of ours.
pub fn lighttpd(directives: &str) -> Server {
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        format!(
            "server.modules = ( \"mod_setenv\" )\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
             server.document-root = \"{folder}/html\"\nindex-file.names = ( \"index.html\" )\n{directives}\n"
        )
    };
    start("lighttpd", configuration, |folder| {
        let mut command = command("lighttpd");
        command.arg("-D").arg("-f").arg(folder.join("server.conf"));
        command
    })
}

/// A TLS server with a certificate of its own making.
pub fn openssl() -> Server {
    start(
        "openssl",
        |_, _| String::new(),
        |folder| {
            let made = command("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
                .args(["-keyout", "key.pem", "-out", "cert.pem"])
                .current_dir(folder)
                .output()
                .expect("openssl runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let mut command = command("openssl");
            command.args(["s_server", "-quiet", "-cert", "cert.pem", "-key", "key.pem", "-accept"]);
            command.arg(format!("127.0.0.1:{}", port_in(folder))).current_dir(folder);
            command
        },
    )
}

/// A FastCGI server that runs the scripts in its folder; there is one, `script`.
pub fn fcgiwrap(script: &str) -> Server {
    start_with_input(
        "fcgiwrap",
        |folder, _| {
            let path = folder.join("script");
            std::fs::write(&path, script).expect("a script");
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&path, executable).expect("an executable script");
            String::new()
        },
        |_| command("fcgiwrap"),
        // By itself it listens on no address that something is bound to.
        |port| OwnedFd::from(TcpListener::bind(("127.0.0.1", port)).expect("a port of its own")).into(),
    )
}

/// The port, which the page names.
fn port_in(folder: &Path) -> String {
    let page = std::fs::read_to_string(folder.join("html/index.html")).expect("a page");
    page.split_whitespace().last().expect("a port").to_owned()
}

/// A MariaDB with nothing in it.
pub fn mariadb() -> Server {
    let configuration = |folder: &Path, port: u16| {
        let folder = folder.display();
        format!(
            "[mariadbd]\ndatadir={folder}/data\nsocket={folder}/socket\npid-file={folder}/pid\nport={port}\n\
             bind-address=127.0.0.1\nskip-grant-tables\nuser=root\ninnodb-buffer-pool-size=8M\nperformance-schema=OFF\n"
        )
    };
    start("mariadbd", configuration, |folder| {
        let data = folder.join("data");
        let made = command("mariadb-install-db")
            .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", "--user=root"])
            .arg(format!("--datadir={}", data.display()))
            .output()
            .expect("mariadb-install-db runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = command("mariadbd");
        command.arg(format!("--defaults-file={}", folder.join("server.conf").display()));
        command
    })
}
