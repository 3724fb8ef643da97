//! `~`: all bits of an integer turned over.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function that stands for the operator.
pub const NOT: &str = "aion_bits_not";

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(Not {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Not {
    signature: Signature,
}

impl ScalarUDFImpl for Not {
    fn name(&self) -> &str {
        NOT
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [DataType::Int16 | DataType::Int32 | DataType::Int64] => Ok(types.to_vec()),
            [DataType::Null] => Ok(vec![DataType::Int64]),
            [other] => plan_err!("operator does not exist: ~ {other}"),
            _ => plan_err!("~ has one operand"),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("~ has one operand");
        };
        let array = argument.to_array(args.number_rows)?;
        let turned: ArrayRef = match array.data_type() {
            DataType::Int16 => Arc::new(array.as_primitive::<Int16Type>().unary::<_, Int16Type>(|value| !value)),
            DataType::Int32 => Arc::new(array.as_primitive::<Int32Type>().unary::<_, Int32Type>(|value| !value)),
            DataType::Int64 => Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int64Type>(|value| !value)),
            other => return exec_err!("~ of {other}"),
        };
        Ok(ColumnarValue::Array(turned))
    }
}
