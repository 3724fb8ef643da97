//! Functions and operators that DataFusion lacks, or does otherwise than PostgreSQL.

mod arithmetic;
mod bytea;
mod system;
mod typed;
mod vector;

pub(crate) use typed::{cast_call, is_function};
pub(crate) use vector::distance_metric;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::AnalyzerRule;

/// Functions that are added to DataFusion's.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut all = system::functions();
    all.extend(typed::functions());
    all.extend(vector::functions());
    all
}

/// Operators that DataFusion does not plan.
pub fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![Arc::new(vector::VectorOperators), Arc::new(typed::UuidLiterals)]
}

/// Rules that run on every plan after its types are settled.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![Arc::new(arithmetic::CheckIntegers), Arc::new(bytea::ReadBytea)]
}
