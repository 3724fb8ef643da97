//! Days counted from 4714-11-24 BC, which is Julian day 0, and the weeks of ISO 8601.
//!
//! **Vocabulary.** Year 0 is 1 BC. A *week day* is 0 on Sunday, and 1 to 7 from Monday to Sunday for ISO 8601, whose week 1 has the year's
//! first Thursday in it.
//!
//! **Guarantees.** The answers are PostgreSQL's for every month and day, also for those that no year has: templates take the fields of
//! intervals for dates, and read numbers that they check afterwards. Arithmetic wraps around in 32 bits, as PostgreSQL's does.

/// 1970-01-01.
pub(super) const UNIX_EPOCH: i64 = 2_440_588;

/// The Julian day of a date.
pub(super) fn day_of(year: i32, month: i32, day: i32) -> i32 {
    // Years begin in March, so that a leap day is the last one.
    let (year, month) = if month > 2 {
        (year.wrapping_add(4800), month.wrapping_add(1))
    } else {
        (year.wrapping_add(4799), month.wrapping_add(13))
    };
    let century = year / 100;
    let leap_days = year / 4 - century + century / 4;
    let before_year = year.wrapping_mul(365).wrapping_sub(32_167).wrapping_add(leap_days);
    before_year
        .wrapping_add(month.wrapping_mul(7834) / 256)
        .wrapping_add(day)
}

/// Year, month and day of a Julian day.
pub(super) fn date_of(julian: i32) -> (i32, i32, i32) {
    const DAYS_PER_400_YEARS: u32 = 146_097;
    const DAYS_PER_4_YEARS: u32 = 1_461;
    let shifted = julian.cast_unsigned().wrapping_add(32_044);
    let eras = shifted / DAYS_PER_400_YEARS;
    let in_era = (shifted - eras * DAYS_PER_400_YEARS) * 4 + 3;
    let shifted = shifted.wrapping_add(60 + eras * 3 + in_era / DAYS_PER_400_YEARS);
    let quads = shifted / DAYS_PER_4_YEARS;
    let in_quad = shifted - quads * DAYS_PER_4_YEARS;
    let year_in_quad = in_quad * 4 / DAYS_PER_4_YEARS;
    let in_year = match year_in_quad {
        0 => (in_quad + 306) % 366,
        _ => (in_quad + 305) % 365,
    } + 123;
    let year = (year_in_quad + quads * 4).cast_signed().wrapping_sub(4800);
    let fifths = in_year * 2141 / 65_536;
    let day = in_year - 7834 * fifths / 256;
    (year, ((fifths + 10) % 12 + 1).cast_signed(), day.cast_signed())
}

/// The week day of a Julian day: 0 is Sunday.
pub(super) fn week_day(julian: i32) -> i32 {
    julian.wrapping_add(1).rem_euclid(7)
}

/// The Monday on which week 1 of an ISO year begins.
fn iso_year_start(year: i32) -> i32 {
    let fourth = day_of(year, 1, 4);
    fourth.wrapping_sub(week_day(fourth.wrapping_sub(1)))
}

/// The Monday of a week of an ISO year.
pub(super) fn iso_week_start(year: i32, week: i32) -> i32 {
    week.wrapping_sub(1).wrapping_mul(7).wrapping_add(iso_year_start(year))
}

/// ISO year, week and day of the ISO year that a date is in.
pub(super) fn iso_date_of(year: i32, month: i32, day: i32) -> (i32, i32, i32) {
    let julian = day_of(year, month, day);
    let week_since = |start: i32| julian.wrapping_sub(start) / 7 + 1;
    let mut iso_year = year;
    let mut start = iso_year_start(year);
    if julian < start {
        iso_year = year.wrapping_sub(1);
        start = iso_year_start(iso_year);
    }
    let mut week = week_since(start);
    if week >= 52 {
        let next = iso_year_start(year.wrapping_add(1));
        if julian >= next {
            iso_year = year.wrapping_add(1);
            week = week_since(next);
        }
    }
    let day_of_year = julian.wrapping_sub(iso_week_start(iso_year, 1)).wrapping_add(1);
    (iso_year, week, day_of_year)
}
