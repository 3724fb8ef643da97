//! `pg_sleep(seconds)`: waits, and lets the statement be cancelled meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The longest sleep: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

/// The function.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let sleep = Sleep {
        signature: Signature::exact(vec![DataType::Float64], Volatility::Volatile),
    };
    vec![Arc::new(AsyncScalarUDF::new(Arc::new(sleep)).into_scalar_udf())]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sleep {
    signature: Signature,
}

impl ScalarUDFImpl for Sleep {
    fn name(&self) -> &str {
        "pg_sleep"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// void, which travels as an empty text.
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("pg_sleep cannot wait here")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Sleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(seconds) = args.args.first() else {
            return exec_err!("pg_sleep has one argument");
        };
        let seconds = seconds.to_array(args.number_rows)?;
        let seconds = seconds.as_primitive::<Float64Type>();
        for seconds in seconds.iter().flatten() {
            // Not a number, and what has passed already, are no time at all.
            let seconds = if seconds > 0.0 { seconds.min(SECONDS_MAX) } else { 0.0 };
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        let answers: StringArray = seconds.iter().map(|seconds| seconds.map(|_| "")).collect();
        Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
    }
}
