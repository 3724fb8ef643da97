//! The counters as Prometheus reads them (text format 0.0.4).
//!
//! Names end in their unit; a counter ends in `_total`. Times are in seconds, sizes in bytes.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use aion_db::DatabaseCounters;

use super::{CLASSES_MICROS, Counters, EDGES, Edge, Metrics, OUTCOMES, kv};

/// What this text is, for `Content-Type`.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Metrics {
    /// All counters, with those of the database.
    pub(crate) fn text(&self, database: &DatabaseCounters) -> String {
        let mut text = Text(String::with_capacity(8 * 1024));
        text.metric("aion_build_info", "gauge", "The version that runs; always 1.");
        text.sample("aion_build_info", &[("version", VERSION)], 1);
        text.metric("aion_uptime_seconds", "gauge", "Time since the server started.");
        let uptime = self.clock.monotonic().saturating_sub(self.started);
        text.sample("aion_uptime_seconds", &[], uptime.as_secs_f64());
        self.connections(&mut text);
        self.statements(&mut text);
        self.keys_and_values(&mut text);
        of_database(database, &mut text);
        text.0
    }

    fn connections(&self, text: &mut Text) {
        text.metric("aion_connections_open", "gauge", "Connections that are served now.");
        self.each(text, "aion_connections_open", |edge| &edge.connections_open);
        text.metric(
            "aion_connections_total",
            "counter",
            "Connections that were served since the start.",
        );
        self.each(text, "aion_connections_total", |edge| &edge.connections);
        text.metric(
            "aion_connections_refused_total",
            "counter",
            "Connections that were turned away because there were too many.",
        );
        self.each(text, "aion_connections_refused_total", |edge| &edge.connections_refused);
    }

    fn statements(&self, text: &mut Text) {
        text.metric(
            "aion_statements_total",
            "counter",
            "Statements that ended; cancelled is also that the client left.",
        );
        for edge in EDGES {
            for outcome in OUTCOMES {
                let count = self.of(edge).statements[outcome as usize].load(Ordering::Relaxed);
                let labels = [("edge", edge.name()), ("outcome", outcome.name())];
                text.sample("aion_statements_total", &labels, count);
            }
        }
        text.metric(
            "aion_statement_seconds",
            "histogram",
            "Time from a statement's start until its last row was handed to the connection.",
        );
        for edge in EDGES {
            let counters = self.of(edge);
            let mut count = 0;
            for (time, end) in counters.times.iter().zip(CLASSES_MICROS) {
                count += time.load(Ordering::Relaxed);
                let end = seconds(end).to_string();
                let labels = [("edge", edge.name()), ("le", end.as_str())];
                text.sample("aion_statement_seconds_bucket", &labels, count);
            }
            count += counters.times[CLASSES_MICROS.len()].load(Ordering::Relaxed);
            let labels = [("edge", edge.name()), ("le", "+Inf")];
            text.sample("aion_statement_seconds_bucket", &labels, count);
            let sum = seconds(counters.time_micros.load(Ordering::Relaxed));
            text.sample("aion_statement_seconds_sum", &labels[..1], sum);
            text.sample("aion_statement_seconds_count", &labels[..1], count);
        }
        text.metric("aion_rows_sent_total", "counter", "Rows handed to connections.");
        self.each(text, "aion_rows_sent_total", |edge| &edge.rows);
    }

    fn keys_and_values(&self, text: &mut Text) {
        // PostgreSQL's protocol has none.
        let edges = || EDGES.into_iter().filter(|edge| *edge != Edge::Pgwire);
        let name = "aion_kv_operations_total";
        text.metric(
            name,
            "counter",
            "Operations on keys that were done; of scans the pages.",
        );
        for edge in edges() {
            for (operation, counter) in kv::OPERATIONS.iter().zip(&self.of(edge).kv.operations) {
                let labels = [("edge", edge.name()), ("operation", operation)];
                text.sample(name, &labels, counter.load(Ordering::Relaxed));
            }
        }
        let name = "aion_kv_requests_total";
        text.metric(
            name,
            "counter",
            "Batches and pages that ended; unmet is that a comparison found another value.",
        );
        for edge in edges() {
            for (outcome, counter) in kv::OUTCOMES.iter().zip(&self.of(edge).kv.requests) {
                let labels = [("edge", edge.name()), ("outcome", outcome)];
                text.sample(name, &labels, counter.load(Ordering::Relaxed));
            }
        }
        let name = "aion_kv_request_seconds_total";
        text.metric(name, "counter", "Time that batches and pages took.");
        for edge in edges() {
            let micros = self.of(edge).kv.time_micros.load(Ordering::Relaxed);
            text.sample(name, &[("edge", edge.name())], seconds(micros));
        }
    }

    fn each(&self, text: &mut Text, name: &str, number: impl Fn(&Counters) -> &AtomicU64) {
        for edge in EDGES {
            let value = number(self.of(edge)).load(Ordering::Relaxed);
            text.sample(name, &[("edge", edge.name())], value);
        }
    }
}

fn of_database(counters: &DatabaseCounters, text: &mut Text) {
    let mut one = |name: &str, kind: &str, help: &str, value: &dyn Display| {
        text.metric(name, kind, help);
        text.sample(name, &[], value);
    };
    one(
        "aion_commits_total",
        "counter",
        "Transactions that were decided, rejected ones included.",
        &counters.commits,
    );
    one(
        "aion_commits_rejected_total",
        "counter",
        "Transactions that lost against another one or met a duplicate.",
        &counters.rejected,
    );
    one(
        "aion_vector_indexes_restored_total",
        "counter",
        "Vector indexes that were read from their files and not built.",
        &counters.vector_indexes_restored,
    );
    one(
        "aion_observed_bytes",
        "gauge",
        "Bytes of statements and literals that are noted.",
        &counters.observed_bytes,
    );
    one(
        "aion_observed_dropped_total",
        "counter",
        "Executions and statements that were not noted for lack of room.",
        &counters.observed_dropped,
    );
    one(
        "aion_log_index",
        "gauge",
        "The last entry of the log that queries see.",
        &counters.log_index,
    );
    one(
        "aion_history_bytes",
        "gauge",
        "Bytes of versions that were overwritten and are kept for AS OF SYSTEM TIME.",
        &counters.history_bytes,
    );
    one(
        "aion_history_horizon_seconds",
        "gauge",
        "The oldest time at which rows can be read, since 1970; 0 while no history is kept.",
        &seconds(counters.history_horizon_micros.unwrap_or(0)),
    );
    one("aion_log_syncs_total", "counter", "Syncs of the log.", &counters.syncs);
    one(
        "aion_log_sync_seconds_total",
        "counter",
        "Time spent in syncs of the log.",
        &seconds(counters.sync_micros),
    );
    one(
        "aion_log_written_bytes_total",
        "counter",
        "Bytes appended to the log.",
        &counters.log_bytes,
    );
    one(
        "aion_row_flushes_total",
        "counter",
        "Times that the rows were made durable so that the log could be shortened.",
        &counters.flushes,
    );
    one(
        "aion_query_memory_bytes",
        "gauge",
        "Memory that running queries have reserved.",
        &counters.query_memory_bytes,
    );
    one(
        "aion_query_memory_limit_bytes",
        "gauge",
        "Memory that queries may reserve together.",
        &counters.query_memory_bytes_max,
    );
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, of)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            self.line(format_args!("{open}{label}=\"{of}\""));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.line(format_args!(" {value}\n"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes all that memory holds");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use aion_base::clock::ManualClock;
    use aion_base::{Error, SqlState};

    use super::*;

    #[test]
    fn what_was_counted_is_printed() {
        let clock = Arc::new(ManualClock::at(0));
        let metrics = Metrics::new(clock.clone());
        let open = metrics.connection(Edge::Pgwire);
        drop(metrics.connection(Edge::Pgwire));
        metrics.refused(Edge::Http);
        let statement = metrics.statement(Edge::Http);
        clock.advance(Duration::from_micros(700));
        statement.rows(3);
        statement.succeeded();
        let statement = metrics.statement(Edge::Http);
        clock.advance(Duration::from_secs(400));
        statement.failed(&Error::unavailable(SqlState::QUERY_CANCELED, "cancelled"));
        drop(metrics.statement(Edge::Flight));
        let text = metrics.text(&DatabaseCounters::default());
        for line in [
            "aion_uptime_seconds 400.0007",
            "aion_connections_open{edge=\"pgwire\"} 1",
            "aion_connections_total{edge=\"pgwire\"} 2",
            "aion_connections_refused_total{edge=\"http\"} 1",
            "aion_statements_total{edge=\"http\",outcome=\"ok\"} 1",
            "aion_statements_total{edge=\"http\",outcome=\"cancelled\"} 1",
            "aion_statements_total{edge=\"flight\",outcome=\"cancelled\"} 1",
            "aion_statement_seconds_bucket{edge=\"http\",le=\"0.0005\"} 0",
            "aion_statement_seconds_bucket{edge=\"http\",le=\"0.001\"} 1",
            "aion_statement_seconds_bucket{edge=\"http\",le=\"300\"} 1",
            "aion_statement_seconds_bucket{edge=\"http\",le=\"+Inf\"} 2",
            "aion_statement_seconds_sum{edge=\"http\"} 400.0007",
            "aion_statement_seconds_count{edge=\"http\"} 2",
            "aion_rows_sent_total{edge=\"http\"} 3",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing in\n{text}");
        }
        drop(open);
    }

    /// Prometheus drops a whole page for one line that it cannot read.
    #[test]
    fn every_metric_is_explained_once_before_its_samples() {
        let text = Metrics::new(Arc::new(ManualClock::at(0))).text(&DatabaseCounters::default());
        let mut explained = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().expect("a name");
                assert!(explained.insert(name.to_owned()), "{name} twice");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().expect("a name");
                let family = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or(name);
                assert!(explained.contains(name) || explained.contains(family), "{line}");
                let value = line.rsplit(' ').next().expect("a value");
                value.parse::<f64>().expect(line);
            }
        }
    }
}
