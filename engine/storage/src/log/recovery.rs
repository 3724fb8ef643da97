//! Opening a log: what to keep, what to refuse. The rules stand in the header of [`super`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use aion_base::files::{Files, Open, read_all};
use aion_base::id::LogIndex;
use aion_base::rng::SeededRng;
use aion_base::{Error, Result};

use super::frame::{self, CLOSED, FRAME_ALIGNMENT, Frame, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::{Log, LogOptions, Position, Segment, damaged, parse_segment_name};

/// What reading one segment found.
pub(super) struct Scan {
    /// Where the first frame that is not an intact entry begins.
    pub(super) end: usize,
    /// The index expected there.
    pub(super) next_index: LogIndex,
    /// The segment ends with the mark of a closed log.
    is_closed: bool,
}

/// An entry as it is replayed.
#[derive(Clone, Copy, Debug)]
pub struct ReplayedEntry<'a> {
    pub index: LogIndex,
    pub term: aion_base::id::Term,
    pub position: Position,
    pub payload: &'a [u8],
}

impl Log {
    /// Opens the log in `dir`, or begins one there at index 1.
    ///
    /// # Errors
    /// Corrupt, naming file and offset, when a part that was durable is missing or damaged; an IO error.
    pub fn open(files: Arc<dyn Files>, dir: &Path, options: LogOptions) -> Result<Self> {
        let doing = |what: &str| format!("{what} {}", dir.display());
        files
            .create_dir_all(dir)
            .map_err(|error| Error::io(doing("create"), error))?;
        let mut log = Self {
            files,
            dir: dir.to_path_buf(),
            options,
            rng: SeededRng::from_entropy(),
            segments: VecDeque::new(),
            spares: Vec::new(),
            spares_wanted: 0,
            next_sequence: 1,
            next_index: LogIndex(1),
            synced_upto: LogIndex(0),
            is_broken: false,
            appended_bytes: 0,
        };
        log.find_segments()?;
        if let Some(first) = log.segments.front() {
            log.next_index = first.header.first_index;
        }
        let mut is_closed = true;
        for at in 0..log.segments.len() {
            let bytes = log.read_segment(at)?;
            let segment = &log.segments[at];
            let scan = scan(&bytes, &segment.header, |_, _| Ok(()))?;
            match log.segments.get(at + 1) {
                Some(next) if scan.next_index < next.header.first_index => {
                    return Err(damaged(
                        &segment.path,
                        scan.end as u64,
                        &format!(
                            "entry {} is missing or not intact, and the next file begins with entry {}",
                            scan.next_index, next.header.first_index
                        ),
                    ));
                }
                Some(next) if scan.next_index > next.header.first_index => {
                    return Err(damaged(
                        &next.path,
                        16,
                        &format!(
                            "it claims to begin with entry {}, which {} holds",
                            next.header.first_index,
                            segment.path.display()
                        ),
                    ));
                }
                Some(_) => {}
                None => {
                    if let Some(offset) = later_sync(&bytes, &segment.header, &scan) {
                        return Err(damaged(
                            &segment.path,
                            scan.end as u64,
                            &format!(
                                "entry {} is not intact, though byte {offset} says it was durable",
                                scan.next_index
                            ),
                        ));
                    }
                    is_closed = scan.is_closed;
                }
            }
            log.next_index = scan.next_index;
            log.segments[at].end = scan.end as u64;
        }
        // Before anyone reads it: what is intact may still be in the page cache only.
        log.sync()?;
        if !is_closed {
            log.drop_empty_tail()?;
            log.roll(0)?;
        }
        Ok(log)
    }

    /// Calls `apply` with every entry from `from` on, in order.
    ///
    /// # Errors
    /// What `apply` returns; corrupt when a file changed since it was opened.
    pub fn replay(&self, from: LogIndex, mut apply: impl FnMut(ReplayedEntry<'_>) -> Result<()>) -> Result<()> {
        for (at, segment) in self.segments.iter().enumerate() {
            let ends_before = self
                .segments
                .get(at + 1)
                .map_or(self.next_index, |next| next.header.first_index);
            if ends_before <= from {
                continue;
            }
            let bytes = self.read_segment(at)?;
            let scan = scan(&bytes, &segment.header, |offset, frame| {
                if frame.header.index < from {
                    return Ok(());
                }
                apply(ReplayedEntry {
                    index: frame.header.index,
                    term: frame.header.term,
                    position: Position {
                        segment: segment.header.sequence,
                        offset: offset as u64,
                        length: frame.payload.len() as u32,
                    },
                    payload: frame.payload,
                })
            })?;
            if scan.next_index != ends_before {
                return Err(damaged(&segment.path, scan.end as u64, "it changed while it was open"));
            }
        }
        Ok(())
    }

    /// Removes a last segment that holds no entry, so that a crash loop does not leave one more each time.
    fn drop_empty_tail(&mut self) -> Result<()> {
        while self.segments.len() > 1 {
            let last = self.segments.back().expect("more than one");
            if last.header.first_index != self.next_index {
                break;
            }
            self.files
                .remove(&last.path)
                .map_err(|error| Error::io(format_args!("remove {}", last.path.display()), error))?;
            self.sync_dir()?;
            self.next_sequence = last.header.sequence;
            self.segments.pop_back();
        }
        Ok(())
    }

    fn find_segments(&mut self) -> Result<()> {
        let list = |error| Error::io(format_args!("list {}", self.dir.display()), error);
        let mut found: Vec<Segment> = Vec::new();
        for name in self.files.list(&self.dir).map_err(list)? {
            let path = self.dir.join(&name);
            let open = |error| Error::io(format_args!("open {}", path.display()), error);
            if let Some(sequence) = parse_segment_name(&name) {
                let file = self.files.open(&path, Open::Existing).map_err(open)?;
                let size = file.len().map_err(open)?;
                let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
                let read = file.read_at(&mut bytes, 0).map_err(open)?;
                let header = SegmentHeader::decode(&bytes[..read]).map_err(|what| damaged(&path, 0, what))?;
                if header.sequence != sequence {
                    return Err(damaged(
                        &path,
                        8,
                        &format!("its header says it is segment {:x}", header.sequence),
                    ));
                }
                found.push(Segment {
                    header,
                    path,
                    file,
                    size,
                    end: SEGMENT_HEADER_BYTES as u64,
                });
            } else if name.starts_with("spare-") {
                let file = self.files.open(&path, Open::Existing).map_err(open)?;
                let size = file.len().map_err(open)?;
                if size == self.options.segment_bytes && self.spares.len() < self.options.spare_segments_max {
                    self.spares.push((path, size));
                } else {
                    self.files.remove(&path).map_err(open)?;
                }
            } else if name.starts_with("new-") {
                self.files.remove(&path).map_err(open)?;
            }
        }
        found.sort_by_key(|segment| segment.header.sequence);
        for pair in found.windows(2) {
            if pair[0].header.sequence + 1 != pair[1].header.sequence {
                let missing = self.dir.join(super::segment_name(pair[0].header.sequence + 1));
                return Err(Error::corrupt(format!("log file {} is missing", missing.display()))
                    .with_hint("Restore this file from a backup; nothing was changed."));
            }
        }
        self.next_sequence = found.last().map_or(1, |segment| segment.header.sequence + 1);
        self.segments = found.into();
        Ok(())
    }

    fn read_segment(&self, at: usize) -> Result<Vec<u8>> {
        let segment = &self.segments[at];
        read_all(&*segment.file).map_err(|error| Error::io(format_args!("read {}", segment.path.display()), error))
    }
}

/// Reads the intact entries at the start of a segment.
pub(super) fn scan(
    bytes: &[u8],
    header: &SegmentHeader,
    mut each: impl FnMut(usize, Frame<'_>) -> Result<()>,
) -> Result<Scan> {
    let mut end = SEGMENT_HEADER_BYTES;
    let mut next_index = header.first_index;
    let mut is_closed = false;
    while let Some(frame) = bytes.get(end..).and_then(|rest| frame::decode_frame(rest, header.salt)) {
        if frame.header.index != next_index {
            break;
        }
        if frame.is_mark() {
            is_closed = frame.header.term == CLOSED;
            break;
        }
        each(end, frame)?;
        end += frame.size();
        next_index = next_index.next();
    }
    Ok(Scan {
        end,
        next_index,
        is_closed,
    })
}

/// The offset of an intact frame or mark behind the scan's end that says the entry missing there was durable.
pub(super) fn later_sync(bytes: &[u8], header: &SegmentHeader, scan: &Scan) -> Option<usize> {
    (scan.end..bytes.len()).step_by(FRAME_ALIGNMENT).find(|&offset| {
        frame::decode_frame(&bytes[offset..], header.salt)
            .is_some_and(|frame| frame.header.synced_upto >= scan.next_index)
    })
}
