//! INTERSECT ALL and EXCEPT ALL, which count how often a row is there: as many of a row as the side that has fewer of it, or as many as the left side has more.
//!
//! DataFusion does not count. The rows of each side are numbered among those that are equal to them; then no two rows of a side are equal, and
//! the operation of sets gives what is wanted:
//!
//! ```text
//! SELECT * EXCEPT (n) FROM (
//!     SELECT *, row_number() OVER (PARTITION BY all columns) AS n FROM (left) AS rows
//!     INTERSECT
//!     SELECT *, row_number() OVER (PARTITION BY all columns) AS n FROM (right) AS rows) AS numbered
//! ```
//!
//! What all columns are is known once it is planned: until then it is the row as a whole ([`crate::functions::expand_rows`]).

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast;

use crate::parse;
use crate::session::make_unique;

const SIDE: &str =
    "SELECT *, row_number() OVER (PARTITION BY whole_row(aion_rows.*)) AS aion_occurrence FROM (SELECT 1) AS aion_rows";
const WHOLE: &str = "SELECT * FROM (SELECT 1) AS aion_numbered";
const NUMBER: &str = "aion_occurrence";

/// Rewrites those of a statement.
pub fn count_rows(statement: &mut ast::Statement) {
    struct Rewrite;
    impl ast::VisitorMut for Rewrite {
        type Break = ();

        fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            rewrite(&mut query.body);
            ControlFlow::Continue(())
        }
    }
    let _: ControlFlow<()> = ast::VisitMut::visit(statement, &mut Rewrite);
}

/// Queries within are done already, as they come first.
fn rewrite(body: &mut ast::SetExpr) {
    let ast::SetExpr::SetOperation {
        op,
        set_quantifier,
        left,
        right,
    } = body
    else {
        return;
    };
    rewrite(left);
    rewrite(right);
    let is_counting = matches!(op, ast::SetOperator::Intersect | ast::SetOperator::Except)
        && *set_quantifier == ast::SetQuantifier::All;
    if !is_counting {
        return;
    }
    let mut numbered = body.clone();
    if let ast::SetExpr::SetOperation {
        set_quantifier,
        left,
        right,
        ..
    } = &mut numbered
    {
        *set_quantifier = ast::SetQuantifier::None;
        for side in [left, right] {
            if let Some(rows) = over(SIDE, (**side).clone()) {
                **side = rows;
            }
        }
    }
    if let Some(whole) = over(WHOLE, numbered) {
        *body = without_number(whole);
    }
}

/// A text of ours with another query in its FROM.
pub fn over(text: &str, rows: ast::SetExpr) -> Option<ast::SetExpr> {
    let ast::Statement::Query(query) = parse::parse(text).ok()?.pop()?.ast else {
        return None;
    };
    let mut body = *query.body;
    let ast::SetExpr::Select(select) = &mut body else {
        return None;
    };
    let ast::TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else {
        return None;
    };
    *subquery.body = rows;
    make_unique(subquery);
    Some(body)
}

fn without_number(mut body: ast::SetExpr) -> ast::SetExpr {
    if let ast::SetExpr::Select(select) = &mut body
        && let [ast::SelectItem::Wildcard(options)] = select.projection.as_mut_slice()
    {
        options.opt_except = Some(ast::ExceptSelectItem {
            first_element: ast::Ident::new(NUMBER),
            additional_elements: Vec::new(),
        });
    }
    body
}
