//! The date format of a cookie's `Expires`, as nginx writes it.

use std::io::Write;

const SECONDS_PER_DAY: i64 = 86_400;
/// The last second of the year 9999: what a year of four digits can say.
const LAST: i64 = 253_402_300_799;

/// Appends `Fri, 20-Nov-26 06:10:16 GMT`: two digits of the year until 2037, four after. Times before 1970 and after
/// 9999 are moved to those bounds.
pub fn append(out: &mut Vec<u8>, unix_seconds: i64) {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = unix_seconds.clamp(0, LAST);
    let (days, second) = (time / SECONDS_PER_DAY, time % SECONDS_PER_DAY);
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS.get((days % 7) as usize).copied().unwrap_or_default();
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let year = if year > 2037 { year } else { year % 100 };
    // Writing to a Vec can't fail.
    let _ = write!(out, "{weekday}, {day:02}-{month}-{year:02} {hour:02}:{minute:02}:{second:02} GMT");
}

/// Year, month from 0 and day of the month of a day counted from 1970-01-01 (the proleptic Gregorian calendar, by years
/// that begin in March so that the leap day is the last one).
#[allow(clippy::arithmetic_side_effects, reason = "the days are those of the years 1970 to 9999")]
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = year_of_era + era * 400 + i64::from(march_month >= 10);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(time: i64) -> String {
        let mut out = Vec::new();
        append(&mut out, time);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_year_has_two_digits_until_2037_and_four_after() {
        assert_eq!(date(1_795_155_016), "Fri, 20-Nov-26 06:10:16 GMT");
        assert_eq!(date(2_145_916_799), "Thu, 31-Dec-37 23:59:59 GMT");
        assert_eq!(date(2_145_916_800), "Fri, 01-Jan-2038 00:00:00 GMT");
    }

    #[test]
    fn leap_days_and_the_bounds_are_right() {
        assert_eq!(date(0), "Thu, 01-Jan-70 00:00:00 GMT");
        assert_eq!(date(951_782_400), "Tue, 29-Feb-00 00:00:00 GMT");
        assert_eq!(date(4_107_542_400), "Mon, 01-Mar-2100 00:00:00 GMT");
        assert_eq!(date(i64::MAX), "Fri, 31-Dec-9999 23:59:59 GMT");
        assert_eq!(date(-1), date(0));
    }
}
