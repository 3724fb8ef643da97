//! Arrays: their operators and functions, with PostgreSQL's types and NULLs.
//!
//! 1. [`ArrayOperators`] plans `ARRAY[...]`, subscripts, and the operators that have an array beside them, as calls of the functions here;
//!    `x = ANY(a)` and its like are calls already (see `system::rewrite`).
//! 2. [`settle`] gives the arguments of these calls their types ([`resolve`]), while it is still known which of them are literals.
//! 3. [`CastArrays`] puts our own cast in the place of those whose elements Arrow would cast otherwise.
//! 4. Where arrays are compared, their keys are: see `json::order`, which asks [`key`].
//!
//! DataFusion's functions of the same names take other types for granted: they count in unsigned numbers, look for what *is* NULL,
//! and compare an array's elements as Arrow does. Those that have no namesake in PostgreSQL are left as they are.
//!
//! **Left out.** Several dimensions and other lower bounds (0A000, see `aion_catalog::array`): `array_fill` with bounds, `array_cat` of
//! arrays of different depth. Assignment to an element. Arrays of vectors.

mod call;
mod cast;
mod compute;
mod gathered;
mod key;
mod operators;
mod or_empty;
mod resolve;

use std::sync::Arc;

use aion_catalog::SqlType;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};

pub use call::Kind;
pub use cast::{CastArrays, converted, read_shortened};
pub use gathered::array_agg;
pub use key::{ARRAY_KEY_FUNCTION, array_key};
pub use operators::ArrayOperators;

use super::retyped::retyped;
pub use or_empty::OR_EMPTY;

/// All functions of arrays that can be called by name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let computed = Kind::ALL.iter().map(|&kind| kind.function());
    computed
        .chain(std::iter::once(or_empty::function()))
        .map(Arc::new)
        .collect()
}

/// Whether a type is that of arrays; a vector is none.
pub fn is_array(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_))
        && matches!(SqlType::from_arrow(data_type), Ok(SqlType::Array(_)))
}

/// A plan in which the arguments of these functions have the types that they are computed with. It changes the types of columns, so it
/// comes before anybody asks for them.
///
/// # Errors
/// 42883 for arguments that no function takes.
pub fn settle(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_concerned = |plan: &LogicalPlan| {
        let mut is_found = false;
        let _ = plan.apply_expressions(|expr| {
            is_found |= expr.exists(|expr| Ok(Kind::of(expr).is_some()))?;
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        });
        is_found
    };
    retyped(plan, is_concerned, |expr, schema| {
        expr.transform_up(|expr| match Kind::of(&expr) {
            Some(kind) => resolve::settled(kind, expr, schema),
            None => Ok(Transformed::no(expr)),
        })
    })
}

/// As [`settle`], of an expression alone.
///
/// # Errors
/// As [`settle`].
pub fn settle_expr(expr: Expr, schema: &datafusion::common::DFSchema) -> Result<Expr> {
    let settled = expr.transform_up(|expr| match Kind::of(&expr) {
        Some(kind) => resolve::settled(kind, expr, schema),
        None => Ok(Transformed::no(expr)),
    })?;
    Ok(settled.data)
}
