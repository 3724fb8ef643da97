//! `array_or_empty(array)`: an array without elements in the place of NULL. `ARRAY(SELECT ...)` of no rows is such a one; what it is computed by,
//! `array_agg`, gives NULL.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, LargeListArray, ListArray, Scalar, new_empty_array};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{is_not_null, kernels::zip::zip};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The name of the function.
pub const OR_EMPTY: &str = "array_or_empty";

/// The function.
pub fn function() -> ScalarUDF {
    ScalarUDF::from(OrEmpty {
        signature: Signature::any(1, Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrEmpty {
    signature: Signature,
}

impl ScalarUDFImpl for OrEmpty {
    fn name(&self) -> &str {
        OR_EMPTY
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given = args.arg_fields[0].as_ref().clone();
        Ok(Arc::new(given.with_name(OR_EMPTY)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        if array.null_count() == 0 {
            return Ok(ColumnarValue::Array(array));
        }
        let empty: ArrayRef = match array.data_type() {
            DataType::List(item) => Arc::new(ListArray::new(
                item.clone(),
                OffsetBuffer::new(vec![0, 0].into()),
                new_empty_array(item.data_type()),
                None,
            )),
            DataType::LargeList(item) => Arc::new(LargeListArray::new(
                item.clone(),
                OffsetBuffer::new(vec![0, 0].into()),
                new_empty_array(item.data_type()),
                None,
            )),
            other => return exec_err!("{OR_EMPTY} takes an array, not {other}"),
        };
        let filled = zip(&is_not_null(&array)?, &array, &Scalar::new(empty))?;
        Ok(ColumnarValue::Array(filled))
    }
}
