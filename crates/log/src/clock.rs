//! The time as nginx keeps it: read once for each thing that happens, not for each question, and its texts made once a
//! second and thread.

use std::cell::{Cell, RefCell};
use std::ops::Add;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

thread_local! {
    static NOW: Cell<Option<Moment>> = const { Cell::new(None) };
    /// What the wall clock said when it was asked last.
    static WALL: Cell<Option<(Moment, Duration)>> = const { Cell::new(None) };
    static TEXTS: RefCell<Texts> = RefCell::default();
}

/// A point in time: nanoseconds of a clock that only goes forward, since this process first looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The time between an earlier moment and this one; none if it is not earlier.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub fn nanoseconds(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Reads the clock: something has happened on this thread.
pub fn tick() -> Moment {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let now = Moment(START.elapsed().as_nanos() as u64);
    NOW.set(Some(now));
    now
}

/// The time of the last [`tick`] on this thread.
pub fn now() -> Moment {
    NOW.get().unwrap_or_else(tick)
}

/// Time since 1970, as of the last [`tick`]. The wall clock is asked once a second; in between it goes as the other one
/// does.
pub fn unix_time() -> Duration {
    let now = now();
    match WALL.get() {
        Some((asked, told)) if now.since(asked) < Duration::from_secs(1) => told + now.since(asked),
        _ => {
            let now = tick();
            let told = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            WALL.set(Some((now, told)));
            told
        }
    }
}

/// Whole seconds since 1970.
pub fn unix_seconds() -> i64 {
    unix_time().as_secs() as i64
}

/// Milliseconds of a clock that only goes forward, for what is counted about servers. It begins far enough from 0 for any
/// `fail_timeout` to have passed.
pub fn steady_milliseconds() -> i64 {
    const BEGIN: i64 = i64::MAX / 4;
    BEGIN + (now().0 / 1_000_000) as i64
}

/// One second in the notations that headers and logs want.
#[derive(Default)]
pub struct Texts {
    second: i64,
    /// `Fri, 20 Nov 2026 06:10:16 GMT`
    pub http: String,
    /// `2026/11/20 06:10:16`, local time
    pub error_log: String,
    /// `20/Nov/2026:06:10:16 +0000`, local time
    pub local: String,
    /// `2026-11-20T06:10:16+00:00`, local time
    pub iso8601: String,
}

/// Hands out the texts of the present second.
pub fn with_texts<R>(take: impl FnOnce(&Texts) -> R) -> R {
    TEXTS.with_borrow_mut(|texts| {
        let now = unix_seconds();
        if texts.second != now {
            let time = Timestamp::from_second(now).unwrap_or_default();
            let local = time.to_zoned(TimeZone::system());
            *texts = Texts {
                second: now,
                http: time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
                error_log: local.strftime("%Y/%m/%d %H:%M:%S").to_string(),
                local: local.strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
                iso8601: local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            };
        }
        take(texts)
    })
}

/// The present second as `Thursday, 26-Nov-2026 03:14:35 UTC`, in local time or in that of Greenwich.
pub fn long_date(is_local: bool) -> String {
    let time = Timestamp::from_second(unix_seconds()).unwrap_or_default();
    match is_local {
        true => time.to_zoned(TimeZone::system()).strftime("%A, %d-%b-%Y %H:%M:%S %Z").to_string(),
        false => time.strftime("%A, %d-%b-%Y %H:%M:%S GMT").to_string(),
    }
}
