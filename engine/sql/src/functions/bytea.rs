//! Text as bytea.
//!
//! Arrow's cast of a text to binary takes its UTF-8 bytes; PostgreSQL reads the text as `\\x00ff` or in the escape format. Taking the
//! bytes would store something else than was written, silently.

use std::sync::{Arc, LazyLock};

use aion_catalog::text;
use datafusion::arrow::array::{AsArray, BinaryBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use crate::error::wrap;

/// Puts [`ByteaIn`] in the place of casts from text to binary.
#[derive(Debug)]
pub struct ReadBytea;

impl AnalyzerRule for ReadBytea {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| {
            let schema = merge_schema(&plan.inputs());
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(|expr| Ok(read(expr, &schema)))?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })
        })
        .map(|transformed| transformed.data)
    }

    fn name(&self) -> &str {
        "read_bytea"
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn read(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match &expr {
        Expr::Cast(Cast { expr: inner, field }) if *field.data_type() == DataType::Binary => {
            match inner.get_type(schema) {
                Ok(from) if is_text(&from) => Transformed::yes(BYTEA_IN.call(vec![(**inner).clone()])),
                _ => Transformed::no(expr),
            }
        }
        _ => Transformed::no(expr),
    }
}

static BYTEA_IN: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::from(ByteaIn {
        signature: Signature::any(1, Volatility::Immutable),
    })
});

/// A text read as PostgreSQL reads a bytea.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ByteaIn {
    signature: Signature,
}

impl ScalarUDFImpl for ByteaIn {
    fn name(&self) -> &str {
        "byteain"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(argument) = args.args.first() else {
            return exec_err!("byteain takes an argument");
        };
        let texts = cast(&argument.to_array(args.number_rows)?, &DataType::Utf8)?;
        let mut builder = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for text in texts.as_string::<i32>() {
            match text {
                None => builder.append_null(),
                Some(text) => {
                    bytes.clear();
                    text::parse_bytea(text, &mut bytes).map_err(wrap)?;
                    builder.append_value(&bytes);
                }
            }
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}
