//! How long a server takes to answer, for `least_time`.
//!
//! Times are in milliseconds. The averages and the estimate are those of `ngx_http_upstream_least_time_module`.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// Moving averages over the last answers. Workers write them without agreeing on an order: an update that is lost moves
/// an average by a twentieth less.
#[derive(Debug, Default)]
pub(crate) struct Times {
    header: AtomicU64,
    whole: AtomicU64,
    /// Requests that are with the server, as far as `inflight` counts them.
    flying: AtomicU64,
    /// What those have waited in sum, as of `changed`.
    waited: AtomicI64,
    changed: AtomicI64,
    /// Average of what they had waited whenever somebody looked.
    waiting: AtomicU64,
}

/// Which time `least_time` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The response's head.
    Header,
    /// The last byte of its body.
    LastByte,
}

/// From here on servers are equally bad.
const MOST: u64 = 5000;
/// Times are as good as equal within such a span.
const CLUSTER: u64 = 20;

impl Times {
    pub(crate) fn answered(&self, header: u64) {
        average(&self.header, header);
    }

    pub(crate) fn completed(&self, whole: u64) {
        average(&self.whole, whole);
    }

    /// A request flies to the server.
    pub(crate) fn launched(&self, now: i64) {
        let flying = self.flying.fetch_add(1, Relaxed) as i64;
        let since = now - self.changed.swap(now, Relaxed);
        self.waited.fetch_add(since * flying, Relaxed);
    }

    /// One of them has its answer, after `took`.
    pub(crate) fn landed(&self, took: u64, now: i64) {
        let one_less = |flying: u64| Some(flying.saturating_sub(1));
        let flying = self.flying.fetch_update(Relaxed, Relaxed, one_less).unwrap_or(0) as i64;
        let since = now - self.changed.swap(now, Relaxed);
        if flying <= 1 {
            self.waited.store(0, Relaxed);
        } else {
            self.waited.fetch_add(since * flying - took as i64, Relaxed);
        }
    }

    /// Looks at those that are in flight.
    pub(crate) fn look(&self, now: i64) {
        let flying = self.flying.load(Relaxed) as i64;
        if flying > 0 {
            let each = self.waited.load(Relaxed) / flying + now - self.changed.load(Relaxed);
            average(&self.waiting, each.max(0) as u64);
        }
    }

    /// How long the server will be busy with what it has and one request more. Every `fail_timeout` that has passed
    /// since it was last tried halves its time, so that slow servers get another chance.
    pub(crate) fn estimate(&self, until: Until, quiet: i64, fail_timeout: i64, connections: u32) -> u64 {
        let mut time = match until {
            Until::Header => self.header.load(Relaxed),
            Until::LastByte => self.whole.load(Relaxed),
        };
        time >>= (quiet / fail_timeout.saturating_add(1)).clamp(0, 63);
        if self.flying.load(Relaxed) > 0 {
            time = time.max(self.waiting.load(Relaxed));
        }
        let time = if time > MOST { MOST } else { time + CLUSTER - time % CLUSTER };
        time * (1 + u64::from(connections))
    }
}

/// A twentieth of the new value.
fn average(average: &AtomicU64, value: u64) {
    let old = average.load(Relaxed);
    let new = if old == 0 { value } else { (old * 19 + value + 10) / 20 };
    average.store(new, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_counts_whole_and_later_ones_a_twentieth() {
        let times = Times::default();
        times.answered(100);
        assert_eq!(times.header.load(Relaxed), 100);
        times.answered(300);
        assert_eq!(times.header.load(Relaxed), 110);
    }

    #[test]
    fn an_estimate_grows_with_time_and_connections_in_clusters_of_20_ms() {
        let times = Times::default();
        times.completed(45);
        assert_eq!(times.estimate(Until::LastByte, 0, 10, 0), 60);
        assert_eq!(times.estimate(Until::LastByte, 0, 10, 2), 180);
        assert_eq!(times.estimate(Until::Header, 0, 10, 0), 20);
        times.answered(100_000);
        assert_eq!(times.estimate(Until::Header, 0, 10, 0), 5000);
    }

    #[test]
    fn a_server_that_nobody_asked_for_long_gets_another_chance() {
        let times = Times::default();
        times.answered(1000);
        assert_eq!(times.estimate(Until::Header, 10, 10, 0), 1020);
        assert_eq!(times.estimate(Until::Header, 22, 10, 0), 260);
        assert_eq!(times.estimate(Until::Header, i64::MAX / 4, 10, 0), 20);
    }

    #[test]
    fn requests_that_wait_longer_than_the_average_make_a_server_look_slow() {
        let times = Times::default();
        times.answered(10);
        times.launched(0);
        times.launched(100);
        times.look(1000);
        assert_eq!(times.estimate(Until::Header, 0, 10, 0), 960);
        times.landed(1000, 1000);
        times.landed(900, 1000);
        assert_eq!(times.estimate(Until::Header, 0, 10, 0), 20);
    }
    #[test]
    fn every_fail_timeout_of_quiet_halves_the_time() {
        let times = Times::default();
        times.answered(1000);
        for (quiet, fail_timeout, expected) in
            [(10, 10, 1020), (11, 10, 520), (21, 10, 520), (22, 10, 260), (0, 0, 1020), (1, 0, 520), (-30, 10, 1020)]
        {
            assert_eq!(times.estimate(Until::Header, quiet, fail_timeout, 0), expected, "{quiet} of {fail_timeout}");
        }
    }

    #[test]
    fn times_are_rounded_up_until_all_servers_are_equally_bad() {
        // The next cluster begins at its first millisecond, that of 5000 as well.
        for (time, expected) in [(19, 20), (20, 40), (4999, 5000), (5000, 5020), (5001, 5000), (9999, 5000)] {
            let times = Times::default();
            times.answered(time);
            assert_eq!(times.estimate(Until::Header, 0, 10, 0), expected, "{time}");
        }
    }

    #[test]
    fn what_requests_in_flight_have_waited_is_what_it_is_for_each() {
        let waiting = |times: &Times, now| {
            times.waiting.store(0, Relaxed);
            times.look(now);
            times.waiting.load(Relaxed)
        };
        let times = Times::default();
        [1000, 1100, 1200].into_iter().for_each(|now| times.launched(now));
        assert_eq!(waiting(&times, 1300), (300 + 200 + 100) / 3);
        times.landed(300, 1300);
        assert_eq!(waiting(&times, 1400), (300 + 200) / 2);
        times.landed(250, 1350);
        assert_eq!(waiting(&times, 1400), 200);
        // With the last one goes whatever the times of others may have left.
        times.landed(7, 1400);
        times.launched(2000);
        assert_eq!(waiting(&times, 2010), 10);
    }
}
