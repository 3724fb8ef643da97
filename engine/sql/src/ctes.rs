//! WITH before INSERT, UPDATE and DELETE.
//!
//! `WITH x AS (q) INSERT INTO t SELECT ... FROM x` is `INSERT INTO t WITH x AS (q) SELECT ... FROM x`. Behind UPDATE and DELETE, which have
//! no place for it, the query stands wherever its name did, so that all that comes after sees a plain change.
//!
//! Left as it is, and refused where it is planned (0A000): WITH RECURSIVE before UPDATE and DELETE; a query that is named more than once and may
//! give other rows each time; and a name that means something else within. A query that changes rows or locks them is left to [`steps`](crate::steps).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Visit, VisitMut, Visitor, VisitorMut};

use crate::dml::normalize;

/// Functions that give something else each time.
const VOLATILE: [&str; 6] = [
    "nextval",
    "setval",
    "random",
    "gen_random_uuid",
    "clock_timestamp",
    "uuid",
];

/// See the module's header.
pub fn settle(statement: &mut ast::Statement) {
    match statement {
        ast::Statement::Explain { statement, .. } | ast::Statement::Prepare { statement, .. } => settle(statement),
        ast::Statement::Query(query) => {
            if let Some(changed) = change(query) {
                *statement = changed;
            }
        }
        _ => {}
    }
}

fn change(query: &ast::Query) -> Option<ast::Statement> {
    let with = query.with.as_ref()?;
    let is_step = |cte: &ast::Cte| is_change(&cte.query.body) || !cte.query.locks.is_empty();
    if with.cte_tables.iter().any(is_step) {
        return None;
    }
    match &*query.body {
        ast::SetExpr::Insert(ast::Statement::Insert(insert)) => {
            let mut insert = insert.clone();
            push(insert.source.as_mut()?, with)?;
            Some(ast::Statement::Insert(insert))
        }
        ast::SetExpr::Update(ast::Statement::Update(update)) => {
            let mut update = update.clone();
            let target = std::mem::replace(&mut update.table, nothing());
            let mut changed = inlined(ast::Statement::Update(update), with, &[&target])?;
            if let ast::Statement::Update(update) = &mut changed {
                update.table = target;
            }
            Some(changed)
        }
        ast::SetExpr::Delete(ast::Statement::Delete(delete)) => {
            let mut delete = delete.clone();
            let mut target = ast::FromTable::WithFromKeyword(Vec::new());
            std::mem::swap(&mut target, &mut delete.from);
            let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &target;
            let tables: Vec<_> = tables.iter().collect();
            let mut changed = inlined(ast::Statement::Delete(delete), with, &tables)?;
            if let ast::Statement::Delete(delete) = &mut changed {
                delete.from = target;
            }
            Some(changed)
        }
        _ => None,
    }
}

/// Whether what a query of WITH is, changes rows.
pub fn is_change(body: &ast::SetExpr) -> bool {
    matches!(
        body,
        ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_) | ast::SetExpr::Merge(_)
    )
}

/// Puts the queries before those that the source of an INSERT has itself.
fn push(source: &mut ast::Query, with: &ast::With) -> Option<()> {
    let Some(own) = &mut source.with else {
        source.with = Some(with.clone());
        return Some(());
    };
    let is_own = |cte: &ast::Cte| {
        let name = normalize(&cte.alias.name);
        own.cte_tables.iter().any(|own| normalize(&own.alias.name) == name)
    };
    if own.recursive || with.recursive || with.cte_tables.iter().any(is_own) {
        return None;
    }
    own.cte_tables.splice(0..0, with.cte_tables.iter().cloned());
    Some(())
}

/// A place that nothing is looked for in.
fn nothing() -> ast::TableWithJoins {
    ast::TableWithJoins {
        relation: ast::TableFactor::Table {
            name: ast::ObjectName(Vec::new()),
            alias: None,
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        },
        joins: Vec::new(),
    }
}

fn inlined(mut changed: ast::Statement, with: &ast::With, targets: &[&ast::TableWithJoins]) -> Option<ast::Statement> {
    if with.recursive {
        return None;
    }
    let mut ctes = with.cte_tables.clone();
    for at in 0..ctes.len() {
        let (cte, later) = ctes[at..].split_first_mut()?;
        let mut put = Put {
            name: normalize(&cte.alias.name),
            cte,
            count: 0,
            is_hidden: false,
        };
        let is_target = targets.iter().any(|target| put.is_named_by(&target.relation));
        for later in later {
            let _: ControlFlow<()> = VisitMut::visit(&mut later.query, &mut put);
        }
        let _: ControlFlow<()> = VisitMut::visit(&mut changed, &mut put);
        if is_target || put.is_hidden || (put.count > 1 && is_volatile(&cte.query)) {
            return None;
        }
    }
    Some(changed)
}

/// Puts a query in the place of its name.
struct Put<'a> {
    name: String,
    cte: &'a ast::Cte,
    count: usize,
    /// The name means something else somewhere.
    is_hidden: bool,
}

impl Put<'_> {
    fn is_named_by(&self, relation: &ast::TableFactor) -> bool {
        let ast::TableFactor::Table { name, args: None, .. } = relation else {
            return false;
        };
        let [part] = &name.0[..] else {
            return false;
        };
        part.as_ident().is_some_and(|ident| normalize(ident) == self.name)
    }
}

impl VisitorMut for Put<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let mut inner = query.with.iter().flat_map(|with| &with.cte_tables);
        self.is_hidden |= inner.any(|cte| normalize(&cte.alias.name) == self.name);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, relation: &mut ast::TableFactor) -> ControlFlow<()> {
        if !self.is_named_by(relation) {
            return ControlFlow::Continue(());
        }
        let ast::TableFactor::Table { alias, .. } = relation else {
            return ControlFlow::Continue(());
        };
        self.count += 1;
        let mut called = self.cte.alias.clone();
        if let Some(alias) = alias {
            called.name = alias.name.clone();
            // A list of columns behind the name renames the first ones of the query's own.
            for (at, column) in alias.columns.iter().enumerate() {
                match called.columns.get_mut(at) {
                    Some(own) => *own = column.clone(),
                    None => called.columns.push(column.clone()),
                }
            }
        }
        *relation = ast::TableFactor::Derived {
            lateral: false,
            subquery: self.cte.query.clone(),
            alias: Some(called),
            sample: None,
        };
        ControlFlow::Continue(())
    }
}

/// Whether a query may give other rows when it is asked again.
fn is_volatile(query: &ast::Query) -> bool {
    struct Find;
    impl Visitor for Find {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let name = match expr {
                ast::Expr::Function(function) => function.name.0.last().and_then(ast::ObjectNamePart::as_ident),
                _ => None,
            };
            match name {
                Some(name) if VOLATILE.contains(&normalize(name).as_str()) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(query, &mut Find).is_break()
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    fn settled(text: &str) -> String {
        let statements = parse(text).expect("it parses");
        statements[0].to_sql()
    }

    #[test]
    fn a_query_stands_where_its_name_did() {
        assert_eq!(
            settled(
                "WITH x (n) AS (SELECT a FROM s), y AS (SELECT n FROM x) UPDATE t SET v = z.n FROM y AS z WHERE t.k = z.n"
            ),
            "UPDATE t SET v = z.n FROM (SELECT n FROM (SELECT a FROM s) x (n)) z WHERE t.k = z.n"
        );
        assert_eq!(
            settled("WITH x AS (SELECT a FROM s) DELETE FROM t WHERE k IN (SELECT a FROM x)"),
            "DELETE FROM t WHERE k IN (SELECT a FROM (SELECT a FROM s) x)"
        );
        assert_eq!(
            settled("WITH x AS (SELECT a FROM s) INSERT INTO t WITH y AS (SELECT a FROM x) SELECT a FROM y"),
            "INSERT INTO t WITH x AS (SELECT a FROM s), y AS (SELECT a FROM x) SELECT a FROM y"
        );
    }

    #[test]
    fn what_would_mean_something_else_stays() {
        for text in [
            "WITH t AS (SELECT 1 AS k) UPDATE t SET v = 1",
            "WITH x AS (SELECT 1 AS k) DELETE FROM t WHERE k IN (WITH x AS (SELECT 2 AS k) SELECT k FROM x)",
            "WITH x AS (SELECT random() AS k) DELETE FROM t WHERE k IN (SELECT k FROM x) OR v IN (SELECT k FROM x)",
            "WITH x AS (DELETE FROM s RETURNING a) DELETE FROM t WHERE k IN (SELECT a FROM x)",
        ] {
            assert!(settled(text).starts_with("WITH"), "{text}");
        }
    }
}
