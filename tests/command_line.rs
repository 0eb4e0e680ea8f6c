//! nginx's command line: what it prints, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use limpet_tests::{Output, binary, eventually, get, port, run};
use tempfile::TempDir;

fn folder(configuration: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("nginx.conf"), configuration).expect("a configuration");
    folder
}

fn limpet(folder: &Path, arguments: &[&str]) -> Output {
    let folder = folder.display().to_string();
    run(&[&["-p", &folder, "-c", "nginx.conf"], arguments].concat())
}

fn fails_with(configuration: &str, message: &str) {
    let folder = folder(configuration);
    let path = folder.path().join("nginx.conf");
    let path = path.display();
    let output = limpet(folder.path(), &["-t"]);
    let expected = format!(
        "limpet: [emerg] {}\nlimpet: configuration file {path} test failed\n",
        message.replace("FILE", &path.to_string())
    );
    assert_eq!((output.status, output.stderr.as_str()), (1, expected.as_str()), "{configuration}");
}

#[test]
fn versions_are_printed_for_scripts_to_parse() {
    let version = format!("nginx version: nginx/1.31.3 (limpet/{})\n", env!("CARGO_PKG_VERSION"));
    let output = run(&["-v"]);
    assert_eq!((output.status, output.stderr.as_str(), output.stdout.as_str()), (0, version.as_str(), ""));
    let output = run(&["-V"]);
    let built = |text: &str| output.stderr.contains(text);
    assert!(output.stderr.starts_with(&version) && built("\nconfigure arguments: --with-http_ssl_module "));
    assert!(built(" --add-module=ngx_http_upstream_session_sticky_module "));
    assert!(built("\nbuilt with OpenSSL ") && built("\nTLS SNI support enabled\n"), "{}", output.stderr);
    let output = run(&["-h"]);
    assert!(output.status == 0 && output.stderr.contains("Usage: limpet [-?hvVtTq] [-s signal]"), "{}", output.stderr);
}

#[test]
fn the_configure_arguments_name_what_is_there() {
    let arguments = run(&["-V"]).stderr;
    for (module, upstream, location) in [
        ("hash", "hash $uri;", ""),
        ("ip_hash", "ip_hash;", ""),
        ("least_conn", "least_conn;", ""),
        ("random", "random;", ""),
        ("check", "check interval=1000;", ""),
        ("consistent_hash", "consistent_hash $uri;", ""),
        ("dynamic", "dynamic_resolve;", ""),
        ("iwrr", "iwrr;", ""),
        ("vnswrr", "vnswrr;", ""),
        ("grpc", "", "grpc_pass u;"),
        ("limit_req", "", "limit_req zone=z;"),
        ("memcached", "", "memcached_pass u;"),
    ] {
        let text = format!(
            "events {{}} http {{ resolver 127.0.0.1; upstream u {{ {upstream} server 127.0.0.1:1; }}
             server {{ listen 127.0.0.1:{}; location / {{ {location} }} }} }}",
            port()
        );
        let folder = folder(&text);
        let output = run(&["-t", "-p", &folder.path().display().to_string(), "-c", "nginx.conf"]);
        let is_missing = arguments.contains(&format!("--without-http_{module}_module"))
            || arguments.contains(&format!("--without-http_upstream_{module}_module"));
        assert_eq!(output.status != 0, is_missing, "{module}: {}", output.stderr);
        let is_tengines = matches!(module, "check" | "consistent_hash" | "dynamic" | "iwrr" | "vnswrr");
        assert_eq!(
            arguments.contains(&format!("--add-module=ngx_http_upstream_{module}_module")),
            is_tengines,
            "{module}"
        );
    }
}

#[test]
fn a_good_file_is_told_to_be_one() {
    let folder = folder(&format!("events {{}} http {{ server {{ listen 127.0.0.1:{}; }} }}", port()));
    let path = folder.path().join("nginx.conf").display().to_string();
    let expected = format!(
        "limpet: the configuration file {path} syntax is ok\nlimpet: configuration file {path} test is successful\n"
    );
    let output = limpet(folder.path(), &["-t"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, expected.as_str()));
    let output = limpet(folder.path(), &["-tq"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
}

#[test]
fn a_broken_file_is_one_line_with_its_place() {
    fails_with("events {}\nnope;\n", "unknown directive \"nope\" in FILE:2");
    fails_with("events {}\n}", "unexpected \"}\" in FILE:2");
    fails_with("events {", "unexpected end of file, expecting \"}\" in FILE:1");
    fails_with("events {}\0", "unexpected NUL byte, a configuration file is text in FILE:1");
    let folder = folder("events {}\ninclude none.conf;");
    let path = folder.path().display();
    let output = limpet(folder.path(), &["-t"]);
    let first = format!(
        "limpet: [emerg] open() \"{path}/none.conf\" failed (2: No such file or directory) in {path}/nginx.conf:2\n"
    );
    assert!(output.status == 1 && output.stderr.starts_with(&first), "{}", output.stderr);
}

#[test]
fn files_that_can_not_be_read_are_errors() {
    let folder = folder("events {}");
    let directory = folder.path().display().to_string();
    let output = run(&["-t", "-p", &directory, "-c", "missing"]);
    assert_eq!(output.status, 1);
    assert!(
        output.stderr.starts_with(&format!(
            "limpet: [emerg] open() \"{directory}/missing\" failed (2: No such file or directory)\n"
        )),
        "{}",
        output.stderr
    );
    let output = run(&["-t", "-p", &directory, "-c", &directory]);
    assert!(
        output.stderr.starts_with(&format!("limpet: [crit] pread() \"{directory}\" failed (21: Is a directory)\n")),
        "{}",
        output.stderr
    );
    if !nix::unistd::geteuid().is_root() {
        let path = folder.path().join("nginx.conf");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).expect("closed");
        assert!(limpet(folder.path(), &["-t"]).stderr.contains("failed (13: Permission denied)"));
    }
}

#[test]
fn monstrous_files_are_errors_and_no_crash() {
    for (text, message) in [
        (format!("events {{}} {}", "x".repeat(10_000_000)), "too long parameter \"xxxxxxxxxx...\" started"),
        (
            format!("events {{}} user \"{}", "x".repeat(10_000_000)),
            "too long parameter, probably missing terminating \"\"\" character",
        ),
        ("a{".repeat(10_000), "unknown directive \"a\""),
        (format!("events {{}} http {{ {}", "server { location / {".repeat(5_000)), "blocks are nested deeper than 128"),
    ] {
        let folder = folder(&text);
        let output = limpet(folder.path(), &["-t"]);
        assert_eq!(output.status, 1);
        assert!(
            output.stderr.contains(message) || output.stderr.contains("directive is not allowed here"),
            "{}",
            output.stderr
        );
    }
    let cycle = folder("events {}\ninclude nginx.conf;");
    assert!(limpet(cycle.path(), &["-t"]).stderr.contains("include cycle"));
}

#[test]
fn dumps_are_nginxs() {
    let folder = folder("events {}\nhttp { include conf.d/*.conf; }\n");
    std::fs::create_dir(folder.path().join("conf.d")).expect("made");
    for name in ["b", "a"] {
        std::fs::write(folder.path().join(format!("conf.d/{name}.conf")), format!("# {name}\n")).expect("written");
    }
    let path = folder.path().display();
    let output = limpet(folder.path(), &["-T", "-q"]);
    assert_eq!(
        output.stdout,
        format!(
            "# configuration file {path}/nginx.conf:\nevents {{}}\nhttp {{ include conf.d/*.conf; }}\n\n\
             # configuration file {path}/conf.d/a.conf:\n# a\n\n# configuration file {path}/conf.d/b.conf:\n# b\n\n"
        )
    );
}

#[test]
fn the_tree_is_dumped() {
    let folder = folder("events {}\nhttp { server { listen 80; } }\n");
    let yaml = limpet(folder.path(), &["--dump-tree", "yaml"]);
    assert!(yaml.status == 0 && yaml.stdout.contains("directive: listen\n"), "{}", yaml.stdout);
    let json = limpet(folder.path(), &["--dump-tree", "json"]);
    assert!(json.stdout.contains("\"directive\": \"listen\""), "{}", json.stdout);
}

#[test]
fn the_launcher_returns_when_the_daemon_serves() {
    let port = port();
    let folder =
        folder(&format!("events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 200 x; }} }}"));
    let output = limpet(folder.path(), &[]);
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert_eq!(get(port, "/", &[]).text(), "x", "the socket is bound when the launcher returns");
    let pid_file = folder.path().join("logs/nginx.pid");
    let pid: i32 = std::fs::read_to_string(&pid_file).expect("a pid file").trim().parse().expect("a number");
    assert!(
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary().canonicalize().expect("a path"))
    );
    assert_eq!(limpet(folder.path(), &["-s", "reload"]).status, 0);
    assert_eq!(limpet(folder.path(), &["-s", "reopen"]).status, 0);
    assert_eq!(limpet(folder.path(), &["-s", "quit"]).status, 0);
    eventually("the daemon is gone", || !pid_file.exists());
    let again = limpet(folder.path(), &["-s", "stop"]);
    assert_eq!(again.status, 1);
    assert_eq!(
        again.stderr,
        format!("limpet: [error] open() \"{}\" failed (2: No such file or directory)\n", pid_file.display())
    );
}

#[test]
fn signals_to_nobody_are_errors() {
    let folder = folder("events {} pid p;");
    let path = folder.path().join("p");
    for (content, message) in [
        ("abc\n", format!("[error] invalid PID number \"abc\" in \"{}\"", path.display())),
        ("", format!("[error] invalid PID number \"\" in \"{}\"", path.display())),
        ("999999999\n", "[alert] kill(999999999, 1) failed (3: No such process)".to_owned()),
    ] {
        std::fs::write(&path, content).expect("written");
        let output = limpet(folder.path(), &["-s", "reload"]);
        assert_eq!((output.status, output.stderr), (1, format!("limpet: {message}\n")));
    }
}

#[test]
fn signals_without_a_meaning_end_nothing() {
    use nix::sys::signal::Signal;
    let front = limpet_tests::port();
    let limpet = limpet_tests::Limpet::http(front, &format!("server {{ listen 127.0.0.1:{front}; return 200 x; }}"));
    let signals = [Signal::SIGALRM, Signal::SIGIO, Signal::SIGSYS, Signal::SIGPIPE, Signal::SIGWINCH, Signal::SIGUSR2];
    for signal in signals {
        limpet.signal(signal);
    }
    limpet.logs("signal 14 (SIGALRM) received");
    limpet.logs("signal 29 (SIGIO) received");
    limpet.logs("signal 12 received");
    assert_eq!(limpet_tests::get(front, "/", &[]).status, 200);
}

#[test]
fn an_address_in_use_is_tried_five_times() {
    let listener = limpet_tests::listener();
    let address = listener.local_addr().expect("an address");
    let folder = folder(&format!("events {{}} http {{ access_log off; server {{ listen {address}; }} }}"));
    assert_eq!(limpet(folder.path(), &["-t"]).status, 0, "-t does not mind");
    let output = limpet(folder.path(), &["-g", "daemon off;"]);
    assert_eq!(output.status, 1);
    let line = format!("limpet: [emerg] bind() to {address} failed (98: Address already in use)\n");
    assert_eq!(output.stderr, line.repeat(5) + "limpet: [emerg] still could not bind()\n");
    assert!(!folder.path().join("logs/nginx.pid").exists());
}

#[test]
fn globals_come_from_the_command_line() {
    let folder = folder("events {}");
    assert_eq!(limpet(folder.path(), &["-t", "-g", "worker_processes 2;"]).status, 0);
    for (globals, message) in [
        ("x 1", "unexpected end of parameter, expecting \";\" in command line"),
        ("nope 1;", "unknown directive \"nope\" in command line"),
        ("}", "unexpected \"}\" in command line"),
        ("root x;", "\"root\" directive is not allowed here in command line"),
    ] {
        let output = limpet(folder.path(), &["-t", "-g", globals]);
        assert!(output.stderr.starts_with(&format!("limpet: [emerg] {message}\n")), "{}", output.stderr);
    }
}

#[test]
fn nothing_but_the_prefix_is_needed() {
    let port = port();
    let folder =
        folder(&format!("daemon off; events {{}} http {{ server {{ listen 127.0.0.1:{port}; return 200 x; }} }}"));
    let mut command = Command::new(binary());
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf"]);
    let mut process = limpet_tests::Process::start("limpet", &mut command, folder.path());
    eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(get(port, "/", &[]).text(), "x");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(process.wait().success());
}

#[test]
fn on_a_terminal_the_line_is_shown_with_a_caret() {
    let folder = folder("events {}\nhttp { server { listne 80; } }\n");
    let inner = format!("{} -t -p {} -c nginx.conf", binary().display(), folder.path().display());
    let output = Command::new("script").args(["-qec", &inner, "/dev/null"]).output().expect("script runs");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let shown = "2 | http { server { listne 80; } }\n  |                 ^\n  = did you mean \"listen\"?\n";
    assert!(text.contains(shown), "{text}");
    // Piped, it is nginx's line and no more.
    let piped = limpet(folder.path(), &["-t"]);
    assert_eq!(piped.stderr.lines().count(), 2, "{}", piped.stderr);
}

#[test]
fn a_worker_needs_a_connection_for_each_listening_socket_and_one_more() {
    let folder = folder(
        "events { worker_connections 2; } http { server { listen 127.0.0.1:0801; listen 127.0.0.1:0802; return 200 x; } }",
    );
    let output = limpet(folder.path(), &["-t"]);
    let message = "limpet: [emerg] 2 worker_connections are not enough for 2 listening sockets\n";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}
