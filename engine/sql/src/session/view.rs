//! CREATE and DROP VIEW.

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{ViewDescriptor, check_name};
use aion_catalog::objects::{Catalog, Object, is_temporary, table_key, view_key};
use datafusion::sql::sqlparser::ast::{self, Spanned};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, Word};

use super::{Session, columns};
use crate::dml::{at, normalize};
use crate::error::translate;
use crate::parse;
use crate::planner::Planned;
use crate::response::Column;
use crate::session::ddl::Definition;
use crate::views;

impl Session {
    pub(super) fn create_view(&self, create: &ast::CreateView, catalog: &Catalog, text: &str) -> Result<Definition> {
        refuse_options(create)?;
        let place = |error| at(error, create.name.span(), text);
        let query = &create.query;
        let planned = self.plan_query(query, &[], text, catalog)?;
        // What is looked at ends with the session, and so does what looks at it.
        let is_over_temporary = planned.named.iter().any(|(schema, _)| is_temporary(schema));
        let (schema, name) = self.new_name(&create.name, create.temporary || is_over_temporary)?;
        let is_temporary = is_temporary(&schema);
        let (catalog, schema_changes) = self.with_temporary_schema(&schema, catalog)?;
        let catalog = &*catalog;
        let old = match catalog.object(&schema, &name) {
            Some(Object::View(view)) if create.or_replace => Some(view),
            Some(Object::Table(table)) if create.or_replace => {
                let message = format!("\"{}\" is not a view", table.name);
                return Err(place(Error::invalid(SqlState::WRONG_OBJECT_TYPE, message)));
            }
            _ => None,
        };
        let found = columns::of_query(query, planned.plan.schema().as_arrow())?;
        let (columns, query_columns) = column_names(create, &found, text)?;
        let mut view = ViewDescriptor {
            schema,
            name,
            columns,
            query_columns,
            query: query_text(create, text)?,
            search_path: self.path_of_view(is_temporary)?,
            uses: planned.named.iter().cloned().collect(),
            comment: old.as_ref().and_then(|old| old.comment.clone()),
            column_comments: old.as_ref().map(|old| old.column_comments.clone()).unwrap_or_default(),
        };
        check_parameters(&planned)?;
        self.freeze_view(&mut view, catalog)?;
        if planned.definitions.contains(&view_key(&view.schema, &view.name)) {
            let error = Error::invalid(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion: the query leads back to view \"{}\"", view.name),
            );
            return Err(place(error));
        }
        if let Some(old) = old {
            self.check_replacement(&old, &view, &found, catalog).map_err(place)?;
        }
        // As it will be planned: what it is nested too deep for is said now.
        let path = self.search_path()?;
        views::plan(&self.names(catalog, &path), &view).map_err(place)?;
        let changes = catalog.create_view(&view, create.or_replace).map_err(place)?;
        let changes = schema_changes.into_iter().chain(changes);
        let mut definition = Definition::new("CREATE VIEW", changes.collect());
        definition.required = descriptors(&planned);
        if is_temporary && !create.temporary && create.name.0.len() == 1 {
            let notice = format!("view \"{}\" will be a temporary view", view.name);
            definition.notices.push((SqlState::SUCCESSFUL_COMPLETION, notice));
        }
        Ok(definition)
    }

    /// CREATE OR REPLACE keeps the columns that are there, as others may use them, and adds some behind.
    fn check_replacement(
        &self,
        old: &ViewDescriptor,
        new: &ViewDescriptor,
        found: &[Column],
        catalog: &Catalog,
    ) -> Result<()> {
        let refuse = |message: String| {
            Err(Error::invalid(SqlState::INVALID_TABLE_DEFINITION, message).with_hint(
                "CREATE OR REPLACE VIEW adds columns behind those that are there. Else drop the view first.",
            ))
        };
        if new.columns.len() < old.columns.len() {
            return refuse(format!("cannot drop columns from view \"{}\"", old.name));
        }
        let path = self.search_path()?;
        let planned = views::plan(&self.names(catalog, &path), old)?;
        let types = planned.plan.schema().fields().iter();
        for ((old_name, old_field), (new_name, new_column)) in
            old.columns.iter().zip(types).zip(new.columns.iter().zip(found))
        {
            if old_name != new_name {
                return refuse(format!(
                    "cannot change name of view column \"{old_name}\" to \"{new_name}\""
                ));
            }
            let old_type = aion_catalog::SqlType::from_field(old_field)?;
            if old_type != new_column.sql_type {
                return refuse(format!(
                    "cannot change data type of view column \"{old_name}\" from {old_type} to {}",
                    new_column.sql_type
                ));
            }
        }
        Ok(())
    }
}

/// The keys of the descriptors that something was planned with.
pub(super) fn descriptors(planned: &Planned) -> Vec<Vec<u8>> {
    let tables = planned.tables.iter().map(|(schema, table)| table_key(schema, table));
    tables.chain(planned.definitions.iter().cloned()).collect()
}

/// The names of the view's columns, and those that its query gives them.
fn column_names(create: &ast::CreateView, found: &[Column], text: &str) -> Result<(Vec<String>, Vec<String>)> {
    if let Some(surplus) = create.columns.get(found.len()) {
        let error = Error::invalid(
            SqlState::SYNTAX_ERROR,
            "CREATE VIEW specifies more column names than columns",
        );
        return Err(at(error, surplus.name.span, text));
    }
    let query_columns: Vec<String> = found.iter().map(|column| column.name.clone()).collect();
    let mut names = query_columns.clone();
    for (name, given) in names.iter_mut().zip(&create.columns) {
        if given.data_type.is_some() || given.options.is_some() {
            return Err(Error::unsupported("a view's column has a name and nothing else"));
        }
        *name = normalize(&given.name);
    }
    let mut seen = std::collections::BTreeSet::new();
    for name in &names {
        check_name(name, "column")?;
        if !seen.insert(name) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            )
            .with_hint(
                "Give one of them another name with AS, or name the view's columns: CREATE VIEW v (a, b) AS ...",
            ));
        }
    }
    Ok((names, query_columns))
}

pub(super) fn check_parameters(planned: &Planned) -> Result<()> {
    let fields = planned.plan.get_parameter_fields();
    let fields = fields.map_err(|error| translate(error, ""))?;
    match fields.keys().min() {
        None => Ok(()),
        Some(name) => Err(
            Error::invalid(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
                .with_hint("A view has no parameters: filter where it is used."),
        ),
    }
}

/// The text of the query: what follows AS, to the end of the statement.
fn query_text(create: &ast::CreateView, text: &str) -> Result<String> {
    let begin = create.name.span().start;
    let tokens = parse::tokens(text, text)?;
    let mut depth = 0usize;
    let mut start: Option<Location> = None;
    let mut end = None;
    for token in tokens.iter().skip_while(|token| token.span.start < begin) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::SemiColon => {
                end = Some(token.span.start);
                break;
            }
            Token::Word(Word {
                value,
                quote_style: None,
                ..
            }) if start.is_none() && depth == 0 && value.eq_ignore_ascii_case("as") => start = Some(token.span.end),
            _ => {}
        }
    }
    let last = tokens.last().map(|token| token.span.end);
    match (start, end.or(last)) {
        (Some(start), Some(end)) => Ok(parse::slice(text, Span::new(start, end)).trim().to_owned()),
        _ => Err(Error::internal("a CREATE VIEW without AS")),
    }
}

fn refuse_options(create: &ast::CreateView) -> Result<()> {
    let what = [
        (create.secure, "a secure view"),
        (create.or_alter, "CREATE OR ALTER VIEW"),
        (create.if_not_exists, "CREATE VIEW IF NOT EXISTS"),
        (!matches!(create.options, ast::CreateTableOptions::None), "WITH"),
        (!create.cluster_by.is_empty(), "CLUSTER BY"),
        (create.comment.is_some(), "COMMENT"),
        (create.with_no_schema_binding, "WITH NO SCHEMA BINDING"),
        (create.copy_grants, "COPY GRANTS"),
        (create.to.is_some(), "TO"),
        (create.params.is_some(), "ALGORITHM, DEFINER or SQL SECURITY"),
    ];
    match what.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(Error::unsupported(format!("{what} is not there"))),
        None => Ok(()),
    }
}
