//! From a proposal to a verdict.

use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_shadow::recommendation::{PIPELINE, Proof, Recommendation};
use aion_shadow::state::{Kind, State, Verb};
use aion_shadow::verdict::Verdict;
use aion_sql::{PhysicalChange, Response, SessionOptions, Statement, quoted};

use super::{Pipeline, Step, stored};
use crate::rehearsal::{Change, RehearsalOptions, Rehearsed, SampleLine};
use crate::{Parts, append_rows, index_name};

/// Who waits for a rehearsal.
pub struct Progress<'a> {
    /// Asked now and then; true ends it.
    pub is_cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Told of each measured execution.
    pub sampled: &'a dyn Fn(&SampleLine),
}

impl std::fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// What is known of a change before it is rehearsed.
#[derive(Debug)]
pub struct Proposed {
    pub kind: Kind,
    pub object: String,
    pub command: String,
    pub undo_command: Option<String>,
    pub makes: Option<(String, String)>,
    pub drops: Option<(String, String)>,
    pub design: String,
    pub origin: String,
    pub queryids: Vec<i64>,
    pub calls: Option<u64>,
    pub estimated_speedup: Option<f64>,
    pub estimated_bytes: Option<u64>,
    /// Why it is proposed.
    pub reason: String,
}

impl Pipeline {
    /// Rehearses a person's own idea: it becomes a recommendation first.
    pub(super) fn rehearse_command(&self, command: &str, role: &str, progress: &Progress<'_>) -> Result<u64> {
        let work = self.begin()?;
        let id = self.recommend(command, role, &format!("{role} asked for it"))?;
        drop(work);
        self.rehearse(id, role, progress)?;
        Ok(id)
    }

    /// Makes a recommendation of a command, ready to be rehearsed.
    ///
    /// # Errors
    /// 0A000 for a command that cannot be rehearsed; what parsing and the catalog answer.
    pub(super) fn recommend(&self, command: &str, origin: &str, reason: &str) -> Result<u64> {
        if let Some(id) = self.recommend_knob(command, origin, reason)? {
            return Ok(id);
        }
        let parts = self.parts()?;
        let session = parts.session(SessionOptions::default());
        let statement = parts.rehearsable(command)?;
        let catalog = session.catalog()?;
        let next_id = self.kept.lock().next_id;
        let change = statement
            .changed_physically()
            .ok_or_else(|| Error::internal("it was found to be rehearsable"))?;
        let mut proposed = Proposed {
            kind: Kind::Index,
            object: String::new(),
            command: statement.to_sql(),
            undo_command: None,
            makes: None,
            drops: None,
            design: String::new(),
            origin: origin.to_owned(),
            queryids: Vec::new(),
            calls: None,
            estimated_speedup: None,
            estimated_bytes: None,
            reason: reason.to_owned(),
        };
        match change {
            PhysicalChange::CreateIndex {
                schema,
                table,
                name,
                columns,
            } => {
                let mut tables = catalog.tables();
                let found = tables.find(|there| there.schema == schema && there.name == table);
                let found = found.ok_or_else(|| {
                    Error::not_found(
                        SqlState::UNDEFINED_TABLE,
                        format!("relation \"{schema}.{table}\" does not exist"),
                    )
                })?;
                let name = name.unwrap_or_else(|| index_name(found, &columns, next_id));
                if catalog.table_of_index(&schema, &name).is_some() {
                    return Err(Error::conflict(
                        SqlState::DUPLICATE_TABLE,
                        format!("relation \"{name}\" already exists"),
                    ));
                }
                proposed.command = statement.with_index_name(&name);
                proposed.undo_command = Some(format!("DROP INDEX {}.{}", quoted(&schema), quoted(&name)));
                proposed.object = format!("{schema}.{table}");
                proposed.design = format!("{schema}.{table}({})", columns.join(", "));
                proposed.makes = Some((schema, name));
            }
            PhysicalChange::DropIndex { schema, name } => {
                let table = catalog.table_of_index(&schema, &name).ok_or_else(|| {
                    Error::not_found(SqlState::UNDEFINED_OBJECT, format!("index \"{name}\" does not exist"))
                })?;
                proposed.object = format!("{}.{}", table.schema, table.name);
                proposed.design = format!("drop {schema}.{name}");
                proposed.undo_command = Some(parts.index_definition(&schema, &name)?);
                proposed.drops = Some((schema, name));
            }
            PhysicalChange::Analyze { table } => {
                proposed.kind = Kind::Statistics;
                proposed.object = table.unwrap_or_else(|| "all tables".to_owned());
                proposed.design = format!("analyze {}", proposed.object);
            }
        }
        self.observe_proposal(proposed)
    }

    /// Writes a proposal down: first that it was observed, then that it is proposed.
    pub(super) fn observe_proposal(&self, proposed: Proposed) -> Result<u64> {
        let id = {
            let mut kept = self.kept.lock();
            stored::check_room(&kept)?;
            let id = kept.next_id;
            let now = self.now();
            let one = Recommendation {
                id,
                kind: proposed.kind,
                object: proposed.object,
                state: State::Observed,
                state_reason: proposed.reason,
                command: proposed.command,
                undo_command: proposed.undo_command,
                makes: proposed.makes,
                drops: proposed.drops,
                design: proposed.design,
                origin: proposed.origin,
                queryids: proposed.queryids,
                calls: proposed.calls,
                estimated_speedup: proposed.estimated_speedup,
                estimated_bytes: proposed.estimated_bytes,
                measured: None,
                upon: Vec::new(),
                basis: None,
                created_at: now,
                rehearsed_at: None,
                decided_at: now,
                decided_by: PIPELINE.to_owned(),
                applied_at: None,
                expires_at: None,
                is_pinned: false,
                undo_is_due: false,
            };
            self.write(&mut kept, one, None, None)?;
            id
        };
        let reason = match self.find(id)?.estimated_speedup {
            Some(estimated) => format!("its statements are estimated to become {estimated:.1} times as fast"),
            None => "it is to be rehearsed".to_owned(),
        };
        self.advance(id, State::Proposed, PIPELINE, &reason, None, |_| {})?;
        self.step(id, Step::Proposed);
        Ok(id)
    }

    /// Rehearses a recommendation and stores the verdict.
    ///
    /// # Errors
    /// 55000 where its state does not allow that, 55006 while another one is at work, 57014 when it is cancelled; then it is
    /// proposed again. What else keeps it from being rehearsed ends it as failed.
    pub(super) fn rehearse(&self, id: u64, by: &str, progress: &Progress<'_>) -> Result<()> {
        let mut work = self.begin()?;
        let one = self.find(id)?;
        Verb::Rehearse.check(id, one.state)?;
        if one.kind == Kind::Knob {
            return self.rehearse_knob(&one, by, progress);
        }
        if one.kind == Kind::Model {
            return Err(Error::unsupported(format!(
                "recommendation {id} is a model: it is judged by its predictions while statements run"
            )));
        }
        let program = self.options.learning.program.clone().ok_or_else(|| {
            Error::unavailable(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "nothing can be rehearsed here: this process does not know the program aion, which does it",
            )
            .with_hint("Use `aion serve` or `aion ai rehearse --data DIR`.")
        })?;
        let parts = self.parts()?;
        let upon = self.ready_on(&one);
        let given: Vec<String> = upon.iter().map(|one| one.command.clone()).collect();
        let made = upon
            .iter()
            .filter_map(|one| one.makes.as_ref().map(|makes| makes.1.clone()));
        let basis = parts.basis(&one.object, made)?;
        let upon: Vec<u64> = upon.iter().map(|one| one.id).collect();
        self.advance(id, State::Rehearsing, by, "its rehearsal began", None, |one| {
            one.upon.clone_from(&upon);
            one.basis = basis;
        })?;
        self.step(id, Step::Rehearsing);
        let options = RehearsalOptions {
            program,
            budget: self.options.learning.budget,
            time: self.options.learning.rehearsal_time,
            seed: seed(id),
            compares_all: false,
            clone_bytes_max: self.options.learning.clone_bytes_max,
        };
        let change = Change {
            command: &one.command,
            // What an index leaves when it is dropped, no statement sees.
            undo_command: one.undo_command.as_deref().filter(|_| one.makes.is_some()),
            given: &given,
            commits: Some(self.commits_of_others()?),
        };
        let rehearsed = self.counted(|| {
            let mut record = |sample: &SampleLine| (progress.sampled)(sample);
            parts.rehearse(change, &options, &mut work, progress.is_cancelled, &mut record)
        });
        self.count(work.take_spent());
        match rehearsed {
            Ok(rehearsed) => self.judge(id, rehearsed),
            Err(error) if error.state() == SqlState::QUERY_CANCELED && (progress.is_cancelled)() => {
                self.advance(id, State::Proposed, by, "its rehearsal was cancelled", None, |_| {})?;
                Err(error)
            }
            Err(error) => {
                self.advance(id, State::Failed, PIPELINE, error.message(), None, |_| {})?;
                Err(error)
            }
        }
    }

    fn judge(&self, id: u64, rehearsed: Rehearsed) -> Result<()> {
        self.step(id, Step::Judged);
        let queries = rehearsed.fingerprints.iter().map(|one| one.query.to_string());
        let proof = Proof {
            seed: rehearsed.seed,
            had_time: rehearsed.had_time,
            budget: rehearsed.budget,
            queries: queries.collect(),
            evidence: rehearsed.evidence,
            verdict: rehearsed.verdict,
        };
        let summary = proof.summary();
        let (to, reason) = match &proof.verdict {
            Verdict::Ready => {
                let [point, low, high] = summary.speedup.unwrap_or_default();
                let shown = format!("shown to pay: {point:.2}x ({low:.2} to {high:.2})");
                (State::Ready, shown)
            }
            Verdict::Rejected(why) => (State::Rejected, why.clone()),
            Verdict::Undecided => return Err(Error::internal("a rehearsal ended undecided")),
        };
        self.advance(id, to, PIPELINE, &reason, Some(&proof.into()), |one| {
            if one.queryids.is_empty() {
                let promises = summary.promises.iter();
                let gained = promises.filter(|promise| promise.candidate_ms * 1.1 < promise.incumbent_ms);
                one.queryids = gained.map(|promise| promise.queryid).collect();
            }
            one.measured = Some(summary);
        })?;
        self.step(id, Step::Decided);
        Ok(())
    }

    /// What is ready on the same table, in the order that it became so.
    fn ready_on(&self, one: &Recommendation) -> Vec<Recommendation> {
        let kept = self.kept.lock();
        let ready = kept.recommendations.values().filter(|there| {
            there.state == State::Ready && there.object == one.object && there.id != one.id && there.kind == Kind::Index
        });
        let mut ready: Vec<Recommendation> = ready.cloned().collect();
        ready.sort_by_key(|one| one.rehearsed_at);
        ready
    }
}

/// The seed of a rehearsal: another one for each recommendation, and the same when it is looked at again.
pub(super) fn seed(id: u64) -> u64 {
    0xa10a_0000 + id
}

impl Parts {
    /// What a table's plans depend on besides its rows: columns and indexes, those among them that are to be made. None where it is no
    /// table.
    pub(super) fn basis(&self, object: &str, to_be_made: impl Iterator<Item = String>) -> Result<Option<String>> {
        let catalog = self.session(SessionOptions::default()).catalog()?;
        let mut tables = catalog.tables();
        let Some(table) = tables.find(|table| format!("{}.{}", table.schema, table.name) == object) else {
            return Ok(None);
        };
        let columns = table
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.sql_type));
        let columns: Vec<String> = columns.collect();
        let mut indexes: Vec<String> = table.indexes.iter().map(|index| index.name.clone()).collect();
        indexes.extend(to_be_made);
        indexes.sort_unstable();
        indexes.dedup();
        Ok(Some(format!(
            "{}: {}; {}",
            table.id.0,
            columns.join(", "),
            indexes.join(", ")
        )))
    }

    /// The command that would make an index that is there.
    fn index_definition(&self, schema: &str, name: &str) -> Result<String> {
        let mut session = self.session(SessionOptions::default());
        session.set("aion.ai_mode", "off")?;
        let query = "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND indexname = $2";
        let rows = self.runtime.block_on(async {
            let statement = session.parse(query)?.into_iter().next();
            let statement = statement.ok_or_else(|| Error::internal("a query of ours is one"))?;
            let prepared = session.prepare(&statement, &[]).await?;
            let values = [schema, name].map(|text| Value::Text(text.to_owned()));
            let Response::Rows(mut rows) = session.execute(&prepared, &values).await? else {
                return Err(Error::internal("a query gives rows"));
            };
            let columns = rows.columns().clone();
            let mut read = Vec::new();
            while let Some(batch) = rows.next().await? {
                append_rows(&batch, &columns, &mut read)?;
            }
            Ok(read)
        })?;
        let definition = rows.into_iter().flatten().flatten().next();
        definition
            .ok_or_else(|| Error::not_found(SqlState::UNDEFINED_OBJECT, format!("index \"{name}\" does not exist")))
    }

    /// The one statement of a command that can be rehearsed.
    pub(crate) fn rehearsable(&self, command: &str) -> Result<Statement> {
        let session = self.session(SessionOptions::default());
        let mut statements = session.parse(command)?;
        match (statements.pop(), statements.len()) {
            (Some(statement), 0) if statement.changed_physically().is_some() => Ok(statement),
            (Some(_), 0) => Err(
                Error::unsupported("only CREATE INDEX, DROP INDEX and ANALYZE can be rehearsed").with_hint(
                    "A statement that changes rows or definitions would change answers, which no rehearsal may.",
                ),
            ),
            (_, others) => Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                format!("one command is rehearsed at a time; there are {}", others + 1),
            )),
        }
    }
}
