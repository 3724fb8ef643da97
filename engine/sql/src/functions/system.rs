//! Functions that say who and where: what drivers and tools ask for when they connect.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// A function without arguments that always says the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    value: String,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.value.clone()))))
    }
}

fn constant(name: &'static str, value: impl Into<String>) -> Arc<ScalarUDF> {
    let signature = Signature::nullary(Volatility::Stable);
    Arc::new(ScalarUDF::from(Constant {
        name,
        value: value.into(),
        signature,
    }))
}

/// All of them.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let version = format!(
        "PostgreSQL 15.0 compatible, Aion {} on {}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    vec![
        constant("version", version),
        constant("current_schema", "public"),
        constant("current_database", "aion"),
        constant("current_catalog", "aion"),
        constant("current_user", "aion"),
        constant("session_user", "aion"),
    ]
}
