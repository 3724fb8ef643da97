//! What runs at this moment: sessions and their locks.

use aion_base::Result;
use aion_base::key::KeyReader;
use aion_storage::{LockEntry, LockMode};

use super::cells::{Cell, Row, row};
use super::facts::Facts;
use super::{Definition, oids};
use crate::activity::Doing;
use crate::advisory::Key;

/// Locks that are shown, at most: there may be millions.
const LOCKS_MAX: usize = 10_000;

pub(super) const TABLES: &[Definition] = &[
    Definition::new(
        "pg_stat_activity",
        0,
        "datid oid, datname name, pid int4, leader_pid int4, usesysid oid, usename name, application_name text, client_addr text, \
         client_hostname text, client_port int4, backend_start timestamptz, xact_start timestamptz, query_start timestamptz, \
         state_change timestamptz, wait_event_type text, wait_event text, state text, backend_xid oid, backend_xmin oid, \
         query_id int8, query text, backend_type text",
        activity,
    ),
    // Rows are locked here, and nothing else; the key says which, as far as it is known.
    Definition::new(
        "pg_locks",
        0,
        "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, transactionid oid, classid oid, \
         objid oid, objsubid int2, virtualtransaction text, pid int4, mode text, granted bool, fastpath bool, \
         waitstart timestamptz",
        locks,
    ),
    // One row: what AS OF SYSTEM TIME can read.
    Definition::new(
        "history",
        0,
        "retention text, horizon timestamptz, bytes int8, snapshot_age_max text",
        history,
    )
    .in_schema("aion"),
];

fn history(facts: &Facts) -> Result<Vec<Row>> {
    let store = &facts.identity.store;
    let micros = |at: aion_base::id::Timestamp| i64::try_from(at.0).unwrap_or(i64::MAX);
    let horizon = time(store.horizon().map(micros));
    let setting = |name: &str| facts.identity.settings.show(name).unwrap_or_default();
    let bytes = i64::try_from(store.history_bytes()).unwrap_or(i64::MAX);
    let mut row = row![setting("history_retention")];
    row.push(horizon);
    row.extend(row![bytes, setting("snapshot_age_max")]);
    Ok(vec![row])
}

fn time(at: Option<i64>) -> Cell {
    at.map_or(Cell::Null, Cell::Time)
}

fn activity(facts: &Facts) -> Result<Vec<Row>> {
    let waiting = facts.identity.locks.list(LOCKS_MAX);
    let rows = facts.identity.activity.all().into_iter().map(|seat| {
        let state = seat.state();
        let label = format!("process {}", seat.process_id());
        let is_waiting = waiting
            .iter()
            .any(|lock| !lock.is_granted && lock.label.as_deref() == Some(label.as_str()));
        let (wait_type, wait) = match (is_waiting, state.doing) {
            (true, _) => (Cell::from("Lock"), Cell::from("tuple")),
            (false, Doing::Active) => (Cell::Null, Cell::Null),
            (false, _) => (Cell::from("Client"), Cell::from("ClientRead")),
        };
        row![
            oids::DATABASE,
            seat.database(),
            seat.process_id(),
            Cell::Null,
            oids::OWNER,
            seat.user(),
            state.application.clone(),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Time(seat.began_at()),
            time(state.transaction_began_at),
            time(state.statement_began_at),
            time(state.changed_at),
            wait_type,
            wait,
            state.doing.name(),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            state.shown().map_or(Cell::Null, Cell::from),
            "client backend"
        ]
    });
    Ok(rows.collect())
}

fn locks(facts: &Facts) -> Result<Vec<Row>> {
    let process_of = |label: Option<&str>| label.and_then(|label| label.strip_prefix("process ")?.parse::<i32>().ok());
    let advisory = |key: Key, is_shared: bool, process: Option<i32>, is_granted: bool, since: Cell| {
        let (class, object, part) = key.shown();
        row![
            "advisory",
            oids::DATABASE,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            class,
            object,
            part,
            process.map_or(Cell::Null, |process| Cell::from(process.to_string())),
            process.map_or(Cell::Null, Cell::from),
            if is_shared { "ShareLock" } else { "ExclusiveLock" },
            is_granted,
            false,
            since
        ]
    };
    let (held, owners) = facts.identity.advisories.held();
    let held = held.into_iter().map(|held| {
        advisory(
            held.key,
            held.is_shared,
            process_of(held.label.as_deref()),
            true,
            Cell::Null,
        )
    });
    let listed = facts.identity.locks.list(LOCKS_MAX);
    // Those that are held are listed by who holds them: a key that one holds has no name in the table of locks.
    let is_listed = |lock: &LockEntry| !(lock.is_granted && owners.contains(&lock.owner));
    let rows = listed.into_iter().filter(is_listed).map(|lock| {
        let since = time(lock.waiting_since_micros.and_then(|at| i64::try_from(at).ok()));
        if let Some(key) = lock.key_prefix.as_deref().and_then(Key::of_bytes) {
            let is_shared = lock.mode == LockMode::Share;
            return advisory(
                key,
                is_shared,
                process_of(lock.label.as_deref()),
                lock.is_granted,
                since,
            );
        }
        let storage = lock
            .key_prefix
            .as_deref()
            .and_then(|key| KeyReader::new(key).table().ok());
        let relation = storage.and_then(|(storage, _)| {
            let mut tables = facts.catalog.tables();
            tables
                .find(|table| table.storage == storage)
                .map(|table| oids::table(table.id))
        });
        let process = process_of(lock.label.as_deref());
        row![
            "tuple",
            oids::DATABASE,
            relation.map_or(Cell::Null, Cell::from),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            Cell::Null,
            format!("{}", lock.owner.0),
            process.map_or(Cell::Null, Cell::from),
            lock.mode.to_string(),
            lock.is_granted,
            false,
            since
        ]
    });
    Ok(held.chain(rows).collect())
}
