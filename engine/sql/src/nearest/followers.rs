//! The vector indexes of a database, in memory, following its commits.
//!
//! **Vocabulary.** A *follower* is one hnsw index: the graph, and the changes that were told and are not yet in it. Its *floor* is the
//! oldest read point that it can answer for.
//!
//! **Guarantees.** [`Followers::graph_at`] gives a graph that has exactly what the read point sees, or nothing: then the caller
//! compares all rows. So an index never changes an answer but by what the search itself may miss.
//!
//! 1. When the catalog names a new index, a follower begins: first it is told of every commit, then a snapshot is taken, and the
//!    graph is built from it; changes at or below the snapshot are in it already.
//! 2. The thread that commits only notes the changes. Beyond [`PENDING_BYTES_MAX`] they are dropped, and the graph is built anew.
//! 3. When the database is closed, the graphs are written into files; a follower that begins takes its file where that has exactly
//!    what the snapshot sees ([`SavedGraphs`]).
//! 4. A job on the blocking threads, at most one at a time, brings the changes into the graphs. A search whose read
//!    point lies above the graph brings a few changes in itself, and gives up when there are many.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aion_base::id::{IndexId, LogIndex, TableId};
use aion_base::key::KeyReader;
use aion_base::range::KeyRange;
use aion_base::{Error, Result, SqlState};
use aion_catalog::SqlType;
use aion_catalog::descriptor::{Distance, IndexDescriptor, IndexMethod, TableDescriptor};
use aion_catalog::keys::ROWS;
use aion_catalog::objects::Catalog;
use aion_catalog::row::{RowLayout, RowReader};
use aion_storage::{Derived, Direction, RowWrite, Snapshot, Store};
use aion_vector::{Hit, HnswOptions, Metric, VectorIndex};
use parking_lot::{Condvar, Mutex, RwLock};

use super::saved::SavedGraphs;

/// Bytes of changes that wait for one index.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// Changes that are taken from the queue at once.
const STEP_CHANGES: usize = 256;

/// Dead versions below which there is nothing to tidy.
const DEAD_MIN: usize = 4_096;

/// Changes that a search brings into the graph itself.
const PENDING_FOR_SEARCH: usize = 2_000;

/// How long a search waits for the commit that its snapshot saw to be told: the thread that commits is about to.
const TOLD_WAIT: Duration = Duration::from_millis(50);

/// See the module's header.
#[derive(Debug)]
pub struct Followers {
    /// Weak: the store holds its followers.
    store: Weak<Store>,
    threads: usize,
    saved: Option<SavedGraphs>,
    /// Graphs that were read from files since the database was opened.
    restored: AtomicU64,
    /// By the storage ids of the tables.
    by_table: RwLock<HashMap<TableId, Vec<Arc<Follower>>>>,
    told: Mutex<LogIndex>,
    was_told: Condvar,
    /// The catalog that the followers are of.
    catalog_version: Mutex<u64>,
    has_work: AtomicBool,
    /// Held by the job that brings changes in.
    job: Mutex<()>,
    /// The database is closing.
    is_stopped: AtomicBool,
}

/// One index; see the module's header.
#[derive(Debug)]
struct Follower {
    /// The table's storage id.
    table: TableId,
    index: IndexId,
    /// How its rows are read, and which column: both may change while the graph stays.
    layout: RwLock<(RowLayout, usize)>,
    dimensions: usize,
    metric: Metric,
    options: HnswOptions,
    /// What the graph's file goes up to; 0 where there is none.
    saved_at: AtomicU64,
    pending: Mutex<Pending>,
    /// Held by whoever brings changes in; taken before `pending`.
    draining: Mutex<()>,
    built: RwLock<Option<Built>>,
}

#[derive(Clone, Debug)]
struct Built {
    graph: Arc<VectorIndex>,
    /// The oldest read point that the graph answers for.
    floor: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Pending {
    changes: VecDeque<Change>,
    bytes: usize,
    /// Changes were dropped; the graph must be built anew.
    is_lost: bool,
}

#[derive(Debug)]
struct Change {
    at: LogIndex,
    key: Box<[u8]>,
    /// None where the row is gone or has no vector.
    vector: Option<Box<[f32]>>,
}

/// A graph that has what a read point sees.
#[derive(Clone, Debug)]
pub struct GraphAt {
    graph: Arc<VectorIndex>,
    floor: Arc<AtomicU64>,
    read_point: LogIndex,
}

impl GraphAt {
    /// The nearest rows, at most `count`; None where the graph no longer has what the read point sees.
    ///
    /// # Errors
    /// 22000 for a query of other dimensions.
    pub fn nearest(&self, query: &[f32], count: usize) -> Result<Option<Vec<Hit>>> {
        let hits = self.graph.nearest(query, count, self.read_point)?;
        Ok((self.floor.load(Ordering::SeqCst) <= self.read_point.0).then_some(hits))
    }

    /// Rows with a vector, now.
    pub fn len(&self) -> usize {
        self.graph.len()
    }
}

impl Pending {
    fn lose(&mut self) {
        *self = Self {
            is_lost: true,
            ..Self::default()
        };
    }

    fn take(&mut self, count: usize) -> Vec<Change> {
        let count = count.min(self.changes.len());
        let taken: Vec<Change> = self.changes.drain(..count).collect();
        if self.changes.is_empty() {
            self.bytes = 0;
        }
        taken
    }
}

impl Derived for Followers {
    fn applied(&self, index: LogIndex, writes: &[RowWrite<'_>]) {
        let by_table = self.by_table.read();
        if by_table.is_empty() {
            return;
        }
        for write in writes {
            let Ok((table, ROWS)) = KeyReader::new(write.key).table() else {
                continue;
            };
            for follower in by_table.get(&table).into_iter().flatten() {
                follower.note(index, write);
                self.has_work.store(true, Ordering::Release);
            }
        }
    }

    fn reached(&self, index: LogIndex) {
        *self.told.lock() = index;
        self.was_told.notify_all();
    }
}

impl Followers {
    /// Follows the commits of `store`; loads use `threads`; graphs are kept in `saved` from one process to the next.
    pub fn new(store: &Arc<Store>, threads: usize, saved: Option<SavedGraphs>) -> Arc<Self> {
        let followers = Arc::new(Self {
            store: Arc::downgrade(store),
            threads,
            saved,
            restored: AtomicU64::new(0),
            by_table: RwLock::default(),
            told: Mutex::new(LogIndex(0)),
            was_told: Condvar::new(),
            catalog_version: Mutex::new(0),
            has_work: AtomicBool::new(false),
            job: Mutex::new(()),
            is_stopped: AtomicBool::new(false),
        });
        store.follow(followers.clone());
        followers
    }

    /// Begins to follow the indexes that are new in a catalog, and forgets those that are gone from it.
    pub fn meet(&self, catalog: &Catalog) {
        let mut version = self.catalog_version.lock();
        if catalog.version() <= *version {
            return;
        }
        *version = catalog.version();
        let mut by_table = self.by_table.write();
        let mut next: HashMap<TableId, Vec<Arc<Follower>>> = HashMap::new();
        for table in catalog.tables() {
            for index in &table.indexes {
                let known = by_table.get(&table.storage).into_iter().flatten();
                let known = known.into_iter().find(|there| there.index == index.id).cloned();
                if let Some(known) = &known {
                    known.read_as(table, index);
                }
                if let Some(follower) = known.or_else(|| Follower::new(table, index, self.threads).map(Arc::new)) {
                    if follower.built.read().is_none() {
                        self.has_work.store(true, Ordering::Release);
                    }
                    next.entry(table.storage).or_default().push(follower);
                }
            }
        }
        *by_table = next;
    }

    /// Whether changes wait, or a graph is to be built.
    pub fn has_work(&self) -> bool {
        self.has_work.load(Ordering::Acquire)
    }

    /// Builds what is to be built and brings in what waits. Blocks: for a thread that may.
    ///
    /// # Errors
    /// When rows cannot be read, or a graph cannot be built; searches then compare all rows.
    pub fn work(&self) -> Result<()> {
        let _one = self.job.lock();
        let Some(store) = self.store.upgrade() else {
            return Ok(());
        };
        while !self.is_stopped() && self.has_work.swap(false, Ordering::AcqRel) {
            let all: Vec<_> = self.by_table.read().values().flatten().cloned().collect();
            for follower in all {
                let told = *self.told.lock();
                follower.catch_up(Some((self, &store)))?;
                follower.tidy(told)?;
            }
        }
        Ok(())
    }

    /// Ends the job that may run, and waits for its end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
        drop(self.job.lock());
    }

    /// Graphs that were read from files and not built, since the database was opened.
    pub fn restored(&self) -> u64 {
        self.restored.load(Ordering::Relaxed)
    }

    /// Writes the graphs into their files. Nothing is committed any more, and [`Followers::stop`] was called.
    ///
    /// # Errors
    /// An IO error: the graphs that have no file are built again.
    pub fn save(&self) -> Result<()> {
        let Some(saved) = &self.saved else {
            return Ok(());
        };
        let told = *self.told.lock();
        let all: Vec<_> = self.by_table.read().values().flatten().cloned().collect();
        let mut names = Vec::new();
        for follower in all {
            names.push((follower.table, follower.index));
            follower.save(saved, told)?;
        }
        saved.remove_others(&names)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// The graph of an index with what `read_point` sees; None where there is none, and all rows are to be compared.
    ///
    /// # Errors
    /// When a waiting change cannot be brought in.
    pub fn graph_at(&self, table: TableId, index: IndexId, read_point: LogIndex) -> Result<Option<GraphAt>> {
        let follower = {
            let by_table = self.by_table.read();
            let mut of_table = by_table.get(&table).into_iter().flatten();
            of_table.find(|there| there.index == index).cloned()
        };
        let Some(follower) = follower else {
            return Ok(None);
        };
        if !self.wait_until_told(read_point) {
            return Ok(None);
        }
        if !follower.catch_up(None)? {
            return Ok(None);
        }
        let built = follower.built.read().clone();
        Ok(built
            .filter(|built| built.floor.load(Ordering::SeqCst) <= read_point.0)
            .map(|built| GraphAt {
                graph: built.graph,
                floor: built.floor,
                read_point,
            }))
    }

    fn wait_until_told(&self, read_point: LogIndex) -> bool {
        let mut told = self.told.lock();
        if *told < read_point {
            self.was_told.wait_for(&mut told, TOLD_WAIT);
        }
        *told >= read_point
    }
}

impl Follower {
    /// A follower of an hnsw index; None of another.
    fn new(table: &TableDescriptor, index: &IndexDescriptor, threads: usize) -> Option<Self> {
        let IndexMethod::Hnsw {
            m,
            ef_construction,
            distance,
        } = index.method
        else {
            return None;
        };
        let column = table.position_of(index.columns.first()?.column)?;
        let SqlType::Vector(Some(dimensions)) = table.columns[column].sql_type else {
            return None;
        };
        Some(Self {
            table: table.storage,
            index: index.id,
            layout: RwLock::new((RowLayout::of(table).ok()?, column)),
            dimensions: usize::from(dimensions),
            metric: metric(distance)?,
            options: HnswOptions {
                connectivity: usize::from(m),
                expansion_add: usize::from(ef_construction),
                threads: threads.clamp(1, 64),
                ..HnswOptions::default()
            },
            saved_at: AtomicU64::new(0),
            pending: Mutex::default(),
            draining: Mutex::new(()),
            built: RwLock::default(),
        })
    }

    /// From now on reads rows as the table has them.
    fn read_as(&self, table: &TableDescriptor, index: &IndexDescriptor) {
        let column = index
            .columns
            .first()
            .and_then(|column| table.position_of(column.column));
        if let (Some(column), Ok(layout)) = (column, RowLayout::of(table)) {
            *self.layout.write() = (layout, column);
        }
    }

    /// Notes a change; on the thread that commits.
    fn note(&self, at: LogIndex, write: &RowWrite<'_>) {
        // A row that cannot be read is found damaged by whoever reads it; here its vector is unknown, so the graph is.
        let Ok(vector) = write.value.map_or(Ok(None), |row| self.vector(row)) else {
            self.pending.lock().lose();
            return;
        };
        let mut pending = self.pending.lock();
        if pending.is_lost {
            return;
        }
        pending.bytes += write.key.len() + self.dimensions * 4 + size_of::<Change>();
        if pending.bytes > PENDING_BYTES_MAX {
            pending.lose();
            return;
        }
        pending.changes.push_back(Change {
            at,
            key: write.key.into(),
            vector,
        });
    }

    fn vector(&self, row: &[u8]) -> Result<Option<Box<[f32]>>> {
        let layout = self.layout.read();
        let (layout, column) = &*layout;
        let row = RowReader::new(layout, row)?;
        if row.is_null(*column) {
            return Ok(None);
        }
        Ok(Some(row.vector(*column)?.collect()))
    }

    /// Brings the graph up to what was told, and builds it first where it is not there and a store is given. Without one:
    /// false, with nothing done, where the graph is not there or many changes wait.
    fn catch_up(&self, from: Option<(&Followers, &Store)>) -> Result<bool> {
        let (must_build, waiting) = {
            let pending = self.pending.lock();
            (pending.is_lost || self.built.read().is_none(), pending.changes.len())
        };
        match from {
            Some((followers, store)) if must_build => self.build(followers, store)?,
            None if must_build || waiting > PENDING_FOR_SEARCH => return Ok(false),
            _ => {}
        }
        self.bring_in()
    }

    /// Brings into the graph what was told; false where there is no graph, or changes were lost.
    fn bring_in(&self) -> Result<bool> {
        // One at a time, so that changes stay in order; the queue is locked briefly, because commits note in it.
        let _one = self.draining.lock();
        let Some(built) = self.built.read().clone() else {
            return Ok(false);
        };
        // What comes meanwhile is above every read point that is asked for.
        let mut rest = self.pending.lock().changes.len();
        while rest > 0 {
            let step = self.pending.lock().take(rest.min(STEP_CHANGES));
            if step.is_empty() {
                // Lost meanwhile.
                return Ok(false);
            }
            rest -= step.len();
            for change in step {
                let done = match &change.vector {
                    Some(vector) => built.graph.put(&change.key, vector, change.at),
                    None => built.graph.remove(&change.key, change.at),
                };
                if let Err(error) = done {
                    self.pending.lock().lose();
                    return Err(error);
                }
            }
        }
        let is_lost = self.pending.lock().is_lost;
        Ok(!is_lost)
    }

    /// Forgets versions that no read point at or above `horizon` sees, where there are many.
    fn tidy(&self, horizon: LogIndex) -> Result<()> {
        let Some(built) = self.built.read().clone() else {
            return Ok(());
        };
        let stats = built.graph.stats();
        if stats.dead < DEAD_MIN || stats.dead * 3 < stats.rows {
            return Ok(());
        }
        // First the floor: a search that began below it looks at it again when it has its hits.
        built.floor.store(horizon.0, Ordering::SeqCst);
        built.graph.forget(horizon);
        if built.graph.wants_compaction() {
            built.graph.compact(|_| Ok(()))?;
        }
        Ok(())
    }

    /// Writes the graph, which `told` is the end of, into its file, unless it is there already.
    fn save(&self, saved: &SavedGraphs, told: LogIndex) -> Result<()> {
        if self.saved_at.load(Ordering::Relaxed) == told.0 || !self.bring_in()? {
            return Ok(());
        }
        let Some(built) = self.built.read().clone() else {
            return Ok(());
        };
        built.graph.advance(told);
        saved.save((self.table, self.index), &built.graph)
    }

    /// Takes the graph from its file, or builds it from the rows as they are now.
    fn build(&self, followers: &Followers, store: &Store) -> Result<()> {
        {
            // Nobody brings changes into the graph that goes while they are counted as those of the graph that comes.
            let _one = self.draining.lock();
            // What is told from here on is noted; what was told before is in the snapshot.
            let mut pending = self.pending.lock();
            *pending = Pending::default();
            *self.built.write() = None;
        }
        let snapshot = store.snapshot();
        let at = snapshot.read_point()?.index;
        let id = (self.table, self.index);
        let saved = followers.saved.as_ref();
        let saved = saved.and_then(|saved| saved.restore(id, at, self.dimensions, self.metric, self.options));
        let graph = match saved {
            Some(graph) => {
                followers.restored.fetch_add(1, Ordering::Relaxed);
                self.saved_at.store(at.0, Ordering::Relaxed);
                graph
            }
            None => self.load(&*snapshot, at, &followers.is_stopped)?,
        };
        let mut pending = self.pending.lock();
        if pending.is_lost {
            return Err(Error::internal(
                "more was written than an index that is being built can follow",
            ));
        }
        pending.changes.retain(|change| change.at > at);
        *self.built.write() = Some(Built {
            graph: Arc::new(graph),
            floor: Arc::new(AtomicU64::new(at.0)),
        });
        Ok(())
    }

    /// A graph of all rows that a snapshot at `at` sees.
    fn load(&self, snapshot: &dyn Snapshot, at: LogIndex, is_stopped: &AtomicBool) -> Result<VectorIndex> {
        let graph = VectorIndex::new(self.dimensions, self.metric, self.options)?;
        let mut scan = snapshot.scan(&KeyRange::index(self.table, ROWS), Direction::Forward);
        let rows = std::iter::from_fn(|| {
            loop {
                match scan.advance() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
                match self.vector(scan.value()) {
                    Ok(Some(vector)) => return Some(Ok((scan.key().to_vec(), vector))),
                    Ok(None) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        });
        graph.load(rows, at, |_| match is_stopped.load(Ordering::Acquire) {
            true => Err(Error::unavailable(SqlState::ADMIN_SHUTDOWN, "the database is closing")),
            false => Ok(()),
        })?;
        graph.advance(at);
        Ok(graph)
    }
}

/// The metric of an index; None for one that has no graph.
pub fn metric(distance: Distance) -> Option<Metric> {
    match distance {
        Distance::L2 => Some(Metric::L2),
        Distance::Cosine => Some(Metric::Cosine),
        Distance::InnerProduct => Some(Metric::InnerProduct),
        Distance::L1 => None,
    }
}
