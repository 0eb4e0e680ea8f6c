//! `check_status`: what the checks know, as a page, a table, or for programs.
//!
//! CSV, JSON and Prometheus are Tengine's, byte for byte. The page is our own: it updates itself.

use std::fmt::Write;
use std::sync::Arc;

use limpet_http::Request;
use limpet_http::decision::Decision;
use limpet_http::reply::{Length, Reply};
use limpet_http::runtime::Content;
use limpet_http::variables::argument;
use limpet_log::LogLevel;
use limpet_upstream::check::is_probed;
use limpet_upstream::{Kept, Upstream};

use crate::module::{self, Spot};
use crate::site::{BuildError, Site};

/// How `check_status` shows the servers where the request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFormat {
    Html,
    Csv,
    Json,
    Prometheus,
}

impl StatusFormat {
    pub fn from_word(word: &[u8]) -> Option<StatusFormat> {
        match word {
            b"html" => Some(StatusFormat::Html),
            b"csv" => Some(StatusFormat::Csv),
            b"json" => Some(StatusFormat::Json),
            b"prometheus" => Some(StatusFormat::Prometheus),
            _ => None,
        }
    }
}

/// One `check_status`.
#[derive(Debug)]
pub struct CheckStatus {
    /// Where the request names none.
    pub format: StatusFormat,
}

impl module::Content for CheckStatus {
    fn build(&self, site: &Site<'_>, _: &Spot<'_>) -> Result<Content, BuildError> {
        let (format, kept) = (self.format, Arc::clone(&site.shared.kept));
        let page = move |request: &mut Request| {
            let (reply, body) = answer(request, format, &kept);
            Decision::local(reply, body)
        };
        Ok(Content::Module(Box::new(page)))
    }
}

/// A probed server.
struct Row {
    /// Its place among all of them.
    index: usize,
    upstream: String,
    name: String,
    up: bool,
    rise: u32,
    fall: u32,
    kind: &'static str,
    /// 0: the server's own.
    port: u16,
}

/// Answers a GET or HEAD.
fn answer(request: &Request, format: StatusFormat, kept: &Kept) -> (Reply, Vec<u8>) {
    if !request.wants_content() {
        return Reply::error_page(request, 405);
    }
    let mut rows = rows(&kept.current());
    let bad = |name: &str, value: &[u8]| {
        let value = String::from_utf8_lossy(value);
        request.log_error(LogLevel::Error, &format!("check_status: bad argument \"{name}={value}\" is ignored"));
    };
    let mut format = format;
    let args = request.args.as_deref().unwrap_or_default();
    if let Some(value) = argument(args, b"format") {
        match StatusFormat::from_word(value) {
            Some(chosen) => format = chosen,
            None => bad("format", value),
        }
    }
    if let Some(value) = argument(args, b"status") {
        match value.to_ascii_lowercase().as_slice() {
            b"up" => rows.retain(|row| row.up),
            b"down" => rows.retain(|row| !row.up),
            _ => bad("status", value),
        }
    }
    let generation = kept.generation();
    let (media_type, body) = match format {
        StatusFormat::Html => ("text/html; charset=utf-8", html(&rows, generation)),
        StatusFormat::Csv => ("text/plain", csv(&rows)),
        StatusFormat::Json => ("application/json", json(&rows, generation)),
        StatusFormat::Prometheus => ("text/plain", prometheus(&rows, generation)),
    };
    let mut reply = Reply::new(200);
    reply.content_type = Some(media_type.into());
    reply.length = Length::Known(body.len() as u64);
    reply.line(b"Cache-Control", b"no-store");
    (reply, body.into_bytes())
}

/// The probed servers in the order of the file; of an upstream the backups last.
fn rows(upstreams: &[Arc<Upstream>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for upstream in upstreams {
        let Some(rules) = &upstream.rules else { continue };
        let members = upstream.members.load();
        let is_backup = |place: usize| members.group.server(place).is_some_and(|server| server.backup);
        for backup in [false, true] {
            let of_tier = |place: &usize| is_probed(&members, *place) && is_backup(*place) == backup;
            for backend in (0..members.backends.len()).filter(of_tier).filter_map(|place| members.backends.get(place)) {
                let (rise, fall) = backend.state.rise_and_fall();
                rows.push(Row {
                    index: rows.len(),
                    upstream: upstream.name.to_string(),
                    name: backend.name.to_string(),
                    up: backend.state.passes(),
                    rise,
                    fall,
                    kind: rules.check.kind.word(),
                    port: rules.check.port.unwrap_or(0),
                });
            }
        }
    }
    rows
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

fn up(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.up).count()
}

fn csv(rows: &[Row]) -> String {
    rows.iter().fold(String::new(), |mut out, row| {
        let Row { index, upstream, name, rise, fall, kind, port, .. } = row;
        let _ = writeln!(out, "{index},{upstream},{name},{},{rise},{fall},{kind},{port}", word(row.up));
        out
    })
}

fn json(rows: &[Row], generation: u64) -> String {
    let (total, up) = (rows.len(), up(rows));
    let mut out = format!(
        "{{\"servers\": {{\n  \"total\": {total},\n  \"up\": {up},\n  \"down\": {},\n  \"generation\": {generation},\n  \"server\": [\n",
        total - up
    );
    for (at, row) in rows.iter().enumerate() {
        let Row { index, rise, fall, kind, port, .. } = row;
        let (upstream, name) = (quoted(&row.upstream), quoted(&row.name));
        let comma = if at + 1 == total { "" } else { "," };
        let _ = writeln!(
            out,
            "    {{\"index\": {index}, \"upstream\": {upstream}, \"name\": {name}, \"status\": \"{}\", \"rise\": {rise}, \
             \"fall\": {fall}, \"type\": \"{kind}\", \"port\": {port}}}{comma}",
            word(row.up)
        );
    }
    out.push_str("  ]\n}}\n");
    out
}

/// A JSON string, which is one for Prometheus as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn prometheus(rows: &[Row], generation: u64) -> String {
    let (total, up) = (rows.len(), up(rows));
    let mut out = String::new();
    for (name, help, value) in [
        ("count_total", "total number of servers", total as u64),
        ("count_up", "total number of servers that are UP", up as u64),
        ("count_down", "total number of servers that are DOWN", (total - up) as u64),
        ("count_generation", "generation", generation),
    ] {
        let _ = write!(
            out,
            "# HELP nginx_upstream_{name} Nginx {help}\n# TYPE nginx_upstream_{name} gauge\nnginx_upstream_{name} {value}\n"
        );
    }
    for (metric, help, kind) in [
        ("server_rise", "rise counter", "counter"),
        ("server_fall", "fall counter", "counter"),
        ("server_active", "active 1 for UP / 0 for DOWN", "gauge"),
    ] {
        let _ = write!(out, "# HELP nginx_upstream_{metric} Nginx {help}\n# TYPE nginx_upstream_{metric} {kind}\n");
        for row in rows {
            let Row { index, kind, port, .. } = row;
            let (upstream, name) = (quoted(&row.upstream), quoted(&row.name));
            let (status, value) = match metric {
                "server_rise" => (format!("status=\"{}\",", word(row.up)), row.rise),
                "server_fall" => (format!("status=\"{}\",", word(row.up)), row.fall),
                _ => (String::new(), u32::from(row.up)),
            };
            let _ = writeln!(
                out,
                "nginx_upstream_{metric}{{index=\"{index}\",upstream={upstream},name={name},{status}type=\"{kind}\",\
                 port=\"{port}\"}} {value}"
            );
        }
    }
    out
}

fn html(rows: &[Row], generation: u64) -> String {
    let (total, up) = (rows.len(), up(rows));
    let mut out = String::from(PAGE);
    let down = total - up;
    let _ = writeln!(
        out,
        "<p class=\"sum\"><b>{total}</b> servers, <b class=\"up\">{up}</b> up, <b class=\"{}\">{down}</b> down \
         <small>generation {generation}</small></p>",
        if down == 0 { "" } else { "down" }
    );
    let mut last = None;
    for row in rows {
        if last != Some(&row.upstream) {
            if last.is_some() {
                out.push_str("</table>\n");
            }
            let _ = writeln!(
                out,
                "<h2>{}</h2>\n<table><tr><th>server<th>state<th>passed<th>failed<th>check<th>port",
                escaped(&row.upstream)
            );
            last = Some(&row.upstream);
        }
        let Row { rise, fall, kind, port, .. } = row;
        let state = word(row.up);
        let port = if *port == 0 { "own".to_owned() } else { port.to_string() };
        let name = escaped(&row.name);
        let _ =
            writeln!(out, "<tr class=\"{state}\"><td>{name}<td><i></i>{state}<td>{rise}<td>{fall}<td>{kind}<td>{port}");
    }
    out.push_str(if last.is_some() { "</table>\n" } else { "<p>No upstream has a <code>check</code>.</p>\n" });
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// The page asks for itself every two seconds and shows what has changed; without scripts it is loaded anew every five.
const PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Upstream check status</title>
<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>
<style>
:root { color-scheme: light dark; --up: #1a7f37; --down: #cf222e; --line: #8884 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: normal; opacity: .6 }
td { font-variant-numeric: tabular-nums }
i { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .5rem; background: var(--up) }
tr.down i { background: var(--down) } tr.down td { color: var(--down) }
b.up { color: var(--up) } b.down { color: var(--down) }
small { opacity: .6; margin-left: 1rem }
main.stale { opacity: .4 }
</style>
<script>
setInterval(async () => {
  const shown = document.querySelector('main');
  try {
    const page = await (await fetch(location.href, { cache: 'no-store' })).text();
    const next = new DOMParser().parseFromString(page, 'text/html').querySelector('main');
    next ? shown.replaceWith(next) : shown.classList.add('stale');
  } catch { shown.classList.add('stale'); }
}, 2000);
</script>
</head>
<body>
<h1>Upstream check status</h1>
<main>
";
