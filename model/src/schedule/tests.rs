use proptest::prelude::*;

use super::*;
use crate::time::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

fn recurrence(expression: &str, zone: &str) -> Recurrence {
    Recurrence {
        expression: Expression::parse(expression).unwrap(),
        zone: Zone::parse(zone).unwrap(),
        anchor: at("2026-01-01T00:00:00Z"),
        start: None,
        end: None,
    }
}

/// The occurrences after an instant, as clocks of the zone show them.
fn shown(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let recurrence = recurrence(expression, zone);
    let found: Vec<String> = recurrence
        .occurrences(at(after))
        .take(count)
        .map(|at| recurrence.zone.show(at))
        .collect();
    found
}

#[test]
fn an_error_tells_the_place_the_field_and_the_rule() {
    for (text, error) in [
        (
            "every day",
            "character 1, 'every day': an expression is rate(VALUE UNIT), cron(FIELDS) or at(yyyy-mm-ddThh:mm:ss)",
        ),
        ("rate(5 minutes", "character 15: 'rate(' must end with ')'"),
        (
            "rate(5)",
            "character 6, '5': rate() takes a value and a unit, as in rate(5 minutes)",
        ),
        (
            "rate(0 minutes)",
            "character 6, field value, '0': a value is a whole number, 1 or more",
        ),
        (
            "rate(-1 minutes)",
            "character 6, field value, '-1': a value is a whole number, 1 or more",
        ),
        (
            "rate(1 minutes)",
            "character 8, field unit, 'minutes': a unit is minute, hour or day with 1, and minutes, hours or days otherwise",
        ),
        (
            "rate(99999999999999999999 days)",
            "character 6, field value, '99999999999999999999': a rate is at most 36500 days",
        ),
        (
            "at(2026-11-21 06:30:00)",
            "character 4, '2026-11-21 06:30:00': a point in time is yyyy-mm-ddThh:mm:ss, as clocks of the schedule's time zone show it",
        ),
        (
            "at(2026-02-29T06:30:00)",
            "character 4, '2026-02-29T06:30:00': there is no such date or time of day",
        ),
        (
            "cron(0 12 * * ?)",
            "character 6, '0 12 * * ?': cron() takes six fields, minutes hours day-of-month month day-of-week year, and has 5",
        ),
        (
            "cron(60 12 * * ? *)",
            "character 6, field minutes, '60': minutes is 0 to 59",
        ),
        (
            "cron(0  24 * * ? *)",
            "character 9, field hours, '24': hours is 0 to 23",
        ),
        (
            "cron(0 8-25 * * ? *)",
            "character 10, field hours, '25': hours is 0 to 23",
        ),
        (
            "cron(0 12 0 * ? *)",
            "character 11, field day-of-month, '0': day-of-month is 1 to 31",
        ),
        (
            "cron(0 12 1 FEV ? *)",
            "character 13, field month, 'FEV': month is 1 to 12 or JAN to DEC",
        ),
        (
            "cron(0 12 ? * 0 *)",
            "character 15, field day-of-week, '0': day-of-week is 1 to 7 or SUN to SAT",
        ),
        (
            "cron(0 12 ? * MON#6 *)",
            "character 19, field day-of-week, '6': behind '#' stands which of the month it is, 1 to 5",
        ),
        (
            "cron(0 12 * * ? 1969)",
            "character 17, field year, '1969': year is 1970 to 2199",
        ),
        (
            "cron(0/0 12 * * ? *)",
            "character 8, field minutes, '0': a step in minutes is 1 to 59",
        ),
        (
            "cron(*/60 12 * * ? *)",
            "character 8, field minutes, '60': a step in minutes is 1 to 59",
        ),
        (
            "cron(0 22-3 * * ? *)",
            "character 8, field hours, '22-3': a range goes upwards; write 22-23,0-3 for one that goes over the end",
        ),
        (
            "cron(0 12 * * * *)",
            "character 15, field day-of-week, '*': one of day-of-month and day-of-week must be '?'",
        ),
        (
            "cron(0 12 ? * ? *)",
            "character 15, field day-of-week, '?': only one of day-of-month and day-of-week may be '?'; write '*' for every day",
        ),
        ("cron(0, 12 * * ? *)", "character 8, field minutes: minutes is 0 to 59"),
        (
            "cron(é 12 * * ? *)",
            "character 6, field minutes, 'é': minutes is 0 to 59",
        ),
    ] {
        let found = Expression::parse(text).unwrap_err();
        assert_eq!(found.to_string(), error, "{text}");
    }
}

#[test]
fn a_rate_is_due_when_it_begins_and_after_each_interval() {
    let mut recurrence = recurrence("rate(90 minutes)", "UTC");
    recurrence.anchor = at("2026-03-01T10:07:03Z");
    let next = |recurrence: &Recurrence, after| recurrence.next(at(after)).unwrap();
    assert_eq!(next(&recurrence, "2026-03-01T10:07:02Z"), recurrence.anchor);
    assert_eq!(next(&recurrence, "2026-03-01T10:07:03Z"), at("2026-03-01T11:37:03Z"));
    assert_eq!(next(&recurrence, "2026-03-01T13:07:02Z"), at("2026-03-01T13:07:03Z"));
    recurrence.start = Some(at("2026-03-02T00:00:00Z"));
    assert_eq!(next(&recurrence, "2026-03-01T10:07:03Z"), at("2026-03-02T00:00:00Z"));
    assert_eq!(next(&recurrence, "2026-03-02T00:00:00Z"), at("2026-03-02T01:30:00Z"));
}

#[test]
fn a_day_of_a_rate_is_24_hours_whatever_clocks_do() {
    let mut recurrence = recurrence("rate(1 day)", "Europe/Berlin");
    recurrence.anchor = at("2026-03-28T01:30:00Z");
    let due: Vec<String> = recurrence
        .occurrences(recurrence.anchor)
        .take(2)
        .map(|at| recurrence.zone.show(at))
        .collect();
    assert_eq!(due, ["2026-03-29 03:30:00 +02:00", "2026-03-30 03:30:00 +02:00"]);
}

#[test]
fn at_is_due_once_on_the_clocks_of_its_zone() {
    let tokyo = recurrence("at(2026-11-21T06:30:05)", "Asia/Tokyo");
    assert_eq!(tokyo.next(at("2026-11-01T00:00:00Z")), Some(at("2026-11-20T21:30:05Z")));
    assert_eq!(tokyo.next(at("2026-11-20T21:30:05Z")), None);
    // Clocks go from 2:00 to 3:00 there on that day.
    let never = recurrence("at(2026-03-29T02:30:00)", "Europe/Berlin");
    assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn a_cron_expression_is_due_when_clocks_show_it() {
    for (expression, due) in [
        ("cron(15 10 * * ? *)", ["2026-11-21 10:15", "2026-11-22 10:15"]),
        (
            "cron(0/20 9-10 ? * MON-FRI *)",
            ["2026-11-23 09:00", "2026-11-23 09:20"],
        ),
        ("cron(5,35 14 * * ? *)", ["2026-11-21 14:05", "2026-11-21 14:35"]),
        ("cron(0 8 1 * ? *)", ["2026-12-01 08:00", "2027-01-01 08:00"]),
        ("cron(0 12 L * ? *)", ["2026-11-30 12:00", "2026-12-31 12:00"]),
        ("cron(0 12 L FEB ? *)", ["2027-02-28 12:00", "2028-02-29 12:00"]),
        ("cron(0 12 LW * ? *)", ["2026-11-30 12:00", "2026-12-31 12:00"]),
        ("cron(0 12 LW 1,2 ? *)", ["2027-01-29 12:00", "2027-02-26 12:00"]),
        ("cron(0 12 1W * ? *)", ["2026-12-01 12:00", "2027-01-01 12:00"]),
        // The 1st of May 2027 is a Saturday, the 31st of January 2027 a Sunday.
        ("cron(0 12 1W MAY ? *)", ["2027-05-03 12:00", "2028-05-01 12:00"]),
        ("cron(0 12 31W * ? *)", ["2026-12-31 12:00", "2027-01-29 12:00"]),
        ("cron(0 12 15W,20 DEC ? *)", ["2026-12-15 12:00", "2026-12-20 12:00"]),
        ("cron(0 12 ? * 6L *)", ["2026-11-27 12:00", "2026-12-25 12:00"]),
        ("cron(0 12 ? * fril *)", ["2026-11-27 12:00", "2026-12-25 12:00"]),
        ("cron(0 12 ? * L *)", ["2026-11-21 12:00", "2026-11-28 12:00"]),
        ("cron(0 12 ? * 3#1 *)", ["2026-12-01 12:00", "2027-01-05 12:00"]),
        ("cron(0 12 ? * SAT#5 *)", ["2027-01-30 12:00", "2027-05-29 12:00"]),
        ("cron(0 12 29 2 ? *)", ["2028-02-29 12:00", "2032-02-29 12:00"]),
        ("cron(0 0 1 1 ? 2030/10)", ["2030-01-01 00:00", "2040-01-01 00:00"]),
        ("cron(59 23 31 12 ? *)", ["2026-12-31 23:59", "2027-12-31 23:59"]),
    ] {
        let found = shown(expression, "UTC", "2026-11-21T06:30:00Z", 2);
        let found: Vec<&str> = found.iter().filter_map(|shown| shown.get(..16)).collect();
        assert_eq!(found, due, "{expression}");
    }
}

#[test]
fn what_never_comes_is_never_due() {
    for expression in [
        "cron(0 0 31 2 ? *)",
        "cron(0 0 30W FEB ? *)",
        "cron(0 0 1 1 ? 2025)",
        "cron(0 0 29 2 ? 2027)",
    ] {
        assert_eq!(
            recurrence(expression, "UTC").next(at("2026-11-21T06:30:00Z")),
            None,
            "{expression}"
        );
    }
}

#[test]
fn what_clocks_leave_out_in_spring_is_skipped() {
    assert_eq!(
        shown("cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        [
            "2026-03-28 02:30:00 +01:00",
            "2026-03-30 02:30:00 +02:00",
            "2026-03-31 02:30:00 +02:00",
        ]
    );
    // Half an hour is left out there.
    assert_eq!(
        shown("cron(0/15 2 * * ? *)", "Australia/Lord_Howe", "2026-10-03T15:29:00Z", 3),
        [
            "2026-10-04 02:30:00 +11:00",
            "2026-10-04 02:45:00 +11:00",
            "2026-10-05 02:00:00 +11:00",
        ]
    );
}

#[test]
fn what_clocks_show_twice_in_autumn_is_due_once() {
    assert_eq!(
        shown("cron(0/30 2 * * ? *)", "Europe/Berlin", "2026-10-24T12:00:00Z", 3),
        [
            "2026-10-25 02:00:00 +02:00",
            "2026-10-25 02:30:00 +02:00",
            "2026-10-26 02:00:00 +01:00",
        ]
    );
    // Asked in the hour that comes again.
    assert_eq!(
        shown("cron(0/30 * * * ? *)", "America/New_York", "2026-11-01T06:10:00Z", 1),
        ["2026-11-01 02:00:00 -05:00"]
    );
}

#[test]
fn nothing_is_due_before_the_start_or_after_the_end() {
    let mut bounded = recurrence("cron(0 * * * ? *)", "UTC");
    bounded.start = Some(at("2026-11-21T08:00:00Z"));
    bounded.end = Some(at("2026-11-21T10:00:00Z"));
    let due: Vec<Timestamp> = bounded.occurrences(at("2026-11-20T00:00:00Z")).collect();
    let hours = ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"];
    assert_eq!(due, hours.map(at));
}

#[test]
fn an_unknown_zone_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        Zone::parse("Europe/Berln").unwrap_err(),
        "'Europe/Berln' is no time zone of the IANA database; did you mean 'Europe/Berlin'?"
    );
    assert_eq!(Zone::parse("europe/berlin").unwrap().to_string(), "Europe/Berlin");
    assert!(Zone::parse("").is_err());
    assert!(Zone::parse("../../etc/passwd").is_err());
}

#[test]
fn bounds_of_windows_and_retries_are_kept() {
    use FlexibleTimeWindowMode::{Flexible, Off};
    assert_eq!(FlexibleTimeWindow::checked(Off, None), Ok(FlexibleTimeWindow::Off));
    assert_eq!(
        FlexibleTimeWindow::checked(Flexible, Some(15)),
        Ok(FlexibleTimeWindow::Minutes(15))
    );
    for (mode, minutes) in [
        (Off, Some(1)),
        (Flexible, None),
        (Flexible, Some(0)),
        (Flexible, Some(1441)),
    ] {
        assert!(
            FlexibleTimeWindow::checked(mode, minutes).is_err(),
            "{mode} {minutes:?}"
        );
    }
    assert_eq!(RetryPolicy::checked(None, None), Ok(RetryPolicy::default()));
    for (age, attempts) in [
        (Some(59), None),
        (Some(86_401), None),
        (None, Some(186)),
        (None, Some(-1)),
    ] {
        assert!(RetryPolicy::checked(age, attempts).is_err(), "{age:?} {attempts:?}");
    }
}

#[test]
fn a_window_bounds_how_late_a_run_may_begin_and_the_age_does_always() {
    let policy = RetryPolicy::checked(Some(600), None).unwrap();
    let patience = |window| policy.patience(window).as_secs();
    assert_eq!(patience(FlexibleTimeWindow::Off), 600);
    assert_eq!(patience(FlexibleTimeWindow::Minutes(5)), 300);
    assert_eq!(patience(FlexibleTimeWindow::Minutes(15)), 600);
}

#[test]
fn pauses_between_attempts_double_up_to_five_minutes() {
    let pauses: Vec<u64> = [1, 2, 3, 9, 10, 100, u32::MAX]
        .map(|attempts| RetryPolicy::pause(attempts).as_secs())
        .into();
    assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
}

/// What an expression of random fields is to mean, told apart from the search: minute by minute.
#[derive(Debug, Clone)]
struct Fields {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    /// By the number in the month, or else in the week from Sunday as 1.
    days: Result<Vec<i8>, Vec<i8>>,
    months: Vec<i8>,
}

impl Fields {
    fn text(&self) -> String {
        let list = |numbers: &[i8]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (of_month, of_week) = match &self.days {
            Ok(days) => (list(days), "?".to_owned()),
            Err(days) => ("?".to_owned(), list(days)),
        };
        let (minutes, hours, months) = (list(&self.minutes), list(&self.hours), list(&self.months));
        format!("cron({minutes} {hours} {of_month} {months} {of_week} *)")
    }

    fn shows(&self, civil: jiff::civil::DateTime) -> bool {
        let day = match &self.days {
            Ok(days) => days.contains(&civil.day()),
            Err(days) => days.contains(&(civil.weekday().to_sunday_zero_offset() + 1)),
        };
        day && self.months.contains(&civil.month())
            && self.hours.contains(&civil.hour())
            && self.minutes.contains(&civil.minute())
    }
}

fn some_of(numbers: std::ops::RangeInclusive<i8>, most: usize) -> impl Strategy<Value = Vec<i8>> {
    prop::collection::btree_set(numbers, 1..=most).prop_map(|set| set.into_iter().collect())
}

fn fields() -> impl Strategy<Value = Fields> {
    let days = prop_oneof![
        some_of(1..=31, 8).prop_map(Ok::<Vec<i8>, Vec<i8>>),
        some_of(1..=7, 4).prop_map(Err),
    ];
    (some_of(0..=59, 6), some_of(0..=23, 6), days, some_of(1..=12, 12)).prop_map(|(minutes, hours, days, months)| {
        Fields {
            minutes,
            hours,
            days,
            months,
        }
    })
}

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
];

proptest! {
    // Each looks at some fifty thousand minutes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_next_occurrence_is_what_looking_at_every_minute_finds(
        fields in fields(),
        zone in prop::sample::select(&ZONES[..]),
        // The end of 2011, when Samoa skipped a day, and three years of ordinary changes.
        after in prop_oneof![1_324_000_000_i64..1_326_000_000, 1_735_000_000_i64..1_830_000_000],
    ) {
        const MINUTE: i64 = 60_000;
        let recurrence = recurrence(&fields.text(), zone);
        let after = Timestamp::from_millis(after * 1000);
        let first = after.as_millis().div_euclid(MINUTE) * MINUTE + MINUTE;
        let zone = &recurrence.zone;
        // What clocks have shown before, they show again: that is no occurrence.
        let found = (0..60 * 24 * 40)
            .map(|minute| Timestamp::from_millis(first + minute * MINUTE))
            .find(|at| {
                let civil = zone.civil(*at).unwrap();
                fields.shows(civil) && zone.instant(civil) == Some(*at)
            });
        let next = recurrence.next(after);
        match found {
            Some(at) => prop_assert_eq!(next, Some(at)),
            None => prop_assert!(next.is_none_or(|at| at.since(after) >= Duration::from_secs(40 * 86_400 - 60))),
        }
    }

}

proptest! {
    #[test]
    fn what_clocks_show_is_the_instant_that_shows_it(
        zone in prop::sample::select(&ZONES[..]),
        minute in 0_i64..40_000_000,
    ) {
        let zone = Zone::parse(zone).unwrap();
        let at = Timestamp::from_millis(minute * 60_000);
        let first = zone.instant(zone.civil(at).unwrap()).unwrap();
        // Of two instants that show the same it is the first.
        prop_assert!(first <= at && at.since(first) <= Duration::from_secs(25 * 3600));
        prop_assert_eq!(zone.civil(first), zone.civil(at));
    }

    #[test]
    fn no_text_is_more_than_refused(text in "(rate|cron|at)?\\(?[0-9A-Z*?/#,LW \\-é]{0,40}\\)?") {
        if let Ok(expression) = Expression::parse(&text) {
            let recurrence = Recurrence { expression, ..recurrence("rate(1 day)", "Europe/Berlin") };
            let after = at("2026-11-21T06:30:00Z");
            prop_assert!(recurrence.next(after).is_none_or(|next| next > after));
        }
    }

    #[test]
    fn intervals_of_a_rate_are_equal(minutes in 2_i64..5000, offset in 0_i64..10_000_000) {
        let recurrence = recurrence(&format!("rate({minutes} minutes)"), "UTC");
        let after = Timestamp::from_millis(recurrence.anchor.as_millis() + offset);
        let due: Vec<i64> = recurrence.occurrences(after).take(3).map(Timestamp::as_millis).collect();
        prop_assert!(due[0] > after.as_millis() && due[0] - after.as_millis() <= minutes * 60_000);
        prop_assert_eq!((due[1] - due[0], due[2] - due[1]), (minutes * 60_000, minutes * 60_000));
        prop_assert_eq!((due[0] - recurrence.anchor.as_millis()) % (minutes * 60_000), 0);
    }
}
