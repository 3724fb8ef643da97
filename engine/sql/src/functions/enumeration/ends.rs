//! `enum_first`, `enum_last` and `enum_range`: labels of a type, which an argument names by being of it.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::enumeration::EnumType;
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, TimestampNanosecondType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::enum_of;
use crate::cells::values_of_labels;
use crate::error::wrap;
use crate::functions::json::type_name;
use crate::session::scalar;
use crate::table::array_of;

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |way: Way| {
        let signature = match way {
            Way::Range => TypeSignature::OneOf(vec![TypeSignature::Any(1), TypeSignature::Any(2)]),
            Way::First | Way::Last => TypeSignature::Any(1),
        };
        Arc::new(ScalarUDF::from(Ends {
            way,
            // As PostgreSQL's: a type may get labels.
            signature: Signature::new(signature, Volatility::Stable),
        }))
    };
    vec![function(Way::First), function(Way::Last), function(Way::Range)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    First,
    Last,
    Range,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ends {
    way: Way,
    signature: Signature,
}

impl Ends {
    /// The type that the arguments are of.
    fn of(&self, types: &[DataType]) -> Result<EnumType> {
        let found = types.iter().find_map(enum_of);
        let is_open = |data_type: &DataType| data_type.is_null() || data_type.is_string();
        let fits = |of: EnumType| {
            let mut types = types.iter();
            types.all(|data_type| is_open(data_type) || enum_of(data_type) == Some(of))
        };
        found.filter(|&of| fits(of)).ok_or_else(|| {
            // A literal has no type of its own.
            let name = |data_type: &DataType| match is_open(data_type) {
                true => "unknown".to_owned(),
                false => type_name(data_type),
            };
            let names: Vec<String> = types.iter().map(name).collect();
            let message = format!("function {}({}) does not exist", self.name(), names.join(", "));
            wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
                "No function matches the given name and argument types. You might need to add explicit type casts.",
            ))
        })
    }

    fn result(&self, of: EnumType) -> Result<SqlType> {
        let one = SqlType::Enum(of);
        match self.way {
            Way::First | Way::Last => Ok(one),
            Way::Range => one
                .array()
                .ok_or_else(|| wrap(Error::internal("there are arrays of enums"))),
        }
    }
}

impl ScalarUDFImpl for Ends {
    fn name(&self) -> &str {
        match self.way {
            Way::First => "enum_first",
            Way::Last => "enum_last",
            Way::Range => "enum_range",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.result(self.of(types)?)?.to_arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let of = self.of(&types)?;
        let result = self.result(of)?;
        let labels = of.labels();
        let end = match self.way {
            Way::First => labels.first(),
            Way::Last => labels.last(),
            Way::Range => return range(&args, of, result),
        };
        let Some(end) = end else {
            let message = format!("enum {of} contains no values");
            return Err(wrap(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                message,
            )));
        };
        Ok(ColumnarValue::Scalar(
            scalar(&result, &Value::Enum(end.position)).map_err(wrap)?,
        ))
    }
}

/// The labels from one bound to the other; NULL is no bound.
fn range(args: &ScalarFunctionArgs, of: EnumType, result: SqlType) -> Result<ColumnarValue> {
    // Of one argument nothing but its type counts.
    let bounds = match args.args.as_slice() {
        [_, _] => args
            .args
            .iter()
            .map(|bound| positions(&bound.to_array(args.number_rows)?, of))
            .collect::<Result<Vec<_>>>()?,
        _ => Vec::new(),
    };
    let bound = |at: usize, row: usize| {
        let positions: Option<&ArrayRef> = bounds.get(at);
        let positions = positions?.as_primitive::<TimestampNanosecondType>();
        positions.is_valid(row).then(|| positions.value(row))
    };
    let rows = if bounds.is_empty() { 1 } else { args.number_rows };
    let values = (0..rows).map(|row| {
        let (low, high) = (bound(0, row), bound(1, row));
        let is_within =
            |position: i64| low.is_none_or(|low| position >= low) && high.is_none_or(|high| position <= high);
        let labels = of.labels().iter().filter(|label| is_within(label.position));
        Value::Array(labels.map(|label| Value::Enum(label.position)).collect())
    });
    let values: Vec<Value> = values.collect();
    let array = array_of(result, &values).map_err(wrap)?;
    match bounds.is_empty() {
        true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
        false => Ok(ColumnarValue::Array(array)),
    }
}

fn positions(bound: &ArrayRef, of: EnumType) -> Result<ArrayRef> {
    match enum_of(bound.data_type()) {
        Some(_) => Ok(bound.clone()),
        None => values_of_labels(bound, of).map_err(wrap),
    }
}
