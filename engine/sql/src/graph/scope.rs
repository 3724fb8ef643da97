//! What the expressions of a pattern see: the properties of its elements, and nothing else.

use std::ops::ControlFlow;

use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::sql::sqlparser::ast::{self, Spanned, VisitMut, VisitorMut};

use crate::dml::{at, normalize};
use crate::planner::Names;

/// An element pattern, bound to one element table.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// Its name in the query that is made.
    pub alias: String,
    /// The name by which expressions know it.
    pub variable: Option<String>,
    /// Its variable is seen in its own filter alone.
    pub is_repeated: bool,
    /// All properties that the pattern's tables have, and the column of the one that it is bound to, where it has it.
    pub properties: Vec<Property>,
}

/// A property of an element.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub name: String,
    pub sql_type: SqlType,
    pub column: Option<String>,
}

impl Property {
    /// Its value as an expression: NULL where the element's table lacks it.
    pub fn expr(&self, alias: &str) -> Result<ast::Expr> {
        match &self.column {
            Some(column) => Ok(ast::Expr::CompoundIdentifier(vec![
                ast::Ident::with_quote('"', alias),
                ast::Ident::with_quote('"', column),
            ])),
            None => crate::parse::parse_expression(&format!("CAST(NULL AS {})", self.sql_type.qualified())),
        }
    }
}

/// The elements of a pattern, all bound.
pub(super) struct Scope<'a> {
    pub elements: &'a [Bound],
    pub names: &'a Names<'a>,
    pub text: &'a str,
}

impl Scope<'_> {
    /// The expression over columns. `own` is the element whose filter it is.
    ///
    /// # Errors
    /// 42P01 for an unknown variable, 42703 for an unknown property, 0A000 and 42803 for what has no place in a pattern.
    pub fn resolve(&self, expr: &ast::Expr, own: Option<&Bound>) -> Result<ast::Expr> {
        let mut resolved = expr.clone();
        let mut resolver = Resolver { scope: self, own };
        match resolved.visit(&mut resolver) {
            ControlFlow::Continue(()) => Ok(resolved),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// The element of that variable.
    ///
    /// # Errors
    /// 42P01.
    pub fn element(&self, variable: &ast::Ident, own: Option<&Bound>) -> Result<&Bound> {
        let name = normalize(variable);
        let is_it = |bound: &&Bound| bound.variable.as_ref() == Some(&name);
        let found = self.elements.iter().filter(is_it).find(|bound| !bound.is_repeated);
        if let Some(found) = found {
            return Ok(found);
        }
        if let Some(own) = own.filter(is_it) {
            let found = self.elements.iter().find(|bound| bound.alias == own.alias);
            return found.ok_or_else(|| Error::internal("an element of a pattern is not in its scope"));
        }
        let error = match self.elements.iter().any(|bound| is_it(&bound)) {
            true => Error::unsupported(format!(
                "\"{name}\" stands for as many edges as its quantifier says: it can be used in its own WHERE only"
            )),
            false => Error::not_found(
                SqlState::UNDEFINED_TABLE,
                format!("there is no element \"{name}\" in the pattern"),
            )
            .with_hint(
                "A pattern sees its own elements only: compare its COLUMNS with other tables outside of GRAPH_TABLE.",
            ),
        };
        Err(at(error, variable.span, self.text))
    }

    fn property(&self, variable: &ast::Ident, property: &ast::Ident, own: Option<&Bound>) -> Result<ast::Expr> {
        let element = self.element(variable, own)?;
        let name = normalize(property);
        let Some(found) = element.properties.iter().find(|there| there.name == name) else {
            let known: Vec<_> = element
                .properties
                .iter()
                .take(12)
                .map(|there| there.name.as_str())
                .collect();
            let error = Error::not_found(
                SqlState::UNDEFINED_COLUMN,
                format!("property \"{name}\" of \"{}\" does not exist", normalize(variable)),
            )
            .with_column(name)
            .with_hint(match known.is_empty() {
                true => "It has no properties.".to_owned(),
                false => format!("It has: {}.", known.join(", ")),
            });
            return Err(at(error, property.span, self.text));
        };
        let mut expr = found.expr(&element.alias)?;
        if let ast::Expr::CompoundIdentifier(parts) = &mut expr {
            // So that what is said of the column points at the property.
            parts[0].span = variable.span;
            parts[1].span = property.span;
        }
        Ok(expr)
    }
}

struct Resolver<'a> {
    scope: &'a Scope<'a>,
    own: Option<&'a Bound>,
}

impl Resolver<'_> {
    fn replace(&self, expr: &mut ast::Expr) -> Result<()> {
        let refuse = |error: Error, span| Err(at(error, span, self.scope.text));
        match expr {
            ast::Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [variable, property] => {
                    *expr = self.scope.property(variable, property, self.own)?;
                    Ok(())
                }
                _ => {
                    let message = "syntax error: a property is written variable.property";
                    refuse(Error::invalid(SqlState::SYNTAX_ERROR, message), expr.span())
                }
            },
            ast::Expr::Identifier(name) => {
                let error = Error::not_found(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{}\" does not exist in the pattern", normalize(name)),
                );
                refuse(error.with_hint("Properties are written variable.property."), name.span)
            }
            ast::Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if function.over.is_some() {
                    return refuse(
                        Error::unsupported("window functions are not allowed in GRAPH_TABLE"),
                        function.span(),
                    );
                }
                if self.scope.names.get_aggregate_meta(&name).is_some() {
                    let error = Error::invalid(
                        SqlState::GROUPING_ERROR,
                        format!("aggregate function {name} is not allowed in GRAPH_TABLE"),
                    );
                    return refuse(error.with_hint("Aggregate over its COLUMNS, outside."), function.span());
                }
                Ok(())
            }
            ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => {
                let error = Error::unsupported("subqueries within GRAPH_TABLE are not there yet");
                refuse(error, expr.span())
            }
            _ => Ok(()),
        }
    }
}

impl VisitorMut for Resolver<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<Error> {
        match self.replace(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        let error = Error::unsupported("subqueries within GRAPH_TABLE are not there yet");
        ControlFlow::Break(at(error, query.span(), self.scope.text))
    }
}
