//! A row that a model is trained on, as a line of JSON.
//!
//! ```text
//! {"features":[0.25,1,...],"log2_ratio":-1.5,"censored":false,"at":1700000000000000,"queryid":42}
//! ```
//!
//! Rows come from operators that ran. One that was stopped early gave fewer rows than there were: its row is *censored*, and its ratio a
//! lower bound. The ratio is that of at least one row to at least one row, so that nothing found where nothing was expected is 0. Numbers are
//! written with the fewest digits that give the same bits back. A line has no literal of a statement in it.
//!
//! Left out: reading. Trainers read lines with the types of their own.

use std::fmt::Write;

use aion_base::subplan::SubPlan;

use super::features::{Features, features, known, log2};

/// What a model learns from one execution of one operator.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingRow {
    /// The input.
    pub features: Features,
    /// log2(true rows / classical estimate): what is to be predicted.
    pub log2_ratio: f32,
    /// Whether the true ratio may be larger.
    pub censored: bool,
    /// When it ran: microseconds since 1970, for the split by time.
    pub at: u64,
    /// The statement, for the split by template.
    pub queryid: i64,
}

impl TrainingRow {
    /// The row of an execution; None without a classical estimate or a number of rows that is one. `is_complete` says whether
    /// the operator ran to its end.
    pub fn new(sub_plan: &SubPlan, actual_rows: f64, is_complete: bool, at: u64, queryid: i64) -> Option<Self> {
        let estimate = known(sub_plan.estimated_rows)?;
        let actual = known(Some(actual_rows).filter(|rows| rows.is_finite()))?;
        Some(Self {
            features: features(sub_plan),
            log2_ratio: (log2(actual.max(1.0)) - log2(estimate.max(1.0))) as f32,
            censored: !is_complete,
            at,
            queryid,
        })
    }

    /// The row as one line, without the line's end.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"features\":[");
        for (slot, value) in self.features.iter().enumerate() {
            if slot > 0 {
                json.push(',');
            }
            push_number(&mut json, *value);
        }
        json.push_str("],\"log2_ratio\":");
        push_number(&mut json, self.log2_ratio);
        let Self {
            censored, at, queryid, ..
        } = self;
        // Writing to a text cannot fail.
        let _ = write!(json, ",\"censored\":{censored},\"at\":{at},\"queryid\":{queryid}}}");
        json
    }
}

/// JSON has no NaN and no infinity; a row that was built by hand might.
fn push_number(json: &mut String, value: f32) {
    let value = if value.is_finite() { value } else { 0.0 };
    let _ = write!(json, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(estimate: Option<f64>) -> SubPlan {
        SubPlan {
            estimated_rows: estimate,
            ..SubPlan::default()
        }
    }

    #[test]
    fn the_ratio_is_of_at_least_one_row() {
        let ratio = |estimate, actual| {
            let row = TrainingRow::new(&expecting(estimate), actual, true, 1, 2);
            row.map(|row| row.log2_ratio)
        };
        assert_eq!(ratio(Some(4.0), 64.0), Some(4.0));
        assert_eq!(ratio(Some(64.0), 4.0), Some(-4.0));
        assert_eq!(ratio(Some(0.0), 0.0), Some(0.0));
        assert_eq!(ratio(Some(0.01), 8.0), Some(3.0));
        for nothing in [ratio(None, 1.0), ratio(Some(f64::NAN), 1.0), ratio(Some(1.0), f64::NAN)] {
            assert_eq!(nothing, None);
        }
        assert_eq!(ratio(Some(1.0), f64::INFINITY), None);
    }

    #[test]
    fn a_line_of_json() {
        let row = TrainingRow::new(&expecting(Some(3.0)), 12.0, false, 1_700, -5).expect("both are numbers");
        let mut slots = vec!["0"; 48];
        (slots[0], slots[1], slots[15]) = ("0.125", "1", "1");
        (slots[28], slots[29]) = ("1", "0.5");
        let wanted = format!(
            "{{\"features\":[{}],\"log2_ratio\":2,\"censored\":true,\"at\":1700,\"queryid\":-5}}",
            slots.join(",")
        );
        assert_eq!(row.to_json(), wanted);
    }

    #[test]
    fn numbers_come_back_as_the_same_bits() {
        for value in [0.1_f32, 1.0 / 3.0, f32::MIN_POSITIVE, f32::MAX, -1e-20, 1e-45] {
            let mut json = String::new();
            push_number(&mut json, value);
            assert_eq!(json.parse::<f32>().map(f32::to_bits), Ok(value.to_bits()), "{json}");
        }
        let mut json = String::new();
        push_number(&mut json, f32::NAN);
        assert_eq!(json, "0");
    }
}
