//! Pages of a scan.
//!
//! **Cursor.** What a page ends with, for the next one. It is opaque to clients, and says where to go on, and of which scan:
//!
//! ```text
//! version u8 = 1 | fingerprint of the scan u64 BE | the last key of the page
//! ```
//!
//! The next page has the keys behind that key, in a snapshot of its own. So each key that is there all the time comes once; one that
//! comes or goes between two pages comes or does not. The fingerprint is of all that says what is scanned, but for the limit: a cursor
//! of another scan is refused (22023).

use std::sync::Arc;

use aion_base::id::Timestamp;
use aion_base::range::{KeyRange, successor};
use aion_base::{Error, Result, SqlState};
use aion_storage::Direction;
use bytes::Bytes;

use super::batch::{KEY_BYTES_MAX, beyond};
use super::namespace::Namespace;
use super::{Kv, WAIT_MAX, reader};
use crate::cancel::Cancellation;

/// Entries of a page, at most.
pub const PAGE_ENTRIES_MAX: usize = 10_000;
/// Bytes of the keys and values of a page; one entry is always there. A page fits into the 4 MiB that clients of gRPC take by default.
pub const PAGE_BYTES_MAX: usize = 4_000_000;
/// What an entry counts for beside its key and its value.
const ENTRY_BYTES: usize = 16;

const CURSOR_VERSION: u8 = 1;
const CURSOR_HEAD_BYTES: usize = 9;

/// Keys in order: all that begin with `prefix`, from `start` on, before `end`.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The table's name in the schema `kv`.
    pub namespace: Arc<str>,
    /// What the keys begin with; empty for all.
    pub prefix: Bytes,
    /// The first of them; empty for the very first.
    pub start: Bytes,
    /// The first behind them; empty for none.
    pub end: Bytes,
    /// The last first.
    pub is_reverse: bool,
    /// Entries of the page.
    pub limit: usize,
    /// Of the page before; empty for the first.
    pub cursor: Bytes,
    /// It sees at least the commit with this timestamp; 0 for whatever is there.
    pub after: Timestamp,
}

/// A part of a scan, of one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, in order.
    pub entries: Vec<(Bytes, Bytes)>,
    /// For the next page; None where there was nothing more.
    pub cursor: Option<Bytes>,
    /// Of the last commit that the page saw.
    pub timestamp: Timestamp,
}

impl Kv {
    /// A page.
    ///
    /// # Errors
    /// 42P01 and 42809 for a namespace that is none, 54000 beyond a limit, 22023 for a cursor that is none of this scan, 55000 for a
    /// timestamp that was not seen, 57014 when it is cancelled.
    pub async fn scan(&self, scan: &Scan, cancellation: &Cancellation) -> Result<Page> {
        scan.check()?;
        self.see(scan.after, self.deadline(WAIT_MAX), cancellation).await?;
        let transaction = reader(&self.engine);
        let namespace = self.namespace(&transaction, &scan.namespace)?;
        let direction = match scan.is_reverse {
            true => Direction::Backward,
            false => Direction::Forward,
        };
        let mut rows = transaction.scan(&scan.range(&namespace)?, direction)?;
        let mut page = Page {
            entries: Vec::new(),
            cursor: None,
            timestamp: transaction.snapshot()?.read_point()?.timestamp,
        };
        let mut bytes = 0;
        while rows.advance()? {
            let (key, value) = namespace.read_row(rows.value())?;
            bytes += key.len() + value.len() + ENTRY_BYTES;
            let is_full = page.entries.len() == scan.limit || bytes > PAGE_BYTES_MAX;
            if let Some((last, _)) = page.entries.last().filter(|_| is_full) {
                page.cursor = Some(scan.cursor_behind(last));
                break;
            }
            page.entries
                .push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            cancellation.watch(page.entries.len() as u64).await?;
        }
        Ok(page)
    }
}

impl Scan {
    fn check(&self) -> Result<()> {
        if self.limit == 0 || self.limit > PAGE_ENTRIES_MAX {
            return Err(Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("the limit of a page is 1 to {PAGE_ENTRIES_MAX}, and not {}", self.limit),
            ));
        }
        for bound in [&self.prefix, &self.start, &self.end] {
            if bound.len() > KEY_BYTES_MAX {
                return Err(beyond(format!(
                    "a prefix or bound has at most {KEY_BYTES_MAX} bytes, and this one {}",
                    bound.len()
                )));
            }
        }
        Ok(())
    }

    fn range(&self, namespace: &Namespace) -> Result<KeyRange> {
        let mut range = match self.prefix.is_empty() {
            true => namespace.rows(),
            false => namespace.starting_with(&self.prefix),
        };
        if !self.start.is_empty() {
            range.start = range.start.max(namespace.row_key(&self.start));
        }
        if !self.end.is_empty() {
            let end = namespace.row_key(&self.end);
            range.end = Some(range.end.map_or(end.clone(), |there| there.min(end)));
        }
        if !self.cursor.is_empty() {
            let last = namespace.row_key(self.last_key()?);
            match self.is_reverse {
                true => range.end = Some(last),
                false => range.start = successor(&last),
            }
        }
        Ok(range)
    }

    fn cursor_behind(&self, last: &[u8]) -> Bytes {
        let mut cursor = Vec::with_capacity(CURSOR_HEAD_BYTES + last.len());
        cursor.push(CURSOR_VERSION);
        cursor.extend_from_slice(&self.fingerprint().to_be_bytes());
        cursor.extend_from_slice(last);
        cursor.into()
    }

    /// The key that the cursor stands on.
    fn last_key(&self) -> Result<&[u8]> {
        let fingerprint = self.fingerprint().to_be_bytes();
        match self.cursor.split_at_checked(CURSOR_HEAD_BYTES) {
            Some((head, last)) if head[0] == CURSOR_VERSION && head[1..] == fingerprint => Ok(last),
            _ => Err(
                Error::invalid(SqlState::INVALID_PARAMETER_VALUE, "the cursor is none of this scan").with_hint(
                    "Give a cursor with the namespace, prefix, bounds and order of the page that it came with.",
                ),
            ),
        }
    }

    /// Of what is scanned (FNV-1a, 64 bits): it tells mistakes, and keeps nobody out.
    fn fingerprint(&self) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for part in [self.namespace.as_bytes(), &self.prefix, &self.start, &self.end] {
            (part.len() as u64).to_be_bytes().into_iter().for_each(&mut add);
            part.iter().copied().for_each(&mut add);
        }
        add(u8::from(self.is_reverse));
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_behind_its_key_in_its_own_scan_alone() {
        let scan = Scan {
            namespace: "n".into(),
            prefix: Bytes::from_static(b"a"),
            limit: 1,
            ..Scan::default()
        };
        let cursor = scan.cursor_behind(b"ab\x00");
        let next = Scan {
            cursor: cursor.clone(),
            limit: 7,
            ..scan.clone()
        };
        assert_eq!(next.last_key().expect("its own"), b"ab\x00");
        let others = [
            Scan {
                is_reverse: true,
                ..next.clone()
            },
            Scan {
                prefix: Bytes::new(),
                start: Bytes::from_static(b"a"),
                ..next.clone()
            },
            Scan {
                namespace: "m".into(),
                ..next.clone()
            },
            Scan {
                cursor: cursor.slice(..5),
                ..next.clone()
            },
        ];
        for other in others {
            let error = other.last_key().expect_err("another scan's");
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        }
    }
}
