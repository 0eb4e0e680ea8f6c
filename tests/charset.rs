//! The character set that responses say they have, beside a real nginx with the same directives.

use limpet_tests::{Backend, Client, Limpet, Response, Script, get, nginx, port};

/// What both say to a request: status, type, length, ranges and body.
fn shown(response: &Response) -> (u16, Vec<&str>, Vec<&str>, String) {
    let values = |name: &str| response.values(name);
    (response.status, values("content-type"), values("accept-ranges"), response.text())
}

#[test]
fn content_types_are_nginxs() {
    let directives = "charset utf-8; default_type text/plain;
        types { text/html html; text/css css; application/javascript js; text/xml xml; application/json json; }
        location /text { return 200 text; }
        location /upper { default_type TEXT/HTML; return 200 x; }
        location /own { default_type 'text/html; charset=koi8-r'; return 200 x; }
        location /octets { default_type application/octet-stream; return 200 x; }
        location /off { charset off; return 200 x; }
        location /variable { charset $arg_c; return 200 x; }
        location /any { charset_types *; default_type image/png; return 200 x; }
        location /more { charset_types text/css; default_type text/css; return 200 x; }
        location /moved { return 301 /x; } location /found { return 302 /x; } location /other { return 303 /x; }
        location /again { return 307 /x; } location /gone { return 410; } location /nothing { return 204; }";
    let theirs = nginx(directives);
    for name in ["a.html", "a.css", "a.js", "a.xml", "a.json", "a.txt"] {
        std::fs::write(theirs.path(&format!("html/{name}")), "file").expect("a file");
    }
    let ours = port();
    let root = theirs.path("html").display().to_string();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; root {root}; {directives} }}"));
    for target in [
        "/a.html",
        "/a.css",
        "/a.js",
        "/a.xml",
        "/a.json",
        "/a.txt",
        "/none",
        "/text",
        "/upper",
        "/own",
        "/octets",
        "/off",
        "/variable?c=utf-8",
        "/variable?c=x",
        "/any",
        "/more",
        "/moved",
        "/found",
        "/other",
        "/again",
        "/gone",
        "/nothing",
    ] {
        let types = |port: u16| get(port, target, &[]).values("content-type").join("|");
        assert_eq!(types(ours), types(theirs.port), "{target}");
    }
    let range = ["Range: bytes=1-2"];
    assert_eq!(shown(&get(ours, "/a.html", &range)), shown(&get(theirs.port, "/a.html", &range)));
}

#[test]
fn a_backends_own_character_set_stays_unless_it_is_overridden() {
    let backend = Backend::planned(|_, request| {
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (_, headers) = target.split_once('?').unwrap_or_default();
        let headers: String = headers.split('&').map(|header| header.replace("%20", " ") + "\r\n").collect();
        Script::page(200, &headers, "body")
    });
    let directives = |address: &str| {
        format!(
            "charset utf-8; location / {{ proxy_pass http://{address}; }}
             location /over {{ override_charset on; proxy_pass http://{address}; }}
             location /off {{ charset off; proxy_pass http://{address}; }}
             location /ignored {{ proxy_ignore_headers X-Accel-Charset; proxy_pass http://{address}; }}"
        )
    };
    let theirs = nginx(&directives(&backend.address()));
    let ours = port();
    let http = format!("server {{ listen 127.0.0.1:{ours}; {} }}", directives(&backend.address()));
    let limpet = Limpet::http(ours, &http);
    for headers in [
        "Content-Type:text/html",
        "Content-Type:text/html;charset=iso-8859-1",
        "Content-Type:Text/HTML;%20charset=UTF-8",
        "Content-Type:text/html;%20charset=\"koi8-r\"",
        "Content-Type:text/html;%20x=y",
        "Content-Type:image/png",
        "X-A:no-type",
        "Content-Type:image/png&X-Accel-Charset:UTF-8",
        "Content-Type:image/png&X-Accel-Charset:nosuch",
    ] {
        for location in ["/", "/over", "/off", "/ignored"] {
            let target = format!("{location}?{headers}");
            let seen = |port: u16| {
                let response = get(port, &target, &[]);
                (response.values("content-type").join("|"), response.values("x-accel-charset").len())
            };
            assert_eq!(seen(ours), seen(theirs.port), "{target}");
        }
    }
    limpet.logs("unknown charset \"nosuch\" to override");
    limpet.logs("no \"charset_map\" between the charsets \"koi8-r\" and \"utf-8\"");
}

#[test]
fn bodies_are_recoded_by_the_maps() {
    // One letter, which koi8-r has as C1, windows-1251 as E0 and utf-8 as D0 B0.
    let koi = b"x\xc1\xff".repeat(40_000);
    let body = koi.clone();
    let sized = Backend::planned(move |_, _| {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        answer.push_str("");
        Script::Answer([answer.into_bytes(), body.clone()].concat())
    });
    let small = Backend::new(Script::Answer(
        [&b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"[..], b"x\xc1\xff"].concat(),
    ));
    let packed = Backend::new(Script::Answer(
        [
            &b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n"[..],
            b"x\xc1\xff",
        ]
        .concat(),
    ));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("koi.txt"), &koi).expect("a file");
    std::fs::write(folder.path().join("utf.txt"), "xа中").expect("a file");
    let ours = port();
    let http = format!(
        "charset_map koi8-r utf-8 {{ C1 D0B0; }} charset_map koi8-r windows-1251 {{ C1 E0; }}
         source_charset koi8-r; charset utf-8; default_type text/plain;
         server {{ listen 127.0.0.1:{ours}; root {};
           location /sized {{ proxy_pass http://{}; }} location /small {{ proxy_pass http://{}; }}
           location /packed {{ proxy_pass http://{}; }}
           location /bytes/ {{ alias {}/; charset windows-1251; }}
           location /back/ {{ alias {}/; source_charset utf-8; charset koi8-r; }} }}",
        folder.path().display(),
        sized.address(),
        small.address(),
        packed.address(),
        folder.path().display(),
        folder.path().display(),
    );
    let _limpet = Limpet::http(ours, &http);
    let utf = "xа?".repeat(40_000);
    for target in ["/sized", "/koi.txt"] {
        let response = get(ours, target, &[]);
        assert_eq!(
            (response.value("content-type"), response.text() == utf),
            ("text/plain; charset=utf-8", true),
            "{target}"
        );
        assert_eq!((response.value("transfer-encoding"), response.value("accept-ranges")), ("chunked", ""), "{target}");
    }
    assert_eq!(get(ours, "/koi.txt", &["Range: bytes=0-1"]).status, 200, "there are no ranges of it");
    assert_eq!(get(ours, "/small", &[]).text(), "xа?");
    let packed = get(ours, "/packed", &[]);
    assert_eq!((packed.value("content-type"), packed.body.as_slice()), ("text/plain", &b"x\xc1\xff"[..]));
    let bytes = get(ours, "/bytes/koi.txt", &["Range: bytes=0-2"]);
    assert_eq!((bytes.status, bytes.value("content-length"), bytes.body.as_slice()), (206, "3", &b"x\xe0?"[..]));
    let back = get(ours, "/back/utf.txt", &[]);
    assert_eq!(
        (back.value("content-type"), back.body.as_slice()),
        ("text/plain; charset=koi8-r", &b"x\xc1&#20013;"[..])
    );
    // A backend that sends a letter in two pieces, the first of which comes to nothing.
    let dribbling = Backend::new(Script::Dribble(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nxаxа".as_bytes().to_vec(),
    ));
    let other = port();
    let http = format!(
        "charset_map koi8-r utf-8 {{ C1 D0B0; }}
         server {{ listen 127.0.0.1:{other}; location / {{ source_charset utf-8; charset koi8-r; proxy_pass http://{}; }} }}",
        dribbling.address()
    );
    let _other = Limpet::http(other, &http);
    let mut client = Client::connect(other);
    assert_eq!(client.request("GET /", &[]).body, b"x\xc1x\xc1");
    // A client of 1.0, which knows no chunks, gets the same to the end of the connection.
    let mut old = Client::connect(ours);
    old.send("GET /koi.txt HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_eq!(old.response().text(), utf);
    let head = Client::connect(ours).request("HEAD /koi.txt", &[]);
    assert_eq!(head.value("content-type"), "text/plain; charset=utf-8");
}

#[test]
fn a_variable_names_the_character_set_also_where_the_file_names_none() {
    let directives = "default_type text/plain; location / { charset $arg_c; return 200 x; }";
    let theirs = nginx(directives);
    let ours = port();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {directives} }}"));
    let types = |port: u16, target: &str| get(port, target, &[]).values("content-type").join("|");
    assert_eq!(types(ours, "/?c=utf-8"), types(theirs.port, "/?c=utf-8"));
    // nginx 1.22 breaks off here.
    assert_eq!(types(ours, "/"), "text/plain");
}
