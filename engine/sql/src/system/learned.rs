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
    Definition::asked(
        "recommendations",
        "id int8, kind text, object text, state text, state_reason text, command text, undo_command text, origin text, \
         queryids int8[], calls int8, estimated_speedup float8, before_ms float8, after_ms float8, speedup float8, \
         speedup_low float8, speedup_high float8, worst_queryid int8, worst_speedup float8, samples int8, \
         results_equal bool, size_bytes int8, build_ms float8, write_cost_pct float8, \
         write_bytes_pct float8, memory_bytes int8, created_at timestamptz, rehearsed_at timestamptz, decided_at timestamptz, decided_by text, \
         applied_at timestamptz, expires_at timestamptz, pinned bool, verbs text[], evidence json",
        recommendations,
    )
    .in_schema("aion"),
    Definition::new(
        "models",
        0,
        "name text, version int8, purpose text, stage text, sha256 text, bytes int8, trained_at timestamptz, train_rows int8, \
         test_rows int8, q_error_p50 float8, q_error_p95 float8, baseline_p50 float8, baseline_p95 float8, last_error text",
        models,
    )
    .in_schema("aion"),
    // The names of `pg_settings`.
    Definition::new(
        "knobs",
        0,
        "name text, setting text, unit text, category text, short_desc text, min_val text, max_val text, boot_val text, \
         source text, managed bool, decision_id int8",
        knobs,
    )
    .in_schema("aion"),
    Definition::new("ai_status", 0, "name text, value text, hint text", status).in_schema("aion"),
    Definition::new(
        "decisions",
        0,
        "seq int8, at timestamptz, recommendation_id int8, from_state text, to_state text, actor text, reason text, \
         log_index int8, version text, seed text, evidence_sha256 text, prev_hash text, hash text",
        decisions,
    )
    .in_schema("aion"),
];

/// The evidence is large: it is read where it is asked for. It is the last column.
fn recommendations(facts: &Facts, asked: &[bool]) -> Result<Vec<Row>> {
    let Some(pipeline) = &facts.identity.pipeline else {
        return Ok(Vec::new());
    };
    let with_evidence = asked.last().copied().unwrap_or(false);
    let texts = |names: Vec<&str>| Cell::Texts(names.into_iter().map(str::to_owned).collect());
    let time = |at: Option<i64>| at.map_or(Cell::Null, Cell::Time);
    let rows = pipeline.recommendations(with_evidence)?.into_iter().map(|one| {
        let mut row = row![
            one.id,
            one.kind,
            one.object,
            one.state,
            one.state_reason,
            one.command,
            one.undo_command,
            one.origin,
        ];
        row.push(Cell::Ints(one.queryids));
        row.extend(row![
            one.calls,
            one.estimated_speedup,
            one.before_ms,
            one.after_ms,
            one.speedup,
            one.speedup_low,
            one.speedup_high,
            one.worst_queryid,
            one.worst_speedup,
            one.samples,
            one.results_equal,
            one.size_bytes,
            one.build_ms,
            one.write_cost_pct,
            one.write_bytes_pct,
            one.memory_bytes,
        ]);
        row.extend([Cell::Time(one.created_at), time(one.rehearsed_at), time(one.decided_at)]);
        row.push(one.decided_by.into());
        row.extend([time(one.applied_at), time(one.expires_at)]);
        row.push(one.is_pinned.into());
        row.push(texts(one.verbs));
        row.push(one.evidence.into());
        row
    });
    Ok(rows.collect())
}

fn models(facts: &Facts) -> Result<Vec<Row>> {
    let rows = facts.identity.pipeline.iter().flat_map(|pipeline| pipeline.models());
    let rows = rows.map(|one| {
        let mut row = row![one.name, one.version, one.purpose, one.stage, one.sha256, one.bytes];
        row.push(Cell::Time(one.trained_at));
        row.extend(row![
            one.train_rows,
            one.test_rows,
            one.q_error_p50,
            one.q_error_p95,
            one.baseline_p50,
            one.baseline_p95,
            one.last_error,
        ]);
        row
    });
    Ok(rows.collect())
}

fn knobs(facts: &Facts) -> Result<Vec<Row>> {
    let rows = facts.identity.pipeline.iter().flat_map(|pipeline| pipeline.knobs());
    let rows = rows.map(|one| {
        row![
            one.name,
            one.setting,
            one.unit,
            one.category,
            one.short_desc,
            one.min_val,
            one.max_val,
            one.boot_val,
            one.source,
            one.is_managed,
            one.decision_id,
        ]
    });
    Ok(rows.collect())
}

fn status(facts: &Facts) -> Result<Vec<Row>> {
    let rows = facts.identity.pipeline.iter().flat_map(|pipeline| pipeline.status());
    Ok(rows.map(|one| row![one.name, one.value, one.hint]).collect())
}

fn decisions(facts: &Facts) -> Result<Vec<Row>> {
    let Some(pipeline) = &facts.identity.pipeline else {
        return Ok(Vec::new());
    };
    let rows = pipeline.decisions()?.into_iter().map(|one| {
        let mut row = row![one.seq];
        row.push(Cell::Time(one.at));
        row.extend(row![
            one.recommendation_id,
            one.from_state,
            one.to_state,
            one.actor,
            one.reason,
            one.log_index,
            one.version,
            // Seeds take all 64 bits, of which a bigint shows half as negative numbers.
            one.seed.to_string(),
            one.evidence_sha256,
            one.prev_hash,
            one.hash,
        ]);
        row
    });
    Ok(rows.collect())
}

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
