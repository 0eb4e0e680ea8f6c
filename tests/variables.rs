//! Variables and small settings of everyday files.

use std::time::Duration;

use limpet_tests::{Backend, Client, Limpet, Script, eventually, get, nginx, port};

#[test]
fn variables_have_nginxs_values() {
    let directives = "location / { default_type text/plain; return 200 \"$date_gmt|$date_local|$realip_remote_addr|$limit_rate|\
        $upstream_cache_status|$gzip_ratio|$ssl_protocol|$ssl_cipher|$ssl_early_data|$cookie_|$arg_|$msie|$request_body|\
        $http2|$sent_trailer_x|$upstream_trailer_x|$request_body_file|$connection_requests|$pipe\"; }";
    let theirs = nginx(directives);
    let ours = port();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {directives} }}"));
    let agent = ["User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows)"];
    // Both within the same second, sooner or later.
    eventually("both say the same", || get(ours, "/", &agent).text() == get(theirs.port, "/", &agent).text());
}

#[test]
fn variables_that_newer_nginx_and_tengine_have_work_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = port();
    let limpet = Limpet::http(
        ours,
        &format!(
            "log_format tcp '$tcpinfo_rtt $tcpinfo_rttvar $tcpinfo_snd_cwnd $tcpinfo_rcv_space';
             server {{ listen 127.0.0.1:{ours}; root {}/x/..; access_log logs/tcp.log tcp;
             location /port {{ return 200 \"$request_port$is_request_port\"; }}
             location /root {{ return 200 $realpath_root; }} location /gone {{ root /no/such; return 200 [$realpath_root]; }}
             location / {{ return 200 \"$raw_uri $dollar $year-$month-$day $year2 $hour:$minute:$second $unix_time\"; }} }}",
            folder.path().display()
        ),
    );
    std::fs::create_dir(folder.path().join("x")).expect("a folder");
    let mut client = Client::connect(ours);
    client.send("GET /port HTTP/1.1\r\nHost: [::1]:77\r\n\r\n");
    assert_eq!(client.response().text(), "77:");
    assert_eq!(get(ours, "/port", &[]).text(), "");
    let real = folder.path().canonicalize().expect("a path");
    assert_eq!(get(ours, "/root", &[]).text(), real.display().to_string());
    assert_eq!(get(ours, "/gone", &[]).text(), "[]");
    limpet.logs("realpath() \"/no/such\" failed (2: No such file or directory)");
    let text = get(ours, "/a%20b?c", &[]).text();
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!(
        (words[0], words[1], words[2].len(), words[3].len(), words[4].len()),
        ("/a%20b", "$", 10, 2, 8),
        "{text}"
    );
    let log = std::fs::read_to_string(limpet.path("logs/tcp.log")).expect("a log");
    let numbers = log.lines().next().expect("a line").split(' ').filter(|number| number.parse::<u64>().is_ok());
    assert_eq!(numbers.count(), 4, "{log}");
}

#[test]
fn the_body_of_a_request_is_a_variable() {
    let backend = Backend::planned(|_, request| {
        let shown = request.lines().find_map(|line| line.strip_prefix("X-Body: ")).unwrap_or("none").to_owned();
        Script::ok(&shown)
    });
    let ours = port();
    let limpet = Limpet::http(
        ours,
        &format!(
            "log_format body '[$request_body]'; client_body_buffer_size 64;
             server {{ listen 127.0.0.1:{ours}; access_log logs/body.log body;
             location / {{ proxy_set_header X-Body $request_body; proxy_pass http://{}; }} location /local {{ return 200 x; }} }}",
            backend.address()
        ),
    );
    let mut client = Client::connect(ours);
    let mut lines = Vec::new();
    let large = "x".repeat(100);
    for (target, headers, body, shown, logged) in [
        ("/", "Content-Length: 6\r\n", "a\"body", "a\"body", "[a\\x22body]"),
        ("/", "Content-Length: 0\r\n", "", "none", "[]"),
        ("/", "", "", "none", "[-]"),
        ("/", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd", "[abcd]"),
        ("/", "Content-Length: 100\r\n", large.as_str(), "none", "[-]"),
        ("/local", "Content-Length: 6\r\n", "a body", "x", "[-]"),
    ] {
        client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}"));
        assert_eq!(client.response().text(), shown, "{target} {headers}");
        lines.push(logged);
    }
    // One that comes later is known when the line is written.
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
    eventually("the head is on its way", || backend.connections() > 0);
    for piece in ["la", "te", "r!"] {
        client.send(piece);
        std::thread::yield_now();
    }
    client.response();
    lines.push("[later!]");
    let log = || std::fs::read_to_string(limpet.path("logs/body.log")).unwrap_or_default();
    eventually("the lines are there", || log().lines().count() == lines.len());
    assert_eq!(log().lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_header_without_a_name_that_can_be_sent_is_not_sent() {
    let backend = Backend::new(Script::ok("x"));
    let ours = port();
    let _limpet = Limpet::http(
        ours,
        &format!(
            "server {{ listen 127.0.0.1:{ours}; add_header 'X-Bad:' 1; add_header X-Good 2; location / {{
             proxy_set_header 'X-Real-IP:' $remote_addr; proxy_set_header 'X Y' 1; proxy_set_header '' 2;
             proxy_set_header X-Good 3; proxy_pass http://{}; }} }}",
            backend.address()
        ),
    );
    let response = get(ours, "/", &[]);
    assert_eq!(response.value("x-good"), "2");
    assert!(!response.head.contains("X-Bad"), "{}", response.head);
    let request = &backend.requests()[0];
    assert!(request.contains("X-Good: 3\r\n") && !request.contains("X-Real") && !request.contains("X Y"), "{request}");
    assert!(!request.contains("\r\n: "), "{request}");
}

#[test]
fn a_connection_of_a_certain_age_serves_its_last_request() {
    let ours = port();
    let http = format!("keepalive_time 300ms; server {{ listen 127.0.0.1:{ours}; return 200 x; }}");
    let _limpet = Limpet::http(ours, &http);
    let mut client = Client::connect(ours);
    assert_eq!(client.request("GET /", &[]).value("connection"), "keep-alive");
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(client.request("GET /", &[]).value("connection"), "close");
    assert!(client.is_closed());
}

#[test]
fn redirects_of_a_backend_are_rewritten_or_not() {
    let backend = Backend::planned(|_, request| {
        let location = request.split(['=', ' ']).nth(2).unwrap_or_default();
        Script::page(302, &format!("Location: {location}\r\nRefresh: 0; URL={location}\r\n"), "")
    });
    let directives = |address: &str| {
        format!(
            "location /b/ {{ proxy_pass http://{address}/two/; }} location /off/ {{ proxy_redirect off; proxy_pass http://{address}/two/; }}
             location /d/ {{ proxy_pass http://{address}; proxy_redirect default; }}"
        )
    };
    let theirs = nginx(&directives(&backend.address()));
    let ours = port();
    let _limpet =
        Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {} }}", directives(&backend.address())));
    for location in ["/b/", "/off/", "/d/"] {
        for target in ["http://BACK/two/x", "http://BACK/x", "/two/x", "http://other/x", "https://BACK/two/x"] {
            let target = target.replace("BACK", &backend.address());
            let seen = |port: u16| {
                let response = get(port, &format!("{location}?to={target}"), &[]);
                let own = format!("http://localhost:{port}");
                [response.value("location"), response.value("refresh")].join("|").replace(&own, "OWN")
            };
            assert_eq!(seen(ours), seen(theirs.port), "{location} {target}");
        }
    }
}

#[test]
fn what_is_added_to_a_response_sees_what_it_is() {
    let backend = Backend::new(Script::page(203, "X-A: a\r\nContent-Type: text/css\r\n", "body"));
    let directives = format!(
        "add_header X-Seen '$status $sent_http_content_type $sent_http_content_length $sent_http_location' always;
         default_type text/plain; location /file {{ }} location /missing {{ }} location /moved {{ return 301 /x; }}
         location /text {{ return 202 text; }} location /proxied {{ proxy_pass http://{}; }}",
        backend.address()
    );
    let theirs = nginx(&directives);
    std::fs::write(theirs.path("html/file"), "a file").expect("a file");
    let ours = port();
    let root = theirs.path("html").display().to_string();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; root {root}; {directives} }}"));
    for target in ["/file", "/missing", "/text", "/proxied"] {
        let seen = |port: u16| get(port, target, &[]).value("x-seen").to_owned();
        assert_eq!(seen(ours), seen(theirs.port), "{target}");
    }
    assert!(get(ours, "/moved", &[]).value("x-seen").starts_with("301 text/html"));
}

#[test]
fn no_variable_ends_the_line_of_a_media_type() {
    let port = port();
    let http = format!("server {{ listen 127.0.0.1:{port}; default_type text/plain; charset $uri; return 200 x; }}");
    let _limpet = Limpet::http(port, &http);
    let response = get(port, "/%0d%0aEvil:%201", &[]);
    assert_eq!(response.value("content-type"), "text/plain; charset=/Evil: 1");
    assert!(response.values("evil").is_empty(), "{}", response.head);
}

#[test]
fn a_header_with_the_body_waits_for_it() {
    let backend = Backend::planned(|_, request| {
        let seen = request.lines().find_map(|line| line.strip_prefix("X-Body: ")).unwrap_or("none").to_owned();
        Script::page(200, &format!("X-Seen: {seen}\r\n"), request.rsplit("\r\n\r\n").next().unwrap_or_default())
    });
    let directives =
        format!("location / {{ proxy_set_header X-Body $request_body; proxy_pass http://{}; }}", backend.address());
    let theirs = nginx(&directives);
    let ours = port();
    let _limpet = Limpet::http(ours, &format!("server {{ listen 127.0.0.1:{ours}; {directives} }}"));
    for port in [theirs.port, ours] {
        let mut client = Client::connect(port);
        for body in ["hello world", "another"] {
            client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()));
            // Another read than that of the head.
            for piece in body.as_bytes().chunks(4) {
                std::thread::sleep(Duration::from_millis(20));
                client.send(piece);
            }
            let response = client.response();
            assert_eq!((response.value("x-seen"), response.text().as_str()), (body, body), "{port}");
        }
    }
    // Nothing more comes of a body: the backend is not asked.
    let before = backend.connections();
    let mut client = Client::connect(ours);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhell").half_close();
    assert!(client.to_end().is_empty());
    assert_eq!(backend.connections(), before);
}
