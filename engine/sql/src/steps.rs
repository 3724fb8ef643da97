//! A statement that is several: queries of WITH that change rows, and queries within a statement that lock theirs.
//!
//! **Vocabulary.** A *step* is one of these queries. It is run once, before the statement that names it, and its rows are a table that
//! the later steps and the rest of the statement, the *last*, know by its name. A query without a name that locks rows, in FROM or in an
//! expression, gets one that no user can write.
//!
//! Queries of WITH that only read stay where they are: each step has those before it, and computes them for itself.
//!
//! Left out: a query that locks rows and looks at the row around it is refused where it is planned (42703), and so is one that is
//! named by a WITH RECURSIVE which it is a part of. In EXPLAIN, cursors, COPY and CREATE TABLE AS there are no steps: the statement is
//! refused there.

use std::ops::ControlFlow;

use aion_base::{Error, Result};
use datafusion::sql::sqlparser::ast::{self, Visit, VisitMut, Visitor, VisitorMut};

use crate::ctes::{self, is_change};
use crate::dml::normalize;
use crate::parse;

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Steps {
    /// In the order in which they are run.
    pub first: Vec<Step>,
    /// What gives the statement's answer.
    pub last: ast::Statement,
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name that its rows have in what follows.
    pub name: String,
    /// The names of its columns, as far as they are given others.
    pub columns: Vec<String>,
    /// A change, or a query that locks its rows.
    pub statement: ast::Statement,
}

/// The steps of a statement; None where it is one.
///
/// # Errors
/// 0A000 where a step is named that gives no rows.
pub fn of(statement: &ast::Statement) -> Result<Option<Steps>> {
    if !has_steps(statement) {
        return Ok(None);
    }
    let mut last = statement.clone();
    let mut taken = Taken::default();
    let ast::Statement::Query(query) = &mut last else {
        taken.lift(&mut last, false)?;
        return Ok(taken.with_last(last));
    };
    let with = query.with.take();
    let is_recursive = with.as_ref().is_some_and(|with| with.recursive);
    for mut cte in with.map(|with| with.cte_tables).unwrap_or_default() {
        taken.lift(&mut *cte.query, true)?;
        match is_change(&cte.query.body) || !cte.query.locks.is_empty() {
            true => {
                let name = normalize(&cte.alias.name);
                let columns = cte.alias.columns.iter().map(|column| normalize(&column.name)).collect();
                taken.take(name, columns, *cte.query, is_recursive)?;
            }
            false => taken.plain.push(cte),
        }
    }
    taken.lift(&mut **query, true)?;
    put_before(query, &taken.plain, is_recursive)?;
    let last = as_statement((**query).clone());
    let steps = taken.with_last(last);
    steps.iter().try_for_each(Steps::check_names)?;
    Ok(steps)
}

/// Whether a statement has steps.
pub fn has_steps(statement: &ast::Statement) -> bool {
    struct Find {
        depth: usize,
    }
    impl Visitor for Find {
        type Break = ();

        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            let is_within = self.depth > 1;
            let changes = query.with.iter().flat_map(|with| &with.cte_tables);
            let mut changes = changes.map(|cte| is_change(&cte.query.body));
            match is_within && !query.locks.is_empty() || !is_within && changes.any(|is_one| is_one) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }

        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    let depth = match statement {
        ast::Statement::Query(_) => 0,
        ast::Statement::Update(_) | ast::Statement::Delete(_) => 1,
        // The source of an INSERT is a query by itself.
        ast::Statement::Insert(_) => 1,
        _ => return false,
    };
    Visit::visit(statement, &mut Find { depth }).is_break()
}

/// Refuses steps where there can be none.
///
/// # Errors
/// 0A000.
pub fn refuse_within(query: &ast::Query) -> Result<()> {
    struct Refuse {
        depth: usize,
    }
    impl Visitor for Refuse {
        type Break = &'static str;

        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<&'static str> {
            self.depth += 1;
            if self.depth > 1 && !query.locks.is_empty() {
                return ControlFlow::Break("FOR UPDATE and FOR SHARE in a subquery are not there in this place");
            }
            match is_change(&query.body) {
                true => {
                    ControlFlow::Break("WITH clause containing a data-modifying statement must be at the top level")
                }
                false => ControlFlow::Continue(()),
            }
        }

        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<&'static str> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    match query.visit(&mut Refuse { depth: 0 }) {
        ControlFlow::Break(message) => Err(Error::unsupported(message)),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// What was taken out of a statement.
#[derive(Default)]
struct Taken {
    steps: Vec<Step>,
    /// The queries of WITH that only read, so far.
    plain: Vec<ast::Cte>,
}

impl Taken {
    fn take(&mut self, name: String, columns: Vec<String>, mut query: ast::Query, is_recursive: bool) -> Result<()> {
        put_before(&mut query, &self.plain, is_recursive)?;
        self.steps.push(Step {
            name,
            columns,
            statement: as_statement(query),
        });
        Ok(())
    }

    /// Puts names in the place of queries that lock rows, within a query or a change.
    fn lift(&mut self, node: &mut impl VisitMut, is_query: bool) -> Result<()> {
        let mut lift = Lift {
            taken: self,
            depth: 0,
            is_query,
            failed: None,
        };
        let _: ControlFlow<()> = node.visit(&mut lift);
        match lift.failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn with_last(self, last: ast::Statement) -> Option<Steps> {
        let first = self.steps;
        (!first.is_empty()).then_some(Steps { first, last })
    }
}

struct Lift<'a> {
    taken: &'a mut Taken,
    depth: usize,
    /// The first query that it meets is the whole.
    is_query: bool,
    failed: Option<Error>,
}

impl VisitorMut for Lift<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        let is_whole = self.is_query && self.depth == 0;
        if is_whole || query.locks.is_empty() {
            return ControlFlow::Continue(());
        }
        let name = format!("aion step {}", self.taken.steps.len());
        let taken = template(&format!("SELECT * FROM \"{name}\"")).and_then(|named| {
            let locking = std::mem::replace(query, named);
            self.taken.take(name, Vec::new(), locking, false)
        });
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

fn template(text: &str) -> Result<ast::Query> {
    match parse::parse(text)?.pop().map(|statement| statement.ast) {
        Some(ast::Statement::Query(query)) => Ok(*query),
        _ => Err(Error::internal("the template is a query")),
    }
}

/// Puts queries of WITH before those that a query has itself; a name means the nearest one.
fn put_before(query: &mut ast::Query, plain: &[ast::Cte], is_recursive: bool) -> Result<()> {
    if plain.is_empty() {
        return Ok(());
    }
    match &mut query.with {
        Some(with) => {
            with.recursive |= is_recursive;
            let own: Vec<String> = with.cte_tables.iter().map(|cte| normalize(&cte.alias.name)).collect();
            let others = plain.iter().filter(|cte| !own.contains(&normalize(&cte.alias.name)));
            with.cte_tables.splice(0..0, others.cloned());
        }
        None => {
            query.with = template("WITH nothing AS (SELECT 1) SELECT 1")?.with;
            if let Some(with) = &mut query.with {
                with.recursive = is_recursive;
                with.cte_tables = plain.to_vec();
            }
        }
    }
    Ok(())
}

/// A change that came as a query is a change.
fn as_statement(query: ast::Query) -> ast::Statement {
    let mut statement = match (query.with.is_some(), *query.body) {
        (false, ast::SetExpr::Insert(change) | ast::SetExpr::Update(change) | ast::SetExpr::Delete(change)) => {
            return change;
        }
        (_, body) => ast::Statement::Query(Box::new(ast::Query {
            body: Box::new(body),
            ..query
        })),
    };
    ctes::settle(&mut statement);
    statement
}

impl Steps {
    /// That each step which is named gives rows.
    fn check_names(&self) -> Result<()> {
        for (at, step) in self.first.iter().enumerate() {
            let returns = match &step.statement {
                ast::Statement::Insert(insert) => insert.returning.is_some(),
                ast::Statement::Update(update) => update.returning.is_some(),
                ast::Statement::Delete(delete) => delete.returning.is_some(),
                _ => true,
            };
            let mut named = Named {
                name: &step.name,
                is_named: false,
            };
            let later = self.first[at + 1..].iter().map(|step| &step.statement);
            for statement in later.chain([&self.last]) {
                let _: ControlFlow<()> = statement.visit(&mut named);
            }
            if !returns && named.is_named {
                let message = format!("WITH query \"{}\" does not have a RETURNING clause", step.name);
                return Err(Error::unsupported(message));
            }
        }
        Ok(())
    }
}

struct Named<'a> {
    name: &'a str,
    is_named: bool,
}

impl Visitor for Named<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table { name, args: None, .. } = factor
            && let [part] = &name.0[..]
        {
            self.is_named |= part.as_ident().is_some_and(|ident| normalize(ident) == self.name);
        }
        ControlFlow::Continue(())
    }
}
