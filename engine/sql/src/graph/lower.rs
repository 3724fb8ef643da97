//! Patterns as joins.
//!
//! 1. Each element pattern is a *slot*; a vertex variable that comes again is the same slot, with the labels and filters of both.
//!    A slot's *candidates* are the element tables that its labels allow; an edge that may be followed either way is two
//!    candidates.
//! 2. The candidates are put together in all ways in which edges begin and end at the tables of the vertices beside them. Each
//!    way is a SELECT, in the order of the pattern: `x JOIN e ON e.source = x.key JOIN y ON y.key = e.destination`;
//!    several ways are a UNION ALL. Mostly there is one.
//! 3. An edge from a vertex to itself can be followed either way, and is one match: the way back leaves it out.
//! 4. A property that one label has and another lacks is NULL in the latter's SELECT.

use std::collections::BTreeSet;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::GraphDescriptor;
use aion_catalog::objects::Object;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::joins::{Candidate, Slot, from, item, parse_from, union_all};
use super::scope::{Bound, Property, Scope};
use super::syntax::{self, Direction, Element, GraphTable, Item, Kind};
use crate::dml::{at, normalize, reference, select};
use crate::planner::Names;

/// Ways to put element tables together, at most: each is a query of its own.
const WAYS_MAX: usize = 64;

/// The query that a GRAPH_TABLE's body stands for; the body lies at `place` in `text`.
///
/// # Errors
/// As [`super::expand`].
pub(super) fn lower(names: &Names<'_>, body: &str, place: Span, text: &str) -> Result<ast::Query> {
    let pattern = syntax::parse(body, place, text)?;
    let name = &pattern.graph;
    let resolved = names.resolve(&reference(name)?);
    let graph = match resolved.map_err(|error| at(error, name.span(), text))? {
        Object::Graph(graph) => graph,
        _ => {
            let error = Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a property graph"),
            );
            return Err(at(error, name.span(), text));
        }
    };
    names.meet_graph(&graph);
    let lowering = Lowering {
        names,
        graph: &graph,
        text,
    };
    lowering.query(&pattern)
}

struct Lowering<'a> {
    names: &'a Names<'a>,
    graph: &'a GraphDescriptor,
    text: &'a str,
}

impl Lowering<'_> {
    fn query(&self, pattern: &GraphTable) -> Result<ast::Query> {
        let slots = self.slots(pattern)?;
        let mut ways = Vec::new();
        if !slots.iter().any(|slot| slot.is_impossible) {
            self.ways(&slots, &mut Vec::new(), &mut ways)?;
        }
        let mut query: Option<ast::Query> = None;
        for way in &ways {
            let select = self.select(pattern, &slots, way, true)?;
            query = Some(match query {
                None => select,
                Some(left) => union_all(left, select),
            });
        }
        match query {
            Some(query) => Ok(query),
            // Nothing can match; the columns are those of any binding.
            None => {
                let way: Vec<_> = slots.iter().map(|slot| slot.candidates[0]).collect();
                self.select(pattern, &slots, &way, false)
            }
        }
    }

    fn slots<'g>(&'g self, pattern: &'g GraphTable) -> Result<Vec<Slot<'g>>> {
        let mut slots: Vec<Slot<'g>> = Vec::new();
        for path in &pattern.paths {
            let mut left = None;
            let mut edge: Option<usize> = None;
            for element in path {
                let at = self.slot(&mut slots, element)?;
                match element.kind {
                    Kind::Edge(_) => {
                        edge = Some(at);
                        continue;
                    }
                    Kind::Vertex => {
                        if let (Some(edge), Some(left)) = (edge.take(), left) {
                            slots[edge].ends = Some((left, at));
                        }
                        left = Some(at);
                    }
                }
            }
        }
        for slot in &mut slots {
            slot.properties = self.properties(&slot.candidates)?;
        }
        Ok(slots)
    }

    /// The slot of an element pattern: a new one, or that of a vertex variable which was there before.
    fn slot<'g>(&'g self, slots: &mut Vec<Slot<'g>>, element: &'g Element) -> Result<usize> {
        let candidates = self.candidates(element)?;
        let variable = element.variable.as_ref().map(normalize);
        if let Some(variable) = &variable
            && !element.is_repeated
            && let Some(at) = slots
                .iter()
                .position(|slot| !slot.is_repeated && slot.variable.as_ref() == Some(variable))
        {
            let is_edge = slots[at]
                .candidates
                .iter()
                .any(|there| matches!(there, Candidate::Edge { .. }));
            if is_edge || element.kind != Kind::Vertex {
                let error = Error::invalid(
                    SqlState::DUPLICATE_ALIAS,
                    format!("the variable \"{variable}\" names an edge and something else: only vertices come twice"),
                );
                return Err(crate::dml::at(error, element.span, self.text));
            }
            let aliases: BTreeSet<&str> = candidates.iter().map(Candidate::alias).collect();
            if slots[at].candidates.iter().any(|there| aliases.contains(there.alias())) {
                slots[at].candidates.retain(|there| aliases.contains(there.alias()));
            } else {
                slots[at].is_impossible = true;
                slots[at].candidates.extend(candidates);
            }
            slots[at].filters.extend(&element.filter);
            return Ok(at);
        }
        let is_named = !element.is_repeated;
        slots.push(Slot {
            candidates,
            alias: match &variable {
                Some(variable) if is_named => variable.clone(),
                _ => format!("aion element {}", slots.len() + 1),
            },
            variable,
            is_repeated: element.is_repeated,
            filters: element.filter.iter().collect(),
            ends: None,
            properties: Vec::new(),
            is_impossible: false,
        });
        Ok(slots.len() - 1)
    }

    fn candidates(&self, element: &Element) -> Result<Vec<Candidate<'_>>> {
        let labels: Vec<String> = element.labels.iter().map(normalize).collect();
        let is_allowed = |label: &String| labels.is_empty() || labels.contains(label);
        let (kind, all): (_, Vec<Candidate<'_>>) = match element.kind {
            Kind::Vertex => ("vertex", self.graph.vertices.iter().map(Candidate::Vertex).collect()),
            Kind::Edge(direction) => {
                let ways = |table| {
                    let forth = Candidate::Edge {
                        table,
                        is_backwards: false,
                    };
                    let back = Candidate::Edge {
                        table,
                        is_backwards: true,
                    };
                    match direction {
                        Direction::Right => vec![forth],
                        Direction::Left => vec![back],
                        Direction::Either => vec![forth, back],
                    }
                };
                ("edge", self.graph.edges.iter().flat_map(ways).collect())
            }
        };
        let label_of = |candidate: &Candidate<'_>| match candidate {
            Candidate::Vertex(table) => table.label.clone(),
            Candidate::Edge { table, .. } => table.label.clone(),
        };
        for (label, ident) in labels.iter().zip(&element.labels) {
            if !all.iter().any(|candidate| label_of(candidate) == *label) {
                let known: BTreeSet<String> = all.iter().map(label_of).collect();
                let known: Vec<String> = known.into_iter().take(12).collect();
                let error = Error::not_found(
                    SqlState::UNDEFINED_OBJECT,
                    format!(
                        "{kind} label \"{label}\" does not exist in property graph \"{}\"",
                        self.graph.name
                    ),
                )
                .with_hint(format!("Its {kind} labels: {}.", known.join(", ")));
                return Err(at(error, ident.span, self.text));
            }
        }
        if all.is_empty() {
            let error = Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("property graph \"{}\" has no edges", self.graph.name),
            );
            return Err(at(error, element.span, self.text));
        }
        Ok(all
            .into_iter()
            .filter(|candidate| is_allowed(&label_of(candidate)))
            .collect())
    }

    /// The properties of all candidates together, each with the type of the first that has it.
    fn properties(&self, candidates: &[Candidate<'_>]) -> Result<Vec<(String, SqlType)>> {
        let mut properties: Vec<(String, SqlType)> = Vec::new();
        for candidate in candidates {
            for property in self.of_table(candidate)? {
                if !properties.iter().any(|(name, _)| *name == property.name) {
                    properties.push((property.name, property.sql_type));
                }
            }
        }
        Ok(properties)
    }

    fn of_table(&self, candidate: &Candidate<'_>) -> Result<Vec<Property>> {
        let (schema, table) = candidate.table();
        let lost = |what: &str| Error::internal(format!("property graph {}: {what} is gone", self.graph.name));
        let table = self.names.catalog().table(schema, table).ok_or_else(|| lost(table))?;
        let property = |name: &str, column: &str| {
            let position = table.position(column).ok_or_else(|| lost(column))?;
            Ok(Property {
                name: name.to_owned(),
                sql_type: table.columns[position].sql_type,
                column: Some(column.to_owned()),
            })
        };
        match candidate.visible() {
            Some(visible) => visible.iter().map(|it| property(&it.name, &it.column)).collect(),
            None => {
                let columns = table.columns.iter();
                columns.map(|column| property(&column.name, &column.name)).collect()
            }
        }
    }

    /// All ways to bind the slots; see step 2 of the module's header.
    fn ways<'g>(
        &self,
        slots: &[Slot<'g>],
        chosen: &mut Vec<Candidate<'g>>,
        ways: &mut Vec<Vec<Candidate<'g>>>,
    ) -> Result<()> {
        let Some(slot) = slots.get(chosen.len()) else {
            if ways.len() == WAYS_MAX {
                return Err(Error::exhausted(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    format!("the pattern can be put together from the graph's tables in more than {WAYS_MAX} ways"),
                )
                .with_hint("Give its elements labels, and its edges a direction."));
            }
            ways.push(chosen.clone());
            return Ok(());
        };
        for &candidate in &slot.candidates {
            chosen.push(candidate);
            if fits(slots, chosen) {
                self.ways(slots, chosen, ways)?;
            }
            chosen.pop();
        }
        Ok(())
    }

    fn select(
        &self,
        pattern: &GraphTable,
        slots: &[Slot<'_>],
        way: &[Candidate<'_>],
        can_match: bool,
    ) -> Result<ast::Query> {
        let mut elements = Vec::with_capacity(slots.len());
        for (slot, candidate) in slots.iter().zip(way) {
            let there = self.of_table(candidate)?;
            let property = |(name, sql_type): &(String, SqlType)| Property {
                name: name.clone(),
                sql_type: *sql_type,
                column: there
                    .iter()
                    .find(|it| it.name == *name)
                    .and_then(|it| it.column.clone()),
            };
            elements.push(Bound {
                alias: slot.alias.clone(),
                variable: slot.variable.clone(),
                is_repeated: slot.is_repeated,
                properties: slot.properties.iter().map(property).collect(),
            });
        }
        let scope = Scope {
            elements: &elements,
            names: self.names,
            text: self.text,
        };
        let mut conditions = Vec::new();
        for (slot, own) in slots.iter().zip(&elements) {
            for filter in &slot.filters {
                conditions.push(scope.resolve(filter, Some(own))?);
            }
        }
        if let Some(filter) = &pattern.filter {
            conditions.push(scope.resolve(filter, None)?);
        }
        let mut text = String::from("SELECT 1 FROM ");
        if can_match {
            from(&mut text, slots, way);
        } else {
            let mut tables = Vec::new();
            for (slot, candidate) in slots.iter().zip(way) {
                tables.push(item(slot, candidate));
            }
            text.push_str(&tables.join(" CROSS JOIN "));
            text.push_str(" WHERE false");
        }
        let (from, own) = parse_from(&text)?;
        let nested = |expr| ast::Expr::Nested(Box::new(expr));
        let selection = own.into_iter().chain(conditions.into_iter().map(nested));
        let selection = selection.reduce(|left, right| ast::Expr::BinaryOp {
            left: Box::new(left),
            op: ast::BinaryOperator::And,
            right: Box::new(right),
        });
        let projection = self.projection(pattern, &scope)?;
        match select(projection, from, selection)? {
            ast::Statement::Query(query) => Ok(*query),
            other => Err(Error::internal(format!("no query: {other}"))),
        }
    }

    fn projection(&self, pattern: &GraphTable, scope: &Scope<'_>) -> Result<Vec<ast::SelectItem>> {
        let mut seen = BTreeSet::new();
        let mut items = Vec::new();
        let mut add = |expr, name: String, span| {
            if !seen.insert(name.clone()) {
                let error = Error::invalid(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" appears more than once in COLUMNS"),
                );
                return Err(at(
                    error.with_hint("Give one of them another name with AS."),
                    span,
                    self.text,
                ));
            }
            let mut alias = ast::Ident::with_quote('"', name);
            alias.span = span;
            items.push(ast::SelectItem::ExprWithAlias { expr, alias });
            Ok(())
        };
        for item in &pattern.items {
            match item {
                Item::One { expr, name } => add(scope.resolve(expr, None)?, normalize(name), name.span)?,
                Item::All(variable) => {
                    let element = scope.element(variable, None)?;
                    for property in &element.properties {
                        add(property.expr(&element.alias)?, property.name.clone(), variable.span)?;
                    }
                }
            }
        }
        if items.is_empty() {
            let error = Error::invalid(
                SqlState::SYNTAX_ERROR,
                "COLUMNS gives no column: the element has no properties",
            );
            return Err(error);
        }
        Ok(items)
    }
}

/// Whether the edges among the chosen begin and end at the tables of their vertices, as far as these are chosen.
fn fits(slots: &[Slot<'_>], chosen: &[Candidate<'_>]) -> bool {
    let is_vertex = |slot: usize, alias: &str| chosen.get(slot).is_none_or(|vertex| vertex.alias() == alias);
    slots
        .iter()
        .zip(chosen)
        .all(|(slot, candidate)| match (candidate, slot.ends) {
            (Candidate::Edge { table, is_backwards }, Some((left, right))) => {
                let (begin, end) = if *is_backwards { (right, left) } else { (left, right) };
                is_vertex(begin, &table.source) && is_vertex(end, &table.destination)
            }
            _ => true,
        })
}
