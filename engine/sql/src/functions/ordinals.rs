//! `ordinals(list)`: the numbers of a list's elements, from 1; what WITH ORDINALITY shows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int64Builder, ListBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(Ordinals {
        signature: Signature::any(1, Volatility::Immutable),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ordinals {
    signature: Signature,
}

impl ScalarUDFImpl for Ordinals {
    fn name(&self) -> &str {
        "ordinals"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Int64, true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("ordinals takes a list");
        };
        let array = argument.to_array(args.number_rows)?;
        let array = match array.data_type() {
            DataType::LargeList(item) => cast(&array, &DataType::List(item.clone()))?,
            _ => array,
        };
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("ordinals takes a list, not {}", array.data_type());
        };
        let mut ordinals = ListBuilder::new(Int64Builder::new());
        for row in 0..lists.len() {
            let count = i64::from(lists.value_length(row));
            if lists.is_valid(row) {
                ordinals.values().extend((1..=count).map(Some));
            }
            ordinals.append(lists.is_valid(row));
        }
        Ok(ColumnarValue::Array(Arc::new(ordinals.finish())))
    }
}
