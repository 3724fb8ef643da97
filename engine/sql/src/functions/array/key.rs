//! The key of an array, see `aion_catalog::array`: what arrays are compared by.

use std::sync::Arc;

use aion_catalog::{SqlType, Value, array};
use datafusion::arrow::array::BinaryBuilder;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::cells::{Cells, canonical};
use crate::error::wrap;

/// The name of the function that gives an array's key.
pub const ARRAY_KEY_FUNCTION: &str = "array_key";

/// The key of an array.
pub fn array_key(expr: Expr) -> Expr {
    ScalarUDF::from(ArrayKey {
        signature: Signature::any(1, Volatility::Immutable),
    })
    .call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayKey {
    signature: Signature,
}

impl ScalarUDFImpl for ArrayKey {
    fn name(&self) -> &str {
        ARRAY_KEY_FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("{ARRAY_KEY_FUNCTION} takes an array");
        };
        let is_scalar = matches!(argument, ColumnarValue::Scalar(_));
        let lists = argument.to_array(if is_scalar { 1 } else { args.number_rows })?;
        let sql_type = SqlType::from_arrow(lists.data_type()).map_err(wrap)?;
        let lists = canonical(&lists, sql_type).map_err(wrap)?;
        let Some(cells) = Cells::of(&lists, sql_type) else {
            return exec_err!("{ARRAY_KEY_FUNCTION} takes an array");
        };
        let mut keys = BinaryBuilder::with_capacity(lists.len(), 0);
        let mut key = Vec::new();
        for row in 0..lists.len() {
            match cells.value(row).map_err(wrap)? {
                Value::Array(elements) => {
                    key.clear();
                    array::write_key(&elements, &mut key).map_err(wrap)?;
                    keys.append_value(&key);
                }
                _ => keys.append_null(),
            }
        }
        let keys = keys.finish();
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&keys, 0)?),
            false => ColumnarValue::Array(Arc::new(keys)),
        })
    }
}
