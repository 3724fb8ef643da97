//! COPY: data between tables and files, or the client.
//!
//! ```text
//!   file or client -- record (text, csv) --> fields --+--> rows --> transaction        load
//!                   | tuples (binary) ----> fields ---+      ^
//!   file ------------ parquet ----------> batches ----+  defaults
//!
//!   query --> batches --> write (text, csv) | tuples (binary) | parquet --> file (temporary, durable, renamed) | client (stream)
//! ```
//!
//! **Guarantees.** All of the data or nothing of it. Memory is bounded by the write set's limit and one record, batch or row group,
//! whatever the size of the file. An error names the line (or the row group) and the column.
//!
//! Follows PostgreSQL's `FORMAT text`, `FORMAT binary` and `FORMAT csv`: in the last, an unquoted CSV field that equals the NULL string is NULL, a quoted one never
//! is. `FORMAT parquet` is ours.
//!
//! **Left out.** PROGRAM, `COPY BINARY t`, FORCE_QUOTE, FORCE_NULL and FORCE_NOT_NULL, HEADER MATCH, WHERE.

mod defaults;
mod fields;
mod file;
mod load;
mod options;
mod parquet;
mod record;
mod stream;
mod tuples;
mod write;

pub(crate) use defaults::Defaults;
pub(crate) use file::{Piece as RowsPiece, open, write as write_file};
pub(crate) use load::Load;
pub(crate) use options::{CopyOptions, Format};
pub use stream::{CopyDirection, CopyIn, CopyLines, CopyOut};
pub(crate) use stream::{PIECES_MAX, Piece as DataPiece, PieceReader};
pub use write::LineWriter;
