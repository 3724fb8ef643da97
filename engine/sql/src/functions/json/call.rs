//! A function of json and jsonb, row by row: what its arguments are read as, and what its answer is written as.
//!
//! An argument that is a text where a document is wanted is a literal, and is read as one ([`super::check`] refuses others). All are *strict*,
//! as nearly all are in PostgreSQL: NULL where an argument is.

use std::sync::Arc;

use aion_base::{Error, SqlState};
use aion_catalog::SqlType;
use aion_catalog::json::path::Path;
use aion_catalog::json::{Jsonb, JsonbRef, PathElement, plain::Plain};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Int32Builder, LargeBinaryBuilder, ListBuilder, StringBuilder,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::side::Side;
use crate::error::wrap;

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Jsonb,
    Json,
    Text,
    /// `text[]`
    Texts,
    Integer,
    Boolean,
    /// `jsonpath`
    Path,
    /// A key, an index, or several keys.
    Place,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    Jsonb,
    Json,
    Text,
    Boolean,
    Integer,
    /// Rows of jsonb, as a list.
    Jsonbs,
    /// Rows of json, as a list.
    Jsons,
    /// Rows of text, as a list.
    Texts,
}

/// An argument in one row.
#[derive(Clone, Debug)]
pub enum Argument<'a> {
    Null,
    Jsonb(JsonbRef<'a>),
    Json(Plain<'a>),
    Text(&'a str),
    Texts(Vec<PathElement<'a>>),
    Integer(i64),
    Boolean(bool),
    Path(&'a Path),
}

/// The answer in one row.
pub enum Answer {
    Null,
    Jsonb(Jsonb),
    Text(String),
    Boolean(bool),
    Integer(usize),
    Jsonbs(Vec<Jsonb>),
    Texts(Vec<Option<String>>),
}

/// What computes the answer.
pub type Compute = for<'a, 'b> fn(&'b [Argument<'a>]) -> aion_base::Result<Answer>;

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub name: &'static str,
    pub arguments: &'static [Kind],
    /// So many of the arguments are always given.
    pub required: usize,
    /// What follows the arguments, any number of times.
    pub variadic: Option<Kind>,
    pub made: Made,
    pub compute: Compute,
}

impl Definition {
    /// A strict function of exactly these arguments.
    pub const fn new(name: &'static str, arguments: &'static [Kind], made: Made, compute: Compute) -> Self {
        Self {
            name,
            arguments,
            required: arguments.len(),
            variadic: None,
            made,
            compute,
        }
    }

    /// Of whose arguments only the first ones must be given.
    pub const fn requiring(self, required: usize) -> Self {
        Self { required, ..self }
    }

    /// Which takes more arguments of a kind.
    pub const fn variadic(self, kind: Kind) -> Self {
        Self {
            variadic: Some(kind),
            ..self
        }
    }

    /// The function.
    pub fn function(self) -> ScalarUDF {
        ScalarUDF::from(Function {
            name: self.name,
            definition: self,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    /// What an argument is; None beyond the last.
    pub fn kind(&self, at: usize) -> Option<Kind> {
        self.arguments.get(at).copied().or(self.variadic)
    }
}

#[derive(Debug)]
struct Function {
    name: &'static str,
    definition: Definition,
    signature: Signature,
}

// A function is what its name says.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

fn texts() -> DataType {
    DataType::new_list(DataType::Utf8, true)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
    )
}

/// The type that an argument of a kind is read as; None where it is none.
fn wanted(kind: Kind, given: &DataType) -> Option<DataType> {
    let is_list = matches!(
        given,
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
    );
    match kind {
        Kind::Jsonb if *given == DataType::LargeBinary || is_text(given) => Some(DataType::LargeBinary),
        Kind::Json | Kind::Text | Kind::Path if is_text(given) => Some(DataType::Utf8),
        Kind::Texts if is_list || is_text(given) => Some(texts()),
        Kind::Integer if given.is_integer() || is_text(given) => Some(DataType::Int64),
        Kind::Boolean if *given == DataType::Boolean || is_text(given) => Some(DataType::Boolean),
        Kind::Place if given.is_integer() => Some(DataType::Int64),
        Kind::Place if is_list => Some(texts()),
        Kind::Place if is_text(given) => Some(DataType::Utf8),
        _ => None,
    }
}

/// The definition of a function, if it is one of those.
pub fn definition_of(function: &ScalarUDF) -> Option<&Definition> {
    let function = function.inner().downcast_ref::<Function>()?;
    Some(&function.definition)
}

/// 42883, with the types of the arguments as PostgreSQL writes them.
pub fn no_function(name: &str, args: &[Expr], schema: &DFSchema) -> Error {
    let called = match args {
        // Those of two columns are told what was called.
        [arg, Expr::Literal(ScalarValue::Utf8(Some(called)), _)] if name.contains("_each_") => {
            return no_function_of(called, std::iter::once(Side::of(arg, schema)));
        }
        _ => name,
    };
    no_function_of(called, args.iter().map(|arg| Side::of(arg, schema)))
}

fn no_function_of(name: &str, sides: impl Iterator<Item = Side>) -> Error {
    let types: Vec<String> = sides.map(|side| side.name().to_owned()).collect();
    // Of what gives rows, the list has another name.
    let name = match name.strip_suffix("_list").unwrap_or(name) {
        "character_length" => "length",
        name => name,
    };
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Error::not_found(SqlState::UNDEFINED_FUNCTION, message)
        .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

/// The name of a type in a message.
pub fn type_name(data_type: &DataType) -> String {
    match (data_type, SqlType::from_arrow(data_type)) {
        (DataType::Null, _) => "unknown".to_owned(),
        (_, Ok(sql_type)) => sql_type.base_name().to_owned(),
        (DataType::List(item), _) => format!("{}[]", type_name(item.data_type())),
        (other, Err(_)) => other.to_string(),
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let definition = &self.definition;
        let fits = given.len() >= definition.required
            && (given.len() <= definition.arguments.len() || definition.variadic.is_some());
        let wanted: Option<Vec<_>> = given
            .iter()
            .enumerate()
            .map(|(at, given)| wanted(definition.kind(at)?, given))
            .collect();
        // What does not fit is told where the arguments are known.
        Ok(wanted.filter(|_| fits).unwrap_or_else(|| given.to_vec()))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.definition.made {
            Made::Jsonb => DataType::LargeBinary,
            Made::Json | Made::Text => DataType::Utf8,
            Made::Boolean => DataType::Boolean,
            Made::Integer => DataType::Int32,
            Made::Jsonbs => DataType::new_list(DataType::LargeBinary, true),
            Made::Jsons | Made::Texts => {
                let item = match self.definition.made {
                    Made::Jsons => SqlType::Json.to_field(Field::LIST_FIELD_DEFAULT_NAME, true),
                    _ => Field::new_list_field(DataType::Utf8, true),
                };
                DataType::List(Arc::new(item))
            }
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let definition = &self.definition;
        let count = args.arg_fields.len();
        let fits = count >= definition.required
            && args.arg_fields.iter().enumerate().all(|(at, field)| {
                let wanted = definition.kind(at).and_then(|kind| wanted(kind, field.data_type()));
                wanted.is_some_and(|wanted| wanted == *field.data_type() || field.data_type().is_null())
            });
        if !fits {
            let (name, count) = match args.scalar_arguments {
                // Those of two columns are told what was called.
                [_, Some(ScalarValue::Utf8(Some(called)))] if self.name.contains("_each_") => (called.as_str(), 1),
                _ => (self.name, count),
            };
            let sides = args.arg_fields.iter().zip(args.scalar_arguments).take(count);
            let sides = sides.map(|(field, scalar)| match scalar {
                Some(value) => Side::of(&Expr::Literal((*value).clone(), None), &DFSchema::empty()),
                None => Side::of_field(field),
            });
            return Err(wrap(no_function_of(name, sides)));
        }
        Ok(Arc::new(match self.definition.made {
            Made::Json => SqlType::Json.to_field(self.name, true),
            _ => Field::new(self.name, self.return_type(&[])?, true),
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let are_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if are_scalar { 1 } else { args.number_rows };
        let columns = args
            .args
            .iter()
            .enumerate()
            .map(|(at, arg)| Column::new(arg, self.definition.kind(at).unwrap_or(Kind::Text)));
        let columns: Vec<Column> = columns.collect::<Result<_>>()?;
        let mut answers = Answers::new(self.definition.made, rows);
        let mut arguments = Vec::with_capacity(columns.len());
        for row in 0..rows {
            arguments.clear();
            for column in &columns {
                arguments.push(column.argument(row).map_err(wrap)?);
            }
            let is_null = arguments.iter().any(|argument| matches!(argument, Argument::Null));
            let answer = match is_null {
                true => Answer::Null,
                false => (self.definition.compute)(&arguments).map_err(wrap)?,
            };
            answers.push(answer)?;
        }
        let array = answers.finish();
        match are_scalar {
            // With the field of its elements, which say that they are json.
            true if matches!(array.data_type(), DataType::List(_)) => Ok(ColumnarValue::Scalar(ScalarValue::List(
                Arc::new(array.as_list().clone()),
            ))),
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

/// A column of arguments, read once for a batch.
struct Column {
    kind: Kind,
    array: ArrayRef,
    /// The one value stands for all rows.
    is_constant: bool,
    /// The paths of the rows, or of the one value; None for NULL, and for what is no path.
    paths: Vec<Option<Path>>,
}

impl Column {
    fn new(value: &ColumnarValue, kind: Kind) -> Result<Self> {
        let (array, is_constant) = match value {
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
            ColumnarValue::Array(array) => (array.clone(), false),
        };
        let given = array.data_type().clone();
        let array = match (kind, given) {
            (Kind::Jsonb, DataType::Null) => cast(&array, &DataType::LargeBinary)?,
            (Kind::Json | Kind::Text | Kind::Path, _) => cast(&array, &DataType::Utf8)?,
            (Kind::Place, DataType::Null) => cast(&array, &DataType::Utf8)?,
            (Kind::Texts, _) => cast(&array, &texts())?,
            (Kind::Integer, _) => cast(&array, &DataType::Int64)?,
            (Kind::Boolean, _) => cast(&array, &DataType::Boolean)?,
            _ => array,
        };
        let paths = match kind {
            Kind::Path => {
                let texts = array.as_string::<i32>();
                texts.iter().map(|text| Path::parse(text?).ok()).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self {
            kind,
            array,
            is_constant,
            paths,
        })
    }

    fn argument(&self, row: usize) -> aion_base::Result<Argument<'_>> {
        let row = if self.is_constant { 0 } else { row };
        if self.array.is_null(row) {
            return Ok(Argument::Null);
        }
        Ok(match (self.kind, self.array.data_type()) {
            (Kind::Jsonb, _) => Argument::Jsonb(JsonbRef::new(self.array.as_binary::<i64>().value(row))),
            (Kind::Json, _) => Argument::Json(Plain::new(self.array.as_string::<i32>().value(row))),
            (Kind::Path, _) => match self.paths.get(row) {
                Some(Some(path)) => Argument::Path(path),
                // The error is that of the row which has it.
                _ => {
                    return Path::parse(self.array.as_string::<i32>().value(row)).map(|_| Argument::Null);
                }
            },
            (_, DataType::Utf8) => Argument::Text(self.array.as_string::<i32>().value(row)),
            (_, DataType::List(_)) => {
                let list = self.array.as_list::<i32>();
                let offset = |at: usize| usize::try_from(list.value_offsets()[at]).unwrap_or(0);
                let values = list.values().as_string::<i32>();
                let elements = offset(row)..offset(row + 1);
                Argument::Texts(
                    elements
                        .map(|at| values.is_valid(at).then(|| values.value(at)))
                        .collect(),
                )
            }
            (_, DataType::Boolean) => Argument::Boolean(self.array.as_boolean().value(row)),
            (_, DataType::Int64) => Argument::Integer(self.array.as_primitive::<Int64Type>().value(row)),
            (kind, other) => return Err(Error::internal(format!("a {kind:?} came as {other}"))),
        })
    }
}

/// The column of answers.
enum Answers {
    Jsonb(LargeBinaryBuilder),
    Text(StringBuilder),
    Boolean(BooleanBuilder),
    Integer(Int32Builder),
    Jsonbs(ListBuilder<LargeBinaryBuilder>),
    Texts(ListBuilder<StringBuilder>),
}

impl Answers {
    fn new(made: Made, rows: usize) -> Self {
        match made {
            Made::Jsonb => Self::Jsonb(LargeBinaryBuilder::with_capacity(rows, rows * 16)),
            Made::Json | Made::Text => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Made::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            Made::Integer => Self::Integer(Int32Builder::with_capacity(rows)),
            Made::Jsonbs => Self::Jsonbs(ListBuilder::new(LargeBinaryBuilder::new())),
            Made::Texts => Self::Texts(ListBuilder::new(StringBuilder::new())),
            Made::Jsons => {
                let item = SqlType::Json.to_field(Field::LIST_FIELD_DEFAULT_NAME, true);
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(Arc::new(item)))
            }
        }
    }

    fn push(&mut self, answer: Answer) -> Result<()> {
        match (self, answer) {
            (Self::Jsonb(builder), Answer::Jsonb(document)) => builder.append_value(document.as_bytes()),
            (Self::Jsonb(builder), Answer::Null) => builder.append_null(),
            (Self::Text(builder), Answer::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Answer::Null) => builder.append_null(),
            (Self::Boolean(builder), Answer::Boolean(value)) => builder.append_value(value),
            (Self::Boolean(builder), Answer::Null) => builder.append_null(),
            (Self::Integer(builder), Answer::Integer(number)) => {
                builder.append_value(i32::try_from(number).unwrap_or(i32::MAX));
            }
            (Self::Integer(builder), Answer::Null) => builder.append_null(),
            (Self::Jsonbs(builder), Answer::Jsonbs(documents)) => {
                for document in documents {
                    builder.values().append_value(document.as_bytes());
                }
                builder.append(true);
            }
            (Self::Jsonbs(builder), Answer::Null) => builder.append(false),
            (Self::Texts(builder), Answer::Texts(texts)) => {
                for text in texts {
                    builder.values().append_option(text);
                }
                builder.append(true);
            }
            (Self::Texts(builder), Answer::Null) => builder.append(false),
            _ => return Err(wrap(Error::internal("a function answers what it says that it makes"))),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Jsonb(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Jsonbs(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
        }
    }
}
