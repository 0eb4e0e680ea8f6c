//! `make bench`: what limpet costs, side by side with nginx and HAProxy in the same run. Ratios travel between machines,
//! microseconds do not.

mod cores;
mod memory;
mod processes;
mod streams;
mod tls;
mod traffic;
mod upstreams;

use std::fmt::Write;
use std::path::Path;

/// What measures a part of the page and writes it, with the word it is called by.
type Section = (&'static str, fn(&mut String));

/// The parts of the page, by the words that measure one of them alone and write no page. Those that leave many closed
/// connections behind come last.
const SECTIONS: [Section; 9] = [
    ("requests", traffic::measure),
    ("instructions", traffic::instructions),
    ("memory", memory::measure),
    ("tls", tls::measure),
    ("streams", streams::measure),
    ("cores", cores::measure),
    ("choices", upstreams::choices),
    ("checks", upstreams::checks),
    ("upstreams", upstreams::traffic),
];

fn main() {
    let mut page = String::from(INTRODUCTION);
    let machine = machine();
    let _ = writeln!(page, "Measured on {machine}.\n");
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    for (name, measure) in SECTIONS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            measure(&mut page);
        }
    }
    print!("{page}");
    if chosen.is_empty() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/performance.md");
        std::fs::write(&path, page).expect("docs/performance.md is written");
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("an unknown CPU", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {model}")
}

const INTRODUCTION: &str = "\
# Performance

Written by `make bench`. Every figure of a table comes from one run on one machine, the servers taking turns, so the ratios
mean something and the rest is scale. All proxies run one worker, keep connections on both sides, and write no access log.
limpet runs `session_sticky` and is asked by clients that have a session, HAProxy `cookie … insert` likewise, nginx is a
plain proxy. The backend is an nginx. CPU is user and system time of the proxy's process.

";
