//! `date_part`, `extract` and `date_trunc`, which take intervals and times of day, too: the first gives a double precision, the second a
//! numeric. A time of day is taken for the interval that it is long, and has the fields up to the hour and `epoch`. Of dates and timestamps
//! they are DataFusion's.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use aion_catalog::interval::Interval;
use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::{DatePart, date_part};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int32Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions::datetime;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::functions::of_day::{is_of_day, lengths_of};

use super::compute::{INTERVAL, Intervals, intervals as rows, is_interval};
use crate::error::wrap;

/// Digits of a field, more than any has.
const PRECISION: u8 = 30;

/// Those that a statement may name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(function(Part::Double)), Arc::new(function(Part::Truncated))]
}

/// What `extract(field from x)` is.
pub fn extract() -> ScalarUDF {
    function(Part::Numeric)
}

fn function(part: Part) -> ScalarUDF {
    ScalarUDF::from(OfField {
        inner: match part {
            Part::Truncated => datetime::date_trunc(),
            Part::Double | Part::Numeric => datetime::date_part(),
        },
        part,
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

/// What is made of an interval and the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Double,
    Numeric,
    /// The interval without what is smaller.
    Truncated,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfField {
    inner: Arc<ScalarUDF>,
    part: Part,
    signature: Signature,
}

/// The name of a field.
fn name_of(value: Option<&ScalarValue>) -> Option<&str> {
    value.and_then(|value| value.try_as_str().flatten())
}

impl OfField {
    /// Whether it is a field of a date or a timestamp that is computed of its year.
    fn is_calendars(&self, name: Option<&ScalarValue>, of: &DataType) -> bool {
        const FIELDS: [&str; 11] = [
            "century",
            "centuries",
            "c",
            "cent",
            "millennium",
            "millennia",
            "mil",
            "mils",
            "decade",
            "decades",
            "decs",
        ];
        self.part != Part::Truncated
            && matches!(of, DataType::Date32 | DataType::Timestamp(..))
            && name_of(name).is_some_and(|name| FIELDS.contains(&name.to_ascii_lowercase().as_str()))
    }

    fn of_intervals(&self, name: &str, array: &ArrayRef) -> Result<ArrayRef> {
        let intervals = Intervals::of(array)?;
        if self.part == Part::Truncated {
            return rows(intervals.len(), |row| {
                let interval = intervals.get(row);
                interval.map(|interval| interval.truncate(name)).transpose()
            });
        }
        let part = |row: usize| {
            let part = intervals.get(row).map(|interval| interval.extract(name));
            part.transpose().map_err(wrap)
        };
        let parts = (0..intervals.len()).map(part).collect::<Result<Vec<_>>>()?;
        Ok(match self.part {
            Part::Numeric => {
                let scale = scale_of(name)?;
                let unscaled: Decimal128Array = parts
                    .into_iter()
                    .map(|part| part.map(|(unscaled, _)| unscaled))
                    .collect();
                Arc::new(unscaled.with_precision_and_scale(PRECISION, scale)?)
            }
            Part::Double | Part::Truncated => {
                let doubles = parts
                    .into_iter()
                    .map(|part| part.map(|(unscaled, scale)| unscaled as f64 / 10f64.powi(scale.into())));
                Arc::new(doubles.collect::<Float64Array>())
            }
        })
    }
}

/// A field of a year that DataFusion does not know; there is no year 0, but a year before the first is 0 to Arrow.
fn calendar_field(name: &str, year: i64) -> i64 {
    let counted = |years: i64| match year > 0 {
        true => (year + years - 1) / years,
        false => -((years - year) / years),
    };
    match name {
        "century" | "centuries" | "c" | "cent" => counted(100),
        "millennium" | "millennia" | "mil" | "mils" => counted(1_000),
        _ => year.div_euclid(10),
    }
}

/// The digits behind the point that a field has.
///
/// # Errors
/// 22023 and 0A000 for what is no field of an interval.
fn scale_of(name: &str) -> Result<i8> {
    Interval::default().extract(name).map(|(_, scale)| scale).map_err(wrap)
}

impl ScalarUDFImpl for OfField {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [name, of] if is_of_day(of) && (name.is_string() || name.is_null()) => {
                Ok(vec![DataType::Utf8, SqlType::TIME.to_arrow()])
            }
            [name, of] if is_interval(of) && (name.is_string() || name.is_null()) => Ok(vec![DataType::Utf8, INTERVAL]),
            _ => {
                let field = |given: &DataType| Arc::new(Field::new("", given.clone(), true));
                let given: Vec<FieldRef> = given.iter().map(field).collect();
                let fields =
                    datafusion::logical_expr::type_coercion::functions::fields_with_udf(&given, self.inner.as_ref())?;
                Ok(fields.iter().map(|field| field.data_type().clone()).collect())
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [_, of] if is_interval(of.data_type()) || is_of_day(of.data_type()) => {
                let is_of_day = is_of_day(of.data_type());
                let data_type = match self.part {
                    Part::Double => DataType::Float64,
                    Part::Truncated => INTERVAL,
                    Part::Numeric => {
                        let name = name_of(args.scalar_arguments.first().copied().flatten());
                        let name = name.ok_or_else(|| wrap(Error::unsupported("a field that is no constant")))?;
                        if is_of_day {
                            Interval::check_field_of_day(name).map_err(wrap)?;
                        }
                        let sql_type = SqlType::Numeric {
                            precision: Some(PRECISION),
                            scale: scale_of(name)?,
                        };
                        sql_type.to_arrow()
                    }
                };
                Ok(Arc::new(Field::new(self.name(), data_type, true)))
            }
            [_, of] if self.is_calendars(args.scalar_arguments.first().copied().flatten(), of.data_type()) => {
                let data_type = match self.part {
                    Part::Numeric => DataType::Decimal128(PRECISION, 0),
                    Part::Double | Part::Truncated => DataType::Float64,
                };
                Ok(Arc::new(Field::new(self.name(), data_type, true)))
            }
            _ => self.inner.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(name), of] = args.args.as_slice() else {
            return self.inner.invoke_with_args(args);
        };
        let is_of_day = is_of_day(&of.data_type());
        if self.is_calendars(Some(name), &of.data_type()) {
            let years = date_part(&of.to_array(args.number_rows)?, DatePart::Year)?;
            let word = name_of(Some(name)).unwrap_or_default().to_ascii_lowercase();
            let parts = years.as_primitive::<Int32Type>().iter();
            let parts = parts.map(|year| year.map(|year| calendar_field(&word, year.into())));
            return Ok(ColumnarValue::Array(match self.part {
                Part::Numeric => {
                    let parts: Decimal128Array = parts.map(|part| part.map(i128::from)).collect();
                    Arc::new(parts.with_precision_and_scale(PRECISION, 0)?)
                }
                Part::Double | Part::Truncated => {
                    Arc::new(parts.map(|part| part.map(|part| part as f64)).collect::<Float64Array>())
                }
            }));
        }
        if !is_interval(&of.data_type()) && !is_of_day {
            return self.inner.invoke_with_args(args);
        }
        let Some(name) = name_of(Some(name)) else {
            let message = "the field of an interval is a text";
            return Err(wrap(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message)));
        };
        let lengths;
        let of = match is_of_day {
            true => {
                if self.part != Part::Truncated {
                    Interval::check_field_of_day(name).map_err(wrap)?;
                }
                lengths = lengths_of(of)?;
                &lengths
            }
            false => of,
        };
        match of {
            ColumnarValue::Scalar(value) => {
                let parts = self.of_intervals(name, &value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&parts, 0)?))
            }
            ColumnarValue::Array(array) if array.len() == args.number_rows => {
                Ok(ColumnarValue::Array(self.of_intervals(name, array)?))
            }
            ColumnarValue::Array(_) => exec_err!("{} has a row for each of its own", self.name()),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }
}
