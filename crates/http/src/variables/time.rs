//! The time in many forms.

use std::ops::Range;

use limpet_log::clock;
use limpet_text::Registry;

use super::{number, seconds, text};
use crate::Request;

/// A part of `2026-11-26T03:14:35+00:00`.
fn time_part(part: TimePart, time: &str) -> String {
    let digits = |range: Range<usize>| time.get(range).unwrap_or_default().to_owned();
    match part {
        TimePart::Year => digits(0..4),
        TimePart::ShortYear => digits(2..4),
        TimePart::Month => digits(5..7),
        TimePart::Day => digits(8..10),
        TimePart::Hour => digits(11..13),
        TimePart::Hour12 => match digits(11..13).parse::<u32>() {
            Ok(hour) => format!("{:02}", (hour + 11) % 12 + 1),
            Err(_) => String::new(),
        },
        TimePart::Minute => digits(14..16),
        TimePart::Second => digits(17..19),
    }
}

#[derive(Debug, Clone, Copy)]
enum TimePart {
    Year,
    ShortYear,
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
}

pub(super) fn add(registry: &mut Registry<Request>) {
    registry.add("date_gmt", |_: &Request, out: &mut Vec<u8>| text(out, clock::long_date(false).as_bytes()));
    registry.add("date_local", |_: &Request, out: &mut Vec<u8>| text(out, clock::long_date(true).as_bytes()));
    registry.add("msec", |_: &Request, out: &mut Vec<u8>| seconds(out, clock::unix_time()));
    registry
        .add("time_http", |_: &Request, out: &mut Vec<u8>| clock::with_texts(|texts| text(out, texts.http.as_bytes())));
    registry.add("time_iso8601", |_: &Request, out: &mut Vec<u8>| {
        clock::with_texts(|texts| text(out, texts.iso8601.as_bytes()))
    });
    registry.add("time_local", |_: &Request, out: &mut Vec<u8>| {
        clock::with_texts(|texts| text(out, texts.local.as_bytes()))
    });
    registry.add("unix_time", |_: &Request, out: &mut Vec<u8>| number(out, clock::unix_time().as_secs()));
    // Parts of the local time (Tengine).
    for (name, part) in [
        ("year", TimePart::Year),
        ("year2", TimePart::ShortYear),
        ("month", TimePart::Month),
        ("day", TimePart::Day),
        ("hour", TimePart::Hour),
        ("hour12", TimePart::Hour12),
        ("minute", TimePart::Minute),
        ("second", TimePart::Second),
    ] {
        registry.add(name, move |_: &Request, out: &mut Vec<u8>| {
            clock::with_texts(|texts| text(out, time_part(part, &texts.iso8601).as_bytes()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_has_parts() {
        let part = |part| time_part(part, "2026-11-26T00:14:35+00:00");
        assert_eq!((part(TimePart::Year), part(TimePart::ShortYear)), ("2026".into(), "26".into()));
        assert_eq!((part(TimePart::Hour), part(TimePart::Hour12)), ("00".into(), "12".into()));
        assert_eq!(time_part(TimePart::Hour12, "2026-11-26T13:14:35+00:00"), "01");
    }
}
