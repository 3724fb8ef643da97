//! Times in definitions: a literal of a `timestamptz` that says nothing of a zone is in that of the session that defines.
//!
//! DEFAULTs, CHECKs, indexes and views are kept as texts, and are planned in sessions with other zones. So each such literal is written
//! with its offset when the definition is made, which is what PostgreSQL shows of it.
//!
//! So is the name of a type that a user made, with its schema: the search path of who defines is not kept, but for views.
//!
//! Whether a text in quotes is a moment is for the planner to say: one is a moment if it means the same with `+00` behind it, in UTC, and
//! something else with `+01`. Few definitions have texts that look like times; nothing is planned for the others.

use std::sync::Arc;

use aion_base::Result;
use aion_catalog::descriptor::{IndexDescriptor, TableDescriptor, ViewDescriptor};
use aion_catalog::objects::Catalog;
use aion_catalog::{Zone, text};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::Session;
use super::made_type::qualify;
use crate::parse;
use crate::planner::Names;
use crate::table::TableShape;
use crate::views;

impl Session {
    /// Writes the moments in a table's DEFAULTs, generated columns, CHECKs and indexes with their offsets.
    pub(super) fn freeze_table(&self, table: &mut TableDescriptor, catalog: &Catalog) -> Result<()> {
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        let shape = TableShape::new(Arc::new(table.clone()));
        let zone = self.zone();
        for column in &mut table.columns {
            for text in column.default.iter_mut().chain(&mut column.generated) {
                qualify(text, catalog, &path)?;
            }
            if let Some(default) = &mut column.default {
                let sql_type = column.sql_type;
                freeze(default, zone, &|text| names.literals_of_default(text, sql_type))?;
            }
        }
        for generated in table.columns.iter_mut().filter_map(|column| column.generated.as_mut()) {
            freeze(generated, zone, &|text| names.literals_over_row(&shape, text))?;
        }
        for check in &mut table.checks {
            qualify(&mut check.expression, catalog, &path)?;
            freeze(&mut check.expression, zone, &|text| {
                names.literals_over_row(&shape, text)
            })?;
        }
        for index in &mut table.indexes {
            qualify_parts(index, catalog, &path)?;
            freeze_parts(index, &shape, &names, zone)?;
        }
        Ok(())
    }

    /// Writes the moments in what an index is over with their offsets.
    pub(super) fn freeze_index(
        &self,
        index: &mut IndexDescriptor,
        table: &Arc<TableDescriptor>,
        catalog: &Catalog,
    ) -> Result<()> {
        let path = self.search_path()?;
        qualify_parts(index, catalog, &path)?;
        let names = self.names(catalog, &path);
        freeze_parts(index, &TableShape::new(table.clone()), &names, self.zone())
    }

    /// Writes the moments in the query of a view with their offsets.
    pub(super) fn freeze_view(&self, view: &mut ViewDescriptor, catalog: &Catalog) -> Result<()> {
        let path = self.search_path()?;
        let names = self.names(catalog, &path);
        let of = view.clone();
        freeze(&mut view.query, self.zone(), &|text| {
            let view = ViewDescriptor {
                query: text.to_owned(),
                ..of.clone()
            };
            names.literals(views::plan(&names, &view)?.plan)
        })
    }
}

fn qualify_parts(index: &mut IndexDescriptor, catalog: &Catalog, path: &[String]) -> Result<()> {
    index.texts_mut().try_for_each(|text| qualify(text, catalog, path))
}

fn freeze_parts(index: &mut IndexDescriptor, shape: &Arc<TableShape>, names: &Names<'_>, zone: Zone) -> Result<()> {
    let literals = |text: &str| names.literals_over_row(shape, text);
    if let Some(predicate) = &mut index.predicate {
        freeze(predicate, zone, &literals)?;
    }
    for expression in &mut index.expressions {
        freeze(&mut expression.text, zone, &literals)?;
    }
    Ok(())
}

/// Writes the moments in a text with their offsets in a zone; `literals` says what values it has in UTC.
fn freeze(definition: &mut String, zone: Zone, literals: &dyn Fn(&str) -> Result<Vec<ScalarValue>>) -> Result<()> {
    let is_open = |token: &Token| match token {
        Token::SingleQuotedString(text) => text::has_zone(text) == Some(false),
        _ => false,
    };
    if !definition.contains('\'') {
        return Ok(());
    }
    let tokens = parse::tokens(definition, definition)?;
    let open: Vec<(Span, String)> = tokens
        .into_iter()
        .filter(|token| is_open(&token.token))
        .filter_map(|token| match token.token {
            Token::SingleQuotedString(text) => Some((token.span, text)),
            _ => None,
        })
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    // What is wrong with the definition is said by whoever checks it.
    let Ok(meant) = literals(definition) else {
        return Ok(());
    };
    let original = definition.clone();
    // From the end on, so that the places before stay.
    for (span, literal) in open.into_iter().rev() {
        let with = |text: &str, literal: &str| {
            let range = parse::range(text, span);
            format!("{}'{literal}'{}", &text[..range.start], &text[range.end..])
        };
        let in_utc = literals(&with(&original, &format!("{literal}+00")));
        let elsewhere = literals(&with(&original, &format!("{literal}+01")));
        let is_moment = in_utc.is_ok_and(|found| found == meant) && elsewhere.is_ok_and(|found| found != meant);
        if is_moment {
            let mut written = String::new();
            text::write_timestamptz_in(text::parse_timestamptz_in(&literal, zone)?, zone, &mut written);
            *definition = with(definition, &written);
        }
    }
    Ok(())
}
