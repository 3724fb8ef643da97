//! `ordinals(list)`: the numbers of a list's elements, from 1; what WITH ORDINALITY shows. `expanded(list)`: records of each element, x,
//! and its number, n; what `information_schema._pg_expandarray` gives.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, Int32Array, Int64Builder, ListArray, ListBuilder, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let signature = || Signature::any(1, Volatility::Immutable);
    vec![
        Arc::new(ScalarUDF::from(Ordinals { signature: signature() })),
        Arc::new(ScalarUDF::from(Expanded { signature: signature() })),
    ]
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

#[derive(Debug, PartialEq, Eq, Hash)]
struct Expanded {
    signature: Signature,
}

fn record(item: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("x", item.clone(), true),
        Field::new("n", DataType::Int32, false),
    ])
}

impl ScalarUDFImpl for Expanded {
    fn name(&self) -> &str {
        "expanded"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::List(item)] => Ok(DataType::new_list(DataType::Struct(record(item.data_type())), true)),
            _ => plan_err!("function information_schema._pg_expandarray takes an array"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("_pg_expandarray takes a list");
        };
        let array = argument.to_array(args.number_rows)?;
        let Some(lists) = array.as_list_opt::<i32>() else {
            return exec_err!("_pg_expandarray takes a list, not {}", array.data_type());
        };
        let places = lists.offsets();
        let (first, last) = (places[0], places[lists.len()]);
        let from = usize::try_from(first).unwrap_or(0);
        let values = lists.values().slice(from, usize::try_from(last - first).unwrap_or(0));
        let numbers: Int32Array = (0..lists.len())
            .flat_map(|row| 1..=lists.value_length(row))
            .collect::<Vec<_>>()
            .into();
        let fields = record(values.data_type());
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields.clone()), true));
        let records = StructArray::try_new(fields, vec![values, Arc::new(numbers)], None)?;
        let lengths = (0..lists.len()).map(|row| usize::try_from(lists.value_length(row)).unwrap_or(0));
        let offsets = OffsetBuffer::from_lengths(lengths);
        let expanded = ListArray::try_new(item, offsets, Arc::new(records), lists.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(expanded)))
    }
}
