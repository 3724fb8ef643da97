//! Functions and operators that DataFusion lacks, or does otherwise than PostgreSQL.

mod arithmetic;
mod array;
pub mod bits;
mod branches;
mod case_type;
mod coalesce;
mod enumeration;
mod interval;
mod json;
mod lateral;
mod of_day;
mod ordinals;
mod padding;
mod plain;
mod retyped;
mod rounding;
mod sleep;
mod subquery;
pub(crate) mod system;
mod text_in;
mod text_out;
mod time_zone;
mod type_of;
mod typed;
mod vector;
mod whole_row;

pub(crate) use arithmetic::{count_ranks, widen_sums};
pub(crate) use array::{ARRAY_KEY_FUNCTION, OR_EMPTY, settle as settle_arrays, settle_expr as settle_array_calls};
pub(crate) use branches::settle_branches;
pub(crate) use case_type::mark_cases;
pub(crate) use enumeration::is_open_expr;
pub(crate) use interval::{series, settle as settle_interval, settle_aggregates, written_interval};
pub(crate) use json::{aggregate as json_aggregate, rows as json_rows};
pub(crate) use lateral::flatten;
pub use plain::functions as plain_functions;
pub(crate) use subquery::{bind, is_applied, mark_nullable};
pub(crate) use text_in::{read_list, read_literals};
pub(crate) use time_zone::{Zones, label, shown};
pub(crate) use typed::{cast_call, is_function};
pub(crate) use vector::distance_metric;
pub(crate) use whole_row::{WHOLE_ROW, expand_rows};

use std::sync::Arc;

use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

/// Whether a function gives what values are compared by: the key of a document or an array, the length of an interval.
pub(crate) fn is_key(name: &str) -> bool {
    name == json::KEY_FUNCTION || name == ARRAY_KEY_FUNCTION || name == interval::LENGTH_FUNCTION
}

/// Functions that are added to DataFusion's.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = typed::functions();
    all.extend(vector::functions());
    all.extend(json::functions());
    all.extend(array::functions());
    all.extend(coalesce::functions());
    all.extend(interval::functions());
    all.extend(enumeration::functions());
    all.extend(type_of::functions());
    all.extend(time_zone::functions());
    all.extend(rounding::functions());
    all.extend(ordinals::functions());
    all.extend(bits::functions());
    all.extend(sleep::functions());
    all.extend(whole_row::functions());
    all
}

/// Aggregate functions that DataFusion has under another name.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let every = (*bool_and_udaf()).clone().with_aliases(["every"]);
    let variance = (*var_samp_udaf())
        .clone()
        .with_aliases(["var", "var_sample", "variance"]);
    vec![Arc::new(every), Arc::new(variance), interval::avg(), array::array_agg()]
}

/// Operators that DataFusion plans otherwise: asked before its own.
pub fn first_expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(enumeration::EnumOperators),
        Arc::new(json::DocumentOperators),
        Arc::new(interval::IntervalOperators),
        Arc::new(array::ArrayOperators),
    ]
}

/// Operators that DataFusion does not plan.
pub fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(vector::VectorOperators), Arc::new(text_in::TypedLiterals)]
}

/// Rules that run on every plan before its types are settled.
pub fn early_analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(json::CheckDocuments),
        Arc::new(enumeration::CheckEnums),
        Arc::new(text_in::FillLiterals),
        Arc::new(arithmetic::PreferDoubles),
        Arc::new(padding::PadBlanks),
    ]
}

/// Rules that run on every plan after its types are settled.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(arithmetic::CheckIntegers),
        Arc::new(text_in::ReadText),
        Arc::new(of_day::TimeCasts),
        Arc::new(array::CastArrays),
        Arc::new(text_out::WriteText),
        Arc::new(rounding::RoundCasts),
        Arc::new(subquery::OuterColumns),
        Arc::new(subquery::Membership),
        // Behind what makes comparisons.
        Arc::new(json::OrderDocuments),
        Arc::new(subquery::OneRow),
        Arc::new(time_zone::InZone),
        // No rule sees what stands in the functions that it makes.
        Arc::new(subquery::Apply),
    ]
}
