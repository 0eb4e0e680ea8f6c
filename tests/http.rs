//! Answers of limpet's own: pages, `return`, headers, variables, logs.

use limpet_tests::{Client, Limpet, get, port};

fn server(inside: &str) -> (Limpet, u16) {
    let port = port();
    (Limpet::http(port, &format!("server {{ listen 127.0.0.1:{port}; server_name d.example; {inside} }}")), port)
}

#[test]
fn error_pages_look_like_nginxs() {
    let (_limpet, port) = server("location /off { server_tokens off; return 404; } location / { return 404; }");
    let response = Client::connect(port).request("GET /", &[]);
    assert_eq!(response.head.split("\r\n").next(), Some("HTTP/1.1 404 Not Found"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        response.text(),
        format!(
            "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n\
             <hr><center>limpet/{version}</center>\r\n</body>\r\n</html>\r\n"
        )
    );
    assert_eq!(response.value("server"), format!("limpet/{version}"));
    let off = get(port, "/off", &[]);
    assert_eq!(off.value("server"), "limpet");
    assert!(off.text().contains("<center>limpet</center>"));
}

#[test]
fn return_answers_as_nginx_does() {
    let (limpet, port) = server(
        "location /text { return 200 \"text\"; } location /empty { return 200; } location /204 { return 204 x; }
         location /301 { return 301 /x; } location /far { return 302 http://h/y; } location /url { return https://h/$uri; }
         location /404t { return 404 gone; } location /a.html { return 200 page; } location /444 { return 444; }
         location /307 { return 307 /z$is_args$args; }",
    );
    let mut client = Client::connect(port);
    let mut ask = |target: &str| client.request(&format!("GET {target}"), &[]);
    let text = ask("/text");
    assert_eq!((text.value("content-type"), text.text().as_str()), ("text/plain", "text"));
    assert_eq!(ask("/empty").value("content-length"), "0");
    let none = ask("/204");
    assert_eq!((none.status, none.values("content-length").len(), none.values("content-type").len()), (204, 0, 0));
    let moved = ask("/301");
    assert_eq!((moved.status, moved.value("location")), (301, format!("http://localhost:{port}/x").as_str()));
    assert!(moved.head.find("Location").unwrap() < moved.head.find("Connection").unwrap(), "{}", moved.head);
    let far = ask("/far");
    assert_eq!(
        (far.head.split("\r\n").next(), far.value("location")),
        (Some("HTTP/1.1 302 Moved Temporarily"), "http://h/y")
    );
    assert!(far.text().contains("<h1>302 Found</h1>"));
    assert_eq!(ask("/url").value("location"), "https://h//url");
    assert_eq!(ask("/404t").text(), "gone");
    assert_eq!(ask("/a.html").value("content-type"), "text/html");
    assert_eq!(ask("/307?a=b").value("location"), format!("http://localhost:{port}/z?a=b"));
    let mut closed = Client::connect(port);
    closed.send("GET /444 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(closed.to_end(), b"");
    assert!(limpet.access_log(10)[9].contains("\" 444 0"), "{:?}", limpet.access_log(10));
}

#[test]
fn head_is_answered_without_a_body() {
    let (_limpet, port) = server("location / { return 200 text; } location /404 { return 404; }");
    let mut client = Client::connect(port);
    for target in ["/", "/404", "/"] {
        let response = client.request(&format!("HEAD {target}"), &[]);
        assert_ne!(response.value("content-length"), "0", "{target}");
    }
}

#[test]
fn headers_are_added_by_status_and_inherited_as_a_whole() {
    let (_limpet, port) = server(
        "add_header X-A 1; add_header X-A 2; add_header X-Always 1 always; add_header X-Empty \"$arg_none\";
         location / { return 200 x; } location /404 { return 404; } location /own { add_header X-B \"v-$host\"; return 200 x; }
         location /if { if ($arg_q) { add_header X-If yes; } return 200 x; }",
    );
    let all = get(port, "/", &[]);
    assert_eq!(
        (all.values("x-a"), all.values("x-always"), all.values("x-empty").len()),
        (vec!["1", "2"], vec!["1"], 0)
    );
    let missing = get(port, "/404", &[]);
    assert_eq!((missing.values("x-a").len(), missing.values("x-always").len()), (0, 1));
    let own = get(port, "/own", &[]);
    assert_eq!((own.values("x-a").len(), own.value("x-b")), (0, "v-localhost"));
    assert_eq!(get(port, "/if?q=1", &[]).value("x-if"), "yes");
    assert_eq!(get(port, "/if", &[]).values("x-a"), ["1", "2"]);
}

#[test]
fn conditions_decide() {
    let (_limpet, port) = server(
        "if ($arg_stop) { return 403 stop; } if ($http_x_kind ~* ^mobile(.*)$) { return 200 mobile$1; }
         location / { if ($arg_a = b) { return 200 equal; } if ($arg_a != \"\") { return 200 other; } if ($request_method !~ ^(GET|HEAD)$) { return 200 method; } return 200 none; }",
    );
    assert_eq!(get(port, "/?stop=1", &[]).text(), "stop");
    assert_eq!(get(port, "/?stop=0", &[]).text(), "none");
    assert_eq!(get(port, "/", &["X-Kind: MobileX"]).text(), "mobileX");
    assert_eq!(get(port, "/?a=b", &[]).text(), "equal");
    assert_eq!(get(port, "/?a=c", &[]).text(), "other");
    let mut client = Client::connect(port);
    assert_eq!(client.request("DELETE /", &[]).text(), "method");
}

#[test]
fn variables_have_nginxs_values() {
    let (_limpet, port) = server(
        "location / { return 200 \"$uri|$request_uri|$args|$is_args|$arg_a|$request_method|$scheme|$host|$http_host|$server_name|\
         $server_port|$server_addr|$remote_addr|$request|$server_protocol|$cookie_c|$http_x_y|$status|$remote_user|$request_length|$proxy_add_x_forwarded_for\"; }",
    );
    let mut client = Client::connect(port);
    client.send("GET /a%20b?A=1&b HTTP/1.1\r\nHost: D.example:99\r\nCookie: b=1; C=2\r\nX-Y: z\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n");
    let length = "GET /a%20b?A=1&b HTTP/1.1\r\nHost: D.example:99\r\nCookie: b=1; C=2\r\nX-Y: z\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n".len();
    assert_eq!(
        client.response().text(),
        format!(
            "/a b|/a%20b?A=1&b|A=1&b|?|1|GET|http|d.example|D.example:99|d.example|{port}|127.0.0.1|127.0.0.1|\
             GET /a%20b?A=1&b HTTP/1.1|HTTP/1.1|2|z|200|alice|{length}|127.0.0.1"
        )
    );
}

#[test]
fn access_logs_have_formats_conditions_and_escapes() {
    let port = port();
    let limpet = Limpet::http(
        port,
        &format!(
            "log_format one '$request_uri \"$http_x\" $status $body_bytes_sent $sent_http_content_type';
             log_format two escape=json '{{\"x\":\"$http_x\",\"n\":\"$http_none\"}}'; log_format three escape=none '$http_x';
             server {{ listen 127.0.0.1:{port}; access_log logs/1.log one; access_log logs/2.log two if=$arg_log; access_log logs/3.log three;
             location / {{ return 200 hello; }} location /off {{ access_log off; return 200 x; }} }}"
        ),
    );
    let mut client = Client::connect(port);
    client.request("GET /a?log=1", &["X: q\"\\\u{e9}"]);
    client.request("GET /off", &[]);
    client.request("GET /b?log=0", &["X: r"]);
    let read = |name: &str| std::fs::read_to_string(limpet.path(name)).unwrap_or_default();
    limpet_tests::eventually("both lines are there", || read("logs/3.log").lines().count() == 2);
    assert_eq!(
        read("logs/1.log"),
        "/a?log=1 \"q\\x22\\x5C\\xC3\\xA9\" 200 5 text/plain\n/b?log=0 \"r\" 200 5 text/plain\n"
    );
    assert_eq!(read("logs/2.log"), "{\"x\":\"q\\\"\\\\\u{e9}\",\"n\":\"\"}\n");
    assert_eq!(read("logs/3.log"), "q\"\\\u{e9}\nr\n");
}

#[test]
fn the_combined_format_is_the_default() {
    let (limpet, port) = server("return 200 hello;");
    get(port, "/x?y", &["User-Agent: a\"b", "Referer: r"]);
    let line = limpet.access_log(1)[0].clone();
    let (before, after) = line.split_once('[').expect("a date");
    assert_eq!(before, "127.0.0.1 - - ");
    assert!(after.ends_with("] \"GET /x?y HTTP/1.1\" 200 5 \"r\" \"a\\x22b\""), "{line}");
}
