//! pgvector's operators and functions.
//!
//! `<->` is Euclidean distance, `<=>` one minus the cosine, `<#>` the negative inner product; each is a function of two vectors that
//! gives a double precision. A text literal beside a vector is read as one, and a parameter beside a vector is one.
//!
//! The definition of the distances is `aion_vector::Metric`, the same for an exact scan and for the hits of an index.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value};
use aion_vector::Metric;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::error::wrap;
use crate::session::scalar;

/// The functions that SQL can call by name.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        distance(Metric::L2),
        distance(Metric::Cosine),
        distance(Metric::InnerProduct),
        Arc::new(ScalarUDF::from(Distance::new(
            "inner_product",
            Metric::InnerProduct,
            true,
        ))),
        Arc::new(ScalarUDF::from(Measure {
            name: "vector_dims",
            kind: Measured::Dimensions,
            signature: Signature::user_defined(Volatility::Immutable),
        })),
        Arc::new(ScalarUDF::from(Measure {
            name: "vector_norm",
            kind: Measured::Norm,
            signature: Signature::user_defined(Volatility::Immutable),
        })),
    ]
}

/// The function behind an operator.
fn distance(metric: Metric) -> Arc<ScalarUDF> {
    static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 3]> = LazyLock::new(|| {
        [
            Arc::new(ScalarUDF::from(Distance::new("l2_distance", Metric::L2, false))),
            Arc::new(ScalarUDF::from(Distance::new("cosine_distance", Metric::Cosine, false))),
            Arc::new(ScalarUDF::from(Distance::new(
                "vector_negative_inner_product",
                Metric::InnerProduct,
                false,
            ))),
        ]
    });
    let [l2, cosine, product] = &*FUNCTIONS;
    match metric {
        Metric::L2 => l2.clone(),
        Metric::Cosine => cosine.clone(),
        Metric::InnerProduct => product.clone(),
    }
}

/// The metric of a function that is a distance: small is near.
pub fn distance_metric(function: &ScalarUDF) -> Option<Metric> {
    let function: &dyn Any = function.inner().as_ref();
    let distance = function.downcast_ref::<Distance>()?;
    (!distance.is_negated).then_some(distance.metric)
}

/// Whether a type is that of vectors.
fn is_vector(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) => *item.data_type() == DataType::Float32,
        _ => false,
    }
}

/// Plans the operators.
#[derive(Debug)]
pub struct VectorOperators;

impl ExprPlanner for VectorOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let metric = match &expr.op {
            BinaryOperator::LtDashGt => Metric::L2,
            BinaryOperator::Spaceship => Metric::Cosine,
            BinaryOperator::Custom(name) if name == "<#>" => Metric::InnerProduct,
            BinaryOperator::PGCustomBinaryOperator(name) if name.last().is_some_and(|name| name == "<#>") => {
                Metric::InnerProduct
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let type_of = |side: &Expr| side.get_type(schema).ok().filter(is_vector);
        let known = type_of(&expr.left).or_else(|| type_of(&expr.right));
        let known = known.unwrap_or_else(|| SqlType::Vector(None).to_arrow());
        let left = operand(expr.left, &known)?;
        let right = operand(expr.right, &known)?;
        Ok(PlannerResult::Planned(distance(metric).call(vec![left, right])))
    }
}

/// A side of an operator, as a vector where it is a literal or a parameter without a type.
fn operand(side: Expr, known: &DataType) -> Result<Expr> {
    match side {
        Expr::Literal(ScalarValue::Utf8(Some(text)), metadata) => {
            let dimensions = |components: &[f32]| u16::try_from(components.len()).ok();
            let value = Value::text_in(&SqlType::Vector(None), &text).map_err(wrap)?;
            let sql_type = match &value {
                Value::Vector(components) => SqlType::Vector(dimensions(components)),
                _ => SqlType::Vector(None),
            };
            Ok(Expr::Literal(scalar(&sql_type, &value).map_err(wrap)?, metadata))
        }
        Expr::Placeholder(Placeholder { id, field }) => {
            let is_open = field.as_ref().is_none_or(|field| field.data_type().is_null());
            let field = match is_open {
                true => Some(Arc::new(Field::new(id.clone(), known.clone(), true))),
                false => field,
            };
            Ok(Expr::Placeholder(Placeholder { id, field }))
        }
        other => Ok(other),
    }
}

/// A distance, or its negative.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Distance {
    name: &'static str,
    metric: Metric,
    is_negated: bool,
    signature: Signature,
}

impl Distance {
    fn new(name: &'static str, metric: Metric, is_negated: bool) -> Self {
        Self {
            name,
            metric,
            is_negated,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(self.name, types, 2)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [left, right] = &args.args[..] else {
            return Err(wrap(Error::internal("a distance has two sides")));
        };
        let is_scalar = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let length = if is_scalar { 1 } else { rows };
        let (left, right) = (Vectors::new(left)?, Vectors::new(right)?);
        let mut distances = Vec::with_capacity(length);
        for row in 0..length {
            let (Some(a), Some(b)) = (left.get(row), right.get(row)) else {
                distances.push(None);
                continue;
            };
            if a.len() != b.len() {
                return Err(wrap(Error::invalid(
                    SqlState::DATA_EXCEPTION,
                    format!("different vector dimensions {} and {}", a.len(), b.len()),
                )));
            }
            let distance = self.metric.distance(a, b);
            distances.push(Some(if self.is_negated { -distance } else { distance }));
        }
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::Float64(distances.pop().flatten())),
            false => ColumnarValue::Array(Arc::new(Float64Array::from(distances))),
        })
    }
}

/// What a vector is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measured {
    Dimensions,
    Norm,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Measure {
    name: &'static str,
    kind: Measured,
    signature: Signature,
}

impl ScalarUDFImpl for Measure {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Measured::Dimensions => DataType::Int32,
            Measured::Norm => DataType::Float64,
        })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(self.name, types, 1)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let vectors = match args.args.first() {
            Some(value) => Vectors::new(&ColumnarValue::Array(value.to_array(args.number_rows)?))?,
            None => return Err(wrap(Error::internal("a measure has a vector"))),
        };
        let rows = 0..args.number_rows;
        Ok(ColumnarValue::Array(match self.kind {
            Measured::Dimensions => {
                let counts = rows.map(|row| vectors.get(row).map(|vector| vector.len() as i32));
                Arc::new(counts.collect::<Int32Array>()) as ArrayRef
            }
            Measured::Norm => {
                let norms = rows.map(|row| {
                    let vector = vectors.get(row)?;
                    Some((-Metric::InnerProduct.distance(vector, vector)).sqrt())
                });
                Arc::new(norms.collect::<Float64Array>())
            }
        }))
    }
}

/// The vector types that a call is made with; an array of numbers is one, too.
fn coerced(function: &str, types: &[DataType], count: usize) -> Result<Vec<DataType>> {
    let vector = |data_type: &DataType| match data_type {
        known if is_vector(known) => Some(known.clone()),
        DataType::Null => Some(SqlType::Vector(None).to_arrow()),
        DataType::List(item) | DataType::FixedSizeList(item, _) if item.data_type().is_numeric() => {
            Some(SqlType::Vector(None).to_arrow())
        }
        _ => None,
    };
    let coerced: Option<Vec<_>> = types.iter().map(vector).collect();
    coerced.filter(|types| types.len() == count).ok_or_else(|| {
        let names: Vec<_> = types.iter().map(ToString::to_string).collect();
        wrap(
            Error::not_found(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {function}({}) does not exist", names.join(", ")),
            )
            .with_hint("It takes vectors: CAST the argument to vector(n)."),
        )
    })
}

/// The vectors of a column, or one for all rows.
struct Vectors {
    array: ArrayRef,
    elements: Float32Array,
    is_one: bool,
}

impl Vectors {
    fn new(value: &ColumnarValue) -> Result<Self> {
        let (array, is_one) = match value {
            ColumnarValue::Array(array) => (array.clone(), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let elements = match array.data_type() {
            DataType::FixedSizeList(..) => array.as_fixed_size_list().values().as_primitive_opt::<Float32Type>(),
            DataType::List(_) => array.as_list::<i32>().values().as_primitive_opt::<Float32Type>(),
            _ => None,
        };
        let elements = elements.cloned();
        let elements = elements.ok_or_else(|| wrap(Error::internal("an operand of a distance is no vector")))?;
        Ok(Self {
            array,
            elements,
            is_one,
        })
    }

    fn get(&self, row: usize) -> Option<&[f32]> {
        let row = if self.is_one { 0 } else { row };
        if self.array.is_null(row) {
            return None;
        }
        let values = self.elements.values();
        match self.array.data_type() {
            DataType::FixedSizeList(..) => {
                let lists = self.array.as_fixed_size_list();
                let start = usize::try_from(lists.value_offset(row)).ok()?;
                values.get(start..start + usize::try_from(lists.value_length()).ok()?)
            }
            _ => {
                let offsets = self.array.as_list::<i32>().value_offsets();
                values.get(usize::try_from(offsets[row]).ok()?..usize::try_from(offsets[row + 1]).ok()?)
            }
        }
    }
}
