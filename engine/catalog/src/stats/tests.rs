//! Statistics of samples whose distribution is known.

use aion_base::ErrorKind;
use proptest::prelude::*;

use super::*;
use crate::types::SqlType;
use crate::value::Value;

fn compute(values: &[Option<i32>], rows: u64) -> ColumnStatistics {
    let sample: Vec<Value> = values
        .iter()
        .map(|value| value.map_or(Value::Null, Value::I32))
        .collect();
    ColumnStatistics::compute(
        ColumnId(3),
        &SqlType::Integer,
        &sample,
        rows,
        &StatisticsOptions::default(),
    )
}

fn number(text: &str) -> i32 {
    text.parse().expect("an integer was written")
}

#[test]
fn few_values_are_all_most_common() {
    let statistics = compute(&[Some(2), Some(1), None, Some(2), Some(2), Some(1), None, Some(2)], 8);
    let common = |value: &str, frequency| CommonValue {
        value: value.to_owned(),
        frequency,
    };
    let expected = ColumnStatistics {
        column: ColumnId(3),
        null_fraction: 0.25,
        distinct: Some(2),
        min: Some("1".to_owned()),
        max: Some("2".to_owned()),
        most_common: vec![common("2", 0.5), common("1", 0.25)],
        histogram: Vec::new(),
        average_width: 4.0,
    };
    assert_eq!(statistics, expected);
}

#[test]
fn a_skewed_sample_has_common_values_and_a_histogram_of_the_others() {
    // A third of the rows is 7, the others are spread over 0..20000.
    let values: Vec<_> = (0..3000)
        .map(|row| Some(if row % 3 == 0 { 7 } else { row * 7919 % 20_000 }))
        .collect();
    let statistics = compute(&values, 1_000_000);
    assert_eq!(statistics.most_common[0].value, "7");
    assert!((statistics.most_common[0].frequency - 1.0 / 3.0).abs() < 0.001);
    assert_eq!(statistics.histogram.len(), 101);
    let bounds: Vec<_> = statistics.histogram.iter().map(|bound| number(bound)).collect();
    assert!(bounds.is_sorted() && !bounds.contains(&7));
    assert_eq!(bounds.last().copied(), statistics.max.as_deref().map(number));
    for (bound, place) in bounds.iter().zip(0..) {
        assert!(
            (bound - place * 200).abs() < 400,
            "bound {place} of a uniform column is {bound}"
        );
    }
}

#[test]
fn the_distinct_count_grows_with_the_table_only_where_values_are_rare() {
    let unique: Vec<_> = (0..1000).map(Some).collect();
    assert_eq!(compute(&unique, 1000).distinct, Some(1000));
    assert_eq!(compute(&unique, 50_000).distinct, Some(50_000));
    let repeated: Vec<_> = (0..1000).map(|row| Some(row % 50)).collect();
    assert_eq!(compute(&repeated, 50_000).distinct, Some(50));
    // 632 distinct values are expected in 1000 draws from 1000; Duj1 is known to be low here, but not by half.
    let mut state = 1u64;
    let draws = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 33) as i32 % 1000)
    });
    let drawn: Vec<_> = draws.take(1000).collect();
    let distinct = compute(&drawn, 1_000_000).distinct.expect("integers are ordered");
    assert!((700..=1300).contains(&distinct), "{distinct}");
}

#[test]
fn empty_and_null_samples_are_known_to_be_so() {
    let empty = compute(&[], 0);
    assert_eq!(
        (empty.null_fraction, empty.distinct, empty.average_width),
        (0.0, Some(0), 0.0)
    );
    let nulls = compute(&[None, None], 10);
    assert_eq!((nulls.null_fraction, nulls.distinct, nulls.min), (1.0, Some(0), None));
}

#[test]
fn wide_values_are_not_kept() {
    let text = |width: usize| Value::Text("x".repeat(width));
    let sample = [text(VALUE_BYTES_MAX + 1), text(VALUE_BYTES_MAX + 1), text(1), text(2)];
    let options = StatisticsOptions::default();
    let statistics = ColumnStatistics::compute(ColumnId(1), &SqlType::Text, &sample, 4, &options);
    assert_eq!((statistics.distinct, statistics.max.as_deref()), (Some(4), Some("xx")));
    assert_eq!(statistics.average_width, (2 * VALUE_BYTES_MAX + 5) as f64 / 4.0);
}

#[test]
fn types_without_an_order_have_a_width() {
    let sample = [Value::Vector(vec![1.0, 2.0]), Value::Null];
    let options = StatisticsOptions::default();
    let statistics = ColumnStatistics::compute(ColumnId(1), &SqlType::Vector(Some(2)), &sample, 2, &options);
    assert_eq!(
        (statistics.null_fraction, statistics.average_width, statistics.distinct),
        (0.5, 8.0, None)
    );
}

/// The format is persistent.
#[test]
fn golden() {
    let statistics = TableStatistics {
        rows: 8,
        sampled_rows: 4,
        columns: vec![compute(&[Some(2), Some(2), None, Some(1)], 8)],
    };
    let json = concat!(
        r#"{"rows":8,"sampled_rows":4,"columns":[{"column":3,"null_fraction":0.25,"distinct":2,"min":"1","max":"2","#,
        r#""most_common":[{"value":"2","frequency":0.5},{"value":"1","frequency":0.25}],"histogram":[],"average_width":4.0}]}"#
    );
    let bytes = statistics.encode();
    assert_eq!(bytes.split_first(), Some((&1, json.as_bytes())));
    assert_eq!(TableStatistics::decode(&bytes).expect("written above"), statistics);
    assert_eq!(
        TableStatistics::decode(&bytes[..9]).expect_err("cut").kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(
        TableStatistics::decode(&[2, b'{']).expect_err("a later version").kind(),
        ErrorKind::Corrupt
    );
    let key = TableStatistics::key(TableId(1000));
    assert_eq!(key, [0, 0, 0, 1, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 3, 0xE8]);
    assert!(TableStatistics::range().contains(&key));
}

proptest! {
    /// Shares add up, bounds are sorted, and what is estimated lies within what is possible.
    #[test]
    fn statistics_are_consistent(
        values in prop::collection::vec(prop::option::weighted(0.9, -5i32..40), 0..300), factor in 1u64..100,
        most_common_max in 0usize..10, histogram_bounds_max in 2usize..10,
    ) {
        let sample: Vec<Value> = values.iter().map(|value| value.map_or(Value::Null, Value::I32)).collect();
        let rows = sample.len() as u64 * factor;
        let options = StatisticsOptions { most_common_max, histogram_bounds_max };
        let statistics = ColumnStatistics::compute(ColumnId(1), &SqlType::Integer, &sample, rows, &options);
        let shares = statistics.most_common.iter().map(|common| common.frequency).sum::<f64>() + statistics.null_fraction;
        prop_assert!(shares <= 1.0 + 1e-9);
        prop_assert!(statistics.most_common.is_sorted_by(|one, two| one.frequency >= two.frequency));
        prop_assert!(statistics.most_common.len() <= most_common_max && statistics.histogram.len() <= histogram_bounds_max);
        let bounds: Vec<i32> = statistics.histogram.iter().map(|bound| number(bound)).collect();
        prop_assert!(bounds.is_sorted() && bounds.len() != 1);
        prop_assert!(statistics.most_common.iter().all(|common| !bounds.contains(&number(&common.value))));
        let present: Vec<i32> = values.into_iter().flatten().collect();
        prop_assert_eq!(statistics.min.as_deref().map(number), present.iter().min().copied());
        prop_assert_eq!(statistics.max.as_deref().map(number), present.iter().max().copied());
        let different = present.iter().collect::<std::collections::HashSet<_>>().len() as u64;
        let distinct = statistics.distinct.expect("integers are ordered");
        prop_assert!((different..=rows.max(different)).contains(&distinct));
    }
}
