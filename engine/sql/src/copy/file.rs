//! The files of a COPY, on the server.
//!
//! A file is written under a temporary name in its directory, made durable, and then given its name: whoever looks sees the
//! old file or the new one, whole. A COPY that fails removes what it wrote; a kill can leave the temporary file behind,
//! and nothing else.
//!
//! Only plain files are read and written: a pipe would hold a thread for as long as nobody is at its other end.

#![allow(
    clippy::disallowed_methods,
    reason = "files of the user; no simulated power cut concerns them"
)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use aion_base::rng::entropy;
use aion_base::{Error, Result, SqlState};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;

use super::options::{CopyOptions, Format};
use super::parquet::ParquetSink;
use super::write::{LineBatch, Writer};
use crate::response::Column;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Opens a file to be read.
///
/// # Errors
/// 58P01 for one that is missing, 42501, 42809 for what is no plain file.
pub fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io(format_args!("open file \"{}\" for reading", path.display()), error);
    // Looked at first: opening a pipe would wait for whoever writes to it.
    check_plain(path, &fs::metadata(path).map_err(failed)?)?;
    File::open(path).map_err(failed)
}

fn check_plain(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() {
        "a directory"
    } else {
        "not a plain file"
    };
    Err(Error::invalid(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{}\" is {what}", path.display()),
    ))
}

/// A file that gets its name when it is complete.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    is_done: bool,
}

impl NewFile {
    /// Makes the temporary file.
    ///
    /// # Errors
    /// 58P01 for a directory that is missing, 42501, 42809 where something else than a file has the name.
    pub fn create(path: &Path) -> Result<(Self, File)> {
        let failed = |error| Error::io(format_args!("open file \"{}\" for writing", path.display()), error);
        match fs::symlink_metadata(path) {
            Ok(metadata) => check_plain(path, &metadata)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let Some(name) = path.file_name() else {
            return Err(Error::invalid(
                SqlState::INVALID_NAME,
                format!("\"{}\" names no file", path.display()),
            ));
        };
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{:016x}.tmp", entropy()));
        let temporary = path.with_file_name(temporary);
        let file = File::create_new(&temporary).map_err(failed)?;
        let new = Self {
            path: path.to_path_buf(),
            temporary,
            is_done: false,
        };
        Ok((new, file))
    }

    /// Makes the file durable and gives it its name.
    ///
    /// # Errors
    /// 53100, 58030: then there is no file, or the one that was there before.
    pub fn finish(mut self, file: &File) -> Result<()> {
        let failed = |error| Error::io(format_args!("write file \"{}\"", self.path.display()), error);
        file.sync_all().map_err(failed)?;
        fs::rename(&self.temporary, &self.path).map_err(failed)?;
        let directory = self.path.parent().map(File::open);
        directory
            .map_or(Ok(()), |directory| directory?.sync_all())
            .map_err(failed)?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_done {
            // After a failed rename it may be gone already.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A batch of the result, or its end. Without an end the file is given up.
#[derive(Debug)]
pub enum Piece {
    /// Rows.
    Rows(RecordBatch),
    /// All rows were given.
    End,
}

/// Writes batches into the file at `path`, until [`Piece::End`].
///
/// # Errors
/// As [`NewFile::create`] and [`NewFile::finish`]; the error of whoever gave no end is the one to tell.
pub fn write(
    path: &Path,
    options: &CopyOptions,
    columns: &[Column],
    schema: SchemaRef,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<()> {
    let (new, file) = NewFile::create(path)?;
    let out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut sink = Sink::new(out, options, columns, schema)?;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Rows(batch) => sink.write(&batch, columns)?,
            Piece::End => {
                let file = sink
                    .finish()?
                    .into_inner()
                    .map_err(|error| failed(error.into_error()))?;
                return new.finish(&file);
            }
        }
    }
    Err(Error::internal("a COPY TO was given up"))
}

/// The file in its format.
enum Sink {
    Lines(BufWriter<File>, Writer, Vec<u8>),
    Parquet(Box<ParquetSink<BufWriter<File>>>),
}

impl Sink {
    fn new(out: BufWriter<File>, options: &CopyOptions, columns: &[Column], schema: SchemaRef) -> Result<Self> {
        if options.format == Format::Parquet {
            return Ok(Self::Parquet(Box::new(ParquetSink::new(out, schema)?)));
        }
        let writer = Writer::new(options.clone());
        let mut lines = Vec::new();
        writer.begin(columns, &mut lines);
        Ok(Self::Lines(out, writer, lines))
    }

    fn write(&mut self, batch: &RecordBatch, columns: &[Column]) -> Result<()> {
        match self {
            Self::Parquet(sink) => sink.write(batch),
            Self::Lines(out, writer, lines) => {
                let batch = LineBatch::new(batch, columns)?;
                let mut row = 0;
                while row < batch.rows() {
                    row = writer.rows(&batch, row, BUFFER_BYTES, lines, |_| {})?;
                    out.write_all(lines).map_err(failed)?;
                    lines.clear();
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<BufWriter<File>> {
        match self {
            Self::Parquet(sink) => sink.finish(),
            Self::Lines(mut out, mut writer, mut lines) => {
                writer.end(&mut lines);
                out.write_all(&lines).map_err(failed)?;
                Ok(out)
            }
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("write the file of COPY", error)
}
