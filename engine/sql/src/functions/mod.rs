//! Functions and operators that DataFusion lacks, or does otherwise than PostgreSQL.

mod arithmetic;
mod case_type;
mod json;
mod lateral;
mod ordinals;
mod subquery;
pub(crate) mod system;
mod text_in;
mod type_of;
mod typed;
mod vector;
mod whole_row;

pub(crate) use arithmetic::widen_sums;
pub(crate) use case_type::mark_cases;
pub(crate) use json::{KEY_FUNCTION, aggregate as json_aggregate, rows as json_rows};
pub(crate) use lateral::flatten;
pub(crate) use typed::{cast_call, is_function};
pub(crate) use vector::distance_metric;
pub(crate) use whole_row::{WHOLE_ROW, expand_rows};

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::AnalyzerRule;

/// Functions that are added to DataFusion's.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = typed::functions();
    all.extend(vector::functions());
    all.extend(json::functions());
    all.extend(type_of::functions());
    all.extend(ordinals::functions());
    all.extend(whole_row::functions());
    all
}

/// Operators that DataFusion does not plan.
pub fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(json::DocumentOperators),
        Arc::new(vector::VectorOperators),
        Arc::new(text_in::TypedLiterals),
    ]
}

/// Rules that run on every plan before its types are settled.
pub fn early_analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![Arc::new(text_in::FillLiterals), Arc::new(arithmetic::PreferDoubles)]
}

/// Rules that run on every plan after its types are settled.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![
        Arc::new(arithmetic::CheckIntegers),
        Arc::new(text_in::ReadText),
        Arc::new(json::OrderDocuments),
        Arc::new(subquery::OneRow),
    ]
}
