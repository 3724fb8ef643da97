//! The functions, as DataFusion calls them.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::types::{ElementType, TYPE_METADATA_KEY};
use aion_catalog::{SqlType, Value};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::compute::{self, Args};
use crate::cells::{Cells, canonical};
use crate::error::wrap;
use crate::table::array_of;

/// How `x op ANY(a)` and `x op ALL(a)` compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

/// See the functions of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Append,
    Prepend,
    Cat,
    Remove,
    Replace,
    Position,
    Positions,
    Length,
    Upper,
    Lower,
    Ndims,
    Dims,
    Cardinality,
    ToString,
    OfString,
    Fill,
    Trim,
    Contains,
    Contained,
    Overlap,
    Get,
    Slice,
    Any(Comparison),
    All(Comparison),
}

impl Kind {
    pub(super) const ALL: [Self; 34] = {
        use Comparison as C;
        [
            Self::Append,
            Self::Prepend,
            Self::Cat,
            Self::Remove,
            Self::Replace,
            Self::Position,
            Self::Positions,
            Self::Length,
            Self::Upper,
            Self::Lower,
            Self::Ndims,
            Self::Dims,
            Self::Cardinality,
            Self::ToString,
            Self::OfString,
            Self::Fill,
            Self::Trim,
            Self::Contains,
            Self::Contained,
            Self::Overlap,
            Self::Get,
            Self::Slice,
            Self::Any(C::Eq),
            Self::Any(C::NotEq),
            Self::Any(C::Lt),
            Self::Any(C::LtEq),
            Self::Any(C::Gt),
            Self::Any(C::GtEq),
            Self::All(C::Eq),
            Self::All(C::NotEq),
            Self::All(C::Lt),
            Self::All(C::LtEq),
            Self::All(C::Gt),
            Self::All(C::GtEq),
        ]
    };

    /// The name that it is called by.
    pub fn name(self) -> &'static str {
        use Comparison as C;
        match self {
            Self::Append => "array_append",
            Self::Prepend => "array_prepend",
            Self::Cat => "array_cat",
            Self::Remove => "array_remove",
            Self::Replace => "array_replace",
            Self::Position => "array_position",
            Self::Positions => "array_positions",
            Self::Length => "array_length",
            Self::Upper => "array_upper",
            Self::Lower => "array_lower",
            Self::Ndims => "array_ndims",
            Self::Dims => "array_dims",
            Self::Cardinality => "cardinality",
            Self::ToString => "array_to_string",
            Self::OfString => "string_to_array",
            Self::Fill => "array_fill",
            Self::Trim => "trim_array",
            // Those of the operators @>, <@ and &&.
            Self::Contains => "arraycontains",
            Self::Contained => "arraycontained",
            Self::Overlap => "arrayoverlap",
            Self::Get => "array_subscript",
            Self::Slice => "array_subscript_slice",
            Self::Any(C::Eq) => "array_any_eq",
            Self::Any(C::NotEq) => "array_any_ne",
            Self::Any(C::Lt) => "array_any_lt",
            Self::Any(C::LtEq) => "array_any_le",
            Self::Any(C::Gt) => "array_any_gt",
            Self::Any(C::GtEq) => "array_any_ge",
            Self::All(C::Eq) => "array_all_eq",
            Self::All(C::NotEq) => "array_all_ne",
            Self::All(C::Lt) => "array_all_lt",
            Self::All(C::LtEq) => "array_all_le",
            Self::All(C::Gt) => "array_all_gt",
            Self::All(C::GtEq) => "array_all_ge",
        }
    }

    /// The function that an expression calls, if it is one of these.
    pub fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::ScalarFunction(call) => {
                let function: &dyn std::any::Any = call.func.inner().as_ref();
                function.downcast_ref::<Function>().map(|function| function.kind)
            }
            _ => None,
        }
    }

    /// Itself, as DataFusion's.
    pub fn function(self) -> ScalarUDF {
        ScalarUDF::from(Function {
            kind: self,
            signature: Signature::variadic_any(Volatility::Immutable),
        })
    }

    /// A call of it.
    pub fn call(self, args: Vec<Expr>) -> Expr {
        self.function().call(args)
    }

    /// How many arguments it takes.
    pub fn arity(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Ndims | Self::Dims | Self::Cardinality => 1..=1,
            Self::Replace | Self::Slice => 3..=3,
            Self::Position | Self::ToString | Self::OfString | Self::Fill => 2..=3,
            _ => 2..=2,
        }
    }

    /// Which argument is the array.
    pub fn array_argument(self) -> usize {
        match self {
            Self::Prepend | Self::Any(_) | Self::All(_) => 1,
            _ => 0,
        }
    }

    fn result(self, args: &[FieldRef]) -> Result<SqlType> {
        let types: Vec<SqlType> = args
            .iter()
            .map(|field| SqlType::from_field(field).unwrap_or(SqlType::Text))
            .collect();
        if !self.arity().contains(&types.len()) {
            return Err(missing(self, &types));
        }
        let array = types.get(self.array_argument()).copied().unwrap_or(SqlType::Text);
        Ok(match self {
            Self::Fill => types[0].array().unwrap_or(SqlType::Array(ElementType::Text)),
            // A bare NULL beside an element: `array_append(NULL, 1)`.
            Self::Append if array.element().is_none() => types[1].array().unwrap_or(array),
            Self::Prepend if array.element().is_none() => types[0].array().unwrap_or(array),
            Self::Cat if array.element().is_none() => types[1],
            Self::Append | Self::Prepend | Self::Cat | Self::Remove | Self::Replace | Self::Trim | Self::Slice => array,
            Self::Position | Self::Length | Self::Upper | Self::Lower | Self::Ndims | Self::Cardinality => {
                SqlType::Integer
            }
            Self::Positions => SqlType::Array(ElementType::Integer),
            Self::Dims | Self::ToString => SqlType::Text,
            Self::OfString => SqlType::Array(ElementType::Text),
            Self::Get => array.element().unwrap_or(SqlType::Text),
            Self::Contains | Self::Contained | Self::Overlap | Self::Any(_) | Self::All(_) => SqlType::Boolean,
        })
    }
}

/// 42883 for a function of arguments that it does not take.
pub(super) fn missing(kind: Kind, types: &[SqlType]) -> datafusion::common::DataFusionError {
    let types: Vec<&str> = types.iter().map(SqlType::base_name).collect();
    let message = format!("function {}({}) does not exist", kind.name(), types.join(", "));
    wrap(
        Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        ),
    )
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = types
            .iter()
            .map(|data_type| Arc::new(Field::new("", data_type.clone(), true)) as FieldRef)
            .collect();
        self.kind.result(&fields).map(|sql_type| sql_type.to_arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let sql_type = self.kind.result(args.arg_fields)?;
        Ok(Arc::new(sql_type.to_field(self.name(), true)))
    }

    /// What is compared with the elements of a list that is known is one of a list: a key of the primary key may be looked up then.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let (Kind::Any(Comparison::Eq) | Kind::All(Comparison::NotEq), [_, Expr::Literal(list, _)]) =
            (self.kind, &args[..])
        else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        if list.is_null() {
            return Ok(ExprSimplifyResult::Simplified(lit(ScalarValue::Boolean(None))));
        }
        let elements: Vec<Expr> = match list {
            ScalarValue::List(list) => elements(&list.value(0))?,
            ScalarValue::LargeList(list) => elements(&list.value(0))?,
            _ => return Ok(ExprSimplifyResult::Original(args)),
        };
        let is_all = matches!(self.kind, Kind::All(_));
        if elements.is_empty() {
            return Ok(ExprSimplifyResult::Simplified(lit(is_all)));
        }
        let operand = args.into_iter().next().unwrap_or_default();
        Ok(ExprSimplifyResult::Simplified(Expr::InList(InList {
            expr: Box::new(operand),
            list: elements,
            negated: is_all,
        })))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| {
            let array = arg.to_array(rows)?;
            let sql_type = SqlType::from_arrow(array.data_type()).map_err(wrap)?;
            Ok((canonical(&array, sql_type).map_err(wrap)?, sql_type))
        });
        let arrays: Vec<(ArrayRef, SqlType)> = arrays.collect::<Result<_>>()?;
        let cells = arrays.iter().map(|(array, sql_type)| {
            Cells::of(array, *sql_type).ok_or_else(|| wrap(Error::internal("canonical cells are cells")))
        });
        let cells: Vec<Cells<'_>> = cells.collect::<Result<_>>()?;
        let result = SqlType::from_field(&args.return_field).map_err(wrap)?;
        // The vectors of the catalog count from 0.
        let mark = args
            .arg_fields
            .first()
            .and_then(|field| field.metadata().get(TYPE_METADATA_KEY));
        let first = match mark.map(String::as_str) {
            Some("int2vector" | "oidvector") => 0,
            _ => 1,
        };
        let zone = crate::functions::time_zone::session_zone(&args.config_options);
        let compute = |row: usize| {
            let values = cells
                .iter()
                .map(|cells| cells.value(row))
                .collect::<aion_base::Result<Vec<_>>>()?;
            compute::value(
                self.kind,
                Args {
                    values,
                    types: arrays.iter().map(|(_, sql_type)| *sql_type).collect(),
                    first,
                    zone,
                },
            )
        };
        let values: Vec<Value> = (0..rows).map(compute).collect::<aion_base::Result<_>>().map_err(wrap)?;
        let array = array_of(result, &values).map_err(wrap)?;
        match is_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

fn elements(list: &ArrayRef) -> Result<Vec<Expr>> {
    (0..list.len())
        .map(|at| Ok(lit(ScalarValue::try_from_array(list, at)?)))
        .collect()
}
