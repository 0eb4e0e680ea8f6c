//! The recipe of the vendors' guides, with the real curl: a cookie jar, thirty requests, one server.

use std::process::Command;

use limpet_tests::{Backend, Limpet, Script, port};

fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").arg("-s").args(arguments).output().expect("curl runs");
    assert!(output.status.success(), "curl failed: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn thirty_requests_with_a_cookie_jar_reach_one_server() {
    let backends: Vec<Backend> = (0..3).map(|n| Backend::new(Script::ok(&format!("server {n}\n")))).collect();
    let servers: String = backends.iter().map(|backend| format!("server {};", backend.address())).collect();
    let front = port();
    let limpet = Limpet::http(
        front,
        &format!(
            "upstream u {{ {servers} session_sticky; }} server {{ listen 127.0.0.1:{front}; location / {{ proxy_pass http://u; }} }}"
        ),
    );
    let url = format!("http://127.0.0.1:{front}/");
    let jar = limpet.path("jar").display().to_string();
    let first = curl(&["-c", &jar, &url]);
    for _ in 0..30 {
        assert_eq!(curl(&["-b", &jar, &url]), first);
    }
    assert_ne!(curl(&[&url]), first, "a new client goes to the next server");
}
