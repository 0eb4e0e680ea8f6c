//! Of the table of directives, and what a broken file is answered with: nginx's words, file and line.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use limpet_kernel::{FileSystem, Outside};

use crate::model::Config;
use crate::{Loaded, load, table};

struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl FileSystem for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from_raw_os_error(2))
    }
    fn matches(&self, _pattern: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// It has the users `root` and `nobody`, the groups `root` and `nogroup`, and knows `localhost`.
impl Outside for Memory {
    fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn has_user(&self, name: &str) -> bool {
        matches!(name, "root" | "nobody")
    }
    fn has_group(&self, name: &str) -> bool {
        matches!(name, "root" | "nogroup")
    }
    fn hostname(&self) -> String {
        "here".into()
    }
}

fn read(text: &str, globals: &str) -> Loaded {
    let files = Memory(BTreeMap::from([(PathBuf::from("/n.conf"), text.as_bytes().to_vec())]));
    load(Path::new("/n.conf"), globals.as_bytes(), &files)
}

fn error(text: &str) -> String {
    match read(text, "").config {
        Ok(_) => format!("no error in {text}"),
        Err(diagnostic) => diagnostic.to_string(),
    }
}

/// The error of some directives in a server block, without its place.
fn in_server(text: &str) -> String {
    let error = error(&format!("events {{}}\nhttp {{ server {{ listen 80; {text} }} }}"));
    error.trim_end_matches(" in /n.conf:2").to_owned()
}

fn in_upstream(text: &str) -> String {
    let error = error(&format!("events {{}}\nhttp {{ upstream u {{ {text} }} }}"));
    error.trim_end_matches(" in /n.conf:2").to_owned()
}

fn config(text: &str) -> Config {
    read(text, "").config.unwrap_or_else(|error| panic!("{error}"))
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = read(text, "");
    assert!(loaded.config.is_ok(), "{:?}", loaded.config.err());
    loaded.notices.iter().map(|notice| notice.diagnostic.message.clone()).collect()
}

#[test]
fn the_frame_of_a_file_is_checked() {
    for (text, expected) in [
        ("", "no \"events\" section in configuration"),
        ("http {}", "no \"events\" section in configuration"),
        ("nope 1;", "unknown directive \"nope\" in /n.conf:1"),
        ("events {}\n\nserver_name x;", "\"server_name\" directive is not allowed here in /n.conf:3"),
        ("events;", "directive \"events\" has no opening \"{\" in /n.conf:1"),
        ("daemon on {}", "directive \"daemon\" is not terminated by \";\" in /n.conf:1"),
        ("daemon;", "invalid number of arguments in \"daemon\" directive in /n.conf:1"),
        ("daemon on off;", "invalid number of arguments in \"daemon\" directive in /n.conf:1"),
        ("daemon maybe;", "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in /n.conf:1"),
        ("daemon on;\ndaemon off;", "\"daemon\" directive is duplicate in /n.conf:2"),
        ("pid\n a\n b;", "invalid number of arguments in \"pid\" directive in /n.conf:3"),
        ("worker_processes none;", "\"worker_processes\" directive invalid value in /n.conf:1"),
        ("error_log x nope;", "invalid log level \"nope\" in /n.conf:1"),
        ("stream {}", "\"stream\" is an nginx directive that limpet does not support in /n.conf:1"),
        ("events {}\n}", "unexpected \"}\" in /n.conf:2"),
        ("events {", "unexpected end of file, expecting \"}\" in /n.conf:1"),
        ("events {} http", "unexpected end of file, expecting \";\" or \"}\" in /n.conf:1"),
        ("include /none.conf;", "open() \"/none.conf\" failed (2: No such file or directory) in /n.conf:1"),
        ("include a b;", "invalid number of arguments in \"include\" directive in /n.conf:1"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn an_earlier_error_is_told_before_a_later_one_of_the_grammar() {
    assert_eq!(error("events {}\nnope;\n}"), "unknown directive \"nope\" in /n.conf:2");
    assert_eq!(error("events {}\nhttp { nope; "), "unknown directive \"nope\" in /n.conf:2");
}

#[test]
fn directives_in_a_server_are_checked() {
    for (text, expected) in [
        ("listen 0;", "invalid port in \"0\" of the \"listen\" directive"),
        ("listen 80;", "a duplicate listen 0.0.0.0:80"),
        ("listen 81 nope;", "invalid parameter \"nope\""),
        ("listen 81 ssl;", "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive"),
        ("ssl_certificate a;", "no \"ssl_certificate_key\" is defined for certificate \"a\""),
        (
            "ssl_certificate $a;",
            "\"$a\" can't be had in a handshake by limpet: a certificate's name may have \"$ssl_server_name\"",
        ),
        (
            "ssl_certificate_key engine:a; ssl_certificate a; ssl_ciphers a; ssl_ciphers b;",
            "\"ssl_ciphers\" directive is duplicate",
        ),
        ("ssl_protocols TLSv1.4;", "invalid value \"TLSv1.4\""),
        ("ssl_session_cache shared:a;", "invalid session cache \"shared:a\""),
        ("ssl_session_cache shared::1m;", "invalid session cache \"shared::1m\""),
        ("ssl_session_cache shared:a:1k;", "session cache \"shared:a:1k\" is too small"),
        ("ssl_session_cache builtin:x;", "invalid session cache \"builtin:x\""),
        ("ssl_session_cache memcached;", "invalid session cache \"memcached\""),
        ("ssl_session_timeout x;", "\"ssl_session_timeout\" directive invalid value"),
        ("ssl_verify_client maybe;", "invalid value \"maybe\""),
        (
            "ssl_certificate a; ssl_certificate_key a; ssl_verify_client on;",
            "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client",
        ),
        ("location / { proxy_pass ftp://x; }", "invalid URL prefix"),
        ("server_name a.*.b;", "server name \"a.*.b\" is invalid"),
        ("location / {} location / {}", "duplicate location \"/\""),
        ("location ! / {}", "invalid location modifier \"!\""),
        ("location /a/ { location /b {} }", "location \"/b\" is outside location \"/a/\""),
        ("location = /a { location /a/b {} }", "location \"/a/b\" cannot be inside the exact location \"/a\""),
        ("location ~ (a {}", "pcre2_compile() failed: missing closing parenthesis in \"(a\""),
        ("root a; root b;", "\"root\" directive is duplicate"),
        (
            "location /a { root a; alias b; }",
            "\"alias\" directive is duplicate, \"root\" directive was specified earlier",
        ),
        ("root $document_root/x;", "the $document_root variable cannot be used in the \"root\" directive"),
        ("root $nope;", "unknown \"nope\" variable"),
        ("root a$;", "invalid variable name"),
        ("keepalive_requests x;", "\"keepalive_requests\" directive invalid number"),
        ("keepalive_timeout x;", "\"keepalive_timeout\" directive invalid value"),
        ("client_max_body_size 1x;", "\"client_max_body_size\" directive invalid value"),
        ("return x;", "invalid return code \"x\""),
        ("return 1000;", "invalid return code \"1000\""),
        ("add_header A b c;", "invalid parameter \"c\""),
        ("if $a { }", "invalid condition \"$a\""),
        ("if ($host = ) { }", "invalid condition \")\""),
        ("if ($host ? x) { }", "unexpected \"?\" in condition"),
        ("if (host) { }", "invalid condition \"host\""),
        ("location / { proxy_pass ftp://x; }", "invalid URL prefix"),
        ("location / { proxy_pass http://:80; }", "no host in upstream \":80\""),
        (
            "location / { proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1; }",
            "\"proxy_pass\" directive is duplicate",
        ),
        (
            "location / { proxy_pass http://no-such-host.invalid; }",
            "host not found in upstream \"no-such-host.invalid\"",
        ),
        ("access_log a nope;", "unknown log format \"nope\""),
        ("session_sticky_hide_cookie u;", "invalid argument of \"u\""),
        ("session_sticky_hide_cookie upstream=u;", "invalid upstream name \"u\": no such upstream block"),
        ("rewrite a b;", "\"rewrite\" is an nginx directive that limpet does not support"),
        ("types { a { } }", "unexpected \"{\""),
        ("proxy_next_upstream http_501;", "invalid value \"http_501\""),
        ("proxy_next_upstream_tries -1;", "\"proxy_next_upstream_tries\" directive invalid number"),
        ("proxy_next_upstream_tries 1; proxy_upstream_tries 2;", "\"proxy_upstream_tries\" directive is duplicate"),
        ("proxy_ignore_headers X-Accel-Redirect Date;", "invalid value \"Date\""),
        ("proxy_allow_upstream;", "invalid number of arguments in \"proxy_allow_upstream\" directive"),
        ("proxy_allow_upstream $nothing;", "unknown \"nothing\" variable"),
        ("internal;", "\"internal\" directive is not allowed here"),
        ("location /x { internal; internal; }", "\"internal\" directive is duplicate"),
        ("proxy_next_upstream_timeout off;", "\"proxy_next_upstream_timeout\" directive invalid value"),
        ("proxy_bind foo;", "invalid address \"foo\""),
        ("proxy_bind 127.0.0.1:0;", "invalid address \"127.0.0.1:0\""),
        ("proxy_bind [127.0.0.1];", "invalid address \"[127.0.0.1]\""),
        ("proxy_bind 127.0.0.1 opaque;", "invalid parameter \"opaque\""),
        ("proxy_bind $nope;", "unknown \"nope\" variable"),
        ("check_status xml;", "invalid check format \"xml\""),
    ] {
        assert_eq!(in_server(text), expected, "{text}");
    }
    assert!(
        in_server("location ~ x { proxy_pass http://127.0.0.1/y; }").starts_with("\"proxy_pass\" cannot have URI part")
    );
}

/// As in nginx: a variable may be defined below its use.
#[test]
fn unknown_variables_are_told_when_all_has_been_read_with_the_place_of_use() {
    let text = "events {}\nhttp { server {\nreturn 200 $first;\nreturn 200 $second; }\n";
    assert_eq!(error(&format!("{text}}}")), "unknown \"first\" variable in /n.conf:3");
    assert_eq!(
        error(&format!("{text}keepalive_timeout x; }}")),
        "\"keepalive_timeout\" directive invalid value in /n.conf:5"
    );
}

#[test]
fn directives_in_an_upstream_are_checked() {
    for (text, expected) in [
        ("", "no servers are inside upstream"),
        ("server;", "invalid number of arguments in \"server\" directive"),
        ("server 127.0.0.1:99999;", "invalid port in upstream \"127.0.0.1:99999\""),
        ("server 127.0.0.1 weight=0;", "invalid parameter \"weight=0\""),
        ("server 127.0.0.1 weight=x;", "invalid parameter \"weight=x\""),
        ("server 127.0.0.1 max_fails=-1;", "invalid parameter \"max_fails=-1\""),
        ("server 127.0.0.1 nope;", "invalid parameter \"nope\""),
        ("server no-such-host.invalid;", "host not found in upstream \"no-such-host.invalid\""),
        ("keepalive 4 slice_key=$uri;", "specific either slice_conn or slice_dyn"),
        ("keepalive 4 slice_key=$uri slice_conn=x;", "invalid parameter \"slice_conn=x\""),
        ("keepalive 4 slice_key=;", "invalid parameter \"slice_key=\""),
        ("server 127.0.0.1; keepalive 4 slice_key=$nothing slice_conn=1;", "unknown \"nothing\" variable"),
        ("keepalive 4 local local;", "invalid parameter \"local\""),
        ("server 127.0.0.1; keepalive x;", "invalid value \"x\" in \"keepalive\" directive"),
        ("sticky cookie x;", "\"sticky\" is an nginx directive that limpet does not support"),
        ("ip_hash; server 127.0.0.1 backup;", "balancing method does not support parameter \"backup\""),
        ("random; server 127.0.0.1 backup;", "balancing method does not support parameter \"backup\""),
        ("hash $uri; server 127.0.0.1 slow_start=1s;", "balancing method does not support parameter \"slow_start=1s\""),
        (
            "consistent_hash $uri; server 127.0.0.1 max_conns=3;",
            "balancing method does not support parameter \"max_conns=3\"",
        ),
        ("server 127.0.0.1; hash $nope;", "unknown \"nope\" variable"),
        ("hash $uri consistently;", "invalid parameter \"consistently\""),
        ("random three;", "invalid parameter \"three\""),
        ("random two least_time;", "invalid parameter \"least_time\""),
        ("least_time middle;", "invalid value \"middle\""),
        ("least_time header; least_time header;", "\"least_time\" directive is duplicate"),
        ("vnswrr max_init=x;", "invalid parameter \"max_init=x\""),
        ("iwrr 1;", "invalid number of arguments in \"iwrr\" directive"),
        ("server 127.0.0.1 slow_start=x;", "invalid parameter \"slow_start=x\""),
        ("server 127.0.0.1 route=;", "route is empty"),
        ("server 127.0.0.1 route=123456789012345678901234567890123;", "route is longer than 32"),
        ("server a.test service=;", "service is empty"),
        ("server a.test service=http;", "service upstream \"a.test\" requires \"resolve\" parameter"),
        ("server a.test:80 service=http resolve;", "service upstream \"a.test:80\" may not have port"),
        ("server 127.0.0.1 service=http resolve;", "service upstream \"127.0.0.1\" requires domain name"),
        ("resolver valid=x;", "invalid parameter: valid=x"),
        ("resolver 127.0.0.1 ipv4=maybe;", "invalid parameter: ipv4=maybe"),
        ("resolver 127.0.0.1 ipv4=off ipv6=off;", "\"ipv4\" and \"ipv6\" cannot both be \"off\""),
        ("resolver valid=5s;", "no name servers defined"),
        ("resolver no-such-host.invalid;", "host not found in resolver \"no-such-host.invalid\""),
        ("resolver 127.0.0.1; resolver 127.0.0.1;", "\"resolver\" directive is duplicate"),
        ("resolver_timeout x;", "\"resolver_timeout\" directive invalid value"),
        ("dynamic_resolve fallback=maybe;", "\"dynamic_resolve\" directive invalid fallback action"),
        ("dynamic_resolve fail_timeout=x;", "\"dynamic_resolve\" directive invalid fail_timeout"),
        ("check;", "invalid number of arguments in \"check\" directive"),
        ("check interval=3s;", "invalid parameter \"interval=3s\""),
        ("check rise=0;", "invalid parameter \"rise=0\""),
        ("check type=HTTP;", "invalid parameter \"type=HTTP\""),
        ("check type=fastcgi; check_http_send x;", "invalid check_http_send for type \"fastcgi\""),
        ("check_fastcgi_param a;", "invalid number of arguments in \"check_fastcgi_param\" directive"),
        ("check port=70000;", "invalid parameter \"port=70000\""),
        ("check default_down=yes;", "invalid value \"default_down=yes\", it must be \"true\" or \"false\""),
        ("check_http_send x;", "invalid check_http_send should set [check] first"),
        ("check type=tcp; check_http_send x;", "invalid check_http_send for type \"tcp\""),
        ("check_http_expect_alive 200;", "invalid value \"200\""),
        ("check_keepalive_requests 0;", "\"check_keepalive_requests\" directive invalid value"),
    ] {
        assert_eq!(in_upstream(text), expected, "{text}");
    }
}

#[test]
fn a_method_behind_the_servers_asks_nothing_of_them_and_the_last_one_counts() {
    let upstream = |text: &str| format!("events {{}} http {{ upstream u {{ {text} }} }}");
    for text in
        ["server 127.0.0.1; server 127.0.0.2 backup; ip_hash;", "server 127.0.0.1 max_conns=1; consistent_hash $uri;"]
    {
        assert_eq!(warnings(&upstream(text)), Vec::<String>::new());
    }
    let two = upstream("ip_hash; server 127.0.0.1; least_conn;");
    assert_eq!(warnings(&two), ["load balancing method redefined"]);
    let method = config(&two).http.unwrap().upstreams[0].method.clone();
    assert_eq!(method, Some(limpet_upstream::written::Method::LeastConn));
}

#[test]
fn a_second_check_begins_anew_but_for_what_it_speaks() {
    let text = "upstream u { server 127.0.0.1; check type=http interval=7 rise=9; check_http_send x; check fall=3; }";
    let check = config(&format!("events {{}} http {{ {text} }}")).http.unwrap().upstreams[0].check.clone().unwrap();
    assert_eq!((check.kind.word(), check.interval, check.rise, check.fall), ("http", 30_000, 2, 3));
    assert_eq!(check.send.as_deref(), Some(&b"x"[..]));
}

#[test]
fn arguments_of_session_sticky_are_checked() {
    for (argument, expected) in [
        ("cookie=", "invalid cookie"),
        ("domain=", "invalid domain"),
        ("path=", "invalid path"),
        ("maxage=1m", "invalid maxage"),
        ("maxage=-1", "invalid maxage"),
        ("maxidle=10s", "invalid maxidle"),
        ("maxidle=", "invalid maxidle"),
        ("maxlife=x", "invalid maxlife"),
        ("mode=INSERT", "invalid mode"),
        ("mode=", "invalid mode"),
        ("option=in", "invalid option"),
        ("fallback=maybe", "invalid fallback"),
        ("hash=md5x", "invalid hash mode"),
        ("hash=sha1", "invalid hash mode"),
        ("secured", "invalid argument"),
        ("secure=maybe", "invalid secure, it must be \"on\", \"off\", \"auto\" or \"forwarded\""),
        ("samesite=maybe", "invalid samesite, it must be \"strict\", \"lax\" or \"none\""),
        ("samesite", "invalid argument"),
        ("session_sticky", "invalid argument"),
    ] {
        assert_eq!(in_upstream(&format!("server 127.0.0.1; session_sticky {argument};")), expected, "{argument}");
    }
}

fn sticky(arguments: &str) -> limpet_upstream::written::SessionSticky {
    let text = format!("events {{}} http {{ upstream u {{ server 127.0.0.1; {arguments} }} }}");
    config(&text).http.unwrap().upstreams[0].sticky.clone().unwrap()
}

#[test]
fn session_sticky_has_the_references_defaults_and_combinations() {
    use limpet_upstream::written::{Hash, StickyMode};
    let plain = sticky("session_sticky;");
    assert_eq!((plain.cookie.as_slice(), plain.path.as_slice()), (&b"route"[..], &b"/"[..]));
    assert!(plain.fallback && !plain.indirect && plain.mode == StickyMode::Insert && plain.hash == Hash::Md5);

    assert_eq!(sticky("session_sticky maxidle=5;").maxlife, Some(2_147_483_647));
    assert_eq!(sticky("session_sticky maxlife=5;").maxidle, Some(2_147_483_647));
    assert_eq!(sticky("session_sticky maxlife=5 maxidle=3;").maxlife, Some(5));
    assert!(!sticky("session_sticky fallback=off fallback=on;").fallback);
    assert_eq!(sticky("session_sticky mode=prefix mode=insert;").mode, StickyMode::Prefix);
    assert!(!sticky("session_sticky option=indirect mode=rewrite;").indirect);
    assert!(sticky("session_sticky mode=rewrite option=indirect;").indirect);
    assert_eq!(sticky("session_sticky cookie=a; session_sticky path=/p;").cookie, b"a");
    assert_eq!(sticky("session_sticky cookie=$x;").cookie, b"$x");
}

#[test]
fn beginnings_of_words_are_taken_with_a_warning() {
    let text = "events {} http { upstream u { server 127.0.0.1; session_sticky mode=insertfoo fallback=offline hash=plainx; } }";
    assert_eq!(
        warnings(text),
        ["\"insertfoo\" is taken as \"insert\"", "\"offline\" is taken as \"off\"", "\"plainx\" is taken as \"plain\""]
    );
}

#[test]
fn a_missing_semicolon_is_seen_also_where_any_word_is_right() {
    for (text, expected) in [
        ("proxy_cache_valid 200 302\nproxy_set_header Host $host;", "invalid value \"proxy_set_header\" in /n.conf:3"),
        ("proxy_cache_valid 200 302\n10m;", "no error"),
        ("fastcgi_index \n index.php;", "no error"),
        ("fastcgi_index\n\"index\";", "no error"),
        ("scgi_cache_valid any\n  return 200;", "invalid value \"return\" in /n.conf:3"),
    ] {
        let said = error(&format!("events {{}}\nhttp {{ server {{ location / {{ {text} }} }} }}"));
        assert!(said.starts_with(expected), "{text}: {said}");
    }
}

#[test]
fn directives_that_are_not_acted_on_have_their_arguments_checked() {
    for line in include_str!("known/not_acted_on.txt").lines().filter(|line| !line.starts_with('#')) {
        let [context, text, expected] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let file = match context {
            "main" => format!("{text}\nevents {{}}"),
            "events" => format!("events {{ {text} }}"),
            "http" => format!("events {{}} http {{ {text} }}"),
            "server" => format!("events {{}} http {{ server {{ {text} }} }}"),
            "location" => format!("events {{}} http {{ server {{ location / {{ {text} }} }} }}"),
            _ => panic!("{line}"),
        };
        let said = read(&file, "").config.map_or_else(|error| error.to_string(), |_| "ok".into());
        assert_eq!(said.trim_end_matches(" in /n.conf:1"), expected, "{line}");
    }
}

/// What is said of the inside of an http block, without its place.
fn in_http(text: &str) -> String {
    let said = read(&format!("events {{}}\nhttp {{ {text} }}"), "").config;
    said.map_or_else(|error| error.to_string().trim_end_matches(" in /n.conf:2").to_owned(), |_| "ok".into())
}

#[test]
fn everyday_details_are_judged_as_nginx_judges_them() {
    let server = |text: &str| format!("server {{ listen 80; {text} }}");
    let two =
        |one: &str, other: &str| format!("server {{ listen {one}; }} server {{ listen {other}; server_name x; }}");
    let location = |text: &str| server(&format!("location /l/ {{ {text} }}"));
    let upstream = |text: &str| format!("upstream u {{ server 127.0.0.1; {text} }}");
    for (text, expected) in [
        // Listening.
        (server("listen 8100-8103; listen [::1]:8100-8103;"), "ok"),
        (server("listen 8100-8103; listen 8102;"), "a duplicate listen 0.0.0.0:8102"),
        (server("listen 8103-8100;"), "invalid port range in \"8103-8100\" of the \"listen\" directive"),
        (server("listen 65535-65536;"), "invalid port in \"65535-65536\" of the \"listen\" directive"),
        (server("listen 81 backlog=0;"), "invalid backlog \"backlog=0\""),
        (server("listen 81 fastopen=x;"), "invalid fastopen \"fastopen=x\""),
        (server("listen 81 so_keepalive=maybe;"), "invalid so_keepalive value: \"maybe\""),
        (server("listen 81 so_keepalive=30m::10;"), "ok"),
        (server("listen 81 so_keepalive=::;"), "invalid so_keepalive value: \"::\""),
        (two("81 backlog=4", "81 backlog=4"), "duplicate listen options for 0.0.0.0:81"),
        (two("81 bind", "81 reuseport"), "duplicate listen options for 0.0.0.0:81"),
        (two("127.0.0.1:81 so_keepalive=on", "127.0.0.1:81 deferred"), "duplicate listen options for 127.0.0.1:81"),
        (two("81 default_server", "81 reuseport"), "ok"),
        // Locations within others.
        (server("location ~ ^/a { location /a { } }"), "location \"/a\" is outside location \"^/a\""),
        (server("location ~ ^/a { location = /a { } }"), "location \"/a\" is outside location \"^/a\""),
        (server("location ~ / { location /c { } }"), "ok"),
        (server("location ~ ^/a { location ~ b { } }"), "ok"),
        // Groups of patterns, and variables.
        (server("return 200 $1$9;"), "ok"),
        (server("return 200 $0;"), "unknown \"0\" variable"),
        (server("return 200 ${1};"), "unknown \"1\" variable"),
        ("log_format f \"$uri $12x\";".into(), "unknown \"12x\" variable"),
        (location("if ($1) { }"), "unknown \"1\" variable"),
        (server("return 200 $memcached_key;"), "\"memcached_key\" is an nginx variable that limpet does not support"),
        (server("return 200 \"$upstream_cache_status $gzip_ratio $ssl_protocol $http2 $cookie_ $arg_\";"), "ok"),
        // Times and logs.
        (location("proxy_read_timeout 1y;"), "\"proxy_read_timeout\" directive invalid value"),
        (location("proxy_read_timeout 1M;"), "\"proxy_read_timeout\" directive invalid value"),
        (location("keepalive_timeout 1w 1y;"), "ok"),
        (server("access_log a combined flush=5s;"), "no buffer is defined for access_log \"a\""),
        (server("access_log a combined flush=5s buffer=4k;"), "ok"),
        (server("access_log a buffer=4k;"), "unknown log format \"buffer=4k\""),
        (server("access_log a if=$uri;"), "unknown log format \"if=$uri\""),
        // Shared memory of upstreams.
        (upstream("zone x 32k; zone x;"), "ok"),
        (upstream("zone x 8k;"), "zone \"x\" is too small"),
        (upstream("zone x abc;"), "invalid zone size \"abc\""),
        (upstream("zone \"\" 64k;"), "invalid zone name \"\""),
        (upstream("zone x;"), "zero size shared memory zone \"x\""),
        (
            upstream("zone x 64k;") + "upstream v { server 127.0.0.1; zone x 128k; }",
            "the size 131072 of shared memory zone \"x\" conflicts with already declared size 65536",
        ),
        // Redirects.
        (server("proxy_redirect off;"), "ok"),
        (location("proxy_pass http://127.0.0.1; proxy_redirect default;"), "ok"),
        (
            location("proxy_redirect default; proxy_pass http://127.0.0.1;"),
            "\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive",
        ),
        (
            location("proxy_pass http://127.0.0.1; proxy_redirect off; proxy_redirect default;"),
            "\"proxy_redirect\" directive is duplicate",
        ),
        (location("proxy_redirect foo;"), "invalid parameter \"foo\""),
        (
            location("proxy_redirect a b;"),
            "rewrites of one's own in \"proxy_redirect\" are not supported by limpet, only \"off\" and \"default\" are",
        ),
        // Character sets.
        ("charset utf-8; charset_types * text/x;".into(), "ok"),
        (server("charset utf-8; charset off;"), "\"charset\" directive is duplicate"),
        (server("charset $nosuch;"), "unknown \"nosuch\" variable"),
        (server("charset ${arg_c};"), "unknown \"{arg_c}\" variable"),
        (server("charset $arg_c;"), "ok"),
        (server("source_charset a; charset b;"), "no \"charset_map\" between the charsets \"a\" and \"b\""),
        ("source_charset a; charset A; server { }".into(), "ok"),
        ("charset_map b a { 80 81; } source_charset a; charset b; server { }".into(), "ok"),
        ("charset_map a A { }".into(), "\"charset_map\" between the same charsets \"a\" and \"a\""),
        ("charset_map a b { } charset_map b a { }".into(), "duplicate \"charset_map\" between \"b\" and \"a\""),
        ("charset_map a b { 80 81 82; }".into(), "invalid parameters number"),
        ("charset_map a b { zz 81; }".into(), "invalid value \"zz\""),
        ("charset_map a b { 80 100; }".into(), "invalid value \"100\""),
        ("charset_map a utf-8 { 80 D1; }".into(), "invalid value \"D1\""),
        ("charset_map a utf-8 { 80 E282AC; }".into(), "ok"),
        (
            "charset_map utf-8 a { }".into(),
            "\"charset_map\" with \"utf-8\" charset should be given in the second column",
        ),
    ] {
        assert_eq!(in_http(&text), expected, "{text}");
    }
    // A check of users and groups is root's.
    let user = |text: &str| error(&format!("user {text};\nevents {{}}"));
    if nix::unistd::geteuid().is_root() {
        assert_eq!(user("nosuchuser"), "getpwnam(\"nosuchuser\") failed in /n.conf:1");
        assert_eq!(user("root nosuchgroup"), "getgrnam(\"nosuchgroup\") failed in /n.conf:1");
    } else {
        assert!(warnings("user nosuchuser; events {}")[0].contains("makes sense only if"));
    }
}

#[test]
fn names_of_headers_that_can_not_be_sent_are_warned_of() {
    for (name, quoted) in [("X-Real-IP:", "X-Real-IP:"), ("", "\"\""), ("X Y", "\"X Y\""), ("X-\u{e9}", "X-\u{e9}")] {
        for directive in ["proxy_set_header", "add_header"] {
            let told = warnings(&format!("events {{}} http {{ {directive} {quoted} value; }}"));
            let colon = if name.ends_with(':') { ", the colon is not of the name" } else { "" };
            assert_eq!(told, [format!("\"{name}\" is no name of a header{colon}: \"{directive}\" does not send it")]);
        }
    }
}

#[test]
fn whoever_misspells_a_word_is_told_what_there_is() {
    let meant = |text: &str| read(text, "").config.err().and_then(|error| error.meant);
    let http = |text: &str| meant(&format!("events {{}} http {{ {text} }}"));
    for (text, expected) in [
        ("upstream u { server 127.0.0.1 weigth=5; }", Some("weight=")),
        ("upstream u { session_sticky maxidel=5; server 127.0.0.1; }", Some("maxidle=")),
        ("upstream u { server 127.0.0.1; check intervall=5; }", Some("interval=")),
        ("server { lisen 80; }", Some("listen")),
        ("server { listen 80 defalt_server; }", Some("default_server")),
        ("server { return 200 $reqest_uri; }", Some("request_uri")),
        ("server { access_log a combind; }", Some("combined")),
        ("server { add_header A b allways; }", Some("always")),
        ("server { colour red; }", None),
        ("server { return 200 $colour; }", None),
    ] {
        assert_eq!(http(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn what_does_nothing_is_told() {
    let all = |http: &str| warnings(&format!("events {{}} http {{ {http} }}"));
    let upstream = |arguments: &str| {
        format!("upstream u {{ server 127.0.0.1 id=a; server 127.0.0.2 id=a; session_sticky {arguments}; }}")
    };
    let to = |location: &str| format!("server {{ location / {{ proxy_pass http://u; {location} }} }}");
    for (text, expected) in [
        ("sendfile on; server { sendfile on; }".to_owned(), "\"sendfile\" has no effect in limpet"),
        ("proxy_ignore_headers Vary vary;".to_owned(), "duplicate value \"vary\""),
        (upstream("maxage=1 maxidle=2"), "upstream u: maxage has no effect together with maxidle or maxlife"),
        (
            upstream("hash=plain"),
            "upstream u: servers 127.0.0.1:80 and 127.0.0.2:80 have the same id \"a\", the first wins",
        ),
        (
            "upstream u { server 127.0.0.1; server 127.0.0.1 weight=2; session_sticky; }".to_owned(),
            "upstream u: servers 127.0.0.1:80 and 127.0.0.1:80 have the same id \"127.0.0.1:80\", the first wins",
        ),
        (
            "upstream u { server 127.0.0.1 id=127.0.0.2:80; server 127.0.0.2; session_sticky hash=plain; }".to_owned(),
            "upstream u: servers 127.0.0.1:80 and 127.0.0.2:80 have the same id \"127.0.0.2:80\", the first wins",
        ),
        (
            "upstream u { server 127.0.0.1 id=a|b; session_sticky hash=plain maxidle=5; }".to_owned(),
            "upstream u: no session will be kept with id \"a|b\": \"|\" is where the id ends in the cookie",
        ),
        (
            "upstream u { server 127.0.0.1 id=a~b; session_sticky hash=plain mode=prefix; }".to_owned(),
            "upstream u: no session will be kept with id \"a~b\": \"~\" is where the id ends in the cookie",
        ),
        (
            upstream("option=indirect") + &to(""),
            "upstream u: option=indirect has no effect without session_sticky_hide_cookie",
        ),
        (
            // In rewrite mode there is nothing to hide, but without hide_cookie there is no cookie either.
            upstream("mode=rewrite option=indirect") + &to(""),
            "upstream u: option=indirect has no effect without session_sticky_hide_cookie",
        ),
        (upstream("mode=prefix") + &to(""), "upstream u: mode=prefix has no effect without session_sticky_hide_cookie"),
        (
            upstream("samesite=none"),
            "upstream u: browsers take no cookie with \"samesite=none\" that is not \"secure\"",
        ),
        (upstream("partitioned"), "upstream u: browsers take no cookie with \"partitioned\" that is not \"secure\""),
        (
            upstream("mode=rewrite httponly"),
            "upstream u: the backend writes the cookie, and says itself what browsers are told of it",
        ),
        (
            "server { listen 443 quic; listen 443; }".to_owned(),
            "limpet does not speak HTTP/3: \"listen 443 ... quic\" is left out",
        ),
        (
            "server { listen 443 http2; }".to_owned(),
            "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead",
        ),
        (
            upstream("") + "upstream v { server 127.0.0.1; }" + &to("session_sticky_hide_cookie upstream=v;"),
            "session_sticky_hide_cookie names upstream v, but requests go to upstream u: the policy of u is used",
        ),
        (
            upstream("")
                + "upstream v { server 127.0.0.1; session_sticky; }"
                + "server { location / { proxy_pass http://u; } location /v { proxy_pass http://v; } }",
            "upstreams u and v overwrite each other's cookie \"route\" in one server: same name, domain and path",
        ),
        (
            "server { listen 80; } server { listen 80; }".to_owned(),
            "conflicting server name \"\" on 0.0.0.0:80, ignored",
        ),
    ] {
        assert_eq!(all(&text), [expected], "{text}");
    }
    let many = |count: usize| -> String {
        let block = |n: usize| format!("upstream u{n:02} {{ server 127.0.0.1; session_sticky; }}");
        let location = |n: usize| format!("location /{n} {{ proxy_pass http://u{n:02}; }}");
        let locations: String = (0..count).map(location).collect();
        (0..count).map(block).collect::<String>() + &format!("server {{ {locations} }}")
    };
    let expected = "upstreams u00, u01 and 48 more overwrite each other's cookie \"route\" in one server: same name, domain and path";
    assert_eq!(all(&many(50)), [expected]);
    for silent in [
        upstream("option=indirect") + &to("session_sticky_hide_cookie upstream=u;"),
        upstream("hash=plain maxidle=5").replace("server 127.0.0.2 id=a;", "server 127.0.0.2 id=a~b;"),
    ] {
        assert_eq!(all(&silent), Vec::<String>::new(), "{silent}");
    }
    let old = all(&(upstream("") + &to("session_sticky_header upstream=u;")));
    assert!(old[0].contains("deprecated"), "{old:?}");
}

#[test]
fn the_command_lines_directives_come_first() {
    assert!(!read("events {}", "daemon off;").config.unwrap().main.daemon);
    let twice = read("daemon off; events {}", "daemon off;").config.unwrap_err();
    assert_eq!(twice.to_string(), "\"daemon\" directive is duplicate in /n.conf:1");
    let unknown = read("events {}", "nope 1;").config.unwrap_err();
    assert_eq!(unknown.to_string(), "unknown directive \"nope\" in command line");
}

#[test]
fn inner_blocks_inherit_from_outer_ones() {
    let config = config(
        "events {} http { root /h; add_header A 1; add_header B 2; proxy_read_timeout 5s;
         server { location / { add_header C 3; if ($host = x) { add_header D 4; } location /i { root /i; } } } }",
    );
    let http = config.http.unwrap();
    let location = &http.servers[0].locations[0];
    let names = |settings: &crate::model::Settings| {
        settings
            .headers
            .add_header
            .iter()
            .flat_map(|headers| headers.iter().map(|header| header.name.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&http.servers[0].settings), ["A", "B"]);
    assert_eq!(names(&location.settings), ["C"]);
    assert_eq!(names(&location.ifs[0].settings), ["D"]);
    assert_eq!(names(&location.locations[0].settings), ["C"]);
    assert_eq!(location.settings.proxy.common.read_timeout, Some(5000));
    assert_eq!(location.locations[0].settings.location.root.as_ref().unwrap().path.as_plain(), Some(&b"/i"[..]));
}

#[test]
fn of_several_errors_that_are_seen_at_the_end_nginxs_first_is_told() {
    let charsets = "source_charset koi8-r; charset utf-8;";
    assert_eq!(
        error(&format!(
            "events {{}} http {{ server {{ {charsets} location / {{ proxy_pass http://nosuch.invalid; }} }} }}"
        )),
        "host not found in upstream \"nosuch.invalid\" in /n.conf:1"
    );
    let twice = "server { listen 127.0.0.1:8100 backlog=5; }".repeat(2);
    assert_eq!(
        error(&format!("events {{}} http {{ server {{ {charsets} }} {twice} }}")),
        "duplicate listen options for 127.0.0.1:8100 in /n.conf:1"
    );
}

#[test]
fn an_upstream_may_be_named_before_its_block() {
    let http =
        config("events {} http { server { location / { proxy_pass http://U; } } upstream u { server 127.0.0.1:81; } }")
            .http
            .unwrap();
    assert_eq!(http.upstreams.len(), 1);
    assert_eq!(http.upstreams[0].servers[0].addresses[0].to_string(), "127.0.0.1:81");
    assert!(!http.upstreams[0].implicit);
}

#[test]
fn a_warning_about_many_upstreams_is_one_line() {
    let upstreams: String =
        (0..4).map(|n| format!("upstream u{n} {{ server 127.0.0.1; session_sticky option=indirect; }} ")).collect();
    let locations: String = (0..4).map(|n| format!("location /{n} {{ proxy_pass http://u{n}; }} ")).collect();
    let said = warnings(&format!("events {{}} http {{ {upstreams} server {{ {locations} }} }}"));
    let line = "upstreams u0, u1 and 2 more: option=indirect has no effect without session_sticky_hide_cookie";
    assert_eq!(said.iter().filter(|line| line.contains("indirect")).collect::<Vec<_>>(), [line], "{said:?}");
}

#[test]
fn no_two_rows_of_a_name_share_a_block() {
    for row in table().sections().iter().flat_map(|(_, rows)| rows.iter()) {
        let rows = table().named(row.name.as_bytes()).unwrap();
        let twice = rows.iter().filter(|other| other.contexts & row.contexts != 0);
        assert_eq!(twice.count(), 1, "\"{}\" stands twice for the same block", row.name);
    }
}

#[test]
fn every_row_has_a_line_of_documentation() {
    for row in table().sections().iter().flat_map(|(_, rows)| rows.iter()) {
        assert!(row.doc.ends_with('.') && !row.doc.contains('\n'), "\"{}\": {:?}", row.name, row.doc);
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/directives.md");
    let page = limpet_kernel::page::render(table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/directives.md is stale: run `make docs`");
}
