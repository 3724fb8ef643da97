//! Functions of PostgreSQL that DataFusion has not, or has with another meaning, computed row by row from values.
//!
//! One table, [`TABLE`], says what exists: name, arguments, result and body. Of several of one name that is taken which takes the
//! arguments with the fewest casts; a literal in quotes is a text to DataFusion, and is read as whatever is asked for. What none takes is
//! DataFusion's function of that name, if there is one. NULL gives NULL, unless a function says otherwise.
//!
//! Where the texts of templates and patterns are looked at: `aion_catalog::template`, [`text`].

mod numbers;
mod text;
mod times;

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use aion_base::{Error, SqlState};
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::time_zone::session_zone;
use crate::cells::{Cells, canonical};
use crate::error::wrap;
use crate::table::array_of;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Double,
    Real,
    Numeric,
    Bytea,
    Date,
    Time,

    Timestamp,
    Moment,
    Interval,
    /// Of any type: it stays what it is.
    Any,
}

impl Kind {
    /// How far a type is from it: 0 for its own, more for one that is cast, None for one that is not taken.
    fn distance(self, given: &DataType) -> Option<usize> {
        let sql_type = SqlType::from_arrow(given).ok()?;
        if given.is_null() {
            return Some(0);
        }
        let is_integer = given.is_integer();
        let own = match (self, sql_type) {
            (Self::Any, _)
            | (Self::Text, SqlType::Text)
            | (Self::Double, SqlType::Double)
            | (Self::Real, SqlType::Real)
            | (Self::Numeric, SqlType::Numeric { .. })
            | (Self::Bytea, SqlType::Bytea)
            | (Self::Date, SqlType::Date)
            | (Self::Time, SqlType::Time(_))
            | (Self::Timestamp, SqlType::Timestamp(_))
            | (Self::Moment, SqlType::TimestampTz(_))
            | (Self::Interval, SqlType::Interval) => true,
            (Self::Int, _) => is_integer,
            _ => false,
        };
        let is_cast = match (self, sql_type) {
            // What a literal in quotes may be.
            (_, SqlType::Text) => Some(3),
            (Self::Numeric, _) if is_integer => Some(1),
            (Self::Double, _) if is_integer => Some(2),
            (Self::Double, SqlType::Numeric { .. } | SqlType::Real) => Some(1),
            (Self::Timestamp, SqlType::Date) => Some(2),
            (Self::Moment, SqlType::Date | SqlType::Timestamp(_)) => Some(1),
            _ => None,
        };
        if own { Some(0) } else { is_cast }
    }

    fn wanted(self, given: &DataType) -> DataType {
        match self {
            Self::Any => given.clone(),
            Self::Numeric => match given {
                DataType::Decimal128(..) => given.clone(),
                _ if given.is_integer() => DataType::Decimal128(20, 0),
                _ => SqlType::NUMERIC.to_arrow(),
            },
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Real => DataType::Float32,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => SqlType::TIME.to_arrow(),
            Self::Timestamp => SqlType::TIMESTAMP.to_arrow(),
            Self::Moment => SqlType::TIMESTAMPTZ.to_arrow(),
            Self::Interval => SqlType::Interval.to_arrow(),
        }
    }
}

/// The values of a row, and what else a body may ask for.
struct Row<'a> {
    values: &'a [Value],
    types: &'a [SqlType],
    zone: Zone,
}

impl Row<'_> {
    fn text(&self, at: usize) -> &str {
        match self.values.get(at) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    fn int(&self, at: usize) -> i64 {
        match self.values.get(at) {
            Some(Value::I16(value)) => (*value).into(),
            Some(Value::I32(value)) => (*value).into(),
            Some(Value::I64(value)) => *value,
            _ => 0,
        }
    }

    fn double(&self, at: usize) -> f64 {
        match self.values.get(at) {
            Some(Value::F64(value)) => *value,
            Some(Value::F32(value)) => (*value).into(),
            _ => 0.0,
        }
    }

    /// The text of a value, as PostgreSQL writes it; None for NULL.
    fn written(&self, at: usize) -> Option<String> {
        let (value, sql_type) = (self.values.get(at)?, self.types.get(at)?);
        let mut text = String::new();
        match value {
            Value::Null => return None,
            Value::Timestamp(moment) if matches!(sql_type, SqlType::TimestampTz(_)) => {
                aion_catalog::text::write_timestamptz_in(*moment, self.zone, &mut text);
            }
            value => value.text_out(sql_type, &mut text),
        }
        Some(text)
    }
}

/// What constants among the arguments say of a result.
type Narrowed = fn(&[Option<&ScalarValue>]) -> Option<SqlType>;

/// A function of some arguments.
struct Definition {
    name: &'static str,
    arguments: &'static [Kind],
    /// So many of them must be given.
    required: usize,
    /// The last one may come any number of times.
    is_variadic: bool,
    takes_nulls: bool,
    result: SqlType,
    volatility: Volatility,
    /// The type of the result where constants among the arguments say more of it.
    narrowed: Option<Narrowed>,
    body: fn(&Row<'_>) -> aion_base::Result<Value>,
}

impl Definition {
    fn new(
        name: &'static str,
        arguments: &'static [Kind],
        result: SqlType,
        body: fn(&Row<'_>) -> aion_base::Result<Value>,
    ) -> Self {
        Self {
            name,
            arguments,
            required: arguments.len(),
            is_variadic: false,
            takes_nulls: false,
            result,
            volatility: Volatility::Immutable,
            narrowed: None,
            body,
        }
    }

    fn requiring(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    fn variadic(mut self) -> Self {
        self.is_variadic = true;
        self
    }

    fn taking_nulls(mut self) -> Self {
        self.takes_nulls = true;
        self
    }

    fn narrowed(mut self, of: Narrowed) -> Self {
        self.narrowed = Some(of);
        self
    }

    /// What it gives depends on the session.
    fn stable(mut self) -> Self {
        self.volatility = Volatility::Stable;
        self
    }

    fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.arguments
            .get(at)
            .or_else(|| self.arguments.last().filter(|_| self.is_variadic))
            .copied()
    }

    fn distance(&self, given: &[DataType]) -> Option<usize> {
        let most = if self.is_variadic {
            usize::MAX
        } else {
            self.arguments.len()
        };
        if !(self.required..=most).contains(&given.len()) {
            return None;
        }
        let distances = given
            .iter()
            .enumerate()
            .map(|(at, given)| self.kind(at)?.distance(given));
        distances.sum()
    }
}

static TABLE: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let mut all = text::definitions();
    all.extend(times::definitions());
    all.extend(numbers::definitions());
    all
});

/// All of them; `known` are DataFusion's, by their names.
pub fn functions(known: &dyn Fn(&str) -> Option<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let mut names: Vec<&'static str> = TABLE.iter().map(|definition| definition.name).collect();
    names.dedup();
    let function = |name: &'static str| {
        let of_name = || TABLE.iter().filter(|definition| definition.name == name);
        let is_volatile = of_name().any(|definition| definition.volatility == Volatility::Volatile);
        let is_stable = of_name().any(|definition| definition.volatility == Volatility::Stable);
        let volatility = match (is_volatile, is_stable) {
            (true, _) => Volatility::Volatile,
            (_, true) => Volatility::Stable,
            _ => Volatility::Immutable,
        };
        let signature = match of_name().all(|definition| definition.arguments.is_empty()) {
            true => Signature::nullary(volatility),
            false => Signature::user_defined(volatility),
        };
        Arc::new(ScalarUDF::from(Plain {
            name,
            inner: known(name),
            signature,
        }))
    };
    names.into_iter().map(function).collect()
}

#[derive(Debug)]
struct Plain {
    name: &'static str,
    /// DataFusion's.
    inner: Option<Arc<ScalarUDF>>,
    signature: Signature,
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Plain {}

impl Hash for Plain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Plain {
    fn of(&self, given: &[DataType]) -> Option<&'static Definition> {
        let all = TABLE.iter().filter(|definition| definition.name == self.name);
        let taken = all.filter_map(|definition| Some((definition.distance(given)?, definition)));
        taken
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, definition)| definition)
    }

    fn compute(
        &self,
        (definition, result): (&Definition, SqlType),
        arrays: &[ArrayRef],
        rows: usize,
        zone: Zone,
    ) -> Result<ArrayRef> {
        let types = arrays.iter().map(|array| SqlType::from_arrow(array.data_type()));
        let types: Vec<SqlType> = types.collect::<aion_base::Result<_>>().map_err(wrap)?;
        let canonical = arrays
            .iter()
            .zip(&types)
            .map(|(array, sql_type)| canonical(array, *sql_type));
        let arrays: Vec<ArrayRef> = canonical.collect::<aion_base::Result<_>>().map_err(wrap)?;
        let cells = arrays.iter().zip(&types).map(|(array, sql_type)| {
            Cells::of(array, *sql_type).ok_or_else(|| wrap(Error::internal("canonical cells are cells")))
        });
        let cells: Vec<Cells<'_>> = cells.collect::<Result<_>>()?;
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            let values = cells.iter().map(|cells| cells.value(row));
            let values: Vec<Value> = values.collect::<aion_base::Result<_>>().map_err(wrap)?;
            let is_null = !definition.takes_nulls && values.iter().any(Value::is_null);
            if is_null {
                results.push(Value::Null);
                continue;
            }
            let value = (definition.body)(&Row {
                values: &values,
                types: &types,
                zone,
            });
            results.push(value.and_then(|value| scaled(value, result)).map_err(wrap)?);
        }
        array_of(result, &results).map_err(wrap)
    }
}

/// A numeric with the digits of its type.
///
/// # Errors
/// 22003 for one that is too large for them.
fn scaled(value: Value, sql_type: SqlType) -> aion_base::Result<Value> {
    match (value, sql_type) {
        (Value::Decimal(unscaled, scale), SqlType::Numeric { scale: wanted, .. }) if scale != wanted => {
            let mut text = String::new();
            aion_catalog::text::write_decimal(unscaled, scale, &mut text);
            Value::text_in(&sql_type, &text)
        }
        (value, _) => Ok(value),
    }
}

impl ScalarUDFImpl for Plain {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        self.inner.as_ref().map_or(&[], |inner| inner.aliases())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if let Some(definition) = self.of(given) {
            let wanted = given.iter().enumerate().map(|(at, given)| match definition.kind(at) {
                // Texts come in layouts that are all one to us.
                Some(Kind::Any) | None => given.clone(),
                Some(kind) => kind.wanted(given),
            });
            return Ok(wanted.collect());
        }
        if let Some(inner) = &self.inner {
            let field = |given: &DataType| Arc::new(Field::new("", given.clone(), true));
            let given: Vec<FieldRef> = given.iter().map(|given| field(given) as FieldRef).collect();
            let fields = fields_with_udf(&given, inner.as_ref())?;
            return Ok(fields.iter().map(|field| field.data_type().clone()).collect());
        }
        let names = given.iter().map(|given| match SqlType::from_arrow(given) {
            Ok(sql_type) => sql_type.base_name().to_owned(),
            Err(_) => given.to_string(),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        let message = format!("function {}({names}) does not exist", self.name);
        Err(wrap(Error::not_found(SqlState::UNDEFINED_FUNCTION, message).with_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )))
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match (self.of(given), &self.inner) {
            (Some(definition), _) => Ok(definition.result.to_arrow()),
            (None, Some(inner)) => inner.return_type(given),
            (None, None) => Err(wrap(Error::internal(format!("{} of other arguments", self.name)))),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        match (self.of(&given), &self.inner) {
            (Some(definition), _) => {
                let narrowed = definition.narrowed.and_then(|narrowed| narrowed(args.scalar_arguments));
                Ok(Arc::new(
                    narrowed.unwrap_or(definition.result).to_field(self.name, true),
                ))
            }
            (None, Some(inner)) => inner.return_field_from_args(args),
            (None, None) => Err(wrap(Error::internal(format!("{} of other arguments", self.name)))),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let Some(definition) = self.of(&given) else {
            return match &self.inner {
                Some(inner) => inner.invoke_with_args(args),
                None => Err(wrap(Error::internal(format!("{} of other arguments", self.name)))),
            };
        };
        let is_constant = definition.volatility != Volatility::Volatile
            && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let result = SqlType::from_field(&args.return_field).map_err(wrap)?;
        let computed = self.compute((definition, result), &arrays, rows, session_zone(&args.config_options))?;
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&computed, 0)?)),
            false => Ok(ColumnarValue::Array(computed)),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let types = args.iter().map(|arg| info.get_data_type(arg));
        let types: Vec<DataType> = types.collect::<Result<_>>()?;
        match (self.of(&types), &self.inner) {
            (None, Some(inner)) => inner.simplify(args, info),
            _ => Ok(ExprSimplifyResult::Original(args)),
        }
    }
}
