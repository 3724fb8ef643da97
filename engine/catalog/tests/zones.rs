//! Time zones beside what PostgreSQL 15 says of them: 38 zones in 13 years, around each time that clocks are set.

use aion_catalog::Zone;

const TABLE: &str = include_str!("testdata/zones.txt");
const MICROS_PER_SECOND: i64 = 1_000_000;

#[test]
fn clocks_are_set_as_in_postgres() {
    let mut zone = Zone::UTC;
    let (mut name, mut count, mut wrong) = ("", 0, Vec::new());
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let Some((direction, answers)) = line.split_once(' ') else {
            // The table was asked for with AT TIME ZONE, which knows abbreviations.
            zone = Zone::parse(line).expect(line);
            name = line;
            continue;
        };
        for answer in answers.split(' ') {
            let (time, offset) = answer.split_once(':').expect(answer);
            let (time, offset): (i64, i64) = (time.parse().expect(time), offset.parse().expect(offset));
            let micros = time * MICROS_PER_SECOND;
            let found = match direction {
                ">" => zone.to_local(micros).expect("in range") - micros,
                _ => micros - zone.to_moment(micros).expect("in range"),
            };
            count += 1;
            if found != offset * MICROS_PER_SECOND {
                wrong.push(format!(
                    "{name} {direction} {time}: {offset}, not {}",
                    found / MICROS_PER_SECOND
                ));
            }
        }
    }
    assert_eq!(count, 4_320);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
