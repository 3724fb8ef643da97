//! Numbers that lose what is behind the point, as PostgreSQL takes it away.
//!
//! A cast to an integer rounds: a numeric half away from zero, a double half to the even neighbour. DataFusion's cuts off, silently;
//! [`RoundCasts`] rounds first, once the types of a plan are settled. `round`, `ceil`, `floor` and `trunc` of a numeric have no digits behind
//! the point and room for one more before it: DataFusion's `ceil` and `floor` keep the type, and refuse `ceil(0.91)`. `sign` is not there at all.
//!
//! `round` and `trunc` to some places: a numeric has so many digits behind the point where the number of places is a constant, and no
//! more than it had. DataFusion's `round` has one type before its arguments are cast and another one after, so that
//! `least(round(n, 1), n)` compared numerics of two scales, and failed.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array};
use datafusion::arrow::compute::kernels::arity::{binary, try_binary};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::arithmetic::rewrite;

/// The most digits of a numeric.
const PRECISION_MAX: u8 = 38;

/// What every bigint fits into.
const BIGINTS: DataType = DataType::Decimal128(19, 0);

/// See the module's header.
#[derive(Debug)]
pub struct RoundCasts;

impl AnalyzerRule for RoundCasts {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(rewrite(plan, rounded)?.data)
    }

    fn name(&self) -> &str {
        "round_casts"
    }
}

fn rounded(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: inner, field }) = &expr else {
        return Transformed::no(expr);
    };
    let has_fraction = match inner.get_type(schema) {
        Ok(DataType::Decimal128(_, scale)) => scale > 0,
        Ok(DataType::Float32 | DataType::Float64) => true,
        _ => false,
    };
    if !has_fraction || !field.data_type().is_integer() {
        return Transformed::no(expr);
    }
    let inner = ScalarUDF::from(Rounding::new(Way::Nearest)).call(vec![(**inner).clone()]);
    Transformed::yes(Expr::Cast(Cast {
        expr: Box::new(inner),
        field: field.clone(),
    }))
}

/// All that stand in the place of DataFusion's, or have no place there.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let ways = [Way::Nearest, Way::Ceiling, Way::Floor, Way::Cut, Way::Sign];
    ways.map(|way| Arc::new(ScalarUDF::from(Rounding::new(way)))).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Nearest,
    Ceiling,
    Floor,
    Cut,
    Sign,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    way: Way,
    aliases: Vec<String>,
    signature: Signature,
}

impl Rounding {
    fn new(way: Way) -> Self {
        let aliases = if way == Way::Ceiling {
            vec!["ceiling".to_owned()]
        } else {
            Vec::new()
        };
        Self {
            way,
            aliases,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn of_float(&self, value: f64) -> f64 {
        match self.way {
            Way::Nearest => value.round_ties_even(),
            Way::Ceiling => value.ceil(),
            Way::Floor => value.floor(),
            Way::Cut => value.trunc(),
            Way::Sign if value == 0.0 || value.is_nan() => value,
            Way::Sign => value.signum(),
        }
    }

    /// `unit` is ten to the scale.
    fn of_decimal(&self, value: i128, unit: i128) -> i128 {
        let (whole, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
        match self.way {
            // What is exactly between goes away from zero.
            Way::Nearest if rest * 2 > unit || (rest * 2 == unit && value > 0) => whole + 1,
            Way::Nearest | Way::Floor => whole,
            Way::Ceiling => whole + i128::from(rest > 0),
            Way::Cut => value / unit,
            Way::Sign => value.signum(),
        }
    }

    /// One array of this type, without what is behind the point.
    fn compute(&self, array: &ArrayRef) -> Result<ArrayRef> {
        Ok(match array.data_type() {
            DataType::Float64 => {
                let of = array.as_primitive::<Float64Type>();
                Arc::new(of.unary::<_, Float64Type>(|value| self.of_float(value)))
            }
            DataType::Float32 => {
                let of = array.as_primitive::<Float32Type>();
                // What a float holds in whole numbers it holds exactly.
                Arc::new(of.unary::<_, Float32Type>(|value| self.of_float(value.into()) as f32))
            }
            DataType::Decimal128(precision, scale @ 0..) => {
                let unit = 10_i128.pow(scale.unsigned_abs().into());
                let of = array.as_primitive::<Decimal128Type>();
                let whole: Decimal128Array = of.unary::<_, Decimal128Type>(|value| self.of_decimal(value, unit));
                Arc::new(whole.with_precision_and_scale(digits_to(*precision, *scale, 0), 0)?)
            }
            other => return exec_err!("{} takes no {other}", self.name()),
        })
    }

    /// One array to so many places for each of its values.
    fn compute_to(&self, array: &ArrayRef, places: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
        let places = places.as_primitive::<Int64Type>();
        Ok(match (array.data_type(), to) {
            (DataType::Decimal128(_, scale), DataType::Decimal128(precision, to_scale)) => {
                let of = array.as_primitive::<Decimal128Type>();
                let rounded: Decimal128Array = try_binary(of, places, |value, places| {
                    let rounded = self.of_decimal_to(value, (*scale).into(), places, (*to_scale).into());
                    rounded.ok_or_else(|| ArrowError::ArithmeticOverflow(format!("{} of a numeric", self.name())))
                })?;
                Arc::new(rounded.with_precision_and_scale(*precision, *to_scale)?)
            }
            (DataType::Float64, _) => {
                let of = array.as_primitive::<Float64Type>();
                let rounded: Float64Array = binary(of, places, |value, places| self.of_float_to(value, places))?;
                Arc::new(rounded)
            }
            (other, _) => return exec_err!("{} takes no {other}", self.name()),
        })
    }

    /// None where it does not fit. `to_scale` is the scale of the result, the places or more.
    fn of_decimal_to(&self, value: i128, scale: i64, places: i64, to_scale: i64) -> Option<i128> {
        let power = |digits: i64| {
            u32::try_from(digits)
                .ok()
                .and_then(|digits| 10_i128.checked_pow(digits))
        };
        let (value, scale) = match power(scale.saturating_sub(places)) {
            _ if places >= scale => (value, scale),
            Some(unit) => (self.of_decimal(value, unit), places),
            // Ten to so many digits is more than twice any value.
            None => return Some(0),
        };
        match to_scale - scale {
            0 => Some(value),
            _ if value == 0 => Some(0),
            more => value.checked_mul(power(more)?),
        }
    }

    /// PostgreSQL has none; what is exactly between goes away from zero, as with DataFusion.
    fn of_float_to(&self, value: f64, places: i64) -> f64 {
        let unit = 10_f64.powi(i32::try_from(places.clamp(-400, 400)).unwrap_or(0));
        let scaled = value * unit;
        let whole = match self.way {
            Way::Nearest => scaled.round(),
            _ => self.of_float(scaled),
        };
        // Beyond what a double can say there is nothing to take away.
        if scaled.is_finite() && unit > 0.0 {
            whole / unit
        } else {
            value
        }
    }
}

/// Digits before the point, one more for what is carried, and so many behind it.
fn digits_to(precision: u8, scale: i8, to_scale: i8) -> u8 {
    let before = precision.saturating_sub(scale.unsigned_abs()) + 1;
    (before + to_scale.unsigned_abs()).min(PRECISION_MAX)
}

/// The type to so many places; None where they differ from row to row.
fn type_to(data_type: &DataType, places: Option<i64>) -> DataType {
    match data_type {
        DataType::Decimal128(precision, scale) => {
            let most = i64::from(*scale);
            let to = places.map_or(most, |places| places.clamp(0, most));
            let to_scale = i8::try_from(to).unwrap_or(*scale);
            DataType::Decimal128(digits_to(*precision, *scale, to_scale), to_scale)
        }
        other => other.clone(),
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        match self.way {
            Way::Nearest => "round",
            Way::Ceiling => "ceil",
            Way::Floor => "floor",
            Way::Cut => "trunc",
            Way::Sign => "sign",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let number = match types.first() {
            Some(number @ (DataType::Float32 | DataType::Float64 | DataType::Decimal128(_, 0..))) => number.clone(),
            // PostgreSQL has them for doubles, too, and whole numbers take that way.
            Some(other) if other.is_integer() || other.is_null() => DataType::Float64,
            Some(other) if other.is_string() => DataType::Float64,
            _ => return datafusion::common::plan_err!("no function matches {}({types:?})", self.name()),
        };
        match (types, self.way) {
            ([_], _) => Ok(vec![number]),
            // Whole numbers are rounded as numerics there.
            ([first, _], Way::Cut | Way::Nearest) if first.is_integer() => Ok(vec![BIGINTS, DataType::Int64]),
            ([_, _], Way::Cut | Way::Nearest) if number == DataType::Float32 => {
                Ok(vec![DataType::Float64, DataType::Int64])
            }
            ([_, _], Way::Cut | Way::Nearest) => Ok(vec![number, DataType::Int64]),
            _ => datafusion::common::plan_err!("no function matches {}({types:?})", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("the type of {} depends on the number of places", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let places = match args.scalar_arguments.get(1) {
            None => Some(0),
            Some(None) => None,
            // Of NULL places there is NULL of any type.
            Some(Some(places)) => places_of(places)?.or(Some(0)),
        };
        let Some(first) = args.arg_fields.first() else {
            return exec_err!("{} takes an argument", self.name());
        };
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            type_to(first.data_type(), places),
            is_nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(scalar)] => {
                let one = self.compute(&scalar.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(self.compute(array)?)),
            [ColumnarValue::Scalar(scalar), ColumnarValue::Scalar(places)] => {
                let one = self.compute_to(&scalar.to_array()?, &places.to_array()?, args.return_type())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            [value, places] => {
                let (value, places) = (value.to_array(args.number_rows)?, places.to_array(args.number_rows)?);
                Ok(ColumnarValue::Array(self.compute_to(
                    &value,
                    &places,
                    args.return_type(),
                )?))
            }
            _ => exec_err!("{} takes an argument", self.name()),
        }
    }
}

/// None for NULL.
fn places_of(places: &ScalarValue) -> Result<Option<i64>> {
    Ok(match places.cast_to(&DataType::Int64)? {
        ScalarValue::Int64(places) => places,
        other => return exec_err!("the number of places is no {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_where_postgresql_sends_them() {
        let nearest = Rounding::new(Way::Nearest);
        for (value, whole) in [
            (25, 3),
            (24, 2),
            (-25, -3),
            (-24, -2),
            (-26, -3),
            (5, 1),
            (-5, -1),
            (0, 0),
        ] {
            assert_eq!(nearest.of_decimal(value, 10), whole, "{value} tenths");
        }
        for (value, whole) in [(2.5, 2.0), (3.5, 4.0), (-2.5, -2.0), (2.6, 3.0)] {
            assert!((nearest.of_float(value) - whole).abs() < f64::EPSILON, "{value}");
        }
        for (value, places, rounded, cut) in [
            (12_345, 2, 1_235, 1_234),
            (12_345, 5, 12_345, 12_345),
            (-12_345, 1, -123, -123),
            (-12_355, 1, -124, -123),
            (12_345, -1, 10, 10),
            (15_000, -1, 20, 10),
            (12_345, -40, 0, 0),
        ] {
            // Three digits behind the point, as many as are asked for in the result.
            let scale = i64::clamp(places, 0, 3);
            let to = |way| Rounding::new(way).of_decimal_to(value, 3, places, scale);
            assert_eq!(
                (to(Way::Nearest), to(Way::Cut)),
                (Some(rounded), Some(cut)),
                "{value} to {places}"
            );
        }
        for (way, up, down) in [
            (Way::Ceiling, 1, 0),
            (Way::Floor, 0, -1),
            (Way::Cut, 0, 0),
            (Way::Sign, 1, -1),
        ] {
            let rounding = Rounding::new(way);
            assert_eq!(
                (rounding.of_decimal(91, 100), rounding.of_decimal(-91, 100)),
                (up, down),
                "{way:?}"
            );
        }
    }
}
