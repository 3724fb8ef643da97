//! FETCH FIRST n ROWS WITH TIES: also the rows that the order does not tell from the last of the n.
//!
//! They are those whose rank in the order is at most n, counted with what OFFSET leaves out: so that is asked of them, by QUALIFY. A place in
//! the list and a name given there stand for the expression that is there, as in any ORDER BY; a window would take them otherwise.
//!
//! Left out, and refused as DataFusion refuses it: PERCENT, no ORDER BY (an error in PostgreSQL, too), and orders of UNION and its like and of DISTINCT that are not names.
//! A count that is NULL or below zero gives no rows, where PostgreSQL has an error.

use datafusion::sql::sqlparser::ast::{self, Expr, SetExpr};

use super::group_key::item_of;
use super::rewrite::call;
use super::spelled::binary;
use crate::set_operations::over;

/// Around a query that is more than a SELECT.
const WITHIN: &str = "SELECT * FROM (SELECT 1) AS aion_ties";

/// Rewrites the FETCH of one query.
pub fn settle(query: &mut ast::Query) {
    let is_with_ties = |fetch: &&ast::Fetch| fetch.with_ties && !fetch.percent;
    let Some(fetch) = query.fetch.as_ref().filter(is_with_ties) else {
        return;
    };
    let Some(ast::OrderBy {
        kind: ast::OrderByKind::Expressions(order_by),
        ..
    }) = &query.order_by
    else {
        return;
    };
    let is_select =
        matches!(&*query.body, SetExpr::Select(select) if select.distinct.is_none() && select.qualify.is_none());
    let is_name = |by: &ast::OrderByExpr| matches!(&by.expr, Expr::Identifier(_));
    if !is_select && !order_by.iter().all(is_name) {
        return;
    }
    let offset = match &query.limit_clause {
        None => None,
        Some(ast::LimitClause::LimitOffset {
            limit: None,
            offset,
            limit_by,
        }) if limit_by.is_empty() => offset.as_ref().map(|offset| &offset.value),
        Some(_) => return,
    };
    let one = || Expr::Value(ast::Value::Number("1".to_owned(), false).with_empty_span());
    let quantity = bigint(fetch.quantity.clone().unwrap_or_else(one));
    let last = match offset {
        None => quantity,
        Some(offset) => binary(quantity, ast::BinaryOperator::Plus, bigint(offset.clone())),
    };
    let order_by = order_by.clone();
    if !is_select {
        let Some(outer) = over(WITHIN, (*query.body).clone()) else {
            return;
        };
        *query.body = outer;
    }
    let SetExpr::Select(select) = &mut *query.body else {
        return;
    };
    let order_by = order_by.into_iter().map(|by| ast::OrderByExpr {
        expr: item_of(&by.expr, &select.projection),
        ..by
    });
    let mut rank = call("rank", Vec::new());
    if let Expr::Function(function) = &mut rank {
        function.over = Some(ast::WindowType::WindowSpec(ast::WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by: order_by.collect(),
            window_frame: None,
        }));
    }
    select.qualify = Some(binary(bigint(rank), ast::BinaryOperator::LtEq, last));
    query.fetch = None;
}

fn bigint(expr: Expr) -> Expr {
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(expr),
        data_type: ast::DataType::BigInt(None),
        array: false,
        format: None,
    }
}
