//! The graphs of the vector indexes as files, so that opening a database does not build them again.
//!
//! One file for each index, `<table>-<index>.hnsw`, in the format of `aion_vector`. It is written when the database is closed and
//! says up to which entry of the log it goes. Who opens takes it only if that is exactly what its snapshot sees; after a kill or a
//! damage the graph is built from the rows. So a file is never trusted further than its checksums and its position, and losing all
//! of them costs time alone.

use std::io;
use std::path::PathBuf;

use aion_base::files::{Files, OsFiles};
use aion_base::id::{IndexId, LogIndex, TableId};
use aion_base::{Error, Result, SqlState};
use aion_vector::{HnswOptions, Metric, VectorIndex};

const SUFFIX: &str = ".hnsw";

/// The directory of the files.
#[derive(Clone, Debug)]
pub struct SavedGraphs {
    dir: PathBuf,
}

impl SavedGraphs {
    /// The files in `dir`, which need not be there.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn name(table: TableId, index: IndexId) -> String {
        format!("{table}-{index}{SUFFIX}")
    }

    /// The graph of an index as it is at `at`; None where no file says so.
    pub fn restore(
        &self,
        (table, index): (TableId, IndexId),
        at: LogIndex,
        dimensions: usize,
        metric: Metric,
        options: HnswOptions,
    ) -> Option<VectorIndex> {
        let path = self.dir.join(Self::name(table, index));
        match VectorIndex::restore(&OsFiles, &path, dimensions, metric, options) {
            Ok(graph) => (graph.position() == at).then_some(graph),
            Err(error) if error.state() == SqlState::UNDEFINED_FILE => None,
            Err(error) => {
                tracing::warn!(%error, "the vector index is built again from the rows");
                None
            }
        }
    }

    /// Writes the graph of an index.
    ///
    /// # Errors
    /// An IO error; the file is then the former one.
    pub fn save(&self, (table, index): (TableId, IndexId), graph: &VectorIndex) -> Result<()> {
        OsFiles
            .create_dir_all(&self.dir)
            .map_err(|error| Error::io(format_args!("create {}", self.dir.display()), error))?;
        graph.save(&OsFiles, &self.dir.join(Self::name(table, index)))
    }

    /// Removes the files of other indexes than these, and nothing else.
    ///
    /// # Errors
    /// An IO error.
    pub fn remove_others(&self, kept: &[(TableId, IndexId)]) -> Result<()> {
        let kept: Vec<String> = kept.iter().map(|&(table, index)| Self::name(table, index)).collect();
        let failed = |error| Error::io(format_args!("tidy {}", self.dir.display()), error);
        let names = match OsFiles.list(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map_err(failed)?,
        };
        for name in names
            .iter()
            .filter(|name| name.ends_with(SUFFIX) && !kept.contains(name))
        {
            OsFiles.remove(&self.dir.join(name)).map_err(failed)?;
        }
        Ok(())
    }
}
