//! Values of other types as text, as PostgreSQL writes them.
//!
//! A cast to text is the type's output function, and `||`, `concat` and their like cast their arguments. Arrow writes a T between the
//! day and the time, a float of 1e10 with `.0`, and takes a bytea for the text itself. [`WriteText`] puts the output function
//! in the place of these casts, once the types of a plan are settled. What Arrow writes as PostgreSQL does is left to it.
//!
//! A cast to `varchar(n)` or `character(n)` shortens the text, which DataFusion, to whom both are text, does not do. An
//! assignment must not: it casts to a text of any length, and what is too long is refused where rows are written.

use std::sync::Arc;

use aion_catalog::{SqlType, Zone};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::arithmetic::rewrite;
use super::time_zone::{label, session_zone};
use crate::cells::{Cells, canonical};
use crate::error::wrap;

/// See the module's header.
#[derive(Debug)]
pub struct WriteText;

impl AnalyzerRule for WriteText {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, written)?.data)
    }

    fn name(&self) -> &str {
        "write_text"
    }
}

/// Whether Arrow would write it otherwise.
fn is_ours(from: &DataType) -> bool {
    matches!(
        from,
        DataType::Timestamp(..)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::Float32
            | DataType::Float64
            | DataType::Binary
            | DataType::FixedSizeBinary(_)
    )
}

fn written(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Transformed::no(expr);
    };
    let Some(from) = inner.get_type(schema).ok().filter(|_| field.data_type().is_string()) else {
        return Transformed::no(expr);
    };
    let shortened = match SqlType::from_field(field) {
        Ok(SqlType::Varchar(Some(length))) => Some(Way::Cut(length)),
        Ok(SqlType::Char(length)) => Some(Way::Strip(length)),
        _ => None,
    };
    // Clocks differ from session to session.
    let volatility = match &from {
        DataType::Timestamp(_, Some(_)) => Volatility::Stable,
        _ => Volatility::Immutable,
    };
    let call = |way: Way, inner: Expr| ScalarUDF::from(TextOut::new(way, volatility)).call(vec![inner]);
    let text = match is_ours(&from) {
        true => call(Way::Write, (**inner).clone()),
        false if shortened.is_none() => return Transformed::no(expr),
        false if from == DataType::Utf8 => (**inner).clone(),
        false => cast((**inner).clone(), DataType::Utf8),
    };
    let text = match shortened {
        Some(way) => call(way, text),
        None => text,
    };
    Transformed::yes(Expr::Cast(Cast {
        expr: Box::new(text),
        field: field.clone(),
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// The output function of a type.
    Write,
    /// A text cut off behind so many characters.
    Cut(u32),
    /// And without the blanks at its end, which a `character(n)` is kept without.
    Strip(u32),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextOut {
    way: Way,
    signature: Signature,
}

impl TextOut {
    fn new(way: Way, volatility: Volatility) -> Self {
        Self {
            way,
            signature: Signature::any(1, volatility),
        }
    }

    fn compute(&self, array: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
        // The optimizer asks what is made of nothing but NULL, of no type.
        if array.data_type().is_null() {
            return Ok(new_null_array(&DataType::Utf8, array.len()));
        }
        match self.way {
            Way::Write => texts(array, zone),
            Way::Cut(length) => Ok(shortened(array, |text| first_characters(text, length))),
            Way::Strip(length) => Ok(shortened(array, |text| {
                first_characters(text, length).trim_end_matches(' ')
            })),
        }
    }
}

fn shortened(array: &ArrayRef, to: impl Fn(&str) -> &str) -> ArrayRef {
    let texts: StringArray = array.as_string::<i32>().iter().map(|text| text.map(&to)).collect();
    Arc::new(texts)
}

fn first_characters(text: &str, length: u32) -> &str {
    text.char_indices()
        .nth(length as usize)
        .map_or(text, |(end, _)| &text[..end])
}

impl ScalarUDFImpl for TextOut {
    fn name(&self) -> &str {
        match self.way {
            Way::Write => "text_out",
            Way::Cut(_) => "text_cut",
            Way::Strip(_) => "text_strip",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = session_zone(&args.config_options);
        match args.args.as_slice() {
            [ColumnarValue::Scalar(scalar)] => {
                let text = self.compute(&scalar.to_array()?, zone)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&text, 0)?))
            }
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(self.compute(array, zone)?)),
            _ => exec_err!("text_out takes an argument"),
        }
    }
}

fn texts(array: &ArrayRef, zone: Zone) -> Result<ArrayRef> {
    let sql_type = SqlType::from_arrow(array.data_type()).map_err(wrap)?;
    let array = label(&canonical(array, sql_type).map_err(wrap)?, zone);
    let Some(cells) = Cells::of(&array, sql_type) else {
        return exec_err!("a column of type {sql_type} has another layout");
    };
    let (mut texts, mut text) = (StringBuilder::new(), String::new());
    for row in 0..array.len() {
        if cells.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        cells.write_text(row, &mut text);
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}
