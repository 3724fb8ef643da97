//! Rows written by their values or keys.
//!
//! Only the planner is left out: the new rows are made here, and `dml` writes them, with the same checks and the same errors as those of any other
//! change. Where values are stored as they come the rows are made by their bytes; else, and where a value is refused, as the batch that `dml` takes
//! of any source, which says what is wrong.

use std::borrow::Cow;
use std::sync::Arc;

use aion_base::{Error, Result};
use aion_catalog::descriptor::Identity;
use aion_catalog::row::{RowReader, RowWriter};
use aion_catalog::types::SECOND_DIGITS_MAX;
use aion_catalog::{SqlType, Value, Zone};
use datafusion::arrow::array::{ArrayRef, BinaryArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast;

use super::keys::{Found, Keys};
use super::shape::{Delete, Insert, Target, Update, identifier};
use super::source::{Parameters, Source, integer, is_integer};
use crate::dml::{Change, ChangeKind, Encoded, key_positions};
use crate::planner::Names;
use crate::references::{Ties, Touched};
use crate::session::scalar;
use crate::table::{BatchBuilder, KEY_COLUMN, TableShape};
use crate::transaction::Transaction;

/// Rows of one INSERT, at most: more are the planner's.
const ROWS_MAX: usize = 1_000;
/// Room for a row before it is written.
const ROW_BYTES_GUESSED: usize = 128;

/// An INSERT of values, an UPDATE to values, or a DELETE.
#[derive(Debug)]
pub(crate) struct Put {
    /// What `dml` makes of the source.
    pub change: Change,
    /// The source's: for UPDATE and DELETE the key, for INSERT and UPDATE all columns, each of which may be NULL here.
    schema: SchemaRef,
    rows: Rows,
    /// The values that it gives go into rows as they are, without a look at more than their types and lengths.
    is_plain: bool,
}

/// The rows of a change.
#[derive(Debug)]
pub(crate) enum PutRows {
    /// By their bytes.
    Encoded(Vec<Encoded>),
    /// By their values, which are still to be looked at.
    Batch(RecordBatch),
}

#[derive(Debug)]
enum Rows {
    /// Rows of a value for each column.
    New(Vec<Vec<Source>>),
    /// Rows by their keys, with new values for some columns, by position.
    Keyed(Keys, Vec<(usize, Assigned)>),
}

/// A new value of a column.
#[derive(Debug)]
enum Assigned {
    To(Source),
    /// A column of integers, more or less an integer.
    Sum {
        column: usize,
        is_less: bool,
        operand: Source,
    },
}

impl Put {
    pub fn insert(insert: &Insert<'_>, shape: &Arc<TableShape>, parameters: &mut Parameters<'_>) -> Option<Self> {
        let columns = &shape.descriptor.columns;
        let mut positions = Vec::new();
        for name in insert.columns {
            let [part] = name.0.as_slice() else { return None };
            let position = shape.descriptor.position(&identifier(part.as_ident()?)?)?;
            if positions.contains(&position) {
                return None;
            }
            positions.push(position);
        }
        if insert.columns.is_empty() {
            positions = (0..columns.len()).collect();
        }
        // Who may give it a value is the planner's to say.
        if positions
            .iter()
            .any(|&at| columns[at].identity == Some(Identity::Always))
        {
            return None;
        }
        let is_left_out = |position: &usize| !positions.contains(position);
        if (0..columns.len())
            .filter(is_left_out)
            .any(|at| columns[at].default.is_some())
        {
            return None;
        }
        if insert.rows.is_empty() || insert.rows.len() > ROWS_MAX {
            return None;
        }
        let mut rows = Vec::with_capacity(insert.rows.len());
        for values in &insert.rows {
            if values.len() != positions.len() {
                return None;
            }
            let mut row = vec![Source::Literal(Value::Null); columns.len()];
            for (&position, value) in positions.iter().zip(*values) {
                // The planner infers the type of a bare parameter only.
                if matches!(value, ast::Expr::Nested(_)) {
                    return None;
                }
                row[position] = stored(value, columns[position].sql_type, parameters)?;
            }
            rows.push(row);
        }
        Some(Self::new(ChangeKind::Insert, shape, Rows::New(rows)))
    }

    pub fn update(update: &Update<'_>, shape: &Arc<TableShape>, parameters: &mut Parameters<'_>) -> Option<Self> {
        let mut assigned: Vec<(usize, Assigned)> = Vec::new();
        for assignment in update.assignments {
            let ast::AssignmentTarget::ColumnName(name) = &assignment.target else {
                return None;
            };
            let [part] = name.0.as_slice() else { return None };
            let position = shape.descriptor.position(&identifier(part.as_ident()?)?)?;
            if assigned.iter().any(|(other, _)| *other == position) || matches!(assignment.value, ast::Expr::Nested(_))
            {
                return None;
            }
            let column = &shape.descriptor.columns[position];
            if column.identity == Some(Identity::Always) {
                return None;
            }
            let sql_type = column.sql_type;
            let value = match &assignment.value {
                ast::Expr::BinaryOp { left, op, right } => {
                    sum((left, op, right), &update.target, shape, sql_type, parameters)?
                }
                value => Assigned::To(stored(value, sql_type, parameters)?),
            };
            assigned.push((position, value));
        }
        let keys = Keys::compile(update.selection, &update.target, shape, parameters)?;
        Some(Self::new(ChangeKind::Update, shape, Rows::Keyed(keys, assigned)))
    }

    pub fn delete(delete: &Delete<'_>, shape: &Arc<TableShape>, parameters: &mut Parameters<'_>) -> Option<Self> {
        let keys = Keys::compile(delete.selection, &delete.target, shape, parameters)?;
        Some(Self::new(ChangeKind::Delete, shape, Rows::Keyed(keys, Vec::new())))
    }

    fn new(kind: ChangeKind, shape: &Arc<TableShape>, rows: Rows) -> Self {
        let key = Field::new(KEY_COLUMN, DataType::Binary, false);
        let columns = || {
            let fields = shape.schema.fields().iter();
            fields.map(|field| field.as_ref().clone().with_nullable(true))
        };
        let fields: Vec<Field> = match kind {
            ChangeKind::Insert => columns().collect(),
            ChangeKind::Update => std::iter::once(key).chain(columns()).collect(),
            ChangeKind::Delete => vec![key],
        };
        let changes_keys = match &rows {
            Rows::New(_) => false,
            Rows::Keyed(_, assigned) => {
                let keys = key_positions(shape);
                kind == ChangeKind::Delete || assigned.iter().any(|(position, _)| keys.contains(position))
            }
        };
        let takes_plainly = |position: usize| is_plain(shape.descriptor.columns[position].sql_type);
        let is_plain = match &rows {
            Rows::New(rows) => rows.iter().all(|row| {
                let mut sources = row.iter().enumerate();
                sources
                    .all(|(position, source)| matches!(source, Source::Literal(Value::Null)) || takes_plainly(position))
            }),
            Rows::Keyed(_, assigned) => {
                kind == ChangeKind::Update && assigned.iter().all(|(position, _)| takes_plainly(*position))
            }
        };
        Self {
            is_plain,
            change: Change {
                kind,
                rules: None,
                changes_keys,
                ties: None,
                shape: shape.clone(),
                conflict: None,
                returning: None,
            },
            schema: Arc::new(Schema::new(fields)),
            rows,
        }
    }

    /// With the foreign keys that it follows; None where that may change other rows than its own.
    pub fn tied(mut self, names: &Names<'_>) -> Option<Self> {
        let is_assigned = |position: usize| match &self.rows {
            Rows::New(_) => true,
            Rows::Keyed(_, assigned) => assigned.iter().any(|(there, _)| *there == position),
        };
        let touched = match self.change.kind {
            ChangeKind::Insert => Touched::Inserted,
            ChangeKind::Update => Touched::Updated(&is_assigned),
            ChangeKind::Delete => Touched::Deleted,
        };
        let ties = Ties::of(names, &self.change.shape, touched).ok()?;
        if ties.as_ref().is_some_and(Ties::is_referred_to) {
            return None;
        }
        self.change.ties = ties.map(Arc::new);
        Some(self)
    }

    pub fn shape(&self) -> &TableShape {
        &self.change.shape
    }

    /// What it does, for EXPLAIN.
    pub fn verb(&self) -> &'static str {
        match self.change.kind {
            ChangeKind::Insert => "insert into",
            ChangeKind::Update => "update by primary key of",
            ChangeKind::Delete => "delete by primary key of",
        }
    }

    /// The keys of the rows that it changes; None for an INSERT, whose rows are new.
    pub fn keys(&self, values: &[Value]) -> Option<Found> {
        match &self.rows {
            Rows::New(_) => None,
            Rows::Keyed(keys, _) => Some(keys.all(values)),
        }
    }

    /// The new values of the rows with these keys, for a session with a zone. None when the values are unfit.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn source(
        &self,
        keys: &[Vec<u8>],
        values: &[Value],
        transaction: &Transaction,
        zone: Zone,
    ) -> Result<Option<PutRows>> {
        let now = Now::new(transaction.begun_at_micros(), zone)?;
        if self.is_plain
            && let Some(rows) = self.encoded(keys, values, &now, transaction)?
        {
            return Ok(Some(PutRows::Encoded(rows)));
        }
        let assigned = match &self.rows {
            Rows::New(rows) => return self.new_rows(rows, values, &now),
            Rows::Keyed(_, assigned) => assigned,
        };
        // All values first: they may be unfit although no row has the key.
        let mut scalars = Vec::with_capacity(assigned.len());
        for (position, assigned) in assigned {
            let Assigned::To(source) = assigned else { continue };
            match scalar_of(source, self.shape().layout.sql_type(*position), values, &now)? {
                Some(scalar) => scalars.push((*position, scalar)),
                None => return Ok(None),
            }
        }
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(row) = transaction.get(key)? {
                found.push((key, row));
            }
        }
        if found.is_empty() {
            return Ok(Some(PutRows::Encoded(Vec::new())));
        }
        if self.change.kind == ChangeKind::Delete {
            let keys: ArrayRef = Arc::new(BinaryArray::from_iter_values(found.iter().map(|(key, _)| key)));
            return self.batch(vec![keys]);
        }
        let layout = &self.shape().layout;
        // The key stands behind the columns in a projection, and before them in the source of a change.
        let projection: Vec<usize> = std::iter::once(layout.len()).chain(0..layout.len()).collect();
        let mut builder = BatchBuilder::with_capacity(layout, &projection, self.schema.clone(), found.len());
        for (key, row) in &found {
            builder.push(layout, key, row)?;
        }
        let mut columns = builder.finish()?.columns().to_vec();
        for (position, scalar) in scalars {
            columns[position + 1] = scalar.to_array_of_size(found.len()).map_err(unbuilt)?;
        }
        for (position, assigned) in assigned {
            let Assigned::Sum {
                column,
                is_less,
                operand,
            } = assigned
            else {
                continue;
            };
            let mut sums = Vec::with_capacity(found.len());
            for (_, row) in &found {
                let row = RowReader::new(layout, row)?;
                let Some(sum) = self.sum(&row, (*column, *is_less, operand), *position, values)? else {
                    return Ok(None);
                };
                sums.push(scalar(&layout.sql_type(*position), &sum)?);
            }
            columns[position + 1] = ScalarValue::iter_to_array(sums).map_err(unbuilt)?;
        }
        self.batch(columns)
    }

    /// The sum for one row; None where it is beyond the column's type, which is the planner's to say.
    fn sum(
        &self,
        row: &RowReader<'_>,
        (column, is_less, operand): (usize, bool, &Source),
        position: usize,
        values: &[Value],
    ) -> Result<Option<Value>> {
        let layout = &self.shape().layout;
        let to = layout.sql_type(position);
        let Some(operand) = operand.value(values) else {
            return Ok(None);
        };
        let value = row.value(column)?;
        if value.is_null() || operand.is_null() {
            return Ok(Some(Value::Null));
        }
        let (Some(value), Some(operand)) = (integer(&value), integer(operand)) else {
            return Ok(None);
        };
        let sum = match is_less {
            true => value.checked_sub(operand),
            false => value.checked_add(operand),
        };
        // Also where only the sum in the operands' own width is too large.
        let fits = |sum: &i64| to.fits(*sum) && layout.sql_type(column).fits(*sum);
        Ok(sum.filter(fits).and_then(|sum| of_width(sum, to)))
    }

    /// The rows by their bytes. None where a value is unfit, or NULL in a column that takes none: then the batch says what is wrong.
    fn encoded(
        &self,
        keys: &[Vec<u8>],
        values: &[Value],
        now: &Now,
        transaction: &Transaction,
    ) -> Result<Option<Vec<Encoded>>> {
        let layout = &self.shape().layout;
        match &self.rows {
            Rows::New(rows) => {
                let mut encoded = Vec::with_capacity(rows.len());
                for row in rows {
                    let mut bytes = Vec::with_capacity(ROW_BYTES_GUESSED);
                    let mut writer = RowWriter::new(layout, &mut bytes);
                    for (position, source) in row.iter().enumerate() {
                        let Some(value) = self.value_of(source, position, values, now) else {
                            return Ok(None);
                        };
                        writer.value(position, &value);
                    }
                    writer.finish();
                    encoded.push(Encoded::New(bytes));
                }
                Ok(Some(encoded))
            }
            Rows::Keyed(_, assigned) => {
                let mut set = vec![None; layout.len()];
                for (position, assigned) in assigned {
                    let Assigned::To(source) = assigned else { continue };
                    let Some(value) = self.value_of(source, *position, values, now) else {
                        return Ok(None);
                    };
                    set[*position] = Some(value);
                }
                let mut encoded = Vec::with_capacity(keys.len());
                for key in keys {
                    let Some(old) = transaction.get(key)? else { continue };
                    let old = RowReader::new(layout, &old)?;
                    for (position, assigned) in assigned {
                        let Assigned::Sum {
                            column,
                            is_less,
                            operand,
                        } = assigned
                        else {
                            continue;
                        };
                        let sum = self.sum(&old, (*column, *is_less, operand), *position, values)?;
                        let Some(sum) = sum.filter(|sum| self.takes(*position, sum)) else {
                            return Ok(None);
                        };
                        set[*position] = Some(Cow::Owned(sum));
                    }
                    let mut bytes = Vec::with_capacity(ROW_BYTES_GUESSED);
                    let mut writer = RowWriter::new(layout, &mut bytes);
                    for (position, value) in set.iter().enumerate() {
                        match value {
                            Some(value) => writer.value(position, value),
                            None => copy(&old, layout.sql_type(position), position, &mut writer)?,
                        }
                    }
                    writer.finish();
                    encoded.push(Encoded::Changed {
                        key: key.clone(),
                        bytes,
                    });
                }
                Ok(Some(encoded))
            }
        }
    }

    /// A value that the column takes as it is.
    fn value_of<'a>(
        &self,
        source: &'a Source,
        position: usize,
        values: &'a [Value],
        now: &'a Now,
    ) -> Option<Cow<'a, Value>> {
        let sql_type = self.shape().layout.sql_type(position);
        let value = match source {
            Source::Now => now.of(sql_type),
            source => source.value(values)?,
        };
        let value = match integer(value) {
            Some(number) if is_integer(sql_type) => Cow::Owned(of_width(number, sql_type)?),
            Some(_) => return None,
            None => rounded(value, sql_type),
        };
        self.takes(position, &value).then_some(value)
    }

    fn takes(&self, position: usize, value: &Value) -> bool {
        let column = &self.shape().descriptor.columns[position];
        match (value, column.sql_type) {
            (Value::Null, _) => column.is_nullable,
            // There are at most as many characters as bytes.
            (Value::Text(text), SqlType::Varchar(Some(limit))) => text.len() <= limit as usize,
            (value, sql_type) => value.is_of(&sql_type),
        }
    }

    fn new_rows(&self, rows: &[Vec<Source>], values: &[Value], now: &Now) -> Result<Option<PutRows>> {
        let layout = &self.shape().layout;
        let mut columns = Vec::with_capacity(layout.len());
        for position in 0..layout.len() {
            let mut scalars = Vec::with_capacity(rows.len());
            for row in rows {
                match scalar_of(&row[position], layout.sql_type(position), values, now)? {
                    Some(scalar) => scalars.push(scalar),
                    None => return Ok(None),
                }
            }
            columns.push(ScalarValue::iter_to_array(scalars).map_err(unbuilt)?);
        }
        self.batch(columns)
    }

    fn batch(&self, columns: Vec<ArrayRef>) -> Result<Option<PutRows>> {
        RecordBatch::try_new(self.schema.clone(), columns)
            .map(|batch| Some(PutRows::Batch(batch)))
            .map_err(|error| Error::internal(format!("the source of a change does not fit its columns: {error}")))
    }
}

fn unbuilt(error: datafusion::common::DataFusionError) -> Error {
    Error::internal(format!("values do not make a column: {error}"))
}

/// A column whose values are stored as they come.
const fn is_plain(sql_type: SqlType) -> bool {
    match sql_type {
        SqlType::Boolean
        | SqlType::SmallInt
        | SqlType::Integer
        | SqlType::BigInt
        | SqlType::Real
        | SqlType::Double
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Bytea
        | SqlType::Date
        | SqlType::Time(_)
        | SqlType::Timestamp(_)
        | SqlType::TimestampTz(_)
        | SqlType::Uuid
        | SqlType::Interval
        | SqlType::Enum(_)
        | SqlType::Jsonb => true,
        SqlType::Numeric { .. } | SqlType::Char(_) | SqlType::Json | SqlType::Vector(_) | SqlType::Array(_) => false,
    }
}

/// A column's value from one row into another one of the same layout.
fn copy(row: &RowReader<'_>, sql_type: SqlType, column: usize, writer: &mut RowWriter<'_>) -> Result<()> {
    match sql_type {
        _ if row.is_null(column) => {}
        SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Bytea
        | SqlType::Json
        | SqlType::Jsonb
        | SqlType::Vector(_)
        | SqlType::Array(_) => writer.bytes(column, row.bytes(column)?),
        _ => writer.value(column, &row.value(column)?),
    }
    Ok(())
}

/// A value to be stored in a column; NULL is one.
fn stored(expr: &ast::Expr, sql_type: SqlType, parameters: &mut Parameters<'_>) -> Option<Source> {
    match expr {
        ast::Expr::Value(value) if value.value == ast::Value::Null => Some(Source::Literal(Value::Null)),
        ast::Expr::Function(call) if matches!(sql_type, SqlType::Timestamp(_) | SqlType::TimestampTz(_)) => {
            is_now(call).then_some(Source::Now)
        }
        _ => Source::compile(expr, sql_type, parameters),
    }
}

/// When the transaction began: as a moment, and as clocks showed it.
struct Now {
    moment: Value,
    local: Value,
}

impl Now {
    fn new(moment: i64, zone: Zone) -> Result<Self> {
        Ok(Self {
            moment: Value::Timestamp(moment),
            local: Value::Timestamp(zone.to_local(moment)?),
        })
    }

    fn of(&self, sql_type: SqlType) -> &Value {
        match sql_type {
            SqlType::Timestamp(_) => &self.local,
            _ => &self.moment,
        }
    }
}

/// `CURRENT_TIMESTAMP`, and `now()`.
fn is_now(call: &ast::Function) -> bool {
    let [ast::ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else {
        return false;
    };
    let has_arguments = match &call.args {
        ast::FunctionArguments::None => false,
        ast::FunctionArguments::List(list) => !list.args.is_empty() || !list.clauses.is_empty(),
        ast::FunctionArguments::Subquery(_) => true,
    };
    let is_plain = call.over.is_none() && call.filter.is_none() && call.within_group.is_empty() && !has_arguments;
    is_plain
        && match &call.args {
            ast::FunctionArguments::None => name.value.eq_ignore_ascii_case("current_timestamp"),
            _ => name.value.eq_ignore_ascii_case("now"),
        }
}

/// `column + operand` and `column - operand`, of integers.
fn sum(
    (left, op, right): (&ast::Expr, &ast::BinaryOperator, &ast::Expr),
    target: &Target<'_>,
    shape: &Arc<TableShape>,
    to: SqlType,
    parameters: &mut Parameters<'_>,
) -> Option<Assigned> {
    let is_less = match op {
        ast::BinaryOperator::Plus => false,
        ast::BinaryOperator::Minus => true,
        _ => return None,
    };
    let column = shape.descriptor.position(&target.column(left)?)?;
    let sql_type = shape.descriptor.columns[column].sql_type;
    if !is_integer(sql_type) || sql_type != to || matches!(right, ast::Expr::Nested(_)) {
        return None;
    }
    let operand = Source::compile(right, sql_type, parameters)?;
    Some(Assigned::Sum {
        column,
        is_less,
        operand,
    })
}

fn of_width(number: i64, sql_type: SqlType) -> Option<Value> {
    match sql_type {
        SqlType::SmallInt => i16::try_from(number).ok().map(Value::I16),
        SqlType::Integer => i32::try_from(number).ok().map(Value::I32),
        SqlType::BigInt => Some(Value::I64(number)),
        _ => None,
    }
}

/// The value as the column's type; None when that is more than a matter of an integer's width.
/// With as many digits of a second as a column keeps.
fn rounded(value: &Value, sql_type: SqlType) -> Cow<'_, Value> {
    match sql_type.second_digits() {
        Some(..SECOND_DIGITS_MAX) => Cow::Owned(value.clone().rounded(&sql_type)),
        _ => Cow::Borrowed(value),
    }
}

fn scalar_of(source: &Source, sql_type: SqlType, values: &[Value], now: &Now) -> Result<Option<ScalarValue>> {
    let value = match source {
        Source::Now => Some(now.of(sql_type)),
        source => source.value(values),
    };
    let Some(value) = value else {
        return Ok(None);
    };
    let value = match integer(value) {
        Some(number) if is_integer(sql_type) => of_width(number, sql_type),
        _ if value.is_of(&sql_type) && !is_integer(sql_type) => {
            return scalar(&sql_type, &rounded(value, sql_type)).map(Some);
        }
        _ if value.is_null() => return scalar(&sql_type, value).map(Some),
        _ => None,
    };
    value.map(|value| scalar(&sql_type, &value)).transpose()
}
