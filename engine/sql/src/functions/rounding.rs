//! Numbers that lose what is behind the point, as PostgreSQL takes it away.
//!
//! A cast to an integer rounds: a numeric half away from zero, a double half to the even neighbour. DataFusion's cuts off, silently;
//! [`RoundCasts`] rounds first, once the types of a plan are settled. `ceil`, `floor` and `trunc` of a numeric have no digits behind the
//! point and room for one more before it: DataFusion's keep the type, and refuse `ceil(0.91)`. `sign` is not there at all.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

use super::arithmetic::rewrite;

/// The most digits of a numeric.
const PRECISION_MAX: u8 = 38;

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
    let ways = [Way::Ceiling, Way::Floor, Way::Cut, Way::Sign];
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

    /// One array of this type.
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
                Arc::new(whole.with_precision_and_scale(whole_digits(*precision, *scale), 0)?)
            }
            other => return exec_err!("{} takes no {other}", self.name()),
        })
    }
}

/// Digits before the point, with one more for what is carried.
fn whole_digits(precision: u8, scale: i8) -> u8 {
    (precision.saturating_sub(scale.unsigned_abs()) + 1).min(PRECISION_MAX)
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        match self.way {
            Way::Nearest => "round_to_whole",
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
        match (types.len(), self.way) {
            (1, _) => Ok(vec![number]),
            (2, Way::Cut) => Ok(vec![number, DataType::Int64]),
            _ => datafusion::common::plan_err!("no function matches {}({types:?})", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types {
            [DataType::Decimal128(precision, scale)] => DataType::Decimal128(whole_digits(*precision, *scale), 0),
            [first, ..] => first.clone(),
            [] => return exec_err!("{} takes an argument", self.name()),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // Digits are kept: DataFusion's.
        if args.args.len() == 2 {
            return datafusion::functions::math::trunc().invoke_with_args(args);
        }
        match args.args.as_slice() {
            [ColumnarValue::Scalar(scalar)] => {
                let one = self.compute(&scalar.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(self.compute(array)?)),
            _ => exec_err!("{} takes an argument", self.name()),
        }
    }
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
