//! Transactions: us beside PostgreSQL through pgbench, beside SQLite and RocksDB in this process.
//!
//! Each [`Row`] is measured by itself and gives a report of its own, as soon as it is there; `engine/bench/README.md` says what each
//! means. A row that cannot be measured says why, and the others go on.
//!
//! 1. PostgreSQL and `aion serve` are started over fresh directories of one disk, both with fsync, and both are filled by the real
//!    `pgbench -i`.
//! 2. Each row over the wire runs the real pgbench with the same options on one and then on the other; who begins changes with the round.
//! 3. Then the servers end. Keys and values over gRPC are put into a server of ours alone; one is killed and opened again, and one is updated for long.
//! 4. The rows in this process run: our sessions here, the peer in `aion-peers`, a process of its own. Both
//!    draw from `aion-workload`.
//!
//! **Checked.** After transactions that move money, all sums agree within each system; rows and counters are as many as pgbench counted
//! transactions; what was loaded is equal on both. No transaction of ours may have failed.
//!
//! Left out: think times, networks, replicas.

mod accounts;
mod lasting;
mod load;
mod peers;
mod pgbench;
mod puts;
mod seat;
mod servers;
mod transactions;
mod watched;
mod written;
mod ycsb;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use aion_base::{Error, Result, SqlState};

use crate::report::{Report, Unit};
use servers::Pair;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// `pgbench -S`, prepared, 8 clients.
    SelectPrepared,
    /// `pgbench -S`, simple protocol, 8 clients.
    SelectSimple,
    /// `pgbench -S`, prepared, 1 client.
    SelectOne,
    /// TPC-B, 8 clients, at each one's default level.
    Tpcb,
    /// TPC-B, 8 clients, SERIALIZABLE on both, retried.
    TpcbSerializable,
    /// One client that inserts one row at a time.
    Commits,
    /// 64 clients that update one row at READ COMMITTED.
    HotRow,
    /// INSERT of 1,000 rows at a time.
    Insert,
    /// COPY of a million rows.
    Copy,
    /// Puts of keys and values over gRPC, 8 and more of a batch, on us alone.
    KvPuts,
    /// Opening after a kill, on us alone.
    Reopen,
    /// Memory and disk after many updates, on us alone.
    Updates,
    /// Eight threads of small transactions in process, beside SQLite.
    SqliteTxns,
    /// Reads by primary key in process, beside SQLite.
    SqlitePoint,
    /// YCSB A to F in process, beside RocksDB.
    Ycsb,
    /// Bytes written for each byte given, in process, beside RocksDB.
    Written,
}

impl Row {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 16] = [
        Self::SelectPrepared,
        Self::SelectSimple,
        Self::SelectOne,
        Self::Tpcb,
        Self::TpcbSerializable,
        Self::Commits,
        Self::HotRow,
        Self::Insert,
        Self::Copy,
        Self::KvPuts,
        Self::Reopen,
        Self::Updates,
        Self::SqliteTxns,
        Self::SqlitePoint,
        Self::Ycsb,
        Self::Written,
    ];

    /// The name of its section in `RESULTS.md`: `oltp` and its name on the command line.
    pub const fn section(self) -> &'static str {
        match self {
            Self::SelectPrepared => "oltp select-prepared",
            Self::SelectSimple => "oltp select-simple",
            Self::SelectOne => "oltp select-one",
            Self::Tpcb => "oltp tpcb",
            Self::TpcbSerializable => "oltp tpcb-serializable",
            Self::Commits => "oltp commits",
            Self::HotRow => "oltp hot-row",
            Self::Insert => "oltp insert",
            Self::Copy => "oltp copy",
            Self::KvPuts => "oltp kv-puts",
            Self::Reopen => "oltp reopen",
            Self::Updates => "oltp updates",
            Self::SqliteTxns => "oltp sqlite-txns",
            Self::SqlitePoint => "oltp sqlite-point",
            Self::Ycsb => "oltp ycsb",
            Self::Written => "oltp written",
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.section().trim_start_matches("oltp ")
    }

    /// Whether it runs over the wire, beside PostgreSQL.
    fn is_served(self) -> bool {
        !self.is_alone() && !self.is_embedded()
    }

    /// Whether it runs over the wire, beside nobody.
    fn is_alone(self) -> bool {
        matches!(self, Self::KvPuts | Self::Reopen | Self::Updates)
    }

    /// Whether it runs in this process.
    fn is_embedded(self) -> bool {
        matches!(self, Self::SqliteTxns | Self::SqlitePoint | Self::Ycsb | Self::Written)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Row {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|row| row.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{text} is no row: there are {names}"),
            )
        })
    }
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which; each is measured once, in the order of [`Row::ALL`].
    pub rows: Vec<Row>,
    /// Of pgbench: 100,000 accounts each.
    pub scale: u32,
    /// Runs of each engine.
    pub rounds: usize,
    /// How long each run is, where it has no end of its own.
    pub duration: Duration,
    /// Decides what is drawn in this process. pgbench draws by itself.
    pub seed: u64,
}

/// Where a run is and whom it tells.
struct Run<'a> {
    options: &'a Options,
    /// For all files.
    folder: &'a Path,
    progress: &'a mut dyn FnMut(&str),
}

/// Measures each row with `aion serve`, which is `aion`'s own program, and files below `folder`; `found` is told of each report at once.
///
/// # Errors
/// 58P01 where a program is missing; when a server cannot be started or filled; what `found` says.
pub fn run(
    aion: &Path,
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(&str),
    found: &mut dyn FnMut(&Report) -> Result<()>,
) -> Result<()> {
    let mut run = Run {
        options,
        folder,
        progress,
    };
    let wanted = |row: &Row| options.rows.contains(row);
    let (served, others): (Vec<Row>, Vec<Row>) = Row::ALL.into_iter().filter(wanted).partition(|row| row.is_served());
    // Before anything takes its time.
    if others.iter().any(|row| row.is_embedded()) {
        peers::program(aion)?;
    }
    if !served.is_empty() {
        let mut pair = Pair::start(aion, &mut run)?;
        for row in served {
            let report = over_the_wire(row, &mut pair, &mut run);
            found(&report.unwrap_or_else(|error| unmeasured(row, &error)))?;
        }
    }
    for row in others {
        let report = match row {
            Row::KvPuts => puts::measure(aion, &mut run),
            Row::Reopen => lasting::reopen(aion, &mut run),
            Row::Updates => lasting::updates(aion, &mut run),
            _ => in_process(row, aion, &mut run),
        };
        found(&report.unwrap_or_else(|error| unmeasured(row, &error)))?;
    }
    Ok(())
}

fn over_the_wire(row: Row, pair: &mut Pair, run: &mut Run<'_>) -> Result<Report> {
    match row {
        Row::Insert => load::insert(pair, run),
        Row::Copy => load::copy(pair, run),
        _ => transactions::measure(row, pair, run),
    }
}

fn in_process(row: Row, aion: &Path, run: &mut Run<'_>) -> Result<Report> {
    match row {
        Row::SqliteTxns => accounts::transactions(aion, run),
        Row::SqlitePoint => accounts::point_reads(aion, run),
        Row::Written => written::measure(aion, run),
        _ => ycsb::measure(aion, run),
    }
}

/// The report of a row that failed.
fn unmeasured(row: Row, error: &Error) -> Report {
    Report {
        work: row.section(),
        about: "It could not be measured.".to_owned(),
        unit: Unit::PerSecond,
        lines: Vec::new(),
        notes: vec![error.to_string().replace('\n', "; ")],
        is_equal: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_their_names() {
        for row in Row::ALL {
            assert_eq!(row.name().parse::<Row>().expect("a name"), row);
            assert_eq!(row.section(), format!("oltp {row}"));
        }
        let error = "tpcc".parse::<Row>().expect_err("there is none");
        assert!(error.message().contains("select-prepared"), "{error}");
    }
}
