//! Keys compare as bytes as their values do in SQL, come back as they were written, and keep their format.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

const ORDERS: [ColumnOrder; 4] = [
    ColumnOrder::ASC,
    ColumnOrder::ASC_NULLS_FIRST,
    ColumnOrder::DESC,
    ColumnOrder::DESC_NULLS_LAST,
];

/// A value of each type that a key knows; the naive reference of the codec.
#[derive(Clone, Debug)]
enum Sample {
    Bool(Option<bool>),
    I16(Option<i16>),
    I32(Option<i32>),
    I64(Option<i64>),
    I128(Option<i128>),
    F32(Option<f32>),
    F64(Option<f64>),
    Uuid(Option<[u8; 16]>),
    Bytes(Option<Vec<u8>>),
    Text(Option<String>),
}

macro_rules! each {
    ($sample:expr, $value:ident => $then:expr) => {
        match $sample {
            Sample::Bool($value) => $then,
            Sample::I16($value) => $then,
            Sample::I32($value) => $then,
            Sample::I64($value) => $then,
            Sample::I128($value) => $then,
            Sample::F32($value) => $then,
            Sample::F64($value) => $then,
            Sample::Uuid($value) => $then,
            Sample::Bytes($value) => $then,
            Sample::Text($value) => $then,
        }
    };
}

impl Sample {
    fn write(&self, writer: &mut KeyWriter<'_>, order: ColumnOrder) {
        match self {
            Self::Bool(Some(value)) => writer.bool(*value, order),
            Self::I16(Some(value)) => writer.i16(*value, order),
            Self::I32(Some(value)) => writer.i32(*value, order),
            Self::I64(Some(value)) => writer.i64(*value, order),
            Self::I128(Some(value)) => writer.i128(*value, order),
            Self::F32(Some(value)) => writer.f32(*value, order),
            Self::F64(Some(value)) => writer.f64(*value, order),
            Self::Uuid(Some(value)) => writer.uuid(value, order),
            Self::Bytes(Some(value)) => writer.bytes(value, order),
            Self::Text(Some(value)) => writer.text(value, order),
            _ => writer.null(order),
        };
    }

    /// Reads a column of this sample's type.
    fn read(&self, reader: &mut KeyReader<'_>, order: ColumnOrder) -> Result<Self> {
        Ok(match self {
            Self::Bool(_) => Self::Bool(reader.bool(order)?),
            Self::I16(_) => Self::I16(reader.i16(order)?),
            Self::I32(_) => Self::I32(reader.i32(order)?),
            Self::I64(_) => Self::I64(reader.i64(order)?),
            Self::I128(_) => Self::I128(reader.i128(order)?),
            Self::F32(_) => Self::F32(reader.f32(order)?),
            Self::F64(_) => Self::F64(reader.f64(order)?),
            Self::Uuid(_) => Self::Uuid(reader.uuid(order)?),
            Self::Bytes(_) => Self::Bytes(reader.bytes(order)?.map(|bytes| bytes.into_owned())),
            Self::Text(_) => Self::Text(reader.text(order)?.map(|text| text.into_owned())),
        })
    }

    fn skip(&self, reader: &mut KeyReader<'_>, order: ColumnOrder) -> Result<bool> {
        match self {
            Self::Bool(_) => reader.skip_fixed(1, order),
            Self::I16(_) => reader.skip_fixed(2, order),
            Self::I32(_) | Self::F32(_) => reader.skip_fixed(4, order),
            Self::I64(_) | Self::F64(_) => reader.skip_fixed(8, order),
            Self::I128(_) | Self::Uuid(_) => reader.skip_fixed(16, order),
            Self::Bytes(_) | Self::Text(_) => reader.skip_bytes(order),
        }
    }

    fn is_null(&self) -> bool {
        each!(self, value => value.is_none())
    }

    /// The SQL order, said without bytes.
    fn compare(&self, other: &Self, order: ColumnOrder) -> Ordering {
        match (self.is_null(), other.is_null(), order.nulls) {
            (true, true, _) => return Ordering::Equal,
            (true, false, Nulls::First) | (false, true, Nulls::Last) => return Ordering::Less,
            (true, false, Nulls::Last) | (false, true, Nulls::First) => return Ordering::Greater,
            (false, false, _) => {}
        }
        let ascending = match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::I16(a), Self::I16(b)) => a.cmp(b),
            (Self::I32(a), Self::I32(b)) => a.cmp(b),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::I128(a), Self::I128(b)) => a.cmp(b),
            (Self::F32(Some(a)), Self::F32(Some(b))) => compare_floats((*a).into(), (*b).into()),
            (Self::F64(Some(a)), Self::F64(Some(b))) => compare_floats(*a, *b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => panic!("{self:?} and {other:?} are of different types"),
        };
        match order.direction {
            Direction::Ascending => ascending,
            Direction::Descending => ascending.reverse(),
        }
    }
}

/// PostgreSQL's order of floats: zeroes are equal, NaN equals itself and is the greatest.
fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).expect("neither is NaN"),
    }
}

fn encode(samples: &[Sample], orders: &[ColumnOrder]) -> Vec<u8> {
    let mut key = Vec::new();
    let mut writer = KeyWriter::new(&mut key);
    writer.table(TableId(1000), IndexId(2));
    for (sample, order) in samples.iter().zip(orders) {
        sample.write(&mut writer, *order);
    }
    key
}

fn maybe<T: std::fmt::Debug + Clone>(
    values: impl Strategy<Value = T> + 'static,
    map: impl Fn(Option<T>) -> Sample + Clone + 'static,
) -> BoxedStrategy<Sample> {
    prop::option::weighted(0.8, values).prop_map(map).boxed()
}

/// Values of one type, often equal, adjacent, extreme or prefixes of each other.
fn sample(kind: usize) -> BoxedStrategy<Sample> {
    let bits = prop::num::f64::ANY;
    let byte = prop::sample::select(vec![0u8, 1, 0x61, 0xFE, 0xFF]);
    match kind {
        0 => maybe(any::<bool>(), Sample::Bool),
        1 => maybe(prop_oneof![-2i16..3, any::<i16>()], Sample::I16),
        2 => maybe(prop_oneof![-2i32..3, any::<i32>()], Sample::I32),
        3 => maybe(prop_oneof![-2i64..3, any::<i64>()], Sample::I64),
        4 => maybe(prop_oneof![-2i128..3, any::<i128>()], Sample::I128),
        5 => maybe(
            prop_oneof![prop::num::f32::ANY, (-2i8..3).prop_map(f32::from), Just(-0.0)],
            Sample::F32,
        ),
        6 => maybe(
            prop_oneof![bits, (-2i8..3).prop_map(f64::from), Just(-0.0)],
            Sample::F64,
        ),
        7 => maybe(any::<[u8; 16]>(), Sample::Uuid),
        8 => maybe(prop::collection::vec(byte, 0..5), Sample::Bytes),
        _ => maybe("[\0\u{1}aß\u{10FFFF}]{0,4}", Sample::Text),
    }
}

/// Orders and two rows of the same types.
fn rows() -> impl Strategy<Value = (Vec<ColumnOrder>, Vec<Sample>, Vec<Sample>)> {
    prop::collection::vec((0usize..10, prop::sample::select(&ORDERS[..])), 1..4).prop_flat_map(|columns| {
        let orders = columns.iter().map(|column| column.1).collect::<Vec<_>>();
        let row = columns.iter().map(|column| sample(column.0)).collect::<Vec<_>>();
        (Just(orders), row.clone(), row)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn bytes_compare_as_values((orders, left, right) in rows()) {
        let naive = orders.iter().enumerate().map(|(at, order)| left[at].compare(&right[at], *order))
            .find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal);
        prop_assert_eq!(encode(&left, &orders).cmp(&encode(&right, &orders)), naive);
    }

    #[test]
    fn reads_back_what_was_written((orders, row, _) in rows()) {
        let key = encode(&row, &orders);
        let mut reader = KeyReader::new(&key);
        let mut skipper = KeyReader::new(&key);
        prop_assert_eq!(reader.table()?, (TableId(1000), IndexId(2)));
        skipper.table()?;
        for (sample, order) in row.iter().zip(&orders) {
            let back = sample.read(&mut reader, *order)?;
            prop_assert_eq!(sample.compare(&back, *order), Ordering::Equal);
            prop_assert_eq!(sample.skip(&mut skipper, *order)?, !sample.is_null());
            prop_assert_eq!(reader.position(), skipper.position());
        }
        reader.finish()?;
    }

    #[test]
    fn a_truncated_key_is_corrupt((orders, row, _) in rows(), cut in any::<prop::sample::Index>()) {
        let key = encode(&row, &orders);
        let mut reader = KeyReader::new(&key[..cut.index(key.len())]);
        let read = reader.table().and_then(|_| {
            row.iter().zip(&orders).try_for_each(|(sample, order)| sample.read(&mut reader, *order).map(drop))
        });
        prop_assert_eq!(read.expect_err("bytes are missing").kind(), ErrorKind::Corrupt);
    }

    /// What the reader accepts is the only encoding of what it answers.
    #[test]
    fn random_bytes_are_corrupt_or_canonical(
        kind in sample_kinds(), order in prop::sample::select(&ORDERS[..]),
        bytes in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 0x7F, 0x80, 0xFD, 0xFE, 0xFF]), 0..20),
    ) {
        for tagged in [bytes.clone(), [&[TAG_VALUE ^ order.mask()][..], &bytes].concat()] {
            let mut reader = KeyReader::new(&tagged);
            match kind.read(&mut reader, order) {
                Ok(value) => {
                    let mut again = Vec::new();
                    value.write(&mut KeyWriter::new(&mut again), order);
                    prop_assert_eq!(&again[..], &tagged[..reader.position()]);
                }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
            }
            let _ = kind.skip(&mut KeyReader::new(&tagged), order);
        }
    }

    #[test]
    fn a_bytes_prefix_finds_what_starts_with_it(
        prefix in prop::collection::vec(0u8..3, 0..3), value in prop::collection::vec(0u8..3, 0..5),
        order in prop::sample::select(&ORDERS[..]),
    ) {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        KeyWriter::new(&mut short).bytes_prefix(&prefix, order);
        KeyWriter::new(&mut long).bytes(&value, order);
        prop_assert_eq!(crate::KeyRange::prefix(&short).contains(&long), value.starts_with(&prefix));
    }
}

fn sample_kinds() -> impl Strategy<Value = Sample> {
    (0usize..10).prop_flat_map(sample)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The format is persistent: a change of these bytes makes existing databases unreadable.
#[test]
fn golden() {
    let check = |write: &dyn Fn(&mut KeyWriter<'_>, ColumnOrder), expected: [&str; 2]| {
        for (order, expected) in [ColumnOrder::ASC, ColumnOrder::DESC].into_iter().zip(expected) {
            let mut key = Vec::new();
            write(&mut KeyWriter::new(&mut key), order);
            assert_eq!(hex(&key), expected);
        }
    };
    check(
        &|w, _| {
            w.table(TableId(1000), IndexId(3));
        },
        ["000003e80003"; 2],
    );
    check(
        &|w, o| {
            w.null(o);
        },
        ["02", "fd"],
    );
    check(
        &|w, o| {
            w.bool(true, o).bool(false, o);
        },
        ["01010100", "fefefeff"],
    );
    check(
        &|w, o| {
            w.i16(-2, o);
        },
        ["017ffe", "fe8001"],
    );
    check(
        &|w, o| {
            w.i32(1, o);
        },
        ["0180000001", "fe7ffffffe"],
    );
    check(
        &|w, o| {
            w.i64(i64::MIN, o);
        },
        ["010000000000000000", "feffffffffffffffff"],
    );
    check(
        &|w, o| {
            w.i128(-100, o);
        },
        [
            "017fffffffffffffffffffffffffffff9c",
            "fe80000000000000000000000000000063",
        ],
    );
    check(
        &|w, o| {
            w.f32(1.5, o);
        },
        ["01bfc00000", "fe403fffff"],
    );
    check(
        &|w, o| {
            w.f32(f32::NAN, o);
        },
        ["01ffc00000", "fe003fffff"],
    );
    check(
        &|w, o| {
            w.f64(-1.5, o);
        },
        ["014007ffffffffffff", "febff8000000000000"],
    );
    check(
        &|w, o| {
            w.f64(-0.0, o);
        },
        ["018000000000000000", "fe7fffffffffffffff"],
    );
    check(
        &|w, o| {
            w.f64(-f64::NAN, o);
        },
        ["01fff8000000000000", "fe0007ffffffffffff"],
    );
    check(
        &|w, o| {
            w.uuid(&[0x11; 16], o);
        },
        [
            "0111111111111111111111111111111111",
            "feeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        ],
    );
    check(
        &|w, o| {
            w.text("a\0ß", o);
        },
        ["016100ffc39f0000", "fe9eff003c60ffff"],
    );
    check(
        &|w, o| {
            w.bytes(&[], o);
        },
        ["010000", "feffff"],
    );
    let mut nulls = Vec::new();
    KeyWriter::new(&mut nulls)
        .null(ColumnOrder::ASC_NULLS_FIRST)
        .null(ColumnOrder::DESC_NULLS_LAST);
    assert_eq!(hex(&nulls), "00ff");
}

#[test]
fn text_is_borrowed_where_the_key_holds_it() {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).text("plain", ColumnOrder::ASC);
    let text = KeyReader::new(&key).text(ColumnOrder::ASC).expect("written above");
    assert!(matches!(text, Some(std::borrow::Cow::Borrowed("plain"))));
}

#[test]
fn the_wrong_direction_is_corrupt() {
    let mut key = Vec::new();
    KeyWriter::new(&mut key).i32(5, ColumnOrder::ASC);
    let error = KeyReader::new(&key)
        .i32(ColumnOrder::DESC)
        .expect_err("an ascending column");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn prefix_end_carries() {
    assert_eq!(prefix_end(&[1, 0xFF, 0xFF]), Some(vec![2]));
    assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
    assert_eq!(prefix_end(&[0xFF]), None);
    assert_eq!(prefix_end(&[]), None);
}

#[test]
fn a_long_key_is_refused_by_name() {
    assert!(check_length(&[0; KEY_BYTES_MAX], "t_pkey").is_ok());
    let error = check_length(&[0; KEY_BYTES_MAX + 1], "t_pkey").expect_err("too long");
    assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    assert!(error.message().contains("t_pkey") && error.message().contains("8193"));
}
