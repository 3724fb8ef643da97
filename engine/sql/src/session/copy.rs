//! COPY.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_catalog::objects::Object;
use datafusion::sql::sqlparser::ast::{self, Spanned};

use super::Session;
use crate::cancel::Cancellation;
use crate::copy::{self, CopyOptions};
use crate::dml::{at, normalize, reference};
use crate::parse::Statement;
use crate::planner::Planned;
use crate::response::Response;
use crate::table::TableShape;
use crate::transaction::Transaction;

impl Session {
    pub(super) async fn copy(&mut self, statement: &Statement, cancellation: Cancellation) -> Result<Response> {
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
        let (false, ast::CopySource::Table { table_name, columns }) = (*to, source) else {
            return Err(Error::unsupported("COPY ... TO is not there yet"));
        };
        let ast::CopyTarget::File { filename } = target else {
            return Err(Error::unsupported(
                "COPY reads a file of the server; STDIN and PROGRAM are not there yet",
            ));
        };
        let options = CopyOptions::new(options, legacy_options)?;
        let path = self.engine.copy_path(filename)?;
        let transaction = self.transaction(true)?;
        let (shape, planned) = self.copy_target(table_name, &transaction, &statement.text)?;
        let columns = copy_columns(&shape, columns, &statement.text)?;
        self.depend(&planned, &transaction);
        let limit = self.time_limit(&cancellation);
        let loading = tokio::task::spawn_blocking({
            let transaction = transaction.clone();
            move || copy::load(&shape, &columns, &path, &options, &transaction, &cancellation)
        });
        let count = loading
            .await
            .map_err(|error| Error::internal(format!("COPY stopped: {error}")))??;
        drop(limit);
        if self.block.is_none() {
            self.commit(&transaction).await?;
        }
        Ok(Response::Done {
            tag: format!("COPY {count}"),
        })
    }

    fn copy_target(
        &self,
        name: &ast::ObjectName,
        transaction: &Transaction,
        text: &str,
    ) -> Result<(Arc<TableShape>, Planned)> {
        let catalog = self.catalog_of(transaction)?;
        let path = self.search_path()?;
        let names = self.names(&catalog, &path);
        match names
            .resolve(&reference(name)?)
            .map_err(|error| at(error, name.span(), text))?
        {
            Object::Table(table) => {
                names.meet(&table);
                let shape = names.shape(&table);
                Ok((shape, names.nothing()))
            }
            _ => Err(Error::invalid(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a table"),
            )),
        }
    }
}

/// The positions of the file's columns in the table.
fn copy_columns(shape: &TableShape, columns: &[ast::Ident], text: &str) -> Result<Vec<usize>> {
    let table = &shape.descriptor;
    if columns.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut positions = Vec::with_capacity(columns.len());
    for column in columns {
        let name = normalize(column);
        let position = table.position(&name).ok_or_else(|| {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            at(Error::not_found(SqlState::UNDEFINED_COLUMN, message), column.span, text)
        })?;
        if positions.contains(&position) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(at(
                Error::invalid(SqlState::DUPLICATE_COLUMN, message),
                column.span,
                text,
            ));
        }
        positions.push(position);
    }
    let is_left_out = |position: &usize| !positions.contains(position);
    let defaulted = (0..table.columns.len())
        .filter(is_left_out)
        .find(|&at| table.columns[at].default.is_some());
    if let Some(position) = defaulted {
        return Err(Error::unsupported(format!(
            "COPY that leaves out column \"{}\", which has a DEFAULT, is not there yet",
            table.columns[position].name
        )));
    }
    Ok(positions)
}
