//! What a system view shows of the table.

use std::sync::Arc;

use super::{KeyHash, LockMode, LockTable, OwnerId};

/// A lock, or a request for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEntry {
    /// Which key.
    pub key: KeyHash,
    /// How the key begins, at most 64 bytes; None unless several hold it or somebody waits for it.
    pub key_prefix: Option<Box<[u8]>>,
    /// Who.
    pub owner: OwnerId,
    /// What the owner is called.
    pub label: Option<Arc<str>>,
    /// How.
    pub mode: LockMode,
    /// Whether it is held; else it is waited for.
    pub is_granted: bool,
    /// Since when it is waited for: wall clock, microseconds since 1970.
    pub waiting_since_micros: Option<u64>,
}

impl LockTable {
    /// What is locked and waited for, at most `entries_max` of it: first the keys that several are interested in, holders before
    /// those who wait and these in the order in which they will have it, then the others. Each key is seen at one moment, the table is not.
    pub fn list(&self, entries_max: usize) -> Vec<LockEntry> {
        let mut entries = Vec::new();
        for shard in &self.table.shards {
            let keys = shard.keys.lock();
            for (key, contended) in keys.contended() {
                let entry = |owner, mode, since_micros: Option<u64>| LockEntry {
                    key,
                    key_prefix: Some(contended.prefix.clone()),
                    owner,
                    label: None,
                    mode,
                    is_granted: since_micros.is_none(),
                    waiting_since_micros: since_micros,
                };
                let held = contended.holders.iter();
                let held = held.map(|holder| entry(holder.owner, holder.mode, None));
                let waiting = contended.queue.iter();
                let waiting = waiting.map(|request| entry(request.owner.id, request.mode, Some(request.since_micros)));
                let room = entries_max - entries.len();
                entries.extend(held.chain(waiting).take(room));
            }
        }
        for shard in &self.table.shards {
            let room = entries_max - entries.len();
            let keys = shard.keys.lock();
            let uncontended = keys.uncontended().take(room);
            entries.extend(uncontended.map(|(key, holder)| LockEntry {
                key,
                key_prefix: None,
                owner: holder.owner,
                label: None,
                mode: holder.mode,
                is_granted: true,
                waiting_since_micros: None,
            }));
        }
        for entry in &mut entries {
            entry.label = self.table.owner(entry.owner).and_then(|owner| owner.label.clone());
        }
        entries
    }
}
