//! Functions and operators that DataFusion lacks, or does otherwise than PostgreSQL.

mod arithmetic;
mod bytea;
mod system;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::optimizer::AnalyzerRule;

/// Functions that are added to DataFusion's.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    system::functions()
}

/// Rules that run on every plan after its types are settled.
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![Arc::new(arithmetic::CheckIntegers), Arc::new(bytea::ReadBytea)]
}
