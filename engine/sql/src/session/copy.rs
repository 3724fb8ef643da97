//! COPY: what it names, and where its data comes from or goes to.
//!
//! Reading and parsing block, so they run on a thread of their own; the session waits for it. With STDIN and STDOUT the edge
//! has the data: [`Session::copy_in`] and [`Session::copy_out`] begin, the edge passes bytes on, and
//! [`Session::finish_copy_in`] ends.

use std::path::Path;
use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::TableDescriptor;
use aion_catalog::objects::Object;
use datafusion::sql::sqlparser::ast::{self, Spanned};
use tokio::sync::mpsc;

use super::{Prepared, Session};
use crate::cancel::Cancellation;
use crate::copy::{
    self, CopyIn, CopyOptions, CopyOut, DataPiece, Defaults, Format, Load, PIECES_MAX, PieceReader, RowsPiece,
};
use crate::dml::{Outgrown, at, positions_of, reference};
use crate::error::translate;
use crate::parse::{self, Statement};
use crate::planner::{Names, Planned};
use crate::references::{Ties, Touched};
use crate::response::{Response, Rows};
use crate::table::TableShape;
use crate::transaction::Transaction;

/// Batches that may wait to be written to a file.
const BATCHES_MAX: usize = 2;

/// The parts of the statement.
struct Copy<'a> {
    source: &'a ast::CopySource,
    is_to: bool,
    target: &'a ast::CopyTarget,
    options: CopyOptions,
    text: &'a Arc<str>,
}

impl<'a> Copy<'a> {
    fn new(statement: &'a Statement) -> Result<Self> {
        let ast::Statement::Copy {
            source,
            to,
            target,
            options,
            legacy_options,
            ..
        } = &statement.ast
        else {
            return Err(Error::internal("no COPY"));
        };
        let is_ours = match target {
            ast::CopyTarget::Stdin => !to,
            ast::CopyTarget::Stdout => *to,
            ast::CopyTarget::File { .. } => true,
            ast::CopyTarget::Program { .. } => {
                return Err(Error::unsupported(
                    "COPY runs no PROGRAM: it reads and writes files, STDIN and STDOUT",
                ));
            }
        };
        if !is_ours {
            return Err(Error::invalid(
                SqlState::SYNTAX_ERROR,
                "COPY goes FROM STDIN and TO STDOUT",
            ));
        }
        let options = CopyOptions::new(options, legacy_options)?;
        if options.format == Format::Parquet && !matches!(target, ast::CopyTarget::File { .. }) {
            return Err(Error::unsupported("COPY reads and writes FORMAT parquet in files only")
                .with_hint("Name a file of the server, or use FORMAT csv."));
        }
        Ok(Self {
            source,
            is_to: *to,
            target,
            options,
            text: &statement.text,
        })
    }
}

impl Session {
    pub(super) async fn copy(&mut self, statement: &Statement, cancellation: Cancellation) -> Result<Response> {
        let copy = Copy::new(statement)?;
        let ast::CopyTarget::File { filename } = copy.target else {
            return Err(
                Error::unsupported("COPY FROM STDIN and TO STDOUT need a client that has the data")
                    .with_hint("Use psql or a driver of PostgreSQL, or name a file: COPY t FROM '/path/file'."),
            );
        };
        let count = if copy.is_to {
            let path = self.engine.copy_path_to(filename)?;
            self.copy_to(&copy, &path, cancellation).await?
        } else {
            let path = self.engine.copy_path(filename)?;
            self.copy_from(&copy, path, cancellation).await?
        };
        Ok(Response::Done {
            tag: format!("COPY {count}"),
        })
    }

    async fn copy_from(
        &mut self,
        copy: &Copy<'_>,
        path: std::path::PathBuf,
        cancellation: Cancellation,
    ) -> Result<u64> {
        let limit = self.time_limit(&cancellation);
        let transaction = self.transaction(true)?;
        let load = self.load(copy, &transaction, cancellation)?;
        let options = copy.options.clone();
        let outgrown = load.outgrown.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let file = copy::open(&path)?;
            match options.format {
                Format::Parquet => load.parquet(file),
                _ => load.records(file, &options),
            }
        });
        let count = joined(loading.await)?;
        drop(limit);
        self.end_load(outgrown.as_ref(), &transaction).await?;
        Ok(count)
    }

    /// Rows are loaded: outside of a transaction block they are committed.
    async fn end_load(&mut self, outgrown: Option<&Outgrown>, transaction: &Transaction) -> Result<()> {
        match &mut self.block {
            Some(block) => block.has_changed_catalog |= outgrown.is_some_and(Outgrown::has_moved),
            None => self.commit(transaction).await?,
        }
        Ok(())
    }

    /// What a COPY FROM loads into.
    fn load(&self, copy: &Copy<'_>, transaction: &Arc<Transaction>, cancellation: Cancellation) -> Result<Load> {
        let ast::CopySource::Table { table_name, columns } = copy.source else {
            return Err(Error::invalid(SqlState::SYNTAX_ERROR, "COPY loads into a table"));
        };
        let catalog = self.catalog_of(transaction)?;
        let path = self.search_path()?;
        let names = self.names(&catalog, &path);
        let table = copied_table(&names, table_name, copy.text)?;
        names.meet(&table);
        let shape = names.shape(&table);
        let is_listed = !columns.is_empty();
        let columns = copy_columns(&shape, columns, copy.text)?;
        let defaults = names.defaults(&table).map_err(|error| translate(error, ""))?;
        let left_out = defaults.into_iter().enumerate().filter_map(|(position, expr)| {
            let expr = expr.filter(|_| !columns.contains(&position))?;
            Some((position, table.columns[position].sql_type, expr))
        });
        let defaults = Defaults::new(self.state(), left_out.collect())?;
        let rules = names.row_rules(&shape)?;
        let ties = Ties::of(&names, &shape, Touched::Inserted)?;
        if let Some(ties) = &ties {
            ties.depend(transaction)?;
        }
        let planned: Planned = names.nothing();
        self.depend(&planned, transaction)?;
        // Rows that refer to each other are looked for where they were when the load began.
        let is_of_itself = ties.as_ref().is_some_and(Ties::refers_to_itself);
        let outgrown = match is_of_itself || self.is_emptied(&table) {
            true => None,
            false => Outgrown::new(&self.engine.storages, &catalog, &table, transaction)?,
        };
        Ok(Load {
            outgrown,
            shape,
            columns,
            is_listed,
            defaults,
            rules,
            ties: ties.map(Arc::new),
            transaction: transaction.clone(),
            cancellation,
            zone: self.zone(),
        })
    }

    async fn copy_to(&mut self, copy: &Copy<'_>, path: &Path, cancellation: Cancellation) -> Result<u64> {
        let mut rows = self.copied_rows(copy, cancellation).await?;
        let (sender, receiver) = mpsc::channel(BATCHES_MAX);
        let writing = tokio::task::spawn_blocking({
            let (path, options) = (path.to_path_buf(), copy.options.clone());
            let (columns, schema) = (rows.columns().clone(), rows.schema().clone());
            move || copy::write_file(&path, &options, &columns, schema, receiver)
        });
        let mut count = 0;
        let read = loop {
            match rows.next().await {
                Ok(Some(batch)) => {
                    count += batch.num_rows() as u64;
                    if sender.send(RowsPiece::Rows(batch)).await.is_err() {
                        break Ok(());
                    }
                }
                Ok(None) => {
                    // A writer that failed says so below.
                    let _ = sender.send(RowsPiece::End).await;
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        drop(sender);
        let written = joined(writing.await);
        // The query's error is why the writer got no end.
        read?;
        written?;
        Ok(count)
    }

    /// The rows that a COPY TO copies.
    async fn copied_rows(&mut self, copy: &Copy<'_>, cancellation: Cancellation) -> Result<Rows> {
        let statement = match copy.source {
            ast::CopySource::Query(query) => Statement {
                ast: ast::Statement::Query(query.clone()),
                text: copy.text.clone(),
                ordinal: 0,
            },
            ast::CopySource::Table { table_name, columns } => self.select_all(table_name, columns, copy.text)?,
        };
        let prepared = Arc::new(self.describe(&statement, &[])?);
        if !prepared.parameters.is_empty() {
            return Err(Error::invalid(
                SqlState::UNDEFINED_PARAMETER,
                "COPY takes no parameters",
            ));
        }
        self.take_literals(&prepared);
        match self.query(&prepared, &[], cancellation).await? {
            Response::Rows(mut rows) => {
                rows.set_zone(self.zone());
                if copy.options.format != Format::Parquet {
                    rows.show_in_zone();
                }
                Ok(rows)
            }
            Response::Done { tag } => Err(Error::internal(format!("a query answered {tag}"))),
        }
    }

    /// The columns of a table as a query. Names are looked up first, so that an error has its place in the COPY.
    fn select_all(&self, name: &ast::ObjectName, columns: &[ast::Ident], text: &str) -> Result<Statement> {
        let catalog = self.catalog()?;
        let path = self.search_path()?;
        let names = self.names(&catalog, &path);
        let table = copied_table(&names, name, text)?;
        let columns = copy_columns(&names.shape(&table), columns, text)?;
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let columns: Vec<_> = columns.iter().map(|&at| quoted(&table.columns[at].name)).collect();
        let (schema, table) = (quoted(&table.schema), quoted(&table.name));
        let select = format!("SELECT {} FROM {schema}.{table}", columns.join(", "));
        let statement = parse::parse(&select)?.pop();
        statement.ok_or_else(|| Error::internal("a SELECT is a statement"))
    }

    /// Begins a COPY FROM STDIN. What the client sends goes to [`CopyIn::write`]; then
    /// [`Session::finish_copy_in`] or [`Session::abandon_copy_in`] ends it.
    ///
    /// # Errors
    /// 42xxx for what it names; a transaction block it was in has then failed.
    pub async fn copy_in(&mut self, prepared: &Prepared) -> Result<CopyIn> {
        let begun = self.begin_copy_in(prepared);
        if begun.is_err() {
            self.fail();
        }
        begun
    }

    fn begin_copy_in(&mut self, prepared: &Prepared) -> Result<CopyIn> {
        self.admit(prepared, &[])?;
        let timed = self.timed(prepared, &[]);
        let cancellation = self.canceller.begin();
        let copy = Copy::new(&prepared.statement)?;
        if copy.is_to {
            return Err(Error::internal("a COPY TO takes no data"));
        }
        let limit = self.time_limit(&cancellation);
        let transaction = self.transaction(true)?;
        let load = self.load(&copy, &transaction, cancellation.clone())?;
        let column_count = load.columns.len();
        let is_binary = copy.options.format == Format::Binary;
        let outgrown = load.outgrown.clone();
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let loading = tokio::task::spawn_blocking({
            let (options, cancellation) = (copy.options, cancellation.clone());
            move || load.records(PieceReader::new(receiver, cancellation), &options)
        });
        Ok(CopyIn {
            pieces,
            loading,
            cancellation,
            transaction,
            outgrown,
            column_count,
            is_binary,
            _limit: limit,
            timed: timed.map(Box::new),
        })
    }

    /// Ends a COPY FROM STDIN whose data is complete, or that has stopped; outside of a transaction block it is then committed.
    /// Answers the command tag.
    ///
    /// # Errors
    /// What the data is wrong with; nothing of it was loaded, and a transaction block has failed.
    pub async fn finish_copy_in(&mut self, copy: CopyIn) -> Result<String> {
        let CopyIn {
            pieces,
            loading,
            cancellation,
            transaction,
            outgrown,
            timed,
            ..
        } = copy;
        let end = async {
            tokio::select! {
                biased;
                () = cancellation.cancelled() => {}
                // A load that has stopped says below why.
                _ = pieces.send(DataPiece::End) => {}
            }
        };
        end.await;
        drop(pieces);
        let finished = async {
            let count = joined(loading.await)?;
            self.end_load(outgrown.as_ref(), &transaction).await?;
            Ok(format!("COPY {count}"))
        };
        let finished = finished.await;
        if let (Ok(tag), Some(timed)) = (&finished, timed) {
            timed.over(tag);
        }
        if finished.is_err() {
            self.fail();
        }
        finished
    }

    /// Gives a COPY FROM STDIN up; a transaction block has then failed.
    pub async fn abandon_copy_in(&mut self, copy: CopyIn) {
        let CopyIn { pieces, loading, .. } = copy;
        drop(pieces);
        // It ends with an error, because it was given no end; nothing of it stays.
        let _ = loading.await;
        self.fail();
    }

    /// Begins a COPY TO STDOUT.
    ///
    /// # Errors
    /// 42xxx for what it names; a transaction block it was in has then failed.
    pub async fn copy_out(&mut self, prepared: &Prepared) -> Result<CopyOut> {
        let begun = self.begin_copy_out(prepared).await;
        if begun.is_err() {
            self.fail();
        }
        begun
    }

    async fn begin_copy_out(&mut self, prepared: &Prepared) -> Result<CopyOut> {
        self.admit(prepared, &[])?;
        let timed = self.timed(prepared, &[]);
        let cancellation = self.canceller.begin();
        let copy = Copy::new(&prepared.statement)?;
        if !copy.is_to {
            return Err(Error::internal("a COPY FROM gives no data"));
        }
        let mut rows = self.copied_rows(&copy, cancellation).await?;
        if let Some(timed) = timed {
            timed.gives(&mut rows);
        }
        Ok(CopyOut::new(rows, copy.options))
    }
}

/// What a thread of COPY answered.
fn joined<T>(ended: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    ended.map_err(|error| Error::internal(format!("COPY stopped: {error}")))?
}

/// The table that a COPY names.
fn copied_table(names: &Names<'_>, name: &ast::ObjectName, text: &str) -> Result<Arc<TableDescriptor>> {
    match names
        .resolve(&reference(name)?)
        .map_err(|error| at(error, name.span(), text))?
    {
        Object::Table(table) if table.view.is_none() => Ok(table),
        Object::Table(_) | Object::View(_) | Object::Graph(_) | Object::Sequence(_) => Err(Error::invalid(
            SqlState::WRONG_OBJECT_TYPE,
            format!("COPY cannot use \"{name}\": it is not a table"),
        )
        .with_hint("COPY (SELECT ...) TO copies the rows of any query.")),
    }
}

/// The positions of the data's columns in the table.
fn copy_columns(shape: &TableShape, columns: &[ast::Ident], text: &str) -> Result<Vec<usize>> {
    let table = &shape.descriptor;
    let is_generated = |position: &usize| table.columns[*position].generated.is_some();
    if columns.is_empty() {
        return Ok((0..table.columns.len()).filter(|at| !is_generated(at)).collect());
    }
    let positions = positions_of(table, columns, text)?;
    match positions.iter().find(|at| is_generated(at)) {
        None => Ok(positions),
        Some(&position) => {
            let message = format!("column \"{}\" is a generated column", table.columns[position].name);
            let error = Error::invalid(SqlState::INVALID_COLUMN_REFERENCE, message);
            Err(error.with_detail("Generated columns cannot be used in COPY."))
        }
    }
}
