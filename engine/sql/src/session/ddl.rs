//! Definitions: what each kind changes is computed in a module of its own, and written here.
//!
//! A definition is computed against the catalog that the transaction sees and goes into it as changes of keys. Rows are not touched
//! one by one: a table that is dropped, truncated or rewritten leaves its storage, which is then nobody's (see [`crate::storages`]);
//! what a new storage or index holds is written beside the transaction, where nobody else sees it before the commit.

use std::sync::Arc;

use aion_base::id::{IndexId, TableId};
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::{IndexDescriptor, ViewDescriptor};
use aion_catalog::objects::{self, Catalog, KeyChange};
use aion_catalog::{SqlType, Value};
use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use super::index::not_unique;
use super::online::Building;
use super::query::{conform, run};
use super::rewriting::contains_nulls;
use super::{Session, parameters};
use crate::cancel::Cancellation;
use crate::dml::{ManyRows, RowEncoder, RowRules, first_null, normalize, reference, unchecked_schema};
use crate::parse::Statement;
use crate::planner::{Planned, find_type, settle_definition};
use crate::references::{Tie, check_rows};
use crate::response::Response;
use crate::storages::PrivateRange;
use crate::table::{StatementContext, TableShape};
use crate::transaction::Transaction;
use crate::views;

/// What a definition changes, and its tag.
pub(super) struct Definition {
    /// What the queries below must see already: the sequences of new columns.
    pub first: Vec<KeyChange>,
    pub changes: Vec<KeyChange>,
    /// Ranges whose keys are nobody's any more.
    pub retired: Vec<KeyRange>,
    /// Ranges that are this transaction's until it commits.
    pub private: Vec<PrivateRange>,
    /// Indexes, by their storage, whose ranges are to become private: new ones, which nobody knows of.
    pub indexed: Vec<(TableId, IndexId)>,
    /// Single keys that go.
    pub cleared: Vec<Vec<u8>>,
    /// Tables to be filled from a query over what they were.
    pub rewritten: Vec<Rewrite>,
    /// Indexes to be filled from the rows of their tables.
    pub filled: Vec<(Arc<TableShape>, IndexDescriptor)>,
    /// Foreign keys whose rows must all refer to something.
    pub tied: Vec<Arc<Tie>>,
    /// Conditions that no row may break: a query that finds one that does, and what to say then.
    pub verified: Vec<(ast::Statement, Breach)>,
    /// An index is built in memory once it is committed.
    pub has_graph: bool,
    /// An index is filled once it is committed.
    pub building: Option<Building>,
    /// Keys of descriptors that it is right with only while they are as they were.
    pub required: Vec<Vec<u8>>,
    pub tag: &'static str,
    /// The tag is that of a SELECT of the rows that were written.
    pub is_counted: bool,
    pub notices: Vec<(SqlState, String)>,
}

/// What to say of a condition that a row breaks.
pub(super) type Breach = Box<dyn Fn() -> Error + Send + Sync>;

/// A table that gets all its rows anew.
pub(super) struct Rewrite {
    pub from: Filling,
    pub to: Arc<TableShape>,
}

/// What gives the columns of a table, from what was there before.
pub(super) enum Filling {
    /// A query, with the types and values of its parameters.
    Query(Box<ast::Statement>, Vec<SqlType>, Vec<Value>),
    /// What a materialized view is made of.
    View(Arc<ViewDescriptor>),
}

impl Definition {
    pub fn new(tag: &'static str, changes: Vec<KeyChange>) -> Self {
        Self {
            first: Vec::new(),
            changes,
            retired: Vec::new(),
            private: Vec::new(),
            indexed: Vec::new(),
            cleared: Vec::new(),
            rewritten: Vec::new(),
            filled: Vec::new(),
            tied: Vec::new(),
            verified: Vec::new(),
            has_graph: false,
            building: None,
            required: Vec::new(),
            tag,
            is_counted: false,
            notices: Vec::new(),
        }
    }

    /// IF [NOT] EXISTS: nothing to do, and a notice says so.
    pub fn nothing(tag: &'static str, state: SqlState, notice: String) -> Self {
        let mut nothing = Self::new(tag, Vec::new());
        nothing.notices.push((state, notice));
        nothing
    }

    /// With what another definition changes; the tag and the counts stay.
    pub fn absorb(&mut self, other: Self) {
        self.first.extend(other.first);
        self.changes.extend(other.changes);
        self.retired.extend(other.retired);
        self.private.extend(other.private);
        self.indexed.extend(other.indexed);
        self.cleared.extend(other.cleared);
        self.rewritten.extend(other.rewritten);
        self.filled.extend(other.filled);
        self.tied.extend(other.tied);
        self.verified.extend(other.verified);
        self.has_graph |= other.has_graph;
        self.required.extend(other.required);
        self.notices.extend(other.notices);
    }

    /// A range is nobody's from the commit on.
    pub fn retire(&mut self, range: KeyRange) {
        self.changes.push(objects::retire(&range));
        self.retired.push(range);
    }

    /// A private range is somebody's from the commit on.
    pub fn keep(&mut self, private: PrivateRange) {
        self.changes.push(private.keep());
        self.private.push(private);
    }
}

impl Session {
    pub(super) async fn define(&mut self, statement: &Statement, cancellation: &Cancellation) -> Result<Response> {
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let definition = self.definition(statement, &catalog)?;
        let response = self.establish(definition, &transaction, cancellation).await?;
        self.end_temporary_alone().await?;
        Ok(response)
    }

    /// Writes a definition, and commits it outside of a transaction block.
    pub(super) async fn establish(
        &mut self,
        mut definition: Definition,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<Response> {
        let limit = self.time_limit(cancellation);
        for key in &definition.required {
            transaction.require_unchanged(KeyRange::point(key))?;
        }
        for (storage, index) in std::mem::take(&mut definition.indexed) {
            let own = transaction.private(&KeyRange::index(storage, index));
            definition.keep(match own {
                // Of an index that was made behind a savepoint, and went when the block came back to it.
                Some(private) => {
                    self.engine.storages.empty(&private)?;
                    private
                }
                None => {
                    let seen = transaction.unchanged(KeyRange::point(&objects::version_key()))?;
                    self.engine.storages.private_index(storage, index, seen)?
                }
            });
        }
        transaction.save();
        for private in &definition.private {
            transaction.adopt(private.clone());
        }
        let rows = self.apply(transaction, &definition, cancellation).await;
        let rows = rows.inspect_err(|_| transaction.restore())?;
        // What is committed from here on has taken effect.
        drop(limit);
        match &mut self.block {
            Some(block) => block.has_changed_catalog |= !definition.changes.is_empty(),
            None => self.commit(transaction).await?,
        }
        // Whoever made an index expects the next search to use it.
        if definition.has_graph && self.block.is_none() {
            self.engine.build_indexes().await?;
        }
        if let Some(building) = definition.building {
            self.build(building, cancellation).await?;
        }
        for (state, notice) in definition.notices {
            self.notice(state, notice);
        }
        let tag = match definition.is_counted {
            true => format!("SELECT {rows}"),
            false => definition.tag.to_owned(),
        };
        Ok(Response::Done { tag })
    }

    pub(super) fn definition(&self, statement: &Statement, catalog: &Catalog) -> Result<Definition> {
        let text = &statement.text;
        let settled = self.with_made_types(&statement.ast, catalog)?;
        match settled.as_ref().unwrap_or(&statement.ast) {
            ast::Statement::CreateType { name, representation } => {
                self.create_type(name, representation.as_ref(), catalog, text)
            }
            ast::Statement::AlterType(alter) => self.alter_type(alter, catalog, text),
            ast::Statement::CreateTable(create) => self.create_table(create, catalog, text),
            ast::Statement::AlterTable(alter) => self.alter_table(alter, catalog, text),
            ast::Statement::Truncate(truncate) => self.truncate(truncate, catalog, text),
            ast::Statement::CreateSchema {
                schema_name,
                if_not_exists,
                ..
            } => {
                let name = match schema_name {
                    // Who owns it is not asked yet.
                    ast::SchemaName::Simple(name) | ast::SchemaName::NamedAuthorization(name, _) => single_name(name)?,
                    ast::SchemaName::UnnamedAuthorization(role) => normalize(role),
                };
                if *if_not_exists && catalog.has_schema(&name) {
                    let notice = format!("schema \"{name}\" already exists, skipping");
                    return Ok(Definition::nothing("CREATE SCHEMA", SqlState::DUPLICATE_SCHEMA, notice));
                }
                Ok(Definition::new("CREATE SCHEMA", catalog.create_schema(&name)?))
            }
            ast::Statement::CreateExtension(create) => match normalize(&create.name).as_str() {
                "vector" | "plpgsql" => Ok(Definition::new("CREATE EXTENSION", Vec::new())),
                extension @ ("uuid-ossp" | "pgcrypto") => {
                    let known = match extension {
                        "pgcrypto" => "gen_random_uuid and digest",
                        _ => "uuid_generate_v4",
                    };
                    let notice = format!("of extension \"{extension}\" there is {known}, which is built in");
                    let state = SqlState::SUCCESSFUL_COMPLETION;
                    Ok(Definition::nothing("CREATE EXTENSION", state, notice))
                }
                other => Err(Error::unsupported(format!("extension \"{other}\" is not there"))
                    .with_hint("vector is built in, and what most schemas want of pgcrypto and uuid-ossp.")),
            },
            ast::Statement::AlterIndex {
                name,
                operation: ast::AlterIndexOperation::RenameIndex { index_name },
            } => self.rename_index(name, index_name, catalog, text),
            ast::Statement::CreateIndex(create) => self.create_index(create, catalog, text),
            ast::Statement::CreateView(create) => self.create_view(create, catalog, text),
            ast::Statement::Comment {
                object_type,
                object_name,
                comment,
                ..
            } => self.comment(*object_type, object_name, comment.as_deref(), catalog, text),
            ast::Statement::Drop {
                object_type,
                if_exists,
                names,
                cascade,
                ..
            } => match object_type {
                ast::ObjectType::Index if !cascade => self.drop_indexes(names, *if_exists, catalog, text),
                ast::ObjectType::View => self.drop_objects("DROP VIEW", names, *if_exists, *cascade, catalog, text),
                ast::ObjectType::MaterializedView => {
                    self.drop_objects("DROP MATERIALIZED VIEW", names, *if_exists, *cascade, catalog, text)
                }
                ast::ObjectType::Type => self.drop_types(names, *if_exists, *cascade, catalog, text),
                ast::ObjectType::Table => self.drop_objects("DROP TABLE", names, *if_exists, *cascade, catalog, text),
                ast::ObjectType::Sequence => {
                    self.drop_objects("DROP SEQUENCE", names, *if_exists, *cascade, catalog, text)
                }
                ast::ObjectType::Schema => self.drop_schemas(names, *if_exists, *cascade, catalog, text),
                other => Err(Error::unsupported(format!("DROP {other} is not there yet"))),
            },
            other => {
                let words: Vec<_> = other
                    .to_string()
                    .split_whitespace()
                    .take(2)
                    .map(str::to_owned)
                    .collect();
                Err(Error::unsupported(format!("{} is not there yet", words.join(" "))))
            }
        }
    }

    /// A definition with the types that users made in the place of their names; None where it names none.
    fn with_made_types(&self, statement: &ast::Statement, catalog: &Catalog) -> Result<Option<ast::Statement>> {
        if catalog.enums().next().is_none() {
            return Ok(None);
        }
        let path = self.search_path()?;
        let mut settled = statement.clone();
        let is_settled = settle_definition(&mut settled, &mut |name| find_type(catalog, &path, name));
        Ok(is_settled.then_some(settled))
    }

    /// Writes a definition; answers how many rows it wrote.
    async fn apply(
        &self,
        transaction: &Arc<Transaction>,
        definition: &Definition,
        cancellation: &Cancellation,
    ) -> Result<u64> {
        write(&definition.first, transaction)?;
        for (query, breach) in &definition.verified {
            self.verify(query, breach, transaction, cancellation).await?;
        }
        let mut rows = 0;
        for rewrite in &definition.rewritten {
            rows += self.rewrite(rewrite, transaction, cancellation).await?;
        }
        for (shape, index) in &definition.filled {
            super::index::fill(shape, index, transaction, cancellation).await?;
        }
        for tie in &definition.tied {
            check_rows(tie, transaction, cancellation).await?;
        }
        for key in &definition.cleared {
            if transaction.get(key)?.is_some() {
                transaction.delete(key)?;
            }
        }
        write(&definition.changes, transaction)?;
        Ok(rows)
    }

    /// Runs a query that must find nothing.
    async fn verify(
        &self,
        query: &ast::Statement,
        breach: &Breach,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<()> {
        let text: Arc<str> = query.to_string().into();
        let planned = self.plan_inner(query, &[], transaction, &text)?;
        let found = self.collect(&planned.plan, transaction, cancellation, &text).await?;
        match found.iter().any(|batch| batch.num_rows() > 0) {
            true => Err(breach()),
            false => Ok(()),
        }
    }

    /// Writes the rows of a table anew; answers how many.
    async fn rewrite(
        &self,
        rewrite: &Rewrite,
        transaction: &Arc<Transaction>,
        cancellation: &Cancellation,
    ) -> Result<u64> {
        let (plan, text): (_, Arc<str>) = match &rewrite.from {
            Filling::Query(query, types, values) => {
                let text = query.to_string();
                let planned = self.plan_inner(query, types, transaction, &text)?;
                let plan = parameters::replace(planned.plan, types, values, &text, self.zone())?;
                (plan, text.into())
            }
            Filling::View(view) => {
                let catalog = self.catalog_within(transaction)?;
                let path = self.search_path()?;
                let planned = views::plan(&self.names(&catalog, &path), view)?;
                // Errors have no place: the text is none of the user's.
                (planned.plan, "".into())
            }
        };
        let context = StatementContext {
            transaction: transaction.clone(),
            cancellation: cancellation.clone(),
        };
        let (physical, task) = self.physical(&plan, context, &text).await?;
        let stream = run(physical, task, cancellation.clone(), text)?;
        let mut stream = std::pin::pin!(stream);
        let mut count = 0;
        let shape = &rewrite.to;
        let rules = self.rules_of(shape, transaction)?;
        let schema = unchecked_schema(shape);
        let duplicated = |error| not_unique(error, shape);
        let mut rows = ManyRows::new(shape, transaction)?;
        let mut row = Vec::new();
        while let Some(batch) = stream.try_next().await? {
            let mut batch = conform(batch, &schema)?;
            if let Some(rules) = &rules {
                batch = rules.complete(shape, &batch, 0)?;
            }
            if let Some((_, position)) = first_null(shape, &batch) {
                return Err(contains_nulls(
                    &shape.descriptor,
                    &shape.descriptor.columns[position].name,
                )());
            }
            if let Some(rules) = &rules {
                rules.check_kept(shape, &batch)?;
            }
            count += batch.num_rows() as u64;
            let encoder = RowEncoder::new(shape, &batch, 0)?;
            for at in 0..batch.num_rows() {
                row.clear();
                encoder.encode(at, &mut row)?;
                rows.insert(&row).map_err(duplicated)?;
            }
        }
        rows.finish().map_err(duplicated)?;
        Ok(count)
    }

    /// What the rows of a table must fulfil, whose definition is not written yet.
    fn rules_of(&self, shape: &Arc<TableShape>, transaction: &Transaction) -> Result<Option<Arc<RowRules>>> {
        let catalog = self.catalog_of(transaction)?;
        let path = self.search_path()?;
        self.names(&catalog, &path).row_rules(shape)
    }

    /// The catalog that a transaction sees, with what the statement that runs has defined.
    fn catalog_within(&self, transaction: &Transaction) -> Result<Arc<Catalog>> {
        match transaction.own_keys(&objects::range()).is_empty() {
            true => self.catalog_of(transaction),
            false => self.engine.catalog_in(transaction),
        }
    }

    /// Plans a query of ours over the catalog that a transaction sees.
    fn plan_inner(
        &self,
        query: &ast::Statement,
        types: &[SqlType],
        transaction: &Transaction,
        text: &str,
    ) -> Result<Planned> {
        let catalog = self.catalog_within(transaction)?;
        let path = self.search_path()?;
        let types: Vec<_> = types.iter().copied().map(Some).collect();
        self.names(&catalog, &path)
            .plan(query.clone(), parameters::known(&types), text)
    }
}

/// Writes changes of keys.
pub(crate) fn write(changes: &[KeyChange], transaction: &Transaction) -> Result<()> {
    for change in changes {
        // Read first: two definitions at once are a conflict.
        let is_there = transaction.get(&change.key)?.is_some();
        match &change.value {
            // Where nothing was defined before, two find no counters, and none of their names is taken: they conflict, too.
            Some(value) if is_there || objects::is_counter(&change.key) => transaction.update(&change.key, value)?,
            Some(value) => drop(transaction.insert(&change.key, value)?),
            None if is_there => transaction.delete(&change.key)?,
            None => {}
        }
    }
    Ok(())
}

pub(super) fn single_name(name: &ast::ObjectName) -> Result<String> {
    match reference(name)? {
        TableReference::Bare { table } => Ok(table.to_string()),
        _ => Err(Error::invalid(
            SqlState::SYNTAX_ERROR,
            format!("{name} is not the name of a schema"),
        )),
    }
}
