//! The schema `aion`: what the database notes of its own work.

use aion_base::Result;

use super::Definition;
use super::cells::{Cell, Row, row};
use super::facts::Facts;

pub(super) const TABLES: &[Definition] = &[
    // The names of `pg_stat_statements`.
    Definition::new(
        "statements",
        0,
        "queryid int8, query text, plans int8, total_plan_time float8, min_plan_time float8, max_plan_time float8, \
         mean_plan_time float8, stddev_plan_time float8, calls int8, total_exec_time float8, min_exec_time float8, \
         max_exec_time float8, mean_exec_time float8, stddev_exec_time float8, rows int8",
        statements,
    )
    .in_schema("aion"),
];

fn statements(facts: &Facts) -> Result<Vec<Row>> {
    let Some(observer) = &facts.identity.observer else {
        return Ok(Vec::new());
    };
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let rows = observer.statements().into_iter().map(|one| {
        let mut row = row![
            one.fingerprint.queryid,
            one.fingerprint.query.as_ref(),
            count(one.calls)
        ];
        for (at, times) in [one.planning, one.execution].into_iter().enumerate() {
            if at == 1 {
                row.push(Cell::from(count(one.calls)));
            }
            let times = [
                times.total_ms,
                times.min_ms,
                times.max_ms,
                times.mean_ms,
                times.stddev_ms,
            ];
            row.extend(times.map(Cell::Float));
        }
        row.push(Cell::from(count(one.rows)));
        row
    });
    Ok(rows.collect())
}
