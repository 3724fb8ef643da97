//! Which indexes would pay for the captured workload, by estimate.
//!
//! 1. Of each captured statement that only reads, the most frequent literals ([`LITERALS_MAX`]) are planned again; their plans say
//!    what the statement asks of its tables. One that can no longer be planned is left out, and named.
//! 2. The optimizer's core makes candidates of that and asks what each would save: the statements are planned once more with
//!    the candidate as a hypothetical index.
//! 3. What remains is named as the command that would make it.
//!
//! Nothing is run and nothing is changed. Without ANALYZE the estimates are defaults, so statements over such tables are left out.

use std::sync::Arc;

use aion_base::observation::Fingerprint;
use aion_base::{Error, Result, SqlState};
use aion_catalog::Value;
use aion_catalog::descriptor::{ColumnId, IndexMethod, TableDescriptor};
use aion_catalog::keys::check_key_type;
use aion_catalog::objects::Catalog;
use aion_optimizer_core::advisor::{self, Limits};
use aion_optimizer_core::candidates::candidates;
use aion_optimizer_core::workload::{IndexDesign, Template};
use aion_shadow::captured::{Literals, Statement};
use aion_sql::{HypotheticalIndex, Prepared, Session, SessionOptions};

use crate::Parts;
use crate::observed::prepare_captured;

/// Sets of literals of a statement that are planned.
const LITERALS_MAX: usize = 3;
/// What an entry of an index takes beside its columns and the row's key: its place in a block, version and checksums.
const ENTRY_BYTES: f64 = 24.0;

/// An index that is estimated to pay.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexAdvice {
    /// Its name.
    pub name: String,
    /// Schema and name of its table.
    pub table: (String, String),
    /// Its columns, most significant first.
    pub columns: Vec<String>,
    /// How large it would be.
    pub size_bytes: u64,
    /// The workload's estimated cost without it over that with it alone.
    pub estimated_speedup: f64,
    /// The statements that would be cheaper.
    pub statements: Vec<Fingerprint>,
    /// Their executions.
    pub calls: u64,
}

impl IndexAdvice {
    /// What makes it.
    pub fn command(&self) -> String {
        let quoted: Vec<String> = self.columns.iter().map(|name| aion_sql::quoted(name)).collect();
        format!(
            "CREATE INDEX {} ON {}.{} ({})",
            aion_sql::quoted(&self.name),
            aion_sql::quoted(&self.table.0),
            aion_sql::quoted(&self.table.1),
            quoted.join(", ")
        )
    }

    /// What takes it back.
    pub fn undo_command(&self) -> String {
        format!(
            "DROP INDEX {}.{}",
            aion_sql::quoted(&self.table.0),
            aion_sql::quoted(&self.name)
        )
    }

    /// The same as a recommendation with this id.
    pub(crate) fn named(self, id: u64) -> Self {
        Self {
            name: name_of(&self.table.1, &self.columns, &id.to_string()),
            ..self
        }
    }
}

/// What came of looking at the workload.
#[derive(Clone, Debug, Default)]
pub struct Advice {
    /// The most worthwhile first.
    pub indexes: Vec<IndexAdvice>,
    /// Statements that were looked at.
    pub statements: usize,
    /// Indexes that were considered.
    pub candidates: usize,
    /// Statements that were left out, and why.
    pub left_out: Vec<(Fingerprint, String)>,
}

impl Parts {
    /// Looks for indexes that would pay for the statements that ran. Blocks, and so is not called from a task.
    ///
    /// # Errors
    /// 55000 where statements are not observed; what the planner answers.
    pub(crate) fn advise(&self, limits: &Limits) -> Result<Advice> {
        let Some(observed) = &self.observed else {
            return Err(Error::unavailable(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "nothing is known of the workload: the mode of the learned parts is off",
            )
            .with_hint("Open the database in mode shadow, and let the workload run."));
        };
        let mut planner = Planner {
            parts: self,
            session: self.session(SessionOptions::default()),
            statements: Vec::new(),
            catalog: Arc::default(),
        };
        // What the advisor plans is no workload.
        planner.session.set("aion.ai_mode", "off")?;
        let mut advice = Advice::default();
        let mut templates = Vec::new();
        for statement in observed.workload() {
            match planner.add(&statement) {
                Ok(template) => templates.extend(template),
                Err(error) => advice
                    .left_out
                    .push((statement.fingerprint, error.message().to_owned())),
            }
        }
        let existing = existing(&planner.catalog);
        let mut candidates = candidates(&templates, &existing);
        candidates.retain(|candidate| can_be_keys(candidate, &planner.catalog));
        advice.statements = templates.len();
        advice.candidates = candidates.len();
        let proposals = advisor::advise(&templates, &candidates, limits, &mut planner)?;
        for proposal in proposals {
            let calls = templates.iter().filter(|one| proposal.queryids.contains(&one.queryid));
            let calls = calls.map(|one| one.calls).sum();
            let statements = planner.statements.iter().map(|planned| &planned.fingerprint);
            let statements = statements
                .filter(|one| proposal.queryids.contains(&one.queryid))
                .cloned();
            let statements = statements.collect();
            advice
                .indexes
                .push(named(&proposal, statements, calls, &planner.catalog)?);
        }
        Ok(advice)
    }
}

/// Indexes that are there, the primary keys among them.
fn existing(catalog: &Catalog) -> Vec<IndexDesign> {
    let of_table = |table: &Arc<TableDescriptor>| {
        let ordered = table
            .indexes
            .iter()
            .filter(|index| index.method == IndexMethod::Ordered && !index.is_computed());
        let indexes = ordered.map(|index| index.columns.iter().map(|column| column.column).collect());
        let columns: Vec<Vec<ColumnId>> = std::iter::once(table.primary_key.clone()).chain(indexes).collect();
        let table = table.id;
        columns.into_iter().map(move |columns| IndexDesign { table, columns })
    };
    catalog.tables().flat_map(of_table).collect()
}

/// Whether all columns of a design are of types that an ordered index takes.
fn can_be_keys(design: &IndexDesign, catalog: &Catalog) -> bool {
    let Some(table) = catalog.tables().find(|table| table.id == design.table) else {
        return false;
    };
    design.columns.iter().all(|&id| {
        let column = table.position_of(id).map(|at| &table.columns[at]);
        column.is_some_and(|column| check_key_type(column.sql_type, &column.name).is_ok())
    })
}

/// A proposal by the names of the catalog.
fn named(
    proposal: &advisor::Proposal,
    statements: Vec<Fingerprint>,
    calls: u64,
    catalog: &Catalog,
) -> Result<IndexAdvice> {
    let mut tables = catalog.tables();
    let table = tables.find(|table| table.id == proposal.index.table);
    let table = table.ok_or_else(|| Error::internal("an index is proposed for a table that is gone"))?;
    let names = proposal.index.columns.iter().filter_map(|&id| table.position_of(id));
    let columns: Vec<String> = names.map(|at| table.columns[at].name.clone()).collect();
    Ok(IndexAdvice {
        name: index_name(table, &columns, 1),
        table: (table.schema.clone(), table.name.clone()),
        columns,
        size_bytes: proposal.size_bytes,
        estimated_speedup: proposal.estimated_speedup,
        statements,
        calls,
    })
}

/// The first free name of an index, with numbers from `first` on where the plain one is taken.
pub(crate) fn index_name(table: &TableDescriptor, columns: &[String], first: u64) -> String {
    let mut number = first;
    let mut name = match first {
        1 => name_of(&table.name, columns, ""),
        _ => name_of(&table.name, columns, &number.to_string()),
    };
    while table.index(&name).is_some() {
        number += 1;
        name = name_of(&table.name, columns, &number.to_string());
    }
    name
}

/// `aion_TABLE_COLUMNS_NUMBER`, the front cut to what a name may have.
fn name_of(table: &str, columns: &[String], number: &str) -> String {
    let front = format!("aion_{table}_{}", columns.join("_"));
    let back = match number {
        "" => String::new(),
        number => format!("_{number}"),
    };
    let most = aion_catalog::descriptor::NAME_BYTES_MAX - back.len();
    let end = (0..=front.len().min(most)).rev().find(|&at| front.is_char_boundary(at));
    format!("{}{back}", &front[..end.unwrap_or(0)])
}

/// A statement with the literals that it is planned with.
struct Planned {
    fingerprint: Fingerprint,
    /// Prepared, its values, and how often they were drawn.
    samples: Vec<Sample>,
}

struct Sample {
    search_path: String,
    prepared: Arc<Prepared>,
    values: Vec<Value>,
    count: u64,
}

/// Plans the workload, with and without hypothetical indexes.
struct Planner<'a> {
    parts: &'a Parts,
    session: Session,
    statements: Vec<Planned>,
    catalog: Arc<Catalog>,
}

impl Planner<'_> {
    /// Takes a statement into the workload; None for one that has nothing to gain from an index.
    fn add(&mut self, statement: &Statement) -> Result<Option<Template>> {
        if !statement.is_read_only || statement.literals.is_empty() {
            return Ok(None);
        }
        let mut literals: Vec<&Literals> = statement.literals.iter().collect();
        literals.sort_by_key(|one| std::cmp::Reverse(one.count));
        let mut samples = Vec::new();
        for literals in literals.into_iter().take(LITERALS_MAX) {
            samples.push(self.prepare(literals)?);
        }
        let first = samples
            .first()
            .ok_or_else(|| Error::internal("a statement has literals"))?;
        let planned = self.plan(first, &[])?;
        let uses = aion_optimizer_rules::uses::uses(&planned.plan, &planned.catalog, &planned.search_path)
            .map_err(|error| Error::internal(format!("a plan cannot be walked: {error}")))?;
        if uses.is_empty() {
            return Ok(None);
        }
        let is_known = |table| self.parts.engine.statistics_of(table).is_some();
        if let Some(unknown) = uses.iter().find(|usage| !is_known(usage.table)) {
            let name = planned.catalog.tables().find(|table| table.id == unknown.table);
            let name = name.map_or_else(String::new, |table| table.name.clone());
            return Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("nothing is known of the table \"{name}\": run ANALYZE"),
            ));
        }
        self.catalog = planned.catalog;
        self.statements.push(Planned {
            fingerprint: statement.fingerprint.clone(),
            samples,
        });
        Ok(Some(Template {
            queryid: statement.fingerprint.queryid,
            calls: statement.calls,
            uses,
        }))
    }

    fn prepare(&mut self, literals: &Literals) -> Result<Sample> {
        let preparing = prepare_captured(&mut self.session, literals);
        let (prepared, values) = self.parts.runtime.block_on(preparing)?;
        Ok(Sample {
            search_path: literals.search_path.clone(),
            values,
            prepared,
            count: literals.count,
        })
    }

    fn plan(&mut self, sample: &Sample, indexes: &[HypotheticalIndex]) -> Result<aion_sql::WhatIf> {
        self.session.set("search_path", &sample.search_path)?;
        let planning = self.session.what_if(&sample.prepared, &sample.values, indexes);
        self.parts.runtime.block_on(planning)
    }
}

impl advisor::WhatIf for Planner<'_> {
    /// The mean over the statement's literals, by how often they were drawn.
    fn cost(&mut self, template: usize, indexes: &[IndexDesign]) -> Result<f64> {
        let hypothetical: Vec<HypotheticalIndex> = indexes
            .iter()
            .map(|index| HypotheticalIndex {
                table: index.table,
                columns: index.columns.clone(),
            })
            .collect();
        let samples = std::mem::take(&mut self.statements[template].samples);
        let mut costs = Ok((0.0, 0.0));
        for sample in &samples {
            costs = costs.and_then(|(sum, count): (f64, f64)| {
                let weight = sample.count.max(1) as f64;
                let planned = self.plan(sample, &hypothetical)?;
                Ok((sum + weight * planned.cost, count + weight))
            });
        }
        self.statements[template].samples = samples;
        costs.map(|(sum, count)| sum / count.max(1.0))
    }

    fn size_bytes(&mut self, index: &IndexDesign) -> Result<u64> {
        let statistics = self.parts.engine.statistics_of(index.table);
        let statistics = statistics.ok_or_else(|| Error::internal("a candidate's table has statistics"))?;
        let table = self.catalog.tables().find(|table| table.id == index.table);
        let key = table.map(|table| table.primary_key.clone()).unwrap_or_default();
        let columns = index
            .columns
            .iter()
            .chain(key.iter().filter(|column| !index.columns.contains(column)));
        let widths = columns.filter_map(|&column| statistics.column(column));
        let width: f64 = widths.map(|column| column.average_width).sum();
        Ok((statistics.rows as f64 * (width + ENTRY_BYTES)) as u64)
    }
}
