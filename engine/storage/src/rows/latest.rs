//! What a snapshot sees, known without a read.
//!
//! A writer says when it begins and when it is over; a snapshot that was taken while nobody wrote sees the last entry that was written before.
//! It is a sequence lock: the count is odd while somebody writes. After a write that failed it stays odd, and nobody relies on it again.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use aion_base::id::{LogIndex, Timestamp};

use super::{Applied, ReadPoint};

/// See the module's header. There is one writer at a time.
#[derive(Debug, Default)]
pub struct Latest {
    /// 0 before the first write: what is there then nobody has said.
    count: AtomicU64,
    index: AtomicU64,
    timestamp: AtomicU64,
}

/// A write that has begun.
#[must_use]
#[derive(Debug)]
pub struct Begun(u64);

impl Latest {
    /// Somebody begins to write.
    pub fn begin(&self) -> Begun {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count | 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Begun(count)
    }

    /// It is written, up to this entry.
    pub fn end(&self, begun: Begun, applied: &Applied) {
        // One that follows a failure cannot be told from it.
        if begun.0 & 1 == 1 {
            return;
        }
        self.index.store(applied.index.0, Ordering::Relaxed);
        self.timestamp.store(applied.timestamp.0, Ordering::Relaxed);
        self.count.store(begun.0 + 2, Ordering::Release);
    }

    /// Takes a snapshot, and says what it sees; None where that is not known.
    pub fn during<T>(&self, take: impl FnOnce() -> T) -> (T, Option<ReadPoint>) {
        let before = self.count.load(Ordering::Acquire);
        let read_point = ReadPoint {
            index: LogIndex(self.index.load(Ordering::Relaxed)),
            timestamp: Timestamp(self.timestamp.load(Ordering::Relaxed)),
        };
        let taken = take();
        fence(Ordering::SeqCst);
        let is_known = before != 0 && before & 1 == 0 && self.count.load(Ordering::Relaxed) == before;
        (taken, is_known.then_some(read_point))
    }
}

#[cfg(test)]
mod tests {
    use aion_base::id::Term;

    use super::*;

    fn applied(index: u64) -> Applied {
        Applied {
            index: LogIndex(index),
            term: Term(1),
            timestamp: Timestamp(index * 10),
        }
    }

    #[test]
    fn it_is_known_only_while_nobody_writes() {
        let latest = Latest::default();
        assert_eq!(latest.during(|| ()).1, None, "nobody has written");
        let begun = latest.begin();
        assert_eq!(latest.during(|| ()).1, None);
        latest.end(begun, &applied(7));
        let seen = latest.during(|| ()).1.expect("known");
        assert_eq!((seen.index, seen.timestamp), (LogIndex(7), Timestamp(70)));
        let within = latest.during(|| {
            let begun = latest.begin();
            latest.end(begun, &applied(8));
        });
        assert_eq!(within.1, None, "written while it was taken");
        assert_eq!(latest.during(|| ()).1.expect("known").index, LogIndex(8));
        // One fails: the next ones do not make up for it.
        let _ = latest.begin();
        let begun = latest.begin();
        latest.end(begun, &applied(10));
        assert_eq!(latest.during(|| ()).1, None);
    }

    /// Readers against a writer: what is said to be seen was there when the snapshot was taken.
    #[test]
    fn a_snapshot_sees_what_it_is_said_to() {
        let (latest, written) = (Latest::default(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for index in 1..=200_000 {
                    let begun = latest.begin();
                    written.store(index, Ordering::SeqCst);
                    latest.end(begun, &applied(index));
                }
            });
            scope.spawn(|| {
                while written.load(Ordering::SeqCst) < 200_000 {
                    let (seen, read_point) = latest.during(|| written.load(Ordering::SeqCst));
                    if let Some(read_point) = read_point {
                        assert_eq!(read_point.index.0, seen);
                        assert_eq!(read_point.timestamp.0, seen * 10);
                    }
                }
            });
        });
        let (seen, read_point) = latest.during(|| written.load(Ordering::SeqCst));
        assert_eq!(read_point.map(|read_point| read_point.index.0), Some(seen));
    }
}
