//! A name that is no column, but an item of FROM: its row as one value.
//!
//! In PostgreSQL a name is a column wherever one is called so, and only otherwise a row. The planner knows the columns, so a statement is
//! planned as it is written; where that fails for want of a column, [`substitute`] reads its name as that of an item of FROM:
//!
//! | item | the name stands for |
//! |---|---|
//! | `jsonb_array_elements(x) AS e`, and other functions that give rows of one column | `e.value`, that column |
//! | any other, within `row_to_json(e)`, `to_jsonb(e)`, `jsonb_agg(e)`, ... | `whole_row(e.*)` |
//!
//! The level of the query that has the item comes first; queries within it, which may have such a column of their own, only once
//! that level has none of the name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, VisitMut, VisitorMut};

use super::documents::unnamed;
use super::rewrite::{call, last_name, null};
use crate::dml::normalize;
use crate::functions::WHOLE_ROW;

/// Reads a name as an item of FROM; false where it is none, or stands nowhere.
pub fn substitute(statement: &mut ast::Statement, name: &str) -> bool {
    [false, true].into_iter().any(|is_within| {
        let mut substitution = Substitution {
            name,
            is_within,
            scopes: Vec::new(),
            is_done: false,
        };
        let _: ControlFlow<()> = statement.visit(&mut substitution);
        substitution.is_done
    })
}

/// What a name means in a query.
#[derive(Clone)]
enum Meaning {
    Row,
    /// The only column of an item.
    Column(ast::Ident),
}

struct Substitution<'a> {
    name: &'a str,
    /// Whether queries within that of the item are looked at, too.
    is_within: bool,
    /// For each query around.
    scopes: Vec<Option<Meaning>>,
    is_done: bool,
}

impl Substitution<'_> {
    fn meaning(&self) -> Option<Meaning> {
        match self.is_within {
            true => self.scopes.iter().rev().flatten().next().cloned(),
            false => self.scopes.last().cloned().flatten(),
        }
    }

    fn is_name(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Identifier(name) if normalize(name) == self.name)
    }
}

impl VisitorMut for Substitution<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let meaning = match &*query.body {
            ast::SetExpr::Select(select) => {
                let mut joined = select.from.iter().flat_map(|from| {
                    let joins = from.joins.iter().map(|join| &join.relation);
                    std::iter::once(&from.relation).chain(joins)
                });
                joined.find_map(|factor| meaning_of(factor, self.name))
            }
            _ => None,
        };
        self.scopes.push(meaning);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        if !matches!(self.meaning(), Some(Meaning::Column(_))) {
            return ControlFlow::Continue(());
        }
        // The column of the result keeps its name.
        for item in &mut select.projection {
            if let ast::SelectItem::UnnamedExpr(expr) = item
                && self.is_name(expr)
                && let Expr::Identifier(alias) = expr.clone()
            {
                let expr = std::mem::replace(expr, null());
                *item = ast::SelectItem::ExprWithAlias { expr, alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match (self.meaning(), &mut *expr) {
            (Some(Meaning::Column(column)), Expr::Identifier(name)) if normalize(name) == self.name => {
                *expr = Expr::CompoundIdentifier(vec![name.clone(), column]);
                self.is_done = true;
            }
            (Some(Meaning::Row), Expr::Function(function)) if takes_row(function) => {
                if let ast::FunctionArguments::List(list) = &mut function.args {
                    for argument in &mut list.args {
                        if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(inner)) = argument
                            && self.is_name(inner)
                            && let Expr::Identifier(name) = inner.clone()
                        {
                            *argument = unnamed(whole_row(name));
                            self.is_done = true;
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn whole_row(name: ast::Ident) -> Expr {
    let row = ast::FunctionArgExpr::QualifiedWildcard(ast::ObjectName::from(vec![name]));
    let mut whole = call(WHOLE_ROW, vec![null()]);
    if let Expr::Function(function) = &mut whole
        && let ast::FunctionArguments::List(list) = &mut function.args
    {
        list.args = vec![ast::FunctionArg::Unnamed(row)];
    }
    whole
}

fn takes_row(function: &ast::Function) -> bool {
    const NAMES: [&str; 9] = [
        "row_to_json",
        "to_json",
        "to_jsonb",
        "json_build_array",
        "jsonb_build_array",
        "json_item",
        "jsonb_item",
        "json_member",
        "jsonb_member",
    ];
    last_name(&function.name).is_some_and(|name| NAMES.contains(&name.as_str()) || name.ends_with("_build_object"))
}

fn meaning_of(factor: &ast::TableFactor, name: &str) -> Option<Meaning> {
    match factor {
        ast::TableFactor::Derived {
            alias: Some(alias),
            subquery,
            ..
        } if normalize(&alias.name) == name => Some(match &alias.columns[..] {
            [column] if is_function(subquery) => Meaning::Column(column.name.clone()),
            _ => Meaning::Row,
        }),
        ast::TableFactor::Table { alias: Some(alias), .. } | ast::TableFactor::Function { alias: Some(alias), .. } => {
            (normalize(&alias.name) == name).then_some(Meaning::Row)
        }
        ast::TableFactor::Table {
            name: table,
            args: None,
            ..
        } => (last_name(table)? == name).then_some(Meaning::Row),
        _ => None,
    }
}

/// Whether a subquery is what a function in FROM was read as.
fn is_function(query: &ast::Query) -> bool {
    let ast::SetExpr::Select(select) = &*query.body else {
        return false;
    };
    match &select.projection[..] {
        [
            ast::SelectItem::ExprWithAlias {
                expr: Expr::Function(function),
                ..
            },
        ] => select.from.is_empty() && last_name(&function.name).is_some_and(|name| name == "unnest"),
        _ => false,
    }
}
