//! Sequences: `pg_sequence`, `pg_sequences`, `information_schema.sequences`, and a sequence as the table of one row that
//! `SELECT last_value, is_called FROM s` reads.
//!
//! The numbers are those at the moment of reading, not of the statement's snapshot: nextval is no part of a transaction.

use std::sync::Arc;

use aion_base::Result;
use aion_catalog::SqlType;
use aion_catalog::descriptor::{ColumnDescriptor, ColumnId, SequenceDescriptor, TableDescriptor};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast;

use super::cells::{Row, row};
use super::facts::{Facts, Relation, RelationKind};
use super::{Definition, cells};
use crate::error::wrap;

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_sequence",
        2224,
        "seqrelid oid, seqtypid oid, seqstart int8, seqincrement int8, seqmax int8, seqmin int8, seqcache int8, \
         seqcycle bool",
        sequences,
    ),
    // The data type is shown by its name, as PostgreSQL shows a regtype.
    Definition::new(
        "pg_sequences",
        0,
        "schemaname name, sequencename name, sequenceowner name, data_type text, start_value int8, min_value int8, \
         max_value int8, increment_by int8, cycle bool, cache_size int8, last_value int8",
        sequences_view,
    ),
    Definition::new(
        "sequences",
        0,
        "sequence_catalog name, sequence_schema name, sequence_name name, data_type text, numeric_precision int4, \
         numeric_precision_radix int4, numeric_scale int4, start_value text, minimum_value text, maximum_value text, \
         increment text, cycle_option text",
        standard_sequences,
    )
    .in_schema("information_schema"),
];

/// The columns of a sequence that is read.
pub const COLUMNS: &str = "last_value int8, log_cnt int8, is_called bool";

/// The sequences with the oids of their relations.
fn all(facts: &Facts) -> impl Iterator<Item = (u32, &Arc<SequenceDescriptor>)> {
    facts.relations().iter().filter_map(|relation| match &relation.kind {
        RelationKind::Sequence(sequence) => Some((relation.oid, sequence)),
        _ => None,
    })
}

/// The type of a sequence's numbers.
fn type_of(sequence: &SequenceDescriptor) -> SqlType {
    sequence.data_type.parse().unwrap_or(SqlType::BigInt)
}

fn sequences(facts: &Facts) -> Result<Vec<Row>> {
    let rows = all(facts).map(|(oid, sequence)| {
        row![
            oid,
            type_of(sequence).oid(),
            sequence.start,
            sequence.increment,
            sequence.max,
            sequence.min,
            sequence.cache,
            sequence.is_cycle,
        ]
    });
    Ok(rows.collect())
}

/// The last number that was given; None before the first.
pub fn last_value(facts: &Facts, sequence: &Arc<SequenceDescriptor>) -> Result<Option<i64>> {
    let state = facts.identity.sequences.state(sequence)?;
    Ok(state.is_called.then_some(state.last))
}

fn sequences_view(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (_, sequence) in all(facts) {
        rows.push(row![
            sequence.schema.as_str(),
            sequence.name.as_str(),
            facts.identity.user.as_str(),
            type_of(sequence).base_name(),
            sequence.start,
            sequence.min,
            sequence.max,
            sequence.increment,
            sequence.is_cycle,
            sequence.cache,
            last_value(facts, sequence)?,
        ]);
    }
    Ok(rows)
}

/// Those of identity columns are no sequences to the standard.
fn standard_sequences(facts: &Facts) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (_, sequence) in all(facts) {
        if owner(facts, sequence).is_some_and(|owner| owner.is_identity) {
            continue;
        }
        let precision = match type_of(sequence) {
            SqlType::SmallInt => 16,
            SqlType::Integer => 32,
            _ => 64,
        };
        rows.push(row![
            facts.identity.database.as_str(),
            sequence.schema.as_str(),
            sequence.name.as_str(),
            type_of(sequence).base_name(),
            precision,
            2,
            0,
            sequence.start.to_string(),
            sequence.min.to_string(),
            sequence.max.to_string(),
            sequence.increment.to_string(),
            if sequence.is_cycle { "YES" } else { "NO" },
        ]);
    }
    Ok(rows)
}

/// The column that a sequence goes with.
pub(super) struct Owner {
    pub table: Arc<TableDescriptor>,
    pub column: ColumnId,
    /// It is the sequence of an identity column, and not one that was given to a column.
    pub is_identity: bool,
}

/// The column that a sequence goes with, if there is one.
pub(super) fn owner(facts: &Facts, sequence: &SequenceDescriptor) -> Option<Owner> {
    let (table, column) = sequence.owned_by?;
    let table = facts.catalog.table_by_id(aion_base::id::TableId(table))?.clone();
    let of = &table.columns[table.position_of(column)?];
    let is_identity = of.identity.is_some() && named_by(facts, of).is_none_or(|named| named.id == sequence.id);
    Some(Owner {
        table,
        column,
        is_identity,
    })
}

/// The sequence of an identity column.
pub(super) fn of_identity<'a>(
    facts: &'a Facts,
    table: &TableDescriptor,
    column: &ColumnDescriptor,
) -> Option<&'a Arc<SequenceDescriptor>> {
    column.identity?;
    let mut sequences = facts.catalog.sequences();
    named_by(facts, column).or_else(|| sequences.find(|sequence| sequence.is_of(table.id, Some(column.id))))
}

/// The sequence that a column's default names.
fn named_by<'a>(facts: &'a Facts, column: &ColumnDescriptor) -> Option<&'a Arc<SequenceDescriptor>> {
    let default = crate::parse::parse_expression(column.default.as_ref()?).ok()?;
    match &of_default(facts, &default)?.kind {
        RelationKind::Sequence(sequence) => Some(sequence),
        _ => None,
    }
}

/// The sequence of a default that is `nextval('...')` and nothing else.
pub(super) fn of_default<'a>(facts: &'a Facts, default: &ast::Expr) -> Option<&'a Relation> {
    let ast::Expr::Function(function) = default else {
        return None;
    };
    let name = function.name.0.last()?.as_ident()?;
    let ast::FunctionArguments::List(arguments) = &function.args else {
        return None;
    };
    let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))] = &arguments.args[..] else {
        return None;
    };
    // With or without `::regclass`.
    let argument = match argument {
        ast::Expr::Cast { expr, .. } => &**expr,
        other => other,
    };
    let ast::Expr::Value(value) = argument else {
        return None;
    };
    let ast::Value::SingleQuotedString(sequence) = &value.value else {
        return None;
    };
    let relation = facts.named(sequence)?;
    let is_sequence = matches!(relation.kind, RelationKind::Sequence(_));
    (is_sequence && name.value.eq_ignore_ascii_case("nextval")).then_some(relation)
}

/// A sequence as DataFusion sees it where it is read.
#[derive(Debug)]
pub struct SequenceTable {
    sequence: Arc<SequenceDescriptor>,
    schema: SchemaRef,
    facts: Arc<Facts>,
}

impl SequenceTable {
    /// The table of a sequence's state.
    pub fn new(sequence: Arc<SequenceDescriptor>, facts: Arc<Facts>) -> Self {
        Self {
            sequence,
            schema: cells::schema(COLUMNS),
            facts,
        }
    }
}

#[async_trait]
impl TableProvider for SequenceTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let state = self.facts.identity.sequences.state(&self.sequence).map_err(wrap)?;
        // Numbers that the log has and nobody was given are PostgreSQL's own matter.
        let rows = [row![state.last, 0, state.is_called]];
        let batch = cells::batch(&self.schema, &rows).map_err(wrap)?;
        let exec = MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema.clone(), projection.cloned())?;
        Ok(exec)
    }
}
