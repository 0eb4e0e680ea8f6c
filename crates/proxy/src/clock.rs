//! The time as nginx keeps it: read once for each thing that happens, not for each question, and its texts made once a
//! second and thread.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local};

thread_local! {
    static NOW: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    /// What the wall clock said when it was asked last.
    static WALL: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    static TEXTS: RefCell<Texts> = RefCell::default();
}

/// Reads the clocks: something has happened on this thread.
pub fn tick() -> Instant {
    read().0
}

/// The wall clock is asked once a second; in between it goes as the other one does.
fn read() -> (Instant, Duration) {
    let instant = Instant::now();
    let unix_time = match WALL.get() {
        Some((asked, told)) if instant.saturating_duration_since(asked) < Duration::from_secs(1) => {
            told + instant.saturating_duration_since(asked)
        }
        _ => {
            let told = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            WALL.set(Some((instant, told)));
            told
        }
    };
    NOW.set(Some((instant, unix_time)));
    (instant, unix_time)
}

/// The time of the last [`tick`] on this thread.
pub fn instant() -> Instant {
    NOW.get().unwrap_or_else(read).0
}

/// Time since 1970, as of the last [`tick`].
pub fn unix_time() -> Duration {
    NOW.get().unwrap_or_else(read).1
}

/// Whole seconds since 1970.
pub fn unix_seconds() -> i64 {
    unix_time().as_secs() as i64
}

/// Milliseconds of a clock that only goes forward, for what is counted about servers. It begins far enough from 0 for any
/// `fail_timeout` to have passed.
pub fn steady_milliseconds() -> i64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    const BEGIN: i64 = i64::MAX / 4;
    BEGIN + instant().saturating_duration_since(*START).as_millis() as i64
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
            let time = UNIX_EPOCH + Duration::from_secs(now as u64);
            let local = DateTime::<Local>::from(time);
            *texts = Texts {
                second: now,
                http: httpdate::fmt_http_date(time),
                error_log: local.format("%Y/%m/%d %H:%M:%S").to_string(),
                local: local.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
                iso8601: local.format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            };
        }
        take(texts)
    })
}
