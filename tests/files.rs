//! Files from disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use limpet_tests::{Client, Limpet, Response, port};
use tempfile::TempDir;

fn site() -> (TempDir, Limpet, u16) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
        let file = fs::File::options().write(true).open(&path).expect("opened");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)).expect("dated");
    };
    write("f.txt", "01234567890123456789");
    write("A.HTML", "<p>");
    write("sp ace.txt", "space");
    write("none", "");
    write("sub/index.html", "index of sub");
    write("sub/g.txt", "g");
    write("bare/x", "x");
    fs::write(root.join("big"), vec![b'b'; 3_000_000]).expect("written");
    let port = port();
    let http = format!(
        "types {{ text/plain txt; text/html html; }} default_type application/x-none;
         server {{ listen 127.0.0.1:{port}; root {0};
         location /al/ {{ alias {0}/sub/; }} location /alns {{ alias {0}/sub; }}
         location = /one {{ alias {0}/f.txt; }} location ~ ^/re/(.*)$ {{ alias {0}/$1; }}
         location /idx/ {{ alias {0}/bare/; index nothing ../f.txt /f.txt; }} }}",
        root.display()
    );
    let limpet = Limpet::http(port, &http);
    (folder, limpet, port)
}

fn ask(port: u16, line: &str, headers: &[&str]) -> Response {
    Client::connect(port).request(line, headers)
}

#[test]
fn files_are_sent_with_nginxs_headers() {
    let (_folder, _limpet, port) = site();
    let response = ask(port, "GET /f.txt", &[]);
    let lines: Vec<&str> = response.head.split("\r\n").collect();
    let expected = [
        "Content-Type: text/plain",
        "Content-Length: 20",
        "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT",
        "Connection: keep-alive",
        "ETag: \"6553f100-14\"",
        "Accept-Ranges: bytes",
    ];
    assert_eq!(lines[3..], expected);
    assert_eq!(ask(port, "HEAD /f.txt", &[]).value("content-length"), "20");
    assert_eq!(ask(port, "GET /A.HTML", &[]).value("content-type"), "text/html");
    let none = ask(port, "GET /none", &[]);
    assert_eq!(
        (none.value("content-type"), none.value("etag"), none.body.len()),
        ("application/x-none", "\"6553f100-0\"", 0)
    );
    assert_eq!(ask(port, "GET /big", &[]).body, vec![b'b'; 3_000_000]);
    assert_eq!(ask(port, "GET /sp%20ace.txt", &[]).text(), "space");
}

#[test]
fn conditions_are_kept() {
    let (_folder, _limpet, port) = site();
    for (header, status) in [
        ("If-None-Match: \"6553f100-14\"", 304),
        ("If-None-Match: \"x\", W/\"6553f100-14\"", 304),
        ("If-None-Match: *", 304),
        ("If-None-Match: \"other\"", 200),
        ("If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", 304),
        ("If-Modified-Since: Wed, 15 Nov 2023 22:13:20 GMT", 200),
        ("If-Match: \"6553f100-14\"", 200),
        ("If-Match: \"other\"", 412),
        ("If-Unmodified-Since: Tue, 14 Nov 2023 22:13:20 GMT", 200),
        ("If-Unmodified-Since: Mon, 13 Nov 2023 22:13:20 GMT", 412),
    ] {
        let response = ask(port, "GET /f.txt", &[header]);
        assert_eq!(response.status, status, "{header}");
        if status == 304 {
            assert_eq!((response.value("etag"), response.values("content-length").len()), ("\"6553f100-14\"", 0));
        }
    }
}

#[test]
fn ranges_are_sent() {
    let (_folder, _limpet, port) = site();
    let range = |value: &str| ask(port, "GET /f.txt", &[&format!("Range: {value}")]);
    let part = range("bytes=5-9");
    assert_eq!((part.status, part.value("content-range"), part.text().as_str()), (206, "bytes 5-9/20", "56789"));
    assert_eq!(range("bytes=-3").text(), "789");
    let beyond = range("bytes=20-");
    assert_eq!((beyond.status, beyond.value("content-range")), (416, "bytes */20"));
    let two = range("bytes=0-1,3-4");
    let boundary = two.value("content-type").strip_prefix("multipart/byteranges; boundary=").expect("parts").to_owned();
    let piece = |range: &str, text: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/20\r\n\r\n{text}")
    };
    assert_eq!(two.text(), format!("{}{}\r\n--{boundary}--\r\n", piece("0-1", "01"), piece("3-4", "34")));
    let etag = "If-Range: \"6553f100-14\"";
    assert_eq!(ask(port, "GET /f.txt", &["Range: bytes=0-0", etag]).status, 206);
    assert_eq!(ask(port, "GET /f.txt", &["Range: bytes=0-0", "If-Range: \"x\""]).status, 200);
    assert_eq!(ask(port, "HEAD /f.txt", &["Range: bytes=0-4"]).value("content-length"), "5");
}

#[test]
fn folders_have_an_index_or_a_slash_to_come() {
    let (_folder, limpet, port) = site();
    assert_eq!(ask(port, "GET /sub/", &[]).text(), "index of sub");
    let slash = ask(port, "GET /sub?a=b", &[]);
    assert_eq!((slash.status, slash.value("location")), (301, format!("http://localhost:{port}/sub/?a=b").as_str()));
    assert_eq!(ask(port, "GET /bare/", &[]).status, 403);
    limpet.logs("directory index of \"");
    assert_eq!(ask(port, "GET /idx/", &[]).text(), "01234567890123456789");
}

#[test]
fn aliases_replace_the_prefix() {
    let (_folder, _limpet, port) = site();
    for (target, expected) in [
        ("/al/g.txt", "g"),
        ("/al/", "index of sub"),
        ("/alns/g.txt", "g"),
        ("/one", "01234567890123456789"),
        ("/re/sub/g.txt", "g"),
    ] {
        assert_eq!(ask(port, &format!("GET {target}"), &[]).text(), expected, "{target}");
    }
}

#[test]
fn what_can_not_be_sent_has_its_status() {
    let (folder, limpet, port) = site();
    std::os::unix::fs::symlink("loop", Path::new(folder.path()).join("loop")).expect("a link");
    for (line, status) in [
        ("GET /missing", 404),
        ("GET /missing/", 404),
        ("GET /f.txt/", 404),
        ("GET /f.txt/x", 404),
        ("GET /loop", 403),
        ("POST /f.txt", 405),
        ("DELETE /f.txt", 405),
        ("POST /missing", 404),
        ("GET /../f.txt", 400),
    ] {
        assert_eq!(ask(port, line, &[]).status, status, "{line}");
    }
    assert_eq!(ask(port, "GET /sub/..%2f..%2f..%2fetc/passwd", &[]).status, 400);
    limpet.logs("missing\" failed (2: No such file or directory), client: 127.0.0.1, server: , request: \"GET /missing HTTP/1.1\", host: \"localhost\"");
}

#[test]
fn missing_files_are_told_where_they_are_to_be() {
    let port = port();
    let http = format!(
        "server {{ listen 127.0.0.1:{port}; root /nowhere; location /quiet {{ log_not_found off; }} location /loud {{ }} }}"
    );
    let limpet = Limpet::http(port, &http);
    for target in ["/quiet", "/quiet/", "/loud"] {
        assert_eq!(ask(port, &format!("GET {target}"), &[]).status, 404);
    }
    limpet.logs("/nowhere/loud");
    assert!(!limpet.error_log().contains("quiet"), "{}", limpet.error_log());
}
