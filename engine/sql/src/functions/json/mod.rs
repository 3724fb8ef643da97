//! json and jsonb in SQL: operators, functions, casts, and the order and equality of documents.
//!
//! A jsonb is a LargeBinary that holds the document's bytes (`aion_catalog::json`), a json is a text that its field says is json.
//!
//! 1. [`operators`] makes calls of operators, when an expression is planned; [`documents`] and [`plain`] are the functions, each a line of
//!    a table that [`call`] runs row by row.
//! 2. Functions that give rows give a list here, which `unnest` takes apart: `system::rewrite` writes it so, and aggregates as `array_agg`
//!    with [`gather`] around.
//! 3. [`check`] refuses what DataFusion would do with bytes and texts that are documents; [`cast`] and [`order`] stand for what it would do
//!    otherwise: casts, and comparing, sorting, grouping and joining.
//!
//! **Left out.** `jsonb_each` and its like in a SELECT list, where PostgreSQL answers with records; `jsonb_populate_record`,
//! `jsonb_to_record` and their like; GREATEST and LEAST of documents; `array_agg(DISTINCT ...)` of them; arrays of json, which would be texts.

mod build;
mod call;
mod cast;
mod check;
mod documents;
mod gather;
mod operators;
mod order;
mod plain;
mod side;
mod values;

pub use call::{no_function, type_name};
pub use cast::{kept_json, literal_as_json, read as read_cast, settle as settle_cast};
pub use check::{CheckDocuments, PASS_ON, TAKE_TEXTS, alike};
pub use operators::{DocumentOperators, no_operator, settled};
pub use order::{KEY_FUNCTION, OrderDocuments};
pub use side::Side;

use std::sync::Arc;

use aion_base::{Error, SqlState};
use datafusion::logical_expr::ScalarUDF;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let tables = documents::ALL.iter().chain(plain::ALL);
    let mut all: Vec<Arc<ScalarUDF>> = tables.map(|definition| Arc::new(definition.function())).collect();
    all.extend(build::functions());
    all.extend(gather::functions());
    all
}

/// What an aggregate of documents is written as: the function around `array_agg`, and the one around what it gathers.
pub fn aggregate(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "json_agg" => ("json_gathered", "json_item"),
        "jsonb_agg" => ("jsonb_gathered", "jsonb_item"),
        "json_object_agg" => ("json_object_gathered", "json_member"),
        "jsonb_object_agg" => ("jsonb_object_gathered", "jsonb_member"),
        _ => return None,
    })
}

/// What a function that gives rows is written as: for each of its columns, its name and the function that lists it. Those of two columns
/// are told the name that was called.
pub fn rows(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    Some(match name {
        "jsonb_array_elements" => &[("value", "jsonb_array_elements_list")],
        "jsonb_array_elements_text" => &[("value", "jsonb_array_elements_text_list")],
        "jsonb_object_keys" => &[("jsonb_object_keys", "jsonb_object_keys_list")],
        "jsonb_path_query" => &[("jsonb_path_query", "jsonb_path_query_list")],
        "jsonb_each" => &[("key", "jsonb_each_keys"), ("value", "jsonb_each_values")],
        "jsonb_each_text" => &[("key", "jsonb_each_keys"), ("value", "jsonb_each_texts")],
        "json_array_elements" => &[("value", "json_array_elements_list")],
        "json_array_elements_text" => &[("value", "json_array_elements_text_list")],
        "json_object_keys" => &[("json_object_keys", "json_object_keys_list")],
        "json_each" => &[("key", "json_each_keys"), ("value", "json_each_values")],
        "json_each_text" => &[("key", "json_each_keys"), ("value", "json_each_texts")],
        _ => return None,
    })
}

fn invalid_parameter(message: impl Into<String>) -> Error {
    Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)
}
