//! `/v1/recommendations`: what the database recommends, and what a person asks of it.
//!
//! **How it works.** Everything here waits: a list for a move that is being written, a rehearsal for minutes. So each request is work of
//! the edge like a statement: counted against the same limit, on a thread that may block, and told to stop when its client goes away or
//! the server ends. A rehearsal then ends and its recommendation is proposed again; a change that was begun is made to its end.
//!
//! **Statements.** Those of a rehearsal. What a model or a knob was judged by has none; it is in the column evidence.
//!
//! **Numbers.** Identities of statements and seeds have 64 bits and are strings: a reader of JSON may keep 53. A figure that was not
//! measured, or is none, is null. Times are UTC as ISO 8601 writes them, `2026-11-29T10:25:20.5Z`.
//!
//! **Errors.** As of a statement, but that what the state, the mode or another rehearsal forbids (55000, 55006) is a 409: asking again
//! does not help before something else was done, and the hint says what.
//!
//! **Left out.** Rights of several people: whoever reaches this edge is the role that it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aion_base::recommendation::{Asked, AskedOf, DecisionRow, Recommendation};
use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value};
use aion_db::{Database, Progress};
use aion_shadow::recommendation::Grounds;
use aion_shadow::state::{Mode, Verb};
use aion_shadow::statistics::{Pair, Stratum, median, speedup};
use aion_shadow::verdict::Measured;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::listener::Shared;
use super::{answer, request};
use crate::service::NAME;

/// The paths.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/recommendations", get(list).post(rehearse))
        .route("/v1/recommendations/{id}", get(show))
        .route("/v1/recommendations/{id}/{verb}", post(act))
}

async fn list(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let listed = work(&shared, |database, _| {
        let recommendations = database.recommendations(false)?;
        to_json(&List {
            mode: database.ai_mode().name(),
            ai_cpu_seconds: database.counters()?.learning_micros as f64 / 1e6,
            recommendations: recommendations.iter().map(Shown::of).collect(),
        })
    });
    answered(listed.await)
}

async fn show(State(shared): State<Arc<Shared>>, path: Result<Path<String>, PathRejection>) -> Response<Body> {
    let id = match path
        .map_err(|_| unknown("of that name"))
        .and_then(|Path(id)| id_of(&id))
    {
        Ok(id) => id,
        Err(error) => return refused(&error),
    };
    let shown = work(&shared, move |database, _| {
        let one = find(database, id, true)?;
        let decisions = database.decisions()?;
        to_json(&Details {
            recommendation: Shown::of(&one),
            statements: statements(&one)?,
            decisions: decisions
                .iter()
                .filter(|decision| decision.recommendation_id == id)
                .map(Decision::of)
                .collect(),
        })
    });
    answered(shown.await)
}

/// A person's own idea.
async fn rehearse(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let body = match request::json_body(request, &shared.service.limits).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    match parse::<Idea>(
        &body,
        "It is an object with \"sql\": a CREATE INDEX, DROP INDEX or ANALYZE.",
    ) {
        Ok(idea) => ask(&shared, Verb::Rehearse, AskedOf::Command(idea.sql), String::new()).await,
        Err(error) => refused(&error),
    }
}

async fn act(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request<Body>,
) -> Response<Body> {
    // The body first: a connection that is closed with unread bytes would take the answer with it.
    let body = match request::json_body(request, &shared.service.limits).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let asked = path.map_err(|_| unknown("of that name")).and_then(|Path((id, verb))| {
        let verb = verb_of(&verb)?;
        let id = id_of(&id)?;
        let why = parse::<Why>(&body, "It is an object, empty or with \"reason\".")?;
        Ok((verb, id, why.reason))
    });
    match asked {
        Ok((verb, id, reason)) => ask(&shared, verb, AskedOf::Recommendation(id), reason).await,
        Err(error) => refused(&error),
    }
}

/// Asks, and answers with the recommendation as it is then.
async fn ask(shared: &Shared, verb: Verb, of: AskedOf, reason: String) -> Response<Body> {
    let asked = Asked {
        verb: verb.name(),
        of,
        reason,
        role: NAME.to_owned(),
        // No session lowered it.
        mode: Mode::Auto.name().to_owned(),
    };
    let done = work(shared, move |database, is_cancelled| {
        let progress = Progress {
            is_cancelled,
            sampled: &|_| {},
        };
        let id = database.ask(&asked, &progress)?;
        to_json(&Done {
            recommendation: Shown::of(&find(database, id, false)?),
        })
    });
    answered(done.await)
}

/// Does what blocks as work of the edge. It is handed the database, and whether it is no longer wanted.
async fn work<T: Send + 'static>(
    shared: &Shared,
    blocking: impl FnOnce(&Database, &(dyn Fn() -> bool + Sync)) -> Result<T> + Send + 'static,
) -> Result<T> {
    let database = Arc::clone(&shared.service.database);
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&is_stopped);
    let stop = move || stopped.store(true, Ordering::Release);
    let done = async move {
        let task = tokio::task::spawn_blocking(move || blocking(&database, &|| is_stopped.load(Ordering::Acquire)));
        match task.await {
            Ok(done) => done,
            Err(error) => Err(Error::internal(format!("a task of the pipeline failed: {error}"))),
        }
    };
    shared.work.run(stop, done).await
}

fn answered(outcome: Result<Vec<u8>>) -> Response<Body> {
    match outcome {
        Ok(body) => answer::json(StatusCode::OK, body),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Response<Body> {
    match error.state() {
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE | SqlState::OBJECT_IN_USE => {
            answer::error_with(StatusCode::CONFLICT, error)
        }
        _ => answer::statement_error(error),
    }
}

fn find(database: &Database, id: u64, with_evidence: bool) -> Result<Recommendation> {
    let all = database.recommendations(with_evidence)?;
    let one = all.into_iter().find(|one| one.id == id);
    one.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(id: &str) -> Error {
    Error::not_found(
        SqlState::UNDEFINED_OBJECT,
        format!("recommendation {id} does not exist"),
    )
    .with_hint("GET /v1/recommendations lists them.")
}

fn id_of(text: &str) -> Result<u64> {
    text.parse().map_err(|_| unknown(&format!("\"{text}\"")))
}

fn verb_of(text: &str) -> Result<Verb> {
    Verb::from_name(text).ok_or_else(|| {
        let verbs: Vec<&str> = Verb::ALL.iter().map(|verb| verb.name()).collect();
        Error::not_found(SqlState::UNDEFINED_OBJECT, format!("there is no verb \"{text}\""))
            .with_hint(format!("The verbs are {}.", verbs.join(", ")))
    })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], hint: &str) -> Result<T> {
    let wrong = |why: String| {
        let message = format!("the body is not a request: {why}");
        Error::invalid(SqlState::PROTOCOL_VIOLATION, message).with_hint(hint)
    };
    // serde takes an array for an object, whose fields are then in the order that they happen to be declared in.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong("no object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("the answer cannot be written: {error}")))
}

/// The body of a person's own idea.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Idea {
    sql: String,
}

/// The body of a verb.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
struct List<'a> {
    mode: &'static str,
    ai_cpu_seconds: f64,
    recommendations: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    recommendation: Shown<'a>,
    statements: Vec<Statement>,
    decisions: Vec<Decision<'a>>,
}

#[derive(Serialize)]
struct Done<'a> {
    recommendation: Shown<'a>,
}

/// A recommendation, with the names of `aion.recommendations`. serde_json writes a number that is not finite as null.
#[derive(Serialize)]
struct Shown<'a> {
    id: u64,
    kind: &'static str,
    object: &'a str,
    state: &'static str,
    state_reason: &'a str,
    command: &'a str,
    undo_command: Option<&'a str>,
    origin: &'a str,
    queryids: Vec<String>,
    calls: Option<u64>,
    estimated_speedup: Option<f64>,
    before_ms: Option<f64>,
    after_ms: Option<f64>,
    speedup: Option<f64>,
    speedup_low: Option<f64>,
    speedup_high: Option<f64>,
    worst_queryid: Option<String>,
    worst_speedup: Option<f64>,
    samples: Option<u64>,
    results_equal: Option<bool>,
    size_bytes: Option<u64>,
    build_ms: Option<f64>,
    write_cost_pct: Option<f64>,
    write_bytes_pct: Option<f64>,
    memory_bytes: Option<u64>,
    created_at: String,
    rehearsed_at: Option<String>,
    decided_at: Option<String>,
    decided_by: Option<&'a str>,
    applied_at: Option<String>,
    expires_at: Option<String>,
    pinned: bool,
    verbs: &'a [&'static str],
}

impl<'a> Shown<'a> {
    fn of(one: &'a Recommendation) -> Self {
        Self {
            id: one.id,
            kind: one.kind,
            object: &one.object,
            state: one.state,
            state_reason: &one.state_reason,
            command: &one.command,
            undo_command: one.undo_command.as_deref(),
            origin: &one.origin,
            queryids: one.queryids.iter().map(i64::to_string).collect(),
            calls: one.calls,
            estimated_speedup: one.estimated_speedup,
            before_ms: one.before_ms,
            after_ms: one.after_ms,
            speedup: one.speedup,
            speedup_low: one.speedup_low,
            speedup_high: one.speedup_high,
            worst_queryid: one.worst_queryid.map(|queryid| queryid.to_string()),
            worst_speedup: one.worst_speedup,
            samples: one.samples,
            results_equal: one.results_equal,
            size_bytes: one.size_bytes,
            build_ms: one.build_ms,
            write_cost_pct: one.write_cost_pct,
            write_bytes_pct: one.write_bytes_pct,
            memory_bytes: one.memory_bytes,
            created_at: instant(one.created_at),
            rehearsed_at: one.rehearsed_at.map(instant),
            decided_at: one.decided_at.map(instant),
            decided_by: one.decided_by.as_deref(),
            applied_at: one.applied_at.map(instant),
            expires_at: one.expires_at.map(instant),
            pinned: one.is_pinned,
            verbs: &one.verbs,
        }
    }
}

/// A decision, with the names of `aion.decisions`.
#[derive(Serialize)]
struct Decision<'a> {
    seq: u64,
    at: String,
    from_state: Option<&'static str>,
    to_state: &'static str,
    actor: &'a str,
    reason: &'a str,
    log_index: u64,
    version: &'a str,
    seed: String,
    evidence_sha256: Option<&'a str>,
    prev_hash: &'a str,
    hash: &'a str,
}

impl<'a> Decision<'a> {
    fn of(decision: &'a DecisionRow) -> Self {
        Self {
            seq: decision.seq,
            at: instant(decision.at),
            from_state: decision.from_state,
            to_state: decision.to_state,
            actor: &decision.actor,
            reason: &decision.reason,
            log_index: decision.log_index,
            version: &decision.version,
            seed: decision.seed.to_string(),
            evidence_sha256: decision.evidence_sha256.as_deref(),
            prev_hash: &decision.prev_hash,
            hash: &decision.hash,
        }
    }
}

/// What a rehearsal measured of one statement. Of one that was left out, with the reason, there are no figures.
#[derive(Debug, PartialEq, Serialize)]
struct Statement {
    queryid: String,
    query: String,
    calls: u64,
    excluded: Option<String>,
    before_ms: Option<f64>,
    after_ms: Option<f64>,
    speedup: Option<f64>,
    speedup_low: Option<f64>,
    speedup_high: Option<f64>,
    pairs: usize,
    compared: usize,
    equal: usize,
}

impl Statement {
    fn of(query: String, measured: Measured, seed: u64) -> Self {
        let stratum = Stratum {
            calls: measured.calls,
            pairs: if measured.excluded.is_none() {
                measured.pairs
            } else {
                Vec::new()
            },
        };
        let side = |of: fn(&Pair) -> f64| median(&mut stratum.pairs.iter().map(of).collect::<Vec<_>>());
        let speedup = speedup(std::slice::from_ref(&stratum), seed);
        Self {
            queryid: measured.queryid.to_string(),
            query,
            calls: measured.calls,
            excluded: measured.excluded,
            before_ms: side(|pair| pair.incumbent_ms),
            after_ms: side(|pair| pair.candidate_ms),
            speedup: speedup.map(|speedup| speedup.point),
            speedup_low: speedup.map(|speedup| speedup.low),
            speedup_high: speedup.map(|speedup| speedup.high),
            pairs: stratum.pairs.len(),
            compared: measured.compared,
            equal: measured.equal,
        }
    }
}

/// The statements of a rehearsal; none where there was none, and where the evidence is of another kind.
fn statements(one: &Recommendation) -> Result<Vec<Statement>> {
    let Some(evidence) = &one.evidence else {
        return Ok(Vec::new());
    };
    let grounds = serde_json::from_str(evidence)
        .map_err(|error| Error::corrupt(format!("the evidence of recommendation {} is none: {error}", one.id)))?;
    let Grounds::Rehearsal(proof) = grounds else {
        return Ok(Vec::new());
    };
    let seed = proof.seed;
    let all = proof.queries.into_iter().zip(proof.evidence.statements);
    Ok(all
        .map(|(query, measured)| Statement::of(query, measured, seed))
        .collect())
}

/// Microseconds since 1970 as ISO 8601.
fn instant(micros: i64) -> String {
    let mut text = String::new();
    Value::Timestamp(micros).text_out(&SqlType::TIMESTAMPTZ, &mut text);
    text.replacen(' ', "T", 1).replacen("+00", "Z", 1)
}

#[cfg(test)]
mod tests {
    use aion_shadow::contest::Terms;
    use aion_shadow::recommendation::{Contest, Proof};
    use aion_shadow::verdict::{Budget, Evidence, Verdict};
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(instant(0), "1970-01-01T00:00:00Z");
        assert_eq!(instant(1_709_210_096_700_000), "2024-02-29T12:34:56.7Z");
        assert_eq!(instant(1_709_164_800_000_001), "2024-02-29T00:00:00.000001Z");
    }

    #[test]
    fn what_the_state_forbids_is_a_conflict() {
        for (error, status) in [
            (
                Error::unavailable(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "mode"),
                409,
            ),
            (
                Error::conflict(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "state"),
                409,
            ),
            (Error::unavailable(SqlState::OBJECT_IN_USE, "another"), 409),
            (Error::denied(SqlState::INSUFFICIENT_PRIVILEGE, "role"), 403),
            (Error::exhausted(SqlState::TOO_MANY_CONNECTIONS, "full"), 503),
            (Error::exhausted(SqlState::DISK_FULL, "full"), 429),
            (Error::unsupported("a DROP TABLE"), 400),
            (unknown("7"), 404),
        ] {
            assert_eq!(refused(&error).status().as_u16(), status, "{error}");
        }
    }

    fn pairs(incumbent_ms: f64, candidate_ms: f64) -> Vec<Pair> {
        let pair = Pair {
            incumbent_ms,
            candidate_ms,
        };
        vec![pair; 5]
    }

    fn measured(queryid: i64, pairs: Vec<Pair>, excluded: Option<&str>) -> Measured {
        Measured {
            queryid,
            calls: 3,
            compared: pairs.len() + 1,
            equal: pairs.len(),
            pairs,
            excluded: excluded.map(str::to_owned),
        }
    }

    #[test]
    fn statements_come_from_the_evidence() {
        let proof = Proof {
            seed: 7,
            had_time: true,
            budget: Budget::default(),
            queries: ["SELECT $1", "DELETE FROM t", "SELECT now()"]
                .map(str::to_owned)
                .to_vec(),
            evidence: Evidence {
                statements: vec![
                    measured(i64::MIN, pairs(8.0, 2.0), None),
                    measured(2, Vec::new(), Some("it writes")),
                    measured(3, pairs(10.0, 0.0), None),
                ],
                ..Evidence::default()
            },
            verdict: Verdict::Ready,
        };
        let one = Recommendation {
            evidence: Some(serde_json::to_string(&proof).expect("it is data")),
            ..Recommendation::default()
        };
        let shown = serde_json::to_value(statements(&one).expect("it is evidence")).expect("it is data");
        assert_eq!(
            shown[0],
            json!({
                "queryid": "-9223372036854775808", "query": "SELECT $1", "calls": 3, "excluded": null,
                "before_ms": 8.0, "after_ms": 2.0, "speedup": 4.0, "speedup_low": 4.0, "speedup_high": 4.0,
                "pairs": 5, "compared": 6, "equal": 5,
            })
        );
        assert_eq!(
            (&shown[1]["excluded"], &shown[1]["pairs"]),
            (&json!("it writes"), &json!(0))
        );
        assert_eq!(
            (&shown[1]["before_ms"], &shown[1]["speedup"]),
            (&json!(null), &json!(null))
        );
        assert_eq!(shown[2]["speedup"], json!(null), "an infinite one is none");
        assert!(statements(&Recommendation::default()).expect("nothing").is_empty());
        let contest = Contest {
            seed: 1,
            terms: Terms::default(),
            samples: Vec::new(),
            verdict: Verdict::Ready,
        };
        let of_a_model = Recommendation {
            evidence: Some(serde_json::to_string(&contest).expect("it is data")),
            ..Recommendation::default()
        };
        assert!(statements(&of_a_model).expect("evidence of another kind").is_empty());
        let broken = Recommendation {
            evidence: Some("{}".to_owned()),
            ..Recommendation::default()
        };
        assert_eq!(
            statements(&broken).expect_err("no evidence").state(),
            SqlState::DATA_CORRUPTED
        );
    }

    #[test]
    fn figures_that_are_none_are_null() {
        let one = Recommendation {
            id: 1,
            queryids: vec![i64::MAX],
            worst_queryid: Some(-5),
            speedup: Some(f64::NAN),
            speedup_high: Some(f64::INFINITY),
            write_cost_pct: Some(-2.5),
            rehearsed_at: Some(1),
            ..Recommendation::default()
        };
        let shown = serde_json::to_value(Shown::of(&one)).expect("it is data");
        for (name, wanted) in [
            ("queryids", json!(["9223372036854775807"])),
            ("worst_queryid", json!("-5")),
            ("speedup", json!(null)),
            ("speedup_high", json!(null)),
            ("write_cost_pct", json!(-2.5)),
            ("rehearsed_at", json!("1970-01-01T00:00:00.000001Z")),
            ("expires_at", json!(null)),
            ("pinned", json!(false)),
            ("verbs", json!([])),
        ] {
            assert_eq!(shown[name], wanted, "{name}");
        }
    }
}
