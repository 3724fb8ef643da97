//! Who has which vector, since when and until when.
//!
//! **Guarantee.** A key has at most one version alive. Each version is in the list of exactly one node. Versions that
//! died are queued in the order of their deaths, so that forgetting looks at no other.
//!
//! Equal vectors share a node: an HNSW graph of many equal vectors falls apart, because each links to its equals and to
//! nothing else, and a search that enters such a heap does not come out. It also settles ties: a search that finds the
//! node finds all its rows.
//!
//! ```text
//! alive: key -> version ----+            nodes[label].first --> version <-> version <-> version
//!                           +--> version {key, born, died, node}
//! by_hash: hash of a vector -> label
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use aion_base::id::LogIndex;
use aion_base::{Error, Result, SqlState};

/// No version, no node.
const NONE: u32 = u32::MAX;

/// The death of a version that is alive.
pub(crate) const ALIVE: LogIndex = LogIndex(u64::MAX);

/// One vector of one row, for a while.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) key: Arc<[u8]>,
    pub(crate) born: LogIndex,
    pub(crate) died: LogIndex,
    /// [`NONE`] for a free place.
    pub(crate) node: u32,
    previous: u32,
    next: u32,
}

impl Version {
    /// Whether a reader at `read_point` sees it.
    pub(crate) fn is_visible(&self, read_point: LogIndex) -> bool {
        self.born <= read_point && read_point < self.died
    }
}

/// All versions of an index.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// By place; free places are listed in `free`.
    versions: Vec<Version>,
    free: Vec<u32>,
    alive: HashMap<Arc<[u8]>, u32>,
    /// Places of the versions that died, by death.
    dead: VecDeque<u32>,
    /// By label: the first version of the node.
    nodes: Vec<u32>,
    empty_nodes: usize,
    /// Vectors that are not in the graph, by label.
    strays: BTreeMap<u32, Box<[f32]>>,
    /// One node for each hash. Another vector of the same hash gets a node that nobody finds here: equal vectors may
    /// then have two nodes, and nothing is wrong.
    by_hash: HashMap<u64, u32>,
    hasher: RandomState,
    key_bytes: usize,
}

impl Versions {
    /// The version of `key` that is alive.
    pub(crate) fn alive(&self, key: &[u8]) -> Option<&Version> {
        self.alive.get(key).map(|place| &self.versions[*place as usize])
    }

    /// Rows with a vector now.
    pub(crate) fn alive_count(&self) -> usize {
        self.alive.len()
    }

    /// Versions that died and are not forgotten.
    pub(crate) fn dead_count(&self) -> usize {
        self.dead.len()
    }

    /// Labels given, which is the next one.
    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Nodes without a version, which only take up room.
    pub(crate) fn empty_node_count(&self) -> usize {
        self.empty_nodes
    }

    /// Vectors that are not in the graph.
    pub(crate) fn strays(&self) -> &BTreeMap<u32, Box<[f32]>> {
        &self.strays
    }

    /// All versions, dead ones too, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(|version| version.node != NONE)
    }

    /// The versions of a node; none for a label that was never given.
    pub(crate) fn of_node(&self, label: u64) -> impl Iterator<Item = &Version> {
        let first = usize::try_from(label).ok().and_then(|label| self.nodes.get(label));
        let mut place = first.copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let version = self.versions.get(place as usize)?;
            place = version.next;
            Some(version)
        })
    }

    /// Whether the node has no version.
    pub(crate) fn is_empty_node(&self, label: u32) -> bool {
        self.nodes[label as usize] == NONE
    }

    /// The hash of a vector, for [`Versions::node_of_hash`]. It differs from process to process.
    pub(crate) fn hash(&self, vector: &[f32]) -> u64 {
        use std::hash::Hasher;
        let mut hasher = self.hasher.build_hasher();
        for component in vector {
            hasher.write_u32(component.to_bits());
        }
        hasher.finish()
    }

    /// The node that may have the vector of this hash: the caller compares.
    pub(crate) fn node_of_hash(&self, hash: u64) -> Option<u32> {
        self.by_hash.get(&hash).copied()
    }

    /// A label for a new node, without versions yet.
    pub(crate) fn new_node(&mut self) -> Result<u32> {
        // NONE is no label.
        let label = u32::try_from(self.nodes.len()).ok().filter(|label| *label < NONE);
        let Some(label) = label else {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a vector index holds at most {NONE} different vectors"),
            ));
        };
        self.nodes.push(NONE);
        self.empty_nodes += 1;
        Ok(label)
    }

    /// Lets equal vectors find the node, which has its vector now.
    pub(crate) fn publish_node(&mut self, hash: u64, label: u32) {
        self.by_hash.entry(hash).or_insert(label);
    }

    /// Keeps the vector of a node that is not in the graph.
    pub(crate) fn keep_stray(&mut self, label: u32, vector: &[f32]) {
        self.strays.insert(label, vector.into());
    }

    /// The key has the vector of `label` from `born` on; its former version has ended.
    pub(crate) fn begin(&mut self, key: &[u8], label: u32, born: LogIndex) -> Result<()> {
        assert!(!self.alive.contains_key(key), "a key has one version alive");
        let key: Arc<[u8]> = key.into();
        let place = self.insert(key.clone(), label, born, ALIVE)?;
        self.alive.insert(key, place);
        Ok(())
    }

    /// The key's version ends at `died`; none may be alive. One that no reader could have seen is gone at once.
    pub(crate) fn end(&mut self, key: &[u8], died: LogIndex) {
        let Some(place) = self.alive.remove(key) else {
            return;
        };
        let version = &mut self.versions[place as usize];
        if version.born >= died {
            self.free(place);
        } else {
            version.died = died;
            self.dead.push_back(place);
        }
    }

    /// Takes a version from a file; deaths come in any order, and [`Versions::finish_adopting`] sorts them.
    pub(crate) fn adopt(&mut self, key: Arc<[u8]>, label: u32, born: LogIndex, died: LogIndex) -> Result<bool> {
        if died != ALIVE {
            let place = self.insert(key, label, born, died)?;
            self.dead.push_back(place);
            return Ok(true);
        }
        if self.alive.contains_key(&key) {
            return Ok(false);
        }
        let place = self.insert(key.clone(), label, born, died)?;
        self.alive.insert(key, place);
        Ok(true)
    }

    /// See [`Versions::adopt`].
    pub(crate) fn finish_adopting(&mut self) {
        let versions = &self.versions;
        self.dead
            .make_contiguous()
            .sort_by_key(|place| versions[*place as usize].died);
    }

    /// Gives up the versions that died at or before `horizon`; returns how many.
    pub(crate) fn forget(&mut self, horizon: LogIndex) -> usize {
        let before = self.dead.len();
        while let Some(place) = self.dead.front().copied() {
            if self.versions[place as usize].died > horizon {
                break;
            }
            self.dead.pop_front();
            self.free(place);
        }
        before - self.dead.len()
    }

    /// Gives the nodes new labels: `labels[old]` is the new one, none for a node that is left out, which must be
    /// empty; `count` is the number of new labels.
    pub(crate) fn relabel(&mut self, labels: &[Option<u32>], count: usize) {
        let mut nodes = vec![NONE; count];
        for (old, new) in labels.iter().enumerate() {
            match new {
                Some(new) => nodes[*new as usize] = self.nodes[old],
                None => assert_eq!(self.nodes[old], NONE, "a node that has versions keeps a label"),
            }
        }
        self.empty_nodes = nodes.iter().filter(|first| **first == NONE).count();
        self.nodes = nodes;
        for version in self.versions.iter_mut().filter(|version| version.node != NONE) {
            version.node = labels[version.node as usize].expect("the node of a version has versions");
        }
        let new = |label: u32| labels[label as usize];
        self.by_hash = (self.by_hash.drain())
            .filter_map(|(hash, label)| Some((hash, new(label)?)))
            .collect();
        self.strays = std::mem::take(&mut self.strays)
            .into_iter()
            .filter_map(|(label, vector)| Some((new(label)?, vector)))
            .collect();
    }

    /// Bytes of memory, without what the allocator adds.
    pub(crate) fn memory_bytes(&self) -> usize {
        const ARC_COUNTS: usize = 16;
        let strays = self
            .strays
            .values()
            .map(|vector| size_of_val(&**vector) + 32)
            .sum::<usize>();
        self.versions.capacity() * size_of::<Version>()
            + self.key_bytes
            + (self.versions.len() - self.free.len()) * ARC_COUNTS
            // One byte of a hash table's place is its own.
            + self.alive.capacity() * (size_of::<(Arc<[u8]>, u32)>() + 1)
            + self.by_hash.capacity() * (size_of::<(u64, u32)>() + 1)
            + (self.dead.capacity() + self.nodes.capacity() + self.free.capacity()) * size_of::<u32>()
            + strays
    }

    fn insert(&mut self, key: Arc<[u8]>, label: u32, born: LogIndex, died: LogIndex) -> Result<u32> {
        let key_bytes = key.len();
        let next = self.nodes[label as usize];
        let version = Version {
            key,
            born,
            died,
            node: label,
            previous: NONE,
            next,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.versions[place as usize] = version;
                place
            }
            None => {
                let place = u32::try_from(self.versions.len()).ok().filter(|place| *place < NONE);
                let Some(place) = place else {
                    return Err(Error::exhausted(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        format!("a vector index holds at most {NONE} versions of rows"),
                    ));
                };
                self.versions.push(version);
                place
            }
        };
        self.key_bytes += key_bytes;
        match next {
            NONE => self.empty_nodes -= 1,
            next => self.versions[next as usize].previous = place,
        }
        self.nodes[label as usize] = place;
        Ok(place)
    }

    fn free(&mut self, place: u32) {
        let version = &mut self.versions[place as usize];
        let (node, previous, next) = (version.node, version.previous, version.next);
        self.key_bytes -= version.key.len();
        version.node = NONE;
        version.key = Arc::default();
        if next != NONE {
            self.versions[next as usize].previous = previous;
        }
        match previous {
            NONE => self.nodes[node as usize] = next,
            previous => self.versions[previous as usize].next = next,
        }
        if self.nodes[node as usize] == NONE {
            self.empty_nodes += 1;
        }
        self.free.push(place);
    }
}
