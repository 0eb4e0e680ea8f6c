//! The pure parts alone: the session engine, and loading a large file.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use limpet_sticky::{Limits, Policy, PolicySettings, SidTable, read, sid, write};

pub fn measure(page: &mut String) {
    engine(page);
    loading(page);
}

/// Nanoseconds of one call, the best of several samples: the least disturbed one.
pub fn nanoseconds<R>(call: impl FnMut() -> R) -> f64 {
    nanoseconds_of(200_000, call)
}

/// The same with another number of calls in a sample.
pub fn nanoseconds_of<R>(calls: u32, mut call: impl FnMut() -> R) -> f64 {
    let sample = |call: &mut dyn FnMut()| {
        let begun = Instant::now();
        for _ in 0..calls {
            call();
        }
        begun.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..7).map(|_| sample(&mut || drop(black_box(call())))).fold(f64::INFINITY, f64::min)
}

fn engine(page: &mut String) {
    let _ = writeln!(page, "## The session engine\n\nReading a session from a Cookie header of three pairs, and writing a cookie.\n");
    let _ = writeln!(page, "| servers | read, ns | read with timestamps, ns | write, ns |\n|---|---|---|---|");
    let plain = Policy::new(&PolicySettings::default());
    let stamped = Policy::new(&PolicySettings { limits: Some(Limits { maxidle: 1800, maxlife: 28_800 }), ..PolicySettings::default() });
    let engines = [2, 100, 10_000].map(Engine::new);
    let mut best = engines.each_ref().map(|_| [f64::INFINITY; 3]);
    // In turns, since a machine that others use as well is slow for seconds at a time.
    for _ in 0..5 {
        for (engine, best) in engines.iter().zip(&mut best) {
            let sid = sid::md5(b"10.0.0.0:80");
            let measured = [
                engine.reading(&plain, &engine.bare),
                engine.reading(&stamped, &engine.with_times),
                nanoseconds(|| write::set_cookie(black_box(&stamped), &sid, 1_800_000_000, 1_799_990_000, false)),
            ];
            for (best, measured) in best.iter_mut().zip(measured) {
                *best = best.min(measured);
            }
        }
    }
    for (engine, [read_plain, read_stamped, written]) in engines.iter().zip(best) {
        let _ = writeln!(page, "| {} | {read_plain:.0} | {read_stamped:.0} | {written:.0} |", engine.bare.len());
    }
    page.push('\n');
}

/// So many servers, and a Cookie header for each.
struct Engine {
    table: SidTable,
    bare: Vec<String>,
    with_times: Vec<String>,
}

impl Engine {
    fn new(count: usize) -> Self {
        let sid = |n: usize| sid::md5(format!("10.0.{}.{}:80", n / 256, n % 256).as_bytes());
        let mut table = SidTable::default();
        for n in 0..count {
            let _ = table.insert(&sid(n), n);
        }
        let headers = |times: &str| -> Vec<String> {
            (0..count).map(|n| format!("theme=dark; route={}{times}; lang=en", String::from_utf8_lossy(&sid(n)))).collect()
        };
        Engine { table, bare: headers(""), with_times: headers("|1799999990|1799990000") }
    }

    /// Every call asks for another server, as clients do.
    fn reading(&self, policy: &Policy, headers: &[String]) -> f64 {
        let mut next = headers.iter().cycle();
        nanoseconds(|| {
            let header = next.next().map_or("", String::as_str);
            read(policy, [header.as_bytes()], 1_800_000_000, |sid, _| self.table.find(sid)) == limpet_sticky::FoundSession::None
        })
    }
}

/// What `limpet -t` takes with a large file: reading, checking and building all that a start builds.
fn loading(page: &mut String) {
    let servers: String = (0..10_000).map(|n| format!("server 10.0.{}.{}:80 weight=2;\n", n / 256, n % 256)).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = |servers: &str| {
        format!("events {{}} http {{ upstream u {{ {servers} session_sticky; }} server {{ listen 127.0.0.1:1; location / {{ proxy_pass http://u; }} }} }}")
    };
    let time = |name: &str, text: &str| -> Duration {
        std::fs::write(folder.path().join(name), text).expect("a configuration");
        let run = || {
            let begun = Instant::now();
            let mut command = Command::new(crate::processes::limpet_binary());
            command.arg("-t").arg("-p").arg(folder.path()).args(["-q", "-c", name]);
            assert!(command.status().is_ok_and(|status| status.success()));
            begun.elapsed()
        };
        (0..5).map(|_| run()).min().unwrap_or_default()
    };
    let small = time("small.conf", &upstream("server 10.0.0.1:80;"));
    let large = time("large.conf", &upstream(&servers));
    let _ = writeln!(
        page,
        "## Loading\n\n`limpet -t` with an upstream of 10,000 servers takes {} ms, with one server {} ms.\n",
        large.as_millis(),
        small.as_millis()
    );
}
