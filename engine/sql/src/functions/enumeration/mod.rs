//! Enums in SQL: what is asked of their values, and what is not done with them.
//!
//! A value is the position of its label, as nanoseconds of a timestamp whose zone is the type's (`aion_catalog::types`). So DataFusion
//! compares, sorts, groups, joins and takes extremes of them as of any number, and all that there is to do here is about types:
//!
//! 1. [`operators`] types what stands beside an enum when an expression is planned, and refuses operators that there are not (42883).
//! 2. [`check`] refuses, before types are settled, what DataFusion would do with a timestamp or a text, and what compares two types.
//! 3. A literal becomes a value where those of other types do (`text_in`), a value its label where they become texts (`text_out`).
//! 4. [`ends`] is `enum_first`, `enum_last` and `enum_range`; [`open`] tells which columns of a query are literals.
//!
//! **Left out.** Operators and functions of a text, for a value that is not cast: PostgreSQL has none either.

mod check;
mod ends;
mod open;
mod operators;

pub use check::CheckEnums;
pub use ends::functions;
pub use open::{is_open, is_open_expr};
pub use operators::EnumOperators;

use aion_catalog::enumeration::EnumType;
use datafusion::arrow::datatypes::DataType;

/// The enum that a type is.
pub fn enum_of(data_type: &DataType) -> Option<EnumType> {
    match data_type {
        DataType::Timestamp(_, Some(zone)) => EnumType::of_zone(zone),
        _ => None,
    }
}

/// Whether a type is that of moments: one of times in a zone that is no enum's.
pub fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(_))) && enum_of(data_type).is_none()
}
