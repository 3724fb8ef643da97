//! Cursors: the rows of a query, and a place among them.
//!
//! **Vocabulary.** A cursor stands on a row, before the first one or behind the last one. A *holdable* cursor outlives its transaction; a
//! *scrollable* one goes backward.
//!
//! **Rows** come from the query as they are asked for. Those that a cursor may go back to are kept, in memory and within
//! limits: all of one that was declared with SCROLL, and of one that says nothing of it as many as are few; beyond, that one goes forward
//! only, as PostgreSQL's does where its plan cannot go backward. A holdable one takes what is left of its rows into memory when its
//! transaction commits, since they are those of that transaction's snapshot.
//!
//! **The row that it stands on** is kept until it goes on, so that `WHERE CURRENT OF` finds its key there.
//!
//! **Places** move as PostgreSQL's portals do (`PortalRunFetch`), with their corner cases at both ends.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aion_base::id::TableId;
use aion_base::{Error, Result, SqlState};
use aion_catalog::descriptor::TableDescriptor;
use arrow::array::{Array, AsArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Mutex;

use crate::error::translate;
use crate::response::Column;

/// Cursors of a session, at most; 54000 beyond.
const CURSORS_MAX: usize = 1_000;
/// Bytes of rows that one cursor keeps, at most; 53400 beyond.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// Bytes that a cursor keeps of which nobody said that it goes backward.
const FEW_BYTES: usize = 256 << 10;

/// How many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    All,
    Of(u64),
}

impl Count {
    /// What is left after so many.
    pub fn minus(self, rows: u64) -> Self {
        match self {
            Self::All => Self::All,
            Self::Of(count) => Self::Of(count.saturating_sub(rows)),
        }
    }

    fn most(self) -> u64 {
        match self {
            Self::All => u64::MAX,
            Self::Of(count) => count,
        }
    }
}

/// Which rows a cursor keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// None: it goes forward only.
    None,
    /// Few.
    Few,
    /// All.
    All,
}

/// Whose rows a cursor's rows are: what `WHERE CURRENT OF` may change. Their keys stand behind the columns, one for each table.
#[derive(Clone, Debug, Default)]
pub enum Positions {
    /// Nobody's, or it cannot be told.
    #[default]
    Unknown,
    /// Those of one table, which is read as it lies.
    Scanned(TableId),
    /// Those of tables that are locked, FOR UPDATE or FOR SHARE.
    Locked(Vec<TableId>),
}

impl Positions {
    /// The place of a table's keys behind the columns.
    fn place(&self, cursor: &str, table: &TableDescriptor) -> Result<usize> {
        let refuse = |what: String| Err(Error::invalid(SqlState::INVALID_CURSOR_STATE, what));
        let name = &table.name;
        let Self::Locked(tables) = self else {
            return match self {
                Self::Scanned(scanned) if *scanned == table.id => Ok(0),
                _ => refuse(format!(
                    "cursor \"{cursor}\" is not a simply updatable scan of table \"{name}\""
                )),
            };
        };
        let mut places = tables.iter().enumerate().filter(|(_, id)| **id == table.id);
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (None, _) => refuse(format!(
                "cursor \"{cursor}\" does not have a FOR UPDATE/SHARE reference to table \"{name}\""
            )),
            (Some(_), Some(_)) => refuse(format!(
                "cursor \"{cursor}\" has multiple FOR UPDATE/SHARE references to table \"{name}\""
            )),
        }
    }
}

/// A cursor, as the session knows it.
#[derive(Debug)]
pub struct Cursor {
    pub columns: Arc<[Column]>,
    pub schema: SchemaRef,
    pub is_binary: bool,
    pub is_holdable: bool,
    pub is_scrollable: bool,
    /// The statement that declared it.
    pub text: String,
    /// Microseconds since 1970.
    pub declared_at: i64,
    /// Shared with a result that is still being read.
    pub rows: Arc<Mutex<CursorRows>>,
    pub positions: Positions,
    /// Counts the cursors of the session, for savepoints.
    serial: u64,
    /// The transaction that declared it has committed.
    is_held: bool,
}

impl Cursor {
    /// A cursor before its first row.
    pub fn new(columns: Arc<[Column]>, schema: SchemaRef, rows: CursorRows, text: String, declared_at: i64) -> Self {
        Self {
            columns,
            schema,
            is_binary: false,
            is_holdable: false,
            is_scrollable: rows.keeping != Keeping::None,
            text,
            declared_at,
            rows: Arc::new(Mutex::new(rows)),
            positions: Positions::Unknown,
            serial: 0,
            is_held: false,
        }
    }
}

/// What others may know of a cursor.
#[derive(Clone, Debug)]
pub struct CursorFacts {
    pub name: String,
    pub text: String,
    pub is_binary: bool,
    pub is_holdable: bool,
    pub is_scrollable: bool,
    pub declared_at: i64,
}

/// The cursors of a session.
#[derive(Debug, Default)]
pub struct Cursors {
    by_name: BTreeMap<String, Cursor>,
    next: u64,
}

impl Cursors {
    /// The cursor of that name.
    ///
    /// # Errors
    /// 34000.
    pub fn get(&self, name: &str) -> Result<&Cursor> {
        self.by_name.get(name).ok_or_else(|| unknown(name))
    }

    /// The key of the table's row that a cursor is on; None where that is a row without one of this table, as of the other side of an
    /// outer join.
    ///
    /// # Errors
    /// 34000 for no cursor; 24000 for one that is on no row, or whose rows are not the table's.
    pub fn current(&self, name: &str, table: &TableDescriptor) -> Result<Option<Vec<u8>>> {
        let cursor = self.get(name)?;
        let refuse = |what: String| Error::invalid(SqlState::INVALID_CURSOR_STATE, what);
        if cursor.is_held {
            return Err(refuse(format!("cursor \"{name}\" is held from a previous transaction")));
        }
        let place = cursor.positions.place(name, table)?;
        let rows = cursor
            .rows
            .try_lock()
            .map_err(|_| Error::internal(format!("cursor \"{name}\" is being read")))?;
        match rows.is_on_row() {
            true => rows.current(cursor.columns.len() + place),
            false => Err(refuse(format!("cursor \"{name}\" is not positioned on a row"))),
        }
    }

    /// That there is none of that name, and room for one.
    ///
    /// # Errors
    /// 42P03, 54000.
    pub fn check_new(&self, name: &str) -> Result<()> {
        if self.by_name.contains_key(name) {
            return Err(Error::invalid(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        if self.by_name.len() >= CURSORS_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a session has at most {CURSORS_MAX} cursors"),
            )
            .with_hint("Close those that are not needed any more."));
        }
        Ok(())
    }

    /// Adds a cursor.
    pub fn insert(&mut self, name: String, mut cursor: Cursor) {
        cursor.serial = self.next;
        self.next += 1;
        self.by_name.insert(name, cursor);
    }

    /// Closes a cursor.
    ///
    /// # Errors
    /// 34000.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        match self.by_name.remove(name) {
            Some(_) => Ok(()),
            None => Err(unknown(name)),
        }
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }

    /// Where a savepoint is.
    pub fn mark(&self) -> u64 {
        self.next
    }

    /// Closes those that came after a mark: it is rolled back to.
    pub fn return_to(&mut self, mark: u64) {
        self.by_name.retain(|_, cursor| cursor.serial < mark);
    }

    /// The rows of those that are to outlive the transaction that runs.
    pub fn to_hold(&self) -> Vec<Arc<Mutex<CursorRows>>> {
        let own = self.by_name.values();
        let own = own.filter(|cursor| cursor.is_holdable && !cursor.is_held);
        own.map(|cursor| cursor.rows.clone()).collect()
    }

    /// The transaction is over: its cursors are closed, but for holdable ones if it committed.
    pub fn end_transaction(&mut self, has_committed: bool) {
        self.by_name
            .retain(|_, cursor| cursor.is_held || (has_committed && cursor.is_holdable));
        for cursor in self.by_name.values_mut() {
            cursor.is_held = true;
        }
    }

    /// What `pg_cursors` shows.
    pub fn facts(&self) -> Arc<[CursorFacts]> {
        if self.by_name.is_empty() {
            return Arc::default();
        }
        let facts = self.by_name.iter().map(|(name, cursor)| CursorFacts {
            name: name.clone(),
            text: cursor.text.clone(),
            is_binary: cursor.is_binary,
            is_holdable: cursor.is_holdable,
            is_scrollable: cursor.is_scrollable,
            declared_at: cursor.declared_at,
        });
        facts.collect()
    }
}

fn unknown(name: &str) -> Error {
    Error::not_found(
        SqlState::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}

/// The rows of a cursor and its place.
pub struct CursorRows {
    /// None once all rows were taken out of it.
    source: Option<BoxStream<'static, Result<RecordBatch>>>,
    keeping: Keeping,
    kept: VecDeque<RecordBatch>,
    /// The rows before those of `kept`.
    first: u64,
    /// The rows that were taken out of the source.
    loaded: u64,
    bytes: usize,
    /// Accounts for the bytes in the memory of queries.
    reservation: MemoryReservation,
    /// The row that it stands on, from 1; 0 before the first. At the end, how many there are.
    position: u64,
    at_start: bool,
    at_end: bool,
}

impl std::fmt::Debug for CursorRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorRows")
            .field("keeping", &self.keeping)
            .field("position", &self.position)
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

impl CursorRows {
    /// Rows that are still to be made.
    pub fn new(
        source: BoxStream<'static, Result<RecordBatch>>,
        keeping: Keeping,
        reservation: MemoryReservation,
    ) -> Self {
        Self {
            source: Some(source),
            keeping,
            kept: VecDeque::new(),
            first: 0,
            loaded: 0,
            bytes: 0,
            reservation,
            position: 0,
            at_start: true,
            at_end: false,
        }
    }

    /// Whether it stands on a row.
    pub fn is_on_row(&self) -> bool {
        !self.at_start && !self.at_end
    }

    /// The bytes of a column of the row that it stands on.
    ///
    /// # Errors
    /// Internal, where it stands on none, or has no such column.
    fn current(&self, column: usize) -> Result<Option<Vec<u8>>> {
        let mut begin = self.first;
        for batch in &self.kept {
            let end = begin + batch.num_rows() as u64;
            if (begin..end).contains(&(self.position.wrapping_sub(1))) {
                let row = (self.position - 1 - begin) as usize;
                let keys = batch.columns().get(column).and_then(|keys| keys.as_binary_opt::<i32>());
                let keys = keys.ok_or_else(|| Error::internal("a cursor's rows have no keys"))?;
                return Ok(keys.is_valid(row).then(|| keys.value(row).to_vec()));
            }
            begin = end;
        }
        Err(Error::internal("the row that a cursor stands on is gone"))
    }

    /// Takes the next batch out of the source; false where there is none.
    async fn load(&mut self, is_kept: bool) -> Result<bool> {
        let Some(source) = &mut self.source else {
            return Ok(false);
        };
        let Some(batch) = source.next().await.transpose()? else {
            self.source = None;
            return Ok(false);
        };
        self.make_room(&batch, is_kept)?;
        self.loaded += batch.num_rows() as u64;
        self.kept.push_back(batch);
        Ok(true)
    }

    fn make_room(&mut self, batch: &RecordBatch, is_kept: bool) -> Result<()> {
        let bytes = batch.get_array_memory_size();
        if self.keeping == Keeping::Few && self.bytes + bytes > FEW_BYTES {
            self.keeping = Keeping::None;
        }
        if self.keeping == Keeping::None && !is_kept {
            self.forget_passed();
        }
        if self.bytes + bytes > KEPT_BYTES_MAX && !self.kept.is_empty() {
            return Err(Error::exhausted(
                SqlState::CONFIGURATION_LIMIT_EXCEEDED,
                format!("a cursor keeps at most {} MiB of rows", KEPT_BYTES_MAX >> 20),
            )
            .with_hint("A cursor WITHOUT HOLD and with NO SCROLL keeps none."));
        }
        self.reservation.try_grow(bytes).map_err(|error| translate(error, ""))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Drops the batches whose rows were passed.
    fn forget_passed(&mut self) {
        while let Some(front) = self.kept.front() {
            let end = self.first + front.num_rows() as u64;
            if end > self.position {
                break;
            }
            let bytes = front.get_array_memory_size();
            self.reservation.shrink(bytes);
            self.bytes -= bytes;
            self.first = end;
            self.kept.pop_front();
        }
    }

    /// Takes all that is left into memory: the transaction commits.
    ///
    /// # Errors
    /// The query's, and 53400.
    pub async fn hold(&mut self) -> Result<()> {
        while self.load(true).await? {}
        Ok(())
    }

    /// The next rows, at most so many, of one batch; None where there are none, now or ever.
    ///
    /// # Errors
    /// The query's, and 53400.
    pub async fn forward(&mut self, count: Count) -> Result<Option<RecordBatch>> {
        if self.at_end || count == Count::Of(0) {
            return Ok(None);
        }
        loop {
            let mut begin = self.first;
            for batch in &self.kept {
                let end = begin + batch.num_rows() as u64;
                if end > self.position {
                    let skipped = (self.position - begin) as usize;
                    let rows = (end - self.position).min(count.most());
                    let found = batch.slice(skipped, rows as usize);
                    self.position += rows;
                    self.at_start = false;
                    return Ok(Some(found));
                }
                begin = end;
            }
            if !self.load(false).await? {
                self.at_end = true;
                return Ok(None);
            }
        }
    }

    /// Goes forward without giving rows; answers how many.
    ///
    /// # Errors
    /// As [`CursorRows::forward`].
    pub async fn skip(&mut self, count: Count) -> Result<u64> {
        let (mut left, mut skipped) = (count, 0);
        while let Some(batch) = self.forward(left).await? {
            let rows = batch.num_rows() as u64;
            skipped += rows;
            left = left.minus(rows);
        }
        Ok(skipped)
    }

    /// The rows before, at most so many, the nearest first.
    ///
    /// # Errors
    /// 55000 where it goes forward only.
    pub fn backward(&mut self, count: Count) -> Result<Vec<RecordBatch>> {
        self.check_scrollable()?;
        if self.at_start || count == Count::Of(0) {
            return Ok(Vec::new());
        }
        let top = if self.at_end { self.position } else { self.position - 1 };
        let rows = top.min(count.most());
        let found = self.reversed(top - rows, top)?;
        if rows > 0 && self.at_end {
            self.at_end = false;
            self.position += 1;
        }
        match count {
            Count::Of(count) if rows == count => self.position -= rows,
            _ => {
                self.at_start = true;
                self.position = 0;
            }
        }
        Ok(found)
    }

    /// The rows of a range, the last first.
    fn reversed(&self, from: u64, to: u64) -> Result<Vec<RecordBatch>> {
        let mut found = Vec::new();
        let mut end = self.loaded;
        for batch in self.kept.iter().rev() {
            let begin = end - batch.num_rows() as u64;
            let (low, high) = (begin.max(from), end.min(to));
            if low < high {
                let rows: UInt64Array = (low - begin..high - begin).rev().collect::<Vec<_>>().into();
                found.push(take_record_batch(batch, &rows).map_err(|error| translate(error.into(), ""))?);
            }
            end = begin;
        }
        Ok(found)
    }

    /// Goes before the first row.
    ///
    /// # Errors
    /// 55000 where it goes forward only.
    pub fn rewind(&mut self) -> Result<()> {
        if self.at_start && !self.at_end {
            return Ok(());
        }
        self.check_scrollable()?;
        self.position = 0;
        self.at_start = true;
        self.at_end = false;
        Ok(())
    }

    /// Goes to where the next row is that of a number, from 1.
    ///
    /// # Errors
    /// The query's, 53400, and 55000 where it would have to go back and cannot.
    pub async fn seek(&mut self, number: u64) -> Result<()> {
        if number - 1 <= self.position / 2 {
            self.rewind()?;
            return self.skip(Count::Of(number - 1)).await.map(drop);
        }
        let next = self.position + u64::from(self.at_end) + 1;
        match number.cmp(&next) {
            Ordering::Less => self.backward(Count::Of(next - number)).map(drop),
            Ordering::Equal => Ok(()),
            Ordering::Greater => self.skip(Count::Of(number - next)).await.map(drop),
        }
    }

    fn check_scrollable(&self) -> Result<()> {
        match self.keeping {
            Keeping::None => Err(Error::invalid(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .with_hint("Declare it with SCROLL option to enable backward scan.")),
            Keeping::Few | Keeping::All => Ok(()),
        }
    }
}
