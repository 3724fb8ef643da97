//! The joins that a pattern is, as SQL over the names of its slots: nothing in them is the user's.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use aion_base::{Error, Result};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{EdgeTable, GraphDescriptor, Property as Visible, VertexTable};
use datafusion::sql::sqlparser::ast;

use crate::parse;

/// An element table that a slot can be bound to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Candidate<'g> {
    Vertex(&'g VertexTable),
    Edge { table: &'g EdgeTable, is_backwards: bool },
}

impl<'g> Candidate<'g> {
    pub fn table(&self) -> (&'g str, &'g str) {
        match self {
            Self::Vertex(table) => (&table.schema, &table.table),
            Self::Edge { table, .. } => (&table.schema, &table.table),
        }
    }

    pub fn visible(&self) -> Option<&'g [Visible]> {
        match self {
            Self::Vertex(table) => table.properties.as_deref(),
            Self::Edge { table, .. } => table.properties.as_deref(),
        }
    }

    pub fn alias(&self) -> &'g str {
        match self {
            Self::Vertex(table) => &table.alias,
            Self::Edge { table, .. } => &table.alias,
        }
    }
}

/// An element pattern, or a vertex variable that comes several times.
pub(super) struct Slot<'g> {
    pub candidates: Vec<Candidate<'g>>,
    pub alias: String,
    pub variable: Option<String>,
    pub is_repeated: bool,
    pub filters: Vec<&'g ast::Expr>,
    /// For an edge: the slots of the vertices to its left and right.
    pub ends: Option<(usize, usize)>,
    pub properties: Vec<(String, SqlType)>,
    /// No table has the labels of all patterns of this variable.
    pub is_impossible: bool,
}

/// `x JOIN e ON ... JOIN y ON ...`, and what must hold beside.
pub(super) fn from(text: &mut String, slots: &[Slot<'_>], way: &[Candidate<'_>]) {
    let mut placed = BTreeSet::new();
    let mut conditions = Vec::new();
    let place = |text: &mut String, placed: &mut BTreeSet<usize>, at: usize| {
        if placed.insert(at) {
            if placed.len() > 1 {
                text.push_str(" CROSS JOIN ");
            }
            text.push_str(&item(&slots[at], &way[at]));
        }
    };
    for (at, slot) in slots.iter().enumerate() {
        let (Candidate::Edge { table, is_backwards }, Some((left, right))) = (way[at], slot.ends) else {
            // A vertex of an edge comes with it.
            if !slots
                .iter()
                .any(|other| other.ends.is_some_and(|(l, r)| l == at || r == at))
            {
                place(text, &mut placed, at);
            }
            continue;
        };
        let on = |vertex: usize, is_source: bool| match is_source {
            true => equal(
                &slot.alias,
                &table.source_key,
                &slots[vertex].alias,
                &table.source_columns,
            ),
            false => equal(
                &slot.alias,
                &table.destination_key,
                &slots[vertex].alias,
                &table.destination_columns,
            ),
        };
        // The join goes on from an end that is there; from the right one where that is the only one.
        let (near, far) = match !placed.contains(&left) && placed.contains(&right) {
            true => (right, left),
            false => (left, right),
        };
        let near_is_source = (near == left) != is_backwards;
        place(text, &mut placed, near);
        placed.insert(at);
        let mut near_on = on(near, near_is_source);
        let far_on = on(far, !near_is_source);
        let is_far_placed = !placed.insert(far);
        if is_far_placed {
            near_on = format!("{near_on} AND {far_on}");
        }
        // Writing to a String cannot fail.
        let _ = write!(text, " JOIN {} ON {near_on}", item(slot, &way[at]));
        if !is_far_placed {
            let _ = write!(text, " JOIN {} ON {far_on}", item(&slots[far], &way[far]));
        }
        let could_be_forth = || {
            slot.candidates.iter().any(|other| {
            matches!(other, Candidate::Edge { table: other, is_backwards: false } if std::ptr::eq(*other, table))
        })
        };
        if is_backwards
            && could_be_forth()
            && let (Candidate::Vertex(begin), Candidate::Vertex(end)) = (way[left], way[right])
            && begin.alias == end.alias
        {
            let loops = equal(&slots[left].alias, &begin.key, &slots[right].alias, &begin.key);
            conditions.push(format!("({loops}) IS NOT TRUE"));
        }
    }
    if !conditions.is_empty() {
        text.push_str(" WHERE ");
        text.push_str(&conditions.join(" AND "));
    }
}

pub(super) fn item(slot: &Slot<'_>, candidate: &Candidate<'_>) -> String {
    let (schema, table) = candidate.table();
    format!("{} AS {}", qualified(schema, table), quoted(&slot.alias))
}

fn equal(left: &str, left_columns: &[String], right: &str, right_columns: &[String]) -> String {
    let pairs = left_columns
        .iter()
        .zip(right_columns)
        .map(|(left_column, right_column)| {
            format!(
                "{}.{} = {}.{}",
                quoted(left),
                quoted(left_column),
                quoted(right),
                quoted(right_column)
            )
        });
    pairs.collect::<Vec<_>>().join(" AND ")
}

/// A table's name as it is written in SQL.
pub(crate) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn parse_from(text: &str) -> Result<(Vec<ast::TableWithJoins>, Option<ast::Expr>)> {
    let mut statements = parse::parse(text)?;
    let Some(ast::Statement::Query(query)) = statements.pop().map(|statement| statement.ast) else {
        return Err(Error::internal("the joins of a pattern are no query"));
    };
    match *query.body {
        ast::SetExpr::Select(select) => Ok((select.from, select.selection)),
        _ => Err(Error::internal("the joins of a pattern are no SELECT")),
    }
}

pub(super) fn union_all(left: ast::Query, right: ast::Query) -> ast::Query {
    let body = ast::SetExpr::SetOperation {
        op: ast::SetOperator::Union,
        set_quantifier: ast::SetQuantifier::All,
        left: left.body,
        right: right.body,
    };
    ast::Query {
        body: Box::new(body),
        ..left
    }
}

/// A query that counts the rows of an edge table that are edges: those with a vertex at both ends.
pub(crate) fn edges_that_are(graph: &GraphDescriptor, edge: &EdgeTable) -> Result<String> {
    let end = |alias: &str, key: &[String], vertex: &str, columns: &[String]| {
        let table = graph
            .vertex(vertex)
            .ok_or_else(|| Error::internal(format!("property graph {} has no vertex table {vertex}", graph.name)))?;
        Ok::<_, Error>(format!(
            "EXISTS (SELECT 1 FROM {} AS {} WHERE {})",
            qualified(&table.schema, &table.table),
            quoted(alias),
            equal("edge", key, alias, columns)
        ))
    };
    Ok(format!(
        "SELECT count(*) FROM {} AS edge WHERE {} AND {}",
        qualified(&edge.schema, &edge.table),
        end("source", &edge.source_key, &edge.source, &edge.source_columns)?,
        end(
            "destination",
            &edge.destination_key,
            &edge.destination,
            &edge.destination_columns
        )?
    ))
}
