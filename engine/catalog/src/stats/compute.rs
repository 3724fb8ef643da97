//! Statistics of a column from a sample.

use std::cmp::Ordering;

use super::{ColumnStatistics, CommonValue, StatisticsOptions, VALUE_BYTES_MAX};
use crate::descriptor::ColumnId;
use crate::types::SqlType;
use crate::value::Value;

/// A most common value is at least so much more frequent than the average value.
const COMMON_OVER_AVERAGE: f64 = 1.25;

impl ColumnStatistics {
    /// The statistics of a column of a table of `rows` rows, from a sample of them drawn without replacement.
    ///
    /// Every value must be NULL or of `sql_type`.
    ///
    /// 1. Count the NULLs, sum the widths, and sort the values that are not too wide.
    /// 2. Count runs of equal values: the distinct values of the sample and those seen once give the distinct count.
    /// 3. Take the runs well above the average length as most common values; all runs, if they are few and the
    ///    estimate is that the sample has seen every value.
    /// 4. Cut what remains into ranges of equally many values.
    pub fn compute(
        column: ColumnId,
        sql_type: &SqlType,
        sample: &[Value],
        rows: u64,
        options: &StatisticsOptions,
    ) -> Self {
        assert!(
            sample.iter().all(|value| value.is_of(sql_type)),
            "a sample of a {sql_type} holds such values only"
        );
        let present: Vec<&Value> = sample.iter().filter(|value| !value.is_null()).collect();
        let mut statistics = Self {
            column,
            null_fraction: ratio(sample.len() - present.len(), sample.len()),
            distinct: None,
            min: None,
            max: None,
            most_common: Vec::new(),
            histogram: Vec::new(),
            average_width: ratio(present.iter().map(|value| value.width()).sum(), present.len()),
        };
        if !sql_type.is_ordered() {
            return statistics;
        }
        let mut sorted: Vec<&Value> = present
            .iter()
            .copied()
            .filter(|value| value.width() <= VALUE_BYTES_MAX)
            .collect();
        sorted.sort_unstable_by(|one, two| compare(one, two));
        let runs: Vec<&[&Value]> = sorted.chunk_by(|one, two| compare(one, two).is_eq()).collect();
        let wide = present.len() - sorted.len();
        let counts = Counts {
            rows: (rows.max(sample.len() as u64) as f64 * (1.0 - statistics.null_fraction)).round(),
            sampled: present.len() as f64,
            distinct: (runs.len() + wide) as f64,
            once: (runs.iter().filter(|run| run.len() == 1).count() + wide) as f64,
        };
        let distinct = counts.distinct_of_table();
        statistics.distinct = Some(distinct as u64);
        statistics.min = sorted.first().map(|value| text(value, sql_type));
        statistics.max = sorted.last().map(|value| text(value, sql_type));

        let is_complete = wide == 0 && distinct <= counts.distinct && runs.len() <= options.most_common_max;
        let least = if is_complete {
            1.0
        } else {
            f64::max(2.0, COMMON_OVER_AVERAGE * counts.sampled / distinct)
        };
        let mut common: Vec<&&[&Value]> = runs.iter().filter(|run| run.len() as f64 >= least).collect();
        // Stable: of equally frequent values, the smaller comes first.
        common.sort_by_key(|run| std::cmp::Reverse(run.len()));
        common.truncate(options.most_common_max);
        statistics.most_common = common
            .iter()
            .map(|run| CommonValue {
                value: text(run[0], sql_type),
                frequency: ratio(run.len(), sample.len()),
            })
            .collect();

        common.sort_by(|one, two| compare(one[0], two[0]));
        let is_common = |run: &[&Value]| common.binary_search_by(|common| compare(common[0], run[0])).is_ok();
        let others: Vec<&[&Value]> = runs.iter().copied().filter(|run| !is_common(run)).collect();
        let bounds = others.len().min(options.histogram_bounds_max);
        if bounds >= 2 {
            let values: Vec<&Value> = others.concat();
            statistics.histogram = (0..bounds)
                .map(|bound| text(values[bound * (values.len() - 1) / (bounds - 1)], sql_type))
                .collect();
        }
        statistics
    }
}

/// What the estimate of the distinct count stands on; NULLs are in none of these.
struct Counts {
    /// Values in the table.
    rows: f64,
    /// Values in the sample.
    sampled: f64,
    /// Different values in the sample.
    distinct: f64,
    /// Values that the sample holds once.
    once: f64,
}

impl Counts {
    /// Duj1 of Haas and Stokes, `n d / (n - f1 + f1 n / N)`, within what the sample proves. A sample in which every value is
    /// different says nothing of how often values repeat: then all are taken as different.
    fn distinct_of_table(&self) -> f64 {
        if self.sampled == 0.0 || self.sampled >= self.rows || self.once == 0.0 {
            return self.distinct;
        }
        let divisor = self.sampled - self.once + self.once * self.sampled / self.rows;
        (self.sampled * self.distinct / divisor)
            .round()
            .clamp(self.distinct, self.rows)
    }
}

/// The order of two values of one ordered type.
fn compare(one: &Value, two: &Value) -> Ordering {
    one.compare(two)
        .expect("the values are of one ordered type and not NULL, as compute has checked")
}

fn text(value: &Value, sql_type: &SqlType) -> String {
    let mut out = String::new();
    value.text_out(sql_type, &mut out);
    out
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
