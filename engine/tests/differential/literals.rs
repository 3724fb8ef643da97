//! Constants in all the spellings that a value may have where its type is known from elsewhere: from the column that gets it, or
//! that it is compared with.
//!
//! A text whose literals differ from those of one before is the same statement to us, where they are plain; these are plain,
//! nearly plain, and not plain at all.

use aion_base::rng::SeededRng;

use super::world::{Kind, literal, pick};

/// Texts that a reader of literals could stumble upon. No E'', which reads backslashes.
const TEXTS: [&str; 18] = [
    "", "a", "ab", "Ab", "b c", "ä", "%", "a_b", "10", " 7 ", "it''s", "''", "zz ", "--", "/* a */", ";", "$1", "a\\b",
];

/// A constant for this type.
pub fn spelled(rng: &mut SeededRng, kind: Kind) -> String {
    if rng.chance(1, 3) {
        return literal(rng, kind);
    }
    let small = i64::try_from(rng.below(12)).expect("small") - 3;
    let tenth = rng.below(10);
    match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt => whole(rng, kind, small, tenth),
        Kind::Numeric => match rng.below(10) {
            0 => format!("{small}.{tenth}"),
            1 => format!(".{tenth}5"),
            2 => format!("{small}."),
            3 => format!("{small}e{}", rng.below(3)),
            4 => format!("'{small}.{tenth}'"),
            5 => small.to_string(),
            6 => format!("0.00{tenth}"),
            7 => format!("'{tenth}e-1'"),
            8 => "99999999999.125".to_owned(),
            _ => format!("numeric '{small}.{tenth}0'"),
        },
        Kind::Double => match rng.below(7) {
            0 => format!("{small}.{tenth}"),
            1 => format!("{small}e{tenth}"),
            2 => format!("'{small}.{tenth}'"),
            3 => small.to_string(),
            4 => format!("'{small}e-{tenth}'"),
            5 => format!("-.{tenth}"),
            _ => format!("double precision '{small}.{tenth}'"),
        },
        Kind::Boolean => pick(
            rng,
            &[
                "TRUE",
                "False",
                "'t'",
                "'no'",
                "'1'",
                "'off'",
                "'maybe'",
                "boolean 'on'",
                "NOT true",
            ],
        )
        .to_owned(),
        Kind::Text => text(rng),
        Kind::Date => {
            let (year, month, day) = (2000 + rng.below(30), 1 + rng.below(13), 1 + rng.below(31));
            let date = format!("{year}-{month:02}-{day:02}");
            match rng.below(4) {
                0 => format!("'{date}'"),
                1 => format!("date '{date}'"),
                2 => format!("'{year}{month:02}{day:02}'"),
                _ => format!("'{date}'::date"),
            }
        }
        Kind::Timestamp => {
            let (month, day, hour, minute) = (1 + rng.below(12), 1 + rng.below(28), rng.below(24), rng.below(61));
            let moment = format!("2020-{month:02}-{day:02} {hour:02}:{minute:02}");
            match rng.below(5) {
                0 => format!("'{moment}'"),
                1 => format!("timestamp '{moment}:01.5'"),
                2 => format!("'{}:00'", moment.replace(' ', "T")),
                3 => format!("'2020-{month:02}-{day:02}'"),
                _ => format!("'{moment}:59.123456'::timestamp"),
            }
        }
    }
}

fn whole(rng: &mut SeededRng, kind: Kind, small: i64, tenth: u64) -> String {
    match rng.below(16) {
        0 => format!("'{small}'"),
        1 => format!("' {small} '"),
        2 => format!("{small}.{tenth}"),
        3 => format!("{small}e1"),
        4 => format!("+{}", small.abs()),
        5 => format!("- {}", small.abs()),
        6 => format!("{} '{small}'", kind.wide()),
        7 => format!("CAST('{small}' AS {})", kind.wide()),
        8 => format!("00{}", small.abs()),
        9 => format!("({small})"),
        10 => pick(
            rng,
            &[
                "32767",
                "32768",
                "-32768",
                "-32769",
                "2147483647",
                "2147483648",
                "-2147483648",
                "-2147483649",
            ],
        )
        .to_owned(),
        11 => pick(
            rng,
            &[
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775808",
                "99999999999999999999",
                "'2147483648'",
            ],
        )
        .to_owned(),
        12 => pick(rng, &["'a'", "''", "'1.5'", "true", "'0x1'"]).to_owned(),
        13 => format!("$${small}$$"),
        14 => format!("E'{small}'"),
        _ => small.to_string(),
    }
}

fn text(rng: &mut SeededRng) -> String {
    let text = pick(rng, &TEXTS);
    match rng.below(9) {
        0 => format!("E'{}'", pick(rng, &["a\\tb", "a\\'b", "\\\\", "\\u00e4", "a\\nb"])),
        1 => "U&'\\00e4b'".to_owned(),
        2 => format!("$${}$$", pick(rng, &["it's", "", "a\"b", "-- a"])),
        3 => "$q$a$$b$q$".to_owned(),
        4 => format!("text '{text}'"),
        5 => format!("'{text}'::varchar(3)"),
        6 => i64::try_from(rng.below(20)).expect("small").to_string(),
        _ => format!("'{text}'"),
    }
}
