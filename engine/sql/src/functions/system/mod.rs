//! Functions that say who, where and what: those of `pg_catalog` that drivers and tools call.
//!
//! They answer from the [`Facts`] of the statement, so the planner makes them anew for each statement ([`bound`]) and they are no
//! part of what sessions share. One table, [`FUNCTIONS`], says what exists: name, arguments, result and body. A body sees
//! one row's arguments; NULL gives NULL unless it says otherwise.
//!
//! Privileges: there is one role, the superuser, so every question about them is answered with true.

mod advisory;
mod bodies;
mod numbers;
mod sizes;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use aion_base::{Error, Result, SqlState};
use aion_catalog::types::TYPE_METADATA_KEY;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::DataFusionError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::wrap;
use crate::system::Facts;
use crate::system::cells::{Cell, array, field};

/// What an argument is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    Text,
    Int,
    Bool,
    /// A name or an oid.
    Named,
    /// A list; the body is told how many elements it has.
    List,
}

/// A function.
struct Definition {
    name: &'static str,
    arguments: &'static [Argument],
    /// So many of them must be given.
    required: usize,
    /// The result's type, as columns of system tables write it.
    result: &'static str,
    body: fn(&Facts, &[Cell]) -> Result<Cell>,
    takes_nulls: bool,
    changes: bool,
}

impl Definition {
    const fn new(
        name: &'static str,
        arguments: &'static [Argument],
        result: &'static str,
        body: fn(&Facts, &[Cell]) -> Result<Cell>,
    ) -> Self {
        Self {
            name,
            arguments,
            required: arguments.len(),
            result,
            body,
            takes_nulls: false,
            changes: false,
        }
    }

    /// The last ones may be left out.
    const fn requiring(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    const fn taking_nulls(mut self) -> Self {
        self.takes_nulls = true;
        self
    }

    const fn changing(mut self) -> Self {
        self.changes = true;
        self
    }
}

static FUNCTIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    use Argument::{Bool, Int, List, Named, Text};
    use Definition as F;
    use bodies as b;
    vec![
        F::new("version", &[], "text", b::version),
        F::new("current_database", &[], "name", b::current_database),
        F::new("current_catalog", &[], "name", b::current_database),
        F::new("current_schema", &[], "name", b::current_schema),
        F::new("current_schemas", &[Bool], "name[]", b::current_schemas),
        F::new("current_user", &[], "name", b::current_user),
        F::new("current_role", &[], "name", b::current_user),
        F::new("session_user", &[], "name", b::current_user),
        F::new("user", &[], "name", b::current_user),
        F::new("current_setting", &[Text, Bool], "text", b::current_setting).requiring(1),
        F::new("set_config", &[Text, Text, Bool], "text", b::set_config).changing(),
        F::new("pg_notify", &[Text, Text], "text", b::notify)
            .taking_nulls()
            .changing(),
        F::new(
            "pg_notification_queue_usage",
            &[],
            "float8",
            b::notification_queue_usage,
        ),
        F::new("pg_listening_channels", &[], "text[]", b::listening_channels),
        F::new("inet_client_addr", &[], "text", b::no_address),
        F::new("inet_server_addr", &[], "text", b::no_address),
        F::new("pg_backend_pid", &[], "int4", b::process_id),
        F::new("pg_cancel_backend", &[Int], "bool", b::cancel).changing(),
        F::new("pg_terminate_backend", &[Int, Int], "bool", b::terminate)
            .requiring(1)
            .changing(),
        F::new("pg_blocking_pids", &[Int], "int4[]", b::blocking),
        F::new("pg_is_in_recovery", &[], "bool", b::never),
        F::new("pg_is_other_temp_schema", &[Int], "bool", b::is_other_temporary_schema),
        F::new("pg_my_temp_schema", &[], "oid", b::my_temporary_schema),
        F::new("pg_encoding_to_char", &[Int], "name", b::encoding),
        F::new("format_type", &[Int, Int], "text", b::format_type).taking_nulls(),
        F::new("pg_get_userbyid", &[Int], "name", b::role_name),
        F::new("pg_get_expr", &[Text, Int, Bool], "text", b::expression).requiring(2),
        F::new("pg_get_indexdef", &[Int, Int, Bool], "text", b::index_definition).requiring(1),
        F::new("pg_get_constraintdef", &[Int, Bool], "text", b::constraint_definition).requiring(1),
        F::new("pg_get_viewdef", &[Named, Bool], "text", b::view_definition).requiring(1),
        // PostgreSQL 19's name.
        F::new("pg_get_propgraphdef", &[Named], "text", b::graph_definition),
        F::new("pg_get_function_result", &[Int], "text", b::any_result),
        F::new("pg_get_function_arguments", &[Int], "text", b::any_arguments),
        F::new("pg_get_function_identity_arguments", &[Int], "text", b::any_arguments),
        F::new("pg_get_functiondef", &[Int], "text", b::nothing),
        F::new("pg_get_triggerdef", &[Int, Bool], "text", b::nothing).requiring(1),
        F::new("pg_get_ruledef", &[Int, Bool], "text", b::nothing).requiring(1),
        F::new("pg_get_partkeydef", &[Int], "text", b::nothing),
        F::new("pg_get_statisticsobjdef_columns", &[Int], "text", b::nothing),
        F::new("pg_get_serial_sequence", &[Text, Text], "text", b::serial_sequence),
        F::new("pg_sequence_last_value", &[Named], "int8", b::sequence_last_value),
        F::new("pg_relation_size", &[Named, Text], "int8", b::relation_size).requiring(1),
        F::new("pg_table_size", &[Named], "int8", b::relation_size),
        F::new("pg_indexes_size", &[Named], "int8", b::indexes_size),
        F::new("pg_total_relation_size", &[Named], "int8", b::total_size),
        F::new("pg_size_pretty", &[Int], "text", b::size_pretty),
        F::new("pg_partition_ancestors", &[Named], "oid[]", b::no_relations),
        F::new("nextval", &[Named], "int8", b::nextval).changing(),
        F::new("currval", &[Named], "int8", b::currval).changing(),
        F::new("lastval", &[], "int8", b::lastval).changing(),
        F::new("setval", &[Named, Int, Bool], "int8", b::setval)
            .requiring(2)
            .changing(),
        F::new("pg_relation_is_publishable", &[Named], "bool", b::never),
        F::new("pg_table_is_visible", &[Named], "bool", b::relation_is_visible),
        F::new("pg_type_is_visible", &[Named], "bool", b::type_is_visible),
        F::new("pg_function_is_visible", &[Named], "bool", b::function_is_visible),
        F::new("pg_operator_is_visible", &[Int], "bool", b::never),
        F::new("pg_opclass_is_visible", &[Int], "bool", b::never),
        F::new("pg_opfamily_is_visible", &[Int], "bool", b::never),
        F::new("pg_collation_is_visible", &[Int], "bool", b::always),
        F::new("pg_statistics_obj_is_visible", &[Int], "bool", b::never),
        F::new("obj_description", &[Named, Text], "text", b::comment).requiring(1),
        F::new("col_description", &[Named, Int], "text", b::column_comment),
        F::new("shobj_description", &[Int, Text], "text", b::nothing),
        F::new("has_table_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_any_column_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_column_privilege", &[Named, Named, Named, Text], "bool", b::always).requiring(3),
        F::new("has_schema_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_database_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_function_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_type_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_tablespace_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("has_sequence_privilege", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("pg_has_role", &[Named, Named, Text], "bool", b::always).requiring(2),
        F::new("to_regclass", &[Text], "oid", b::to_relation),
        F::new("to_regtype", &[Text], "oid", b::to_type),
        F::new("to_regnamespace", &[Text], "oid", b::to_schema),
        F::new("regclassin", &[Named], "oid", b::relation_oid),
        F::new("regclassout", &[Named], "text", b::relation_name),
        F::new("regtypein", &[Named], "oid", b::type_oid),
        F::new("regtypeout", &[Named], "text", b::type_name),
        F::new("regnamespacein", &[Named], "oid", b::schema_oid),
        F::new("regnamespaceout", &[Named], "text", b::schema_name),
        F::new("regrolein", &[Named], "oid", b::role_oid),
        F::new("regroleout", &[Named], "text", b::named_role),
        // Where PostgreSQL keeps the oid of a function, a name stands here.
        F::new("regprocin", &[Named], "text", b::function_name),
        F::new("regprocout", &[Named], "text", b::function_name),
        F::new("quote_ident", &[Text], "text", b::quote_identifier),
        F::new("quote_literal", &[Text], "text", b::quote_literal),
        F::new("quote_nullable", &[Text], "text", b::quote_nullable).taking_nulls(),
        F::new("like_escape", &[Text, Text], "text", b::like_escape),
        F::new("array_subscripts", &[List, Int], "int4[]", b::subscripts),
        F::new("aion.forget", &[Int], "bool", b::forget).changing(),
    ]
});

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name).chain(advisory::NAMES)
}

/// Whether there is one of that name.
pub fn exists(name: &str) -> bool {
    names().any(|known| known == name)
}

/// The function of that name, which answers from these facts.
pub fn bound(name: &str, facts: Arc<Facts>) -> Option<Arc<ScalarUDF>> {
    if let Some(function) = advisory::bound(name, &facts) {
        return Some(function);
    }
    let definition = FUNCTIONS.iter().find(|function| function.name == name)?;
    let volatility = match definition.changes {
        true => Volatility::Volatile,
        false => Volatility::Stable,
    };
    Some(Arc::new(ScalarUDF::from(Bound {
        definition,
        facts,
        signature: match definition.arguments {
            [] => Signature::nullary(volatility),
            _ => Signature::user_defined(volatility),
        },
    })))
}

/// A function with what it answers from.
struct Bound {
    definition: &'static Definition,
    facts: Arc<Facts>,
    signature: Signature,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.definition.name)
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && Arc::ptr_eq(&self.facts, &other.facts)
    }
}

impl Eq for Bound {}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl Bound {
    fn wrong_arguments(&self, types: &[DataType]) -> DataFusionError {
        let types: Vec<_> = types.iter().map(ToString::to_string).collect();
        let message = format!("function {}({}) does not exist", self.definition.name, types.join(", "));
        wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message))
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.field().data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        Ok(Arc::new(self.field()))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        let definition = self.definition;
        if !(definition.required..=definition.arguments.len()).contains(&types.len()) {
            return Err(self.wrong_arguments(types));
        }
        let coerced = types.iter().zip(definition.arguments).map(|(given, argument)| {
            let is_text = matches!(given, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            match argument {
                Argument::Text if is_text || given.is_null() => Some(DataType::Utf8),
                Argument::Text if given.is_primitive() || *given == DataType::Boolean => Some(DataType::Utf8),
                Argument::Int if given.is_numeric() || is_text || given.is_null() => Some(DataType::Int64),
                Argument::Bool if *given == DataType::Boolean || is_text || given.is_null() => Some(DataType::Boolean),
                Argument::Named if is_text || given.is_null() => Some(DataType::Utf8),
                Argument::Named if given.is_numeric() => Some(DataType::Int64),
                Argument::List if given.is_nested() || given.is_null() => Some(given.clone()),
                _ => None,
            }
        });
        let coerced: Option<Vec<_>> = coerced.collect();
        coerced.ok_or_else(|| self.wrong_arguments(types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let definition = self.definition;
        // What changes something does so for each row.
        let is_scalar = !definition.changes && args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let columns: Vec<Vec<Cell>> = args
            .args
            .iter()
            .map(|value| cells(&value.to_array(rows)?))
            .collect::<Result<_, _>>()?;
        // The elements of these are counted from 0.
        let mark = args
            .arg_fields
            .first()
            .and_then(|field| field.metadata().get(TYPE_METADATA_KEY));
        let is_vector = mark.is_some_and(|mark| matches!(mark.as_str(), "int2vector" | "oidvector"));
        let from = (definition.name == "array_subscripts" && is_vector).then_some(Cell::Int(0));
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let arguments = columns.iter().map(|column| column[row].clone());
            let arguments: Vec<Cell> = arguments.chain(from.clone()).collect();
            let has_null = arguments.contains(&Cell::Null);
            results.push(match has_null && !definition.takes_nulls {
                true => Cell::Null,
                false => (definition.body)(&self.facts, &arguments).map_err(wrap)?,
            });
        }
        let results: Vec<&Cell> = results.iter().collect();
        let result = array(self.field().data_type(), &results).ok_or_else(|| {
            wrap(Error::internal(format!(
                "{} answered with another type than it says",
                definition.name
            )))
        })?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}

impl Bound {
    fn field(&self) -> Field {
        field(self.definition.name, self.definition.result).expect("a test asks each for its type")
    }
}

/// An argument's values.
fn cells(values: &ArrayRef) -> Result<Vec<Cell>, DataFusionError> {
    let cell = |at: usize, of: &dyn Fn(usize) -> Cell| if values.is_null(at) { Cell::Null } else { of(at) };
    let all = |of: &dyn Fn(usize) -> Cell| (0..values.len()).map(|at| cell(at, of)).collect();
    Ok(match values.data_type() {
        DataType::Null => vec![Cell::Null; values.len()],
        DataType::Boolean => {
            let booleans = values.as_boolean();
            all(&|at| Cell::Bool(booleans.value(at)))
        }
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            all(&|at| Cell::from(texts.value(at)))
        }
        DataType::List(_) => {
            let lists = values.as_list::<i32>();
            all(&|at| Cell::Int(i64::from(lists.value_length(at))))
        }
        _ => {
            let numbers = cast(values, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            all(&|at| Cell::Int(numbers.value(at)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_type_and_one_definition() {
        let mut seen = std::collections::BTreeSet::new();
        for definition in FUNCTIONS.iter() {
            assert!(seen.insert(definition.name), "{} twice", definition.name);
            assert!(
                field(definition.name, definition.result).is_some(),
                "{}",
                definition.name
            );
            assert!(definition.required <= definition.arguments.len(), "{}", definition.name);
        }
    }
}
