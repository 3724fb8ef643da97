//! `interval` in SQL: literals, operators, functions, aggregates, and what else DataFusion would do otherwise than PostgreSQL.
//!
//! An interval is Arrow's months, days and nanoseconds, of which only whole microseconds are used; what is reckoned with them is
//! [`aion_catalog::interval`]. DataFusion compares the three fields one by one, so that `1 day` is more than `25 hours`, adds them without
//! looking for overflows, and reads fewer forms of text.
//!
//! 1. [`literal`] writes literals so that DataFusion reads what PostgreSQL would, and arguments that it has no form for.
//! 2. [`operators`] makes calls of operators, when an expression is planned; [`compute`] are the functions, row by row.
//! 3. [`fields`] is `date_part`, `extract` and `date_trunc`.
//! 4. [`chosen`] is `greatest`, `least` and `nullif`, [`series`] is `generate_series` of times.
//! 5. [`aggregates`] puts sums, averages and extremes of our own in the place of DataFusion's.
//! 6. Comparing, sorting, grouping and joining by lengths is in `json::order`, which does the same for documents.
//!
//! **Left out.** `interval(p)` and `interval year to month` as types, `sum` and `avg` of DISTINCT
//! intervals.

mod aggregates;
mod chosen;
mod compute;
mod fields;
mod literal;
mod operators;
mod series;

pub use aggregates::{avg, settle_aggregates};
pub use compute::{INTERVAL, Way, is_interval, is_made};
pub use literal::{settle, written_interval};
pub use operators::IntervalOperators;
pub use series::series;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The name of the function that gives an interval's length.
pub const LENGTH_FUNCTION: &str = "interval_length";

/// Those that a statement may name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = compute::functions();
    all.extend(fields::functions());
    all.extend(chosen::functions());
    all
}
