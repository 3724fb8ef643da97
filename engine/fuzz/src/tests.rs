//! Seeded bytes for each target: some that are right, with a few changes, and some that are drawn.

use aion_base::id::{IndexId, TableId};
use aion_base::key::{ColumnOrder, KeyWriter};
use aion_base::rng::SeededRng;
use aion_catalog::row::{RowLayout, RowWriter};
use aion_catalog::{SqlType, Value};

use crate::{TARGETS, type_of};

const RUNS: usize = 40_000;
const RUNS_FULL: usize = 4_000_000;

/// A value of a type as text, of which there are many.
fn value(sql_type: SqlType, rng: &mut SeededRng) -> Value {
    let number = rng.next_u64() as i64 >> rng.below(64);
    let text = match sql_type {
        _ if rng.chance(1, 8) => return Value::Null,
        SqlType::Boolean => (number % 2 == 0).to_string(),
        SqlType::SmallInt => (number % 32_768).to_string(),
        SqlType::Integer => (number % (1 << 31)).to_string(),
        SqlType::BigInt | SqlType::Real | SqlType::Double | SqlType::Numeric { .. } => number.to_string(),
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => {
            "a\u{1}é".chars().take(rng.below(4) as usize).collect()
        }
        SqlType::Bytea => format!("\\x{:02x}00ff", number as u8),
        SqlType::Date => format!("20{:02}-02-03", number.rem_euclid(100)),
        SqlType::Time(_) => format!("{}:05:06.7", number.rem_euclid(24)),
        SqlType::Timestamp(_) | SqlType::TimestampTz(_) => format!("20{:02}-02-03 04:05:06.7", number.rem_euclid(100)),
        SqlType::Interval => format!("{} days {} seconds", number % 1000, number % 100_000),
        SqlType::Uuid => format!("{:032x}", rng.next_u128()),
        SqlType::Json | SqlType::Jsonb => format!("{{\"a\": [{number}, null, \"x\"], \"b\": {{}}}}"),
        SqlType::Vector(_) => format!("[{}, 2.5]", number % 1000),
        SqlType::Enum(_) => return Value::Null,
        SqlType::Array(element) => match value(element.sql_type(), rng) {
            Value::Null => "{}".to_owned(),
            element => return Value::Array(vec![element.clone(), Value::Null, element]),
        },
    };
    Value::text_in(&sql_type, &text).expect("it is one of the type")
}

fn types(rng: &mut SeededRng, most: u64) -> Vec<u8> {
    (0..=rng.below(most)).map(|_| rng.next_u64() as u8).collect()
}

/// A key with what comes before it.
fn key(rng: &mut SeededRng) -> Vec<u8> {
    let types = types(rng, 3);
    let mut out = vec![types.len() as u8 - 1];
    out.extend(types.iter().flat_map(|byte| [*byte, 0]));
    for byte in &types {
        let value = value(type_of(*byte), rng);
        if aion_catalog::keys::write_value(&value, ColumnOrder::ASC, &mut out).is_err() {
            KeyWriter::new(&mut out).null(ColumnOrder::ASC);
        }
    }
    out
}

/// A row with what comes before it.
fn row(rng: &mut SeededRng) -> Vec<u8> {
    let types = types(rng, 7);
    let mut out = vec![types.len() as u8 - 1];
    out.extend(&types);
    let sql_types: Vec<SqlType> = types.iter().map(|byte| type_of(*byte)).collect();
    let layout = RowLayout::new(&sql_types);
    let values: Vec<Value> = sql_types.iter().map(|sql_type| value(*sql_type, rng)).collect();
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&layout, &mut bytes);
    for (column, value) in values.iter().enumerate() {
        writer.value(column, value);
    }
    writer.finish();
    out.extend(bytes);
    out
}

/// A commit: its kind, time and id, shard and epoch, SERIALIZABLE, a read point, no stages, one range, no preconditions, one write.
fn commit(rng: &mut SeededRng) -> Vec<u8> {
    let mut out = vec![1];
    out.extend(rng.next_u64().to_le_bytes());
    out.extend(rng.next_u128().to_le_bytes());
    out.extend([0; 8]);
    out.push(rng.below(3) as u8 + 1);
    out.extend(rng.below(1000).to_le_bytes());
    let mut key = Vec::new();
    KeyWriter::new(&mut key)
        .table(TableId(7), IndexId(1))
        .i64(rng.next_u64() as i64, ColumnOrder::ASC);
    let key: Vec<u8> = [&[key.len() as u8][..], &key].concat();
    out.extend([0, 1]);
    out.extend([&key[..], &[0], &[1, 1, 5], &key, &[1, 2, 0], &key, &[3, 1, 2, 3]].concat());
    out
}

/// Changes a few bytes, takes some away or repeats some.
fn change(bytes: &mut Vec<u8>, rng: &mut SeededRng) {
    for _ in 0..rng.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(5) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff][rng.below(7) as usize],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, rng.next_u64() as u8),
            _ => bytes.extend_from_within(at..),
        }
        bytes.truncate(4096);
    }
}

fn slice(name: &str) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    let seed = match std::env::var("AION_SEED") {
        Ok(text) => text.trim().parse().expect("AION_SEED is a number"),
        Err(_) => aion_base::rng::entropy(),
    };
    println!("AION_SEED={seed}");
    let is_full = std::env::var("AION_HUNT").is_ok_and(|hunt| hunt == "full");
    let mut rng = SeededRng::new(seed);
    for _ in 0..if is_full { RUNS_FULL } else { RUNS } {
        let mut bytes = match name {
            "keys" => key(&mut rng),
            "rows" => row(&mut rng),
            "entry" => commit(&mut rng),
            _ => (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect(),
        };
        target(&bytes);
        change(&mut bytes, &mut rng);
        if let Err(panic) = std::panic::catch_unwind(|| target(&bytes)) {
            eprintln!("{name}, AION_SEED={seed}, of the bytes {bytes:02x?}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn keys_of_any_bytes_are_read_or_refused_hunt() {
    slice("keys");
}

#[test]
fn rows_of_any_bytes_are_read_or_refused_hunt() {
    slice("rows");
}

#[test]
fn damage_to_frames_of_the_log_is_found_hunt() {
    slice("frames");
}

#[test]
fn entries_of_any_bytes_are_read_or_refused_hunt() {
    slice("entry");
}

/// What the slices begin with is right: else they would only ever see refusals.
#[test]
fn what_is_changed_was_right_before() {
    let mut rng = SeededRng::new(7);
    for _ in 0..1000 {
        let bytes = row(&mut rng);
        let number = usize::from(bytes[0]) + 1;
        let types: Vec<SqlType> = bytes[1..=number].iter().map(|byte| type_of(*byte)).collect();
        let layout = RowLayout::new(&types);
        let row = aion_catalog::row::RowReader::new(&layout, &bytes[number + 1..]).expect("a row");
        assert!((0..number).all(|column| row.value(column).is_ok()), "{types:?}");
    }
}
