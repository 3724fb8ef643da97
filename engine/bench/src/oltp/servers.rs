//! Both servers, filled alike.

use std::path::Path;

use aion_base::{Error, Result};

use super::{Run, pgbench};
use crate::client::Client;
use crate::postgres::Postgres;
use crate::served::Served;

/// What tells the tables of pgbench apart.
const MADE: [&str; 6] = [
    "SELECT count(*) FROM pgbench_accounts",
    "SELECT sum(aid) FROM pgbench_accounts",
    "SELECT sum(bid) FROM pgbench_accounts",
    "SELECT count(*) FROM pgbench_tellers",
    "SELECT count(*) FROM pgbench_branches",
    "SELECT count(*) FROM pgbench_history",
];

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Us.
    Aion,
    /// The peer.
    Postgres,
}

impl Side {
    /// Both, us first.
    pub const BOTH: [Self; 2] = [Self::Aion, Self::Postgres];

    /// Both, in the order of a round, counted from 1: who begins changes.
    pub fn of_round(round: usize) -> [Self; 2] {
        match round % 2 {
            1 => Self::BOTH,
            _ => [Self::Postgres, Self::Aion],
        }
    }
}

/// See the module's header.
#[derive(Debug)]
pub struct Pair {
    aion: Served,
    postgres: Postgres,
    /// What came of filling both, once that was tried.
    filled: Option<Result<(), String>>,
}

impl Pair {
    /// Starts both over fresh directories.
    ///
    /// # Errors
    /// 58P01 where a program is missing; when one does not start.
    pub fn start(aion: &Path, run: &mut Run<'_>) -> Result<Self> {
        pgbench::find()?;
        (run.progress)("starting PostgreSQL and Aion");
        let postgres = Postgres::start(run.folder)?;
        let aion = Served::start(aion, &run.folder.join("aion"))?;
        let pair = Self {
            aion,
            postgres,
            filled: None,
        };
        // Durable like us, or the figures say nothing.
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let shown = pair.client(Side::Postgres)?.query(&format!("SHOW {setting}"))?;
            if shown != [[Some("on".to_owned())]] {
                return Err(Error::internal(format!("PostgreSQL runs with {setting} {shown:?}")));
            }
        }
        Ok(pair)
    }

    /// Fills both by `pgbench -i`, unless they are, and compares what it made. It takes minutes, and is tried once.
    ///
    /// # Errors
    /// What pgbench or a server said; internal where they differ.
    pub fn fill(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.filled.is_none() {
            let filled = self.try_fill(run).map_err(|error| error.to_string());
            self.filled = Some(filled);
        }
        match &self.filled {
            Some(Err(error)) => Err(Error::internal(error.clone())),
            _ => Ok(()),
        }
    }

    fn try_fill(&self, run: &mut Run<'_>) -> Result<()> {
        for side in Side::BOTH {
            let what = format!("pgbench -i -s {} on {}", run.options.scale, self.name(side));
            (run.progress)(&what);
            pgbench::initialize(self.port(side), run.options.scale, &what, run.progress)?;
        }
        (run.progress)("comparing what pgbench made");
        for sql in MADE {
            let (ours, theirs) = (self.number(Side::Aion, sql)?, self.number(Side::Postgres, sql)?);
            if ours != theirs {
                return Err(Error::internal(format!(
                    "pgbench made other tables: Aion answers {ours}, PostgreSQL {theirs} ({sql})"
                )));
            }
        }
        Ok(())
    }

    /// The port of one.
    pub fn port(&self, side: Side) -> u16 {
        match side {
            Side::Aion => self.aion.port(),
            Side::Postgres => self.postgres.port(),
        }
    }

    /// The name of one, with PostgreSQL's version.
    pub fn name(&self, side: Side) -> String {
        match side {
            Side::Aion => "Aion".to_owned(),
            Side::Postgres => self.postgres.name(),
        }
    }

    /// A connection to one.
    ///
    /// # Errors
    /// 08000 where it does not listen any more.
    pub fn client(&self, side: Side) -> Result<Client> {
        Client::connect(self.port(side), "aion")
    }

    /// Runs statements on both.
    ///
    /// # Errors
    /// What a server answered.
    pub fn run(&self, sql: &str) -> Result<()> {
        Side::BOTH.into_iter().try_for_each(|side| self.client(side)?.run(sql))
    }

    /// One number.
    ///
    /// # Errors
    /// What the server answered; internal for something else than a number.
    pub fn number(&self, side: Side, sql: &str) -> Result<i64> {
        let rows = self.client(side)?.query(sql)?;
        let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
        let number = cell.as_deref().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Error::internal(format!("{rows:?} is no number ({sql})")))
    }
}
