//! VACUUM, CHECKPOINT and what else is asked of a database between its statements.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::files::{EntryKind, OsFiles};
use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::Object;
use datafusion::sql::sqlparser::ast;

use super::Session;
use super::ddl::Definition;
use crate::cancel::Cancellation;
use crate::dml::reference;
use crate::parse::{self, Statement};
use crate::response::Response;
use crate::utility::{self, Utility};

/// Files of a data directory that are not the store's and go into a backup of it: the models that were trained on it. What can be
/// made again from the rows, or is a sample of what ran, stays behind.
///
/// # Errors
/// An IO error.
pub fn backup_extras(data: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("models")];
    while let Some(below) = open.pop() {
        let dir = data.join(&below);
        if !dir.is_dir() {
            continue;
        }
        let entries = OsFiles.entries(&dir);
        for (name, kind) in entries.map_err(|error| Error::io(format_args!("list {}", dir.display()), error))? {
            match kind {
                EntryKind::File => found.push(below.join(name)),
                EntryKind::Directory => open.push(below.join(name)),
                EntryKind::Other => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

impl Session {
    pub(super) async fn utility(
        &mut self,
        utility: &Utility,
        statement: &Statement,
        cancellation: Cancellation,
    ) -> Result<Response> {
        let tag = utility::verb(utility);
        match utility {
            Utility::Vacuum { analyze, tables } => return self.vacuum(*analyze, tables, cancellation).await,
            Utility::Checkpoint => {
                let store = self.engine.store.clone();
                let flushed = tokio::task::spawn_blocking(move || store.flush()).await;
                flushed.map_err(|error| Error::internal(format!("flushing panicked: {error}")))??;
                return Ok(Response::Done { tag: tag.to_owned() });
            }
            Utility::Backup { to } => return self.backup(to, cancellation).await,
            Utility::OwnerTo { .. } | Utility::Reindex => return Ok(Response::Done { tag: tag.to_owned() }),
            Utility::SetConstraints { names, is_deferred } => {
                return self.set_constraints(names.as_deref(), *is_deferred, &cancellation);
            }
            Utility::Role(role) => return self.define_role(role, &cancellation).await,
            Utility::Fetch(fetch) => return self.fetch(fetch, cancellation).await,
            Utility::CreateAs(_) => return Err(Error::internal("a table is made of a query that is described")),
            Utility::CreateSequence { .. }
            | Utility::AlterSequence { .. }
            | Utility::CommentOnConstraint { .. }
            | Utility::Refresh { .. }
            | Utility::AlterMaterialized(_) => {}
        }
        let transaction = self.transaction(true)?;
        let catalog = self.catalog_of(&transaction)?;
        let definition: Result<Definition> = match utility {
            Utility::CreateSequence {
                name,
                if_not_exists,
                options,
                owned_by,
            } => self.create_sequence(name, *if_not_exists, options, owned_by.as_ref(), &catalog),
            Utility::AlterSequence {
                name,
                if_exists,
                options,
                owned_by,
                renamed,
            } => self.alter_sequence(name, *if_exists, options, owned_by.as_ref(), renamed.as_ref(), &catalog),
            Utility::CommentOnConstraint {
                constraint,
                table,
                comment,
            } => self.comment_constraint(constraint, table, comment.clone(), &catalog),
            Utility::Refresh {
                name,
                is_concurrent,
                with_data,
            } => self.refresh(name, *is_concurrent, *with_data, &catalog),
            Utility::AlterMaterialized(alter) => self.alter_materialized(alter, &catalog),
            _ => Err(Error::internal(format!("{} defines nothing", statement.to_sql()))),
        };
        self.establish(definition?, &transaction, &cancellation).await
    }

    /// Writes a verified copy of the database into a new directory, while others go on.
    async fn backup(&mut self, to: &str, cancellation: Cancellation) -> Result<Response> {
        if self.block.is_some() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "BACKUP cannot run inside a transaction block",
            ));
        }
        let path = self.engine.copy_path_to(to)?;
        let limit = self.time_limit(&cancellation);
        let store = self.engine.store.clone();
        // Vector indexes lie in the data directory as well.
        let data = self
            .engine
            .options
            .index_dir
            .as_ref()
            .and_then(|dir| dir.parent().map(Path::to_path_buf));
        let stopped = cancellation.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let extra = data.as_deref().map(backup_extras).transpose()?.unwrap_or_default();
            store.backup_to(&path, &extra, &mut |_| match stopped.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        });
        let report = copied
            .await
            .map_err(|error| Error::internal(format!("the backup panicked: {error}")))?
            .map_err(|error| match cancellation.is_cancelled() {
                true => cancellation.error(),
                false => error,
            })?;
        drop(limit);
        self.notice(
            SqlState::SUCCESSFUL_COMPLETION,
            format!(
                "{} rows, {} bytes in {} files, up to entry {} of the log",
                report.rows, report.bytes, report.files, report.index
            ),
        );
        Ok(Response::Done {
            tag: "BACKUP".to_owned(),
        })
    }

    /// Rows that were overwritten or dropped are cleared away as they go; this waits until it is done, and looks at the tables again
    /// if asked to.
    async fn vacuum(
        &mut self,
        analyze: bool,
        tables: &[ast::ObjectName],
        cancellation: Cancellation,
    ) -> Result<Response> {
        if self.block.is_some() {
            return Err(Error::invalid(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "VACUUM cannot run inside a transaction block",
            ));
        }
        let catalog = self.catalog()?;
        let path = self.search_path()?;
        for name in tables {
            match self.names(&catalog, &path).resolve(&reference(name)?)? {
                Object::Table(_) => {}
                _ => {
                    return Err(Error::invalid(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{name}\" is not a table"),
                    ));
                }
            }
        }
        let storages = self.engine.storages.clone();
        storages.note_retired();
        let swept = tokio::task::spawn_blocking(move || storages.sweep()).await;
        swept.map_err(|error| Error::internal(format!("sweeping panicked: {error}")))??;
        if analyze {
            let texts = match tables {
                [] => vec!["ANALYZE".to_owned()],
                some => some.iter().map(|name| format!("ANALYZE {name}")).collect(),
            };
            for text in texts {
                let text: Arc<str> = text.into();
                for statement in parse::parse(&text)? {
                    if let ast::Statement::Analyze(of) = &statement.ast {
                        self.analyze(of, &text, &cancellation).await?;
                    }
                }
            }
        }
        Ok(Response::Done {
            tag: "VACUUM".to_owned(),
        })
    }
}
