//! usearch's HNSW graph, fenced in.
//!
//! **Guarantee.** What usearch leaves to its caller is seen to here, by the types: changing the graph takes `&mut self`,
//! so nothing searches beside it, and a search holds one of the reserved thread slots.
//!
//! What the fence is for, read in the C++ of usearch 2.26:
//!
//! 1. `add` beyond the reserved capacity is an error; [`Graph::add_all`] reserves first, doubling.
//! 2. `reserve` replaces the arrays that searches read: nothing else may run.
//! 3. `add` beside `search` is a race: a search reads the entry node and the height of the graph one after the other
//!    and without a lock, and may look for links on a floor that the node it took does not have. Insertions beside each
//!    other are safe, both are read under a lock then. So insertions run in parallel in `add_all` and nowhere else.
//! 4. Each running call takes a thread slot, and a call without one fails. [`Slots`] makes it wait.
//! 5. It is compiled with `-ffast-math`: NaN and infinity have no meaning in it. [`Graph::ranks`] keeps out the vectors
//!    whose distances could become one, and those that 32-bit floats cannot tell apart.
//! 6. Squared L2 and 1 - inner product: its distances order as ours do, and are thrown away.
//! 7. Removing marks a node and a later insertion overwrites it while its old links remain. Nothing is removed here; the
//!    index builds a new graph when too much of the old one is garbage.
//! 8. Its loader trusts the bytes; they are checked before it sees them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use aion_base::{Error, ErrorKind, Result, SqlState};
use parking_lot::{Condvar, Mutex};
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use crate::index::HnswOptions;
use crate::metric::{Metric, norm_squared};

/// How many searches run in the graph at once; more wait.
const SEARCHES_MAX: usize = 64;

/// The first capacity; doubled from there.
const CAPACITY_MIN: usize = 1024;

/// Insertions from which a second thread pays for its start.
const PARALLEL_MIN: usize = 32;

/// Squared lengths between which sums of squares, differences and products keep their meaning in f32, which ends at
/// 3.4e38 and 1.2e-38.
const NORM_SQUARED_MAX: f64 = 1e37;
const NORM_SQUARED_MIN: f64 = 1e-20;
/// For inner products: usearch computes 1 - product in f32, in which 1e-7 is the last digit.
const NORM_SQUARED_MIN_PRODUCT: f64 = 1e-6;

/// A graph of labelled vectors.
pub(crate) struct Graph {
    index: Index,
    dimensions: usize,
    slots: Slots,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("dimensions", &self.dimensions)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Graph {
    /// An empty graph.
    pub(crate) fn new(dimensions: usize, metric: Metric, options: &HnswOptions) -> Result<Self> {
        let index = Index::new(&IndexOptions {
            dimensions,
            metric: match metric {
                Metric::L2 => MetricKind::L2sq,
                Metric::Cosine => MetricKind::Cos,
                Metric::InnerProduct => MetricKind::IP,
            },
            quantization: ScalarKind::F32,
            connectivity: options.connectivity,
            expansion_add: options.expansion_add,
            // A search's expansion is the count it asks for.
            expansion_search: 1,
            multi: false,
        })
        .map_err(|error| failed("make a vector graph", error))?;
        let graph = Self {
            index,
            dimensions,
            slots: Slots::new(SEARCHES_MAX),
        };
        graph.reserve(CAPACITY_MIN)?;
        Ok(graph)
    }

    /// Whether the graph can rank this vector in f32; one that it cannot must stay out.
    pub(crate) fn ranks(metric: Metric, vector: &[f32]) -> bool {
        let norm_squared = norm_squared(vector);
        let fits = |min: f64| (min..=NORM_SQUARED_MAX).contains(&norm_squared);
        match metric {
            Metric::L2 => norm_squared == 0.0 || fits(NORM_SQUARED_MIN),
            Metric::Cosine => fits(NORM_SQUARED_MIN),
            Metric::InnerProduct => norm_squared == 0.0 || fits(NORM_SQUARED_MIN_PRODUCT),
        }
    }

    /// The query as the graph can rank by it; none where it cannot.
    pub(crate) fn query(metric: Metric, query: &[f32]) -> Option<Vec<f32>> {
        match metric {
            Metric::L2 => Self::ranks(metric, query).then(|| query.to_vec()),
            // The length of the query does not change the order.
            Metric::Cosine | Metric::InnerProduct => {
                let norm = norm_squared(query).sqrt();
                (norm > 0.0).then(|| query.iter().map(|x| (f64::from(*x) / norm) as f32).collect())
            }
        }
    }

    /// Adds vectors under labels that are not in the graph yet, on up to `threads` threads.
    pub(crate) fn add_all(&mut self, vectors: &[(u32, &[f32])], threads: usize) -> Result<()> {
        self.grow(vectors.len())?;
        let threads = threads.min(vectors.len() / PARALLEL_MIN).clamp(1, SEARCHES_MAX);
        if threads == 1 {
            return vectors.iter().try_for_each(|(label, vector)| self.add(*label, vector));
        }
        // A thread takes a part in which vectors are in order: those that follow each other are often near each other, and two
        // that are added at the same moment do not find each other.
        let parts: Vec<_> = vectors.chunks(vectors.len().div_ceil(threads)).collect();
        let (next, is_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<()> {
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                for (label, vector) in *part {
                    if is_failed.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    self.add(*label, vector)
                        .inspect_err(|_| is_failed.store(true, Ordering::Relaxed))?;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // The calling thread works too.
            let others: Vec<_> = (1..threads)
                .map(|_| std::thread::Builder::new().spawn_scoped(scope, work))
                .collect();
            let own = work();
            others.into_iter().try_fold(own, |result, other| match other {
                // A thread that cannot be started is one fewer; the others take its part.
                Err(_) => Ok(result),
                Ok(thread) => match thread.join() {
                    Ok(other) => Ok(result.and(other)),
                    Err(_) => Err(Error::internal("a thread that builds a vector index panicked")),
                },
            })
        })?
    }

    fn add(&self, label: u32, vector: &[f32]) -> Result<()> {
        self.index
            .add(u64::from(label), vector)
            .map_err(|error| failed("add to a vector graph", error))
    }

    /// The labels of about the `count` nearest, nearest first; fewer when the graph has, or reaches, no more.
    pub(crate) fn search(&self, query: &[f32], count: usize) -> Result<Vec<u64>> {
        let _slot = self.slots.take();
        let matches = self.index.search(query, count);
        Ok(matches.map_err(|error| failed("search a vector graph", error))?.keys)
    }

    /// Copies the vector of `label` into `vector`; false where the graph has none.
    pub(crate) fn read(&self, label: u32, vector: &mut [f32]) -> Result<bool> {
        let count = self.index.get(u64::from(label), vector);
        Ok(count.map_err(|error| failed("read a vector graph", error))? == 1)
    }

    /// Vectors in the graph.
    pub(crate) fn len(&self) -> usize {
        self.index.size()
    }

    /// Bytes of memory, as usearch counts its own.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.index.memory_usage()
    }

    /// The graph in usearch's format; empty for an empty graph.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        if self.len() == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; self.index.serialized_length()];
        let saved = self.index.save_to_buffer(&mut bytes);
        saved.map_err(|error| failed("write a vector graph", error))?;
        Ok(bytes)
    }

    /// A graph from what [`Graph::to_bytes`] gave. The caller has checked that these are those bytes.
    pub(crate) fn from_bytes(bytes: &[u8], dimensions: usize, metric: Metric, options: &HnswOptions) -> Result<Self> {
        let mut graph = Self::new(dimensions, metric, options)?;
        if bytes.is_empty() {
            return Ok(graph);
        }
        let loaded = graph.index.load_from_buffer(bytes);
        loaded.map_err(|error| failed("read a vector graph", error))?;
        let (index, metric_kind) = (&graph.index, graph.index.metric_kind());
        let is_same = index.dimensions() == dimensions
            && match metric {
                Metric::L2 => matches!(metric_kind, MetricKind::L2sq),
                Metric::Cosine => matches!(metric_kind, MetricKind::Cos),
                Metric::InnerProduct => matches!(metric_kind, MetricKind::IP),
            };
        if !is_same {
            return Err(Error::corrupt(
                "the vector graph has other dimensions or another metric",
            ));
        }
        // The loader takes the expansions back to its defaults.
        index.change_expansion_add(options.expansion_add);
        index.change_expansion_search(1);
        graph.grow(1)?;
        Ok(graph)
    }

    fn grow(&mut self, by: usize) -> Result<()> {
        let needed = self.len() + by;
        if needed <= self.index.capacity() && self.index.capacity() >= CAPACITY_MIN {
            return Ok(());
        }
        self.reserve(needed.max(self.len() * 2).max(CAPACITY_MIN))
    }

    fn reserve(&self, capacity: usize) -> Result<()> {
        self.index
            .reserve_capacity_and_threads(capacity, SEARCHES_MAX)
            .map_err(|error| failed("reserve memory for a vector graph", error))
    }
}

/// usearch fails for want of memory, or because we called it wrongly; it does not tell the two apart in a code.
fn failed(doing: &str, error: impl std::fmt::Display) -> Error {
    let message = format!("could not {doing}: {error}");
    if message.to_lowercase().contains("memory") {
        return Error::new(ErrorKind::Exhausted, SqlState::OUT_OF_MEMORY, message)
            .with_hint("Free memory, or drop a vector index.");
    }
    Error::internal(message)
}

/// Thread slots: as many searches as were reserved, the others wait.
#[derive(Debug)]
struct Slots {
    free: Mutex<usize>,
    returned: Condvar,
}

struct Slot<'a>(&'a Slots);

impl Slots {
    fn new(count: usize) -> Self {
        Self {
            free: Mutex::new(count),
            returned: Condvar::new(),
        }
    }

    fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.returned.wait(&mut free);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.returned.notify_one();
    }
}
