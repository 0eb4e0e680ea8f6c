//! Small and large upstreams: what a choice costs, what a request costs, and what checks cost.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use limpet_balance::{Ask, Choice, Group, Method, Server as Entry, Tried, Until};

use crate::cores::nanoseconds_of;
use crate::processes::{backends, limpet_with, nginx_with};
use crate::traffic::{Figures, cookie, in_turns, median, requests};

const COUNTS: [usize; 3] = [2, 1000, 10_000];

fn address(n: usize, port: u16) -> String {
    format!("127.1.{}.{}:{port}", n / 200, n % 200 + 1)
}

pub fn choices(page: &mut String) {
    let _ = writeln!(page, "## Choosing a server\n\nNanoseconds of a choice, by method and number of servers (weights 1 to 3).\n");
    let _ = writeln!(page, "| method | 2 | 1,000 | 10,000 |\n|---|---|---|---|");
    for (name, method) in [
        ("round robin", Method::RoundRobin),
        ("vnswrr", Method::Vnswrr),
        ("iwrr", Method::Iwrr),
        ("ip_hash", Method::AddressHash),
        ("hash", Method::Hash),
        ("hash consistent", Method::Ketama),
        ("consistent_hash", Method::Consistent),
        ("random", Method::Random),
        ("random two", Method::RandomTwo),
        ("least_conn", Method::LeastConn),
        ("least_time header", Method::LeastTime { until: Until::Header, inflight: false }),
    ] {
        let figures = COUNTS.map(|count| format!("{:.0}", choice(method, count)));
        let _ = writeln!(page, "| {name} | {} |", figures.join(" | "));
    }
    let figures = COUNTS.map(|count| {
        let group = group(Method::RoundRobin, count);
        let mut turn = (0..count).cycle();
        let session = || {
            let index = turn.next().unwrap_or_default();
            if group.visit(index, &Tried::default(), 0) == Choice::Usable {
                group.finished(index);
            }
        };
        format!("{:.0}", nanoseconds_of(100_000, session))
    });
    let _ = writeln!(page, "| a session's server | {} |\n", figures.join(" | "));
}

fn group(method: Method, count: usize) -> Group {
    let entry = |n: usize| {
        let name = address(n, 80).into_boxed_str();
        (Entry { text: name.clone(), name, weight: n as u32 % 3 + 1, ..Entry::default() }, Arc::default())
    };
    Group::new(method, (0..count).map(entry).collect())
}

fn choice(method: Method, count: usize) -> f64 {
    let group = group(method, count);
    let (mut progress, tried) = (group.progress(1), Tried::default());
    let keys: Vec<[u8; 3]> = (0..1000_u32).map(|n| [10, (n >> 4) as u8, n as u8]).collect();
    let mut turn = keys.iter().cycle();
    // Methods that look at every server are slow enough to be told by fewer calls.
    let walks = matches!(method, Method::LeastConn | Method::LeastTime { .. });
    let calls = if walks { (20_000_000 / count as u32 / 100).clamp(100, 100_000) } else { 100_000 };
    nanoseconds_of(calls, || {
        let key = turn.next().map_or(&b""[..], |key| key.as_slice());
        let index = group.next(&mut progress, &Ask { key, tried: &tried, now: 1_000_000_000 });
        index.map(|index| group.finished(index))
    })
}

pub fn traffic(page: &mut String) {
    const SESSIONS: usize = 15;
    const NEW: usize = 5;
    let origin = backends();
    let _ = writeln!(
        page,
        "## Large upstreams\n\nThe 19 bytes again, with as many servers; CPU µs per request. One session: {SESSIONS} rounds of a second, the \
         counts taking turns; the ratio is the median of the rounds' ratios. New clients come without a cookie, so each goes to \
         another server; nginx has the same servers and no sessions; {NEW} rounds.\n"
    );
    let _ = writeln!(page, "| servers | limpet, one session | to 2 servers | nginx | limpet, new clients | to nginx |\n|---|---|---|---|---|---|");
    let servers = COUNTS.map(|count| (0..count).map(|n| format!("server {};\n", address(n, origin.port))).collect::<String>());
    // New clients leave tens of thousands of closed connections behind, which the kernel counts against whoever comes
    // next: sessions first.
    let limpets = servers.each_ref().map(|servers| limpet_with(servers));
    let cookies = limpets.each_ref().map(|limpet| cookie(limpet.port, "19"));
    let sessions = in_turns(SESSIONS, COUNTS.len(), |at| requests(&limpets[at], "19", &cookies[at]));
    for (at, servers) in servers.iter().enumerate() {
        let pair = [nginx_with(servers), limpet_with(servers)];
        let new = in_turns(NEW, pair.len(), |at| requests(&pair[at], "19", "none=1"));
        let cpu = |figures: &[Figures]| median(figures.iter().map(|figures| figures.cpu()));
        let ratio = |figures: &[Figures], others: &[Figures]| {
            median(figures.iter().zip(others).map(|(figures, others)| figures.cpu() / others.cpu()))
        };
        let _ = writeln!(
            page,
            "| {} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2} |",
            COUNTS[at],
            cpu(&sessions[at]),
            ratio(&sessions[at], &sessions[0]),
            cpu(&new[0]),
            cpu(&new[1]),
            ratio(&new[1], &new[0])
        );
    }
    page.push('\n');
}

/// The share of a core that checks take.
pub fn checks(page: &mut String) {
    const SECONDS: u64 = 15;
    // By then every server has had its first two probes, which come sooner.
    const WARM: u64 = 7;
    let origin = backends();
    let servers: String = (0..1000).map(|n| format!("server {};\n", address(n, origin.port))).collect();
    let _ = writeln!(page, "## Checks\n\n1,000 servers, each probed every 3 s.\n\n| type | share of a core |\n|---|---|");
    for kind in ["tcp", "http"] {
        let limpet = limpet_with(&format!("{servers} check interval=3000 rise=1 fall=2 type={kind};"));
        let spent = || {
            let (user, system) = limpet.cpu();
            user + system
        };
        std::thread::sleep(Duration::from_secs(WARM));
        let before = spent();
        std::thread::sleep(Duration::from_secs(SECONDS));
        let share = (spent() - before) / (SECONDS as f64 * 1_000_000.0);
        let _ = writeln!(page, "| {kind} | {:.1} % |", share * 100.0);
    }
    page.push('\n');
}
