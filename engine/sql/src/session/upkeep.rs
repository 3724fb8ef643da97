//! VACUUM, CHECKPOINT and what else is asked of a database between its statements.

use std::sync::Arc;

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
            Utility::OwnerTo { .. } | Utility::Reindex => return Ok(Response::Done { tag: tag.to_owned() }),
            Utility::Role(role) => return self.define_role(role, &cancellation).await,
            Utility::CreateSequence { .. } | Utility::AlterSequence { .. } => {}
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
            _ => Err(Error::internal(format!("{} defines nothing", statement.to_sql()))),
        };
        self.establish(definition?, &transaction, &cancellation).await
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
