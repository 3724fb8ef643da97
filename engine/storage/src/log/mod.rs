//! The log: what is durable, in order.
//!
//! **Vocabulary.** An *entry* is a payload of 1 to [`ENTRY_BYTES_MAX`] bytes with an index and a term. Entries lie as
//! *frames* in *segments*: files of one size, filled with zeros when they are made, so that a sync writes data
//! and no file metadata. A *mark* is a frame without payload (see [`frame`]). To *purge* is to give up old segments.
//!
//! **Guarantees.**
//! - An entry whose [`Log::sync`] returned is there after a crash, at its index, or [`Log::open`] refuses and
//!   names the file and the offset. It never opens with a part missing.
//! - Entries have consecutive indexes from [`Log::first_index`] to [`Log::last_index`].
//! - After an error of [`Log::append`] the log is as before it, or [`Log::is_broken`] and good for nothing.
//!
//! **How a segment follows another.** Everything in the old one is synced; then the new one's header is
//! written, synced, and named. So a segment's header says where the one before it ends.
//!
//! **How opening decides what to keep.** It reads the segments in order until a frame is not intact:
//! 1. In a segment that is not the last, up to the next one's `first_index`, that is damage: everything there was synced.
//! 2. In the last one, if any later intact frame or mark has `synced_upto` at or above the missing index, that is
//!    damage. Marks are written after each sync with nothing to do, so this also holds for the very last entries.
//! 3. Otherwise a write was cut short, and nobody was told that it was done: the tail ends here.
//!
//! Entries at the tail that are intact but perhaps not durable are synced before anyone reads them. Unless the tail
//! ends with the mark of a closed log, appending goes on in a new segment, so that no rest of a torn tail can
//! ever be taken for what follows.
//!
//! A node has one log. Later its shards share it, and followers will truncate it.

mod frame;
pub mod fuzz;
mod recovery;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aion_base::files::{File, Files, Open};
use aion_base::id::{LogIndex, Term};
use aion_base::plant::{Plant, is_planted};
use aion_base::rng::SeededRng;
use aion_base::{Error, Result, SqlState};

pub use frame::ENTRY_BYTES_MAX;

use frame::{CLOSED, FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES, SegmentHeader};

/// Choices of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Size of a segment file in bytes; at least 16 MiB in production, smaller in tests. A segment always holds an entry of the
    /// largest size, so a smaller figure is raised for an entry that needs it.
    pub segment_bytes: u64,
    /// Purged segments that are kept for reuse, at most: as many as one purge gave up lately, since as many will be wanted before the next. One that is
    /// made anew is written twice, with zeros first.
    pub spare_segments_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            spare_segments_max: 32,
        }
    }
}

/// Spare segments that are kept in any case.
const SPARES_MIN: usize = 2;

/// Bytes of zeros that are written at once into a new segment.
const ZEROS_AT_ONCE: usize = 4 << 10;

/// Kept free at the end of each segment: without a mark, damage to its last entry would pass for a torn write.
const MARK_BYTES: u64 = frame::frame_size(0) as u64;

/// Where an entry lies, for reading it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    segment: u64,
    offset: u64,
    length: u32,
}

/// An open log. One thread appends; see the module's header.
#[derive(Debug)]
pub struct Log {
    files: Arc<dyn Files>,
    dir: PathBuf,
    options: LogOptions,
    rng: SeededRng,
    segments: VecDeque<Segment>,
    spares: Vec<(PathBuf, u64)>,
    /// How many of them the last purges say will be wanted.
    spares_wanted: usize,
    next_sequence: u64,
    next_index: LogIndex,
    synced_upto: LogIndex,
    is_broken: bool,
    /// Bytes of frames appended since the log was opened.
    appended_bytes: u64,
}

#[derive(Debug)]
struct Segment {
    header: SegmentHeader,
    path: PathBuf,
    file: Box<dyn File>,
    size: u64,
    /// Where the next frame goes.
    end: u64,
}

fn segment_name(sequence: u64) -> String {
    format!("{sequence:016x}.log")
}

fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 16)
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

impl Log {
    /// Makes a log without entries in `dir`, durably; the first that is appended will have the index `first`.
    ///
    /// # Errors
    /// Internal where a log is there already; an IO error.
    pub fn create(files: Arc<dyn Files>, dir: &Path, options: LogOptions, first: LogIndex) -> Result<()> {
        let mut log = Self::open(files, dir, options)?;
        if !log.segments.is_empty() {
            return Err(Error::internal(format!("there is a log in {}", dir.display())));
        }
        log.next_index = first;
        log.synced_upto = log.last_index();
        log.roll(0)?;
        log.close()
    }

    /// The first index that the log can still give; one above [`Log::last_index`] when it holds none.
    pub fn first_index(&self) -> LogIndex {
        self.segments
            .front()
            .map_or(self.next_index, |segment| segment.header.first_index)
    }

    /// The index of the last entry; one below the first index when there is none.
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.next_index.0 - 1)
    }

    /// Bytes of frames appended since the log was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// True after a failed write or sync: what is on disk is unknown until the log is opened again.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Appends one entry; durable after the next [`Log::sync`]. The payload's first bytes may be patched by the caller beforehand; the
    /// log does not look into it.
    ///
    /// # Errors
    /// 53100 when there is no room for a new segment: nothing changed. Any other error breaks the log.
    pub fn append(&mut self, term: Term, payload: &[u8]) -> Result<Position> {
        let mut positions = self.append_all(term, &[payload])?;
        Ok(positions.pop().expect("one position for one payload"))
    }

    /// Appends entries in one write for each segment touched.
    ///
    /// # Errors
    /// As [`Log::append`]. When room runs out in the middle, none of the entries is in the log.
    pub fn append_all(&mut self, term: Term, payloads: &[&[u8]]) -> Result<Vec<Position>> {
        if self.is_broken {
            return Err(broken());
        }
        let start = (
            self.next_index,
            self.segments.len(),
            self.segments.back().map(|segment| segment.end),
        );
        let mut positions = Vec::with_capacity(payloads.len());
        let mut buffer: Vec<u8> = Vec::new();
        for payload in payloads {
            assert!(
                (1..=ENTRY_BYTES_MAX).contains(&payload.len()),
                "an entry has 1 byte to 4 MiB"
            );
            let size = frame::frame_size(payload.len()) as u64;
            let pending = buffer.len() as u64;
            if self
                .segments
                .back()
                .is_none_or(|segment| segment.end + pending + size + MARK_BYTES > segment.size)
            {
                self.write(&mut buffer)?;
                if let Err(error) = self.roll(size) {
                    if error.state() == SqlState::DISK_FULL && self.segments.len() == start.1 {
                        // The frames written so far were never acknowledged: step back over them.
                        self.next_index = start.0;
                        if let (Some(segment), Some(end)) = (self.segments.back_mut(), start.2) {
                            segment.end = end;
                        }
                        self.erase_tail()?;
                    } else {
                        self.is_broken = true;
                    }
                    return Err(error);
                }
            }
            let segment = self.segments.back().expect("rolled above where there was none");
            positions.push(Position {
                segment: segment.header.sequence,
                offset: segment.end + buffer.len() as u64,
                length: payload.len() as u32,
            });
            let header = FrameHeader {
                index: self.next_index,
                term,
                synced_upto: self.synced_upto,
            };
            frame::encode_frame(&mut buffer, segment.header.salt, header, payload);
            self.next_index = self.next_index.next();
        }
        self.write(&mut buffer)?;
        Ok(positions)
    }

    /// Makes all appended entries durable.
    ///
    /// # Errors
    /// Any error breaks the log: after a failed fsync the kernel may have dropped the pages.
    pub fn sync(&mut self) -> Result<()> {
        if self.is_broken {
            return Err(broken());
        }
        let Some(segment) = self.segments.back() else {
            return Ok(());
        };
        if let Err(error) = segment.file.sync_data() {
            self.is_broken = true;
            return Err(Error::io(format_args!("sync {}", segment.path.display()), error));
        }
        self.synced_upto = self.last_index();
        Ok(())
    }

    /// Notes after the last entry that all are durable. Costs a write and no sync; call it when there is
    /// nothing else to do.
    ///
    /// # Errors
    /// Any error breaks the log.
    pub fn mark(&mut self) -> Result<()> {
        self.write_mark(Term(0))
    }

    /// Ends the log: everything durable, and a mark that says nothing follows.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn close(mut self) -> Result<()> {
        self.sync()?;
        self.write_mark(CLOSED)?;
        self.sync()
    }

    /// Reads an entry again.
    ///
    /// # Errors
    /// Corrupt, naming the file and the offset, when the entry is damaged; internal for a purged one.
    pub fn read(&self, position: Position) -> Result<Vec<u8>> {
        let segment = self
            .segments
            .iter()
            .find(|segment| segment.header.sequence == position.segment)
            .ok_or_else(|| Error::internal(format!("log segment {} was purged while needed", position.segment)))?;
        let mut bytes = vec![0; FRAME_HEADER_BYTES + position.length as usize];
        let doing = || format!("read {} at {}", segment.path.display(), position.offset);
        segment
            .file
            .read_at(&mut bytes, position.offset)
            .map_err(|error| Error::io(doing(), error))?;
        if frame::decode_frame(&bytes, segment.header.salt).is_none() {
            return Err(damaged(
                &segment.path,
                position.offset,
                "a frame that was written here is not intact",
            ));
        }
        bytes.drain(..FRAME_HEADER_BYTES);
        Ok(bytes)
    }

    /// Gives up segments that hold only entries up to `upto`. Returns how many. Fewer and fewer spare segments stay when there are none.
    ///
    /// # Errors
    /// An IO error leaves the segment in place; try again later.
    pub fn purge(&mut self, upto: LogIndex) -> Result<usize> {
        let upto = if is_planted(Plant::Purge) {
            self.last_index()
        } else {
            upto
        };
        let mut purged = 0;
        let going = self.segments.iter().skip(1);
        let going = going.take_while(|next| next.header.first_index.0 <= upto.0 + 1).count();
        self.spares_wanted = going.max(self.spares_wanted * 3 / 4).clamp(
            SPARES_MIN.min(self.options.spare_segments_max),
            self.options.spare_segments_max,
        );
        while self.spares.len() > self.spares_wanted
            && let Some((spare, _)) = self.spares.pop()
        {
            self.files
                .remove(&spare)
                .map_err(|error| Error::io(format_args!("remove {}", spare.display()), error))?;
        }
        while self.segments.len() > 1 && self.segments[1].header.first_index.0 <= upto.0 + 1 {
            let segment = &self.segments[0];
            if self.spares.len() < self.spares_wanted && segment.size == self.options.segment_bytes {
                let spare = self.dir.join(format!("spare-{:016x}", segment.header.sequence));
                self.files
                    .rename(&segment.path, &spare)
                    .map_err(|error| Error::io(format_args!("rename {}", segment.path.display()), error))?;
                self.spares.push((spare, segment.size));
            } else {
                self.files
                    .remove(&segment.path)
                    .map_err(|error| Error::io(format_args!("remove {}", segment.path.display()), error))?;
            }
            self.segments.pop_front();
            purged += 1;
            // One by one and durable, so that a crash never leaves a gap.
            self.sync_dir()?;
        }
        Ok(purged)
    }

    fn write(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let segment = self.segments.back_mut().expect("frames are made for a segment");
        if let Err(error) = segment.file.write_at(buffer, segment.end) {
            self.is_broken = true;
            return Err(Error::io(format_args!("write {}", segment.path.display()), error));
        }
        segment.end += buffer.len() as u64;
        self.appended_bytes += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }

    fn write_mark(&mut self, term: Term) -> Result<()> {
        if self.is_broken {
            return Err(broken());
        }
        let index = self.next_index;
        let synced_upto = self.synced_upto;
        let Some(segment) = self.segments.back_mut() else {
            return Ok(());
        };
        if segment.end + MARK_BYTES > segment.size {
            return Ok(()); // The next segment's header will say it.
        }
        let mut bytes = Vec::with_capacity(frame::frame_size(0));
        frame::encode_frame(
            &mut bytes,
            segment.header.salt,
            FrameHeader {
                index,
                term,
                synced_upto,
            },
            &[],
        );
        if let Err(error) = segment.file.write_at(&bytes, segment.end) {
            self.is_broken = true;
            return Err(Error::io(format_args!("write {}", segment.path.display()), error));
        }
        Ok(())
    }

    /// Zeros after the end, durable: what stands there was never acknowledged and must not come back.
    fn erase_tail(&mut self) -> Result<()> {
        let Some(segment) = self.segments.back() else {
            return Ok(());
        };
        let zeros = vec![0; (segment.size - segment.end) as usize];
        let result = segment
            .file
            .write_at(&zeros, segment.end)
            .and_then(|()| segment.file.sync_data());
        result.map_err(|error| {
            self.is_broken = true;
            Error::io(format_args!("erase the tail of {}", segment.path.display()), error)
        })
    }

    /// Begins a new segment that has room for a frame of `size` bytes and a mark.
    fn roll(&mut self, size: u64) -> Result<()> {
        self.sync()?;
        let wanted = self
            .options
            .segment_bytes
            .max(SEGMENT_HEADER_BYTES as u64 + size + MARK_BYTES);
        let header = SegmentHeader {
            sequence: self.next_sequence,
            first_index: self.next_index,
            salt: self.rng.next_u64(),
        };
        let path = self.dir.join(segment_name(header.sequence));
        let spare = if wanted == self.options.segment_bytes {
            self.spares.pop()
        } else {
            None
        };
        let (unnamed, file) = match spare {
            Some((spare, _)) => {
                let file = self.files.open(&spare, Open::Existing);
                (
                    spare.clone(),
                    file.map_err(|error| Error::io(format_args!("open {}", spare.display()), error))?,
                )
            }
            None => {
                let unnamed = self.dir.join(format!("new-{:016x}", header.sequence));
                let file = match self.create_zeroed(&unnamed, wanted) {
                    Ok(file) => file,
                    Err(error) => {
                        // Half a file is in the way of the next try; if it cannot go either, the open removes it.
                        if let Err(error) = self.files.remove(&unnamed) {
                            tracing::warn!(%error, file = %unnamed.display(), "could not remove an unfinished segment");
                        }
                        return Err(Error::io(format_args!("create {}", unnamed.display()), error));
                    }
                };
                (unnamed, file)
            }
        };
        let named = file
            .write_at(&header.encode(), 0)
            .and_then(|()| file.sync_data())
            .and_then(|()| self.files.rename(&unnamed, &path));
        named.map_err(|error| Error::io(format_args!("begin {}", path.display()), error))?;
        self.sync_dir()?;
        self.next_sequence += 1;
        self.segments.push_back(Segment {
            header,
            path,
            file,
            size: wanted,
            end: SEGMENT_HEADER_BYTES as u64,
        });
        Ok(())
    }

    fn create_zeroed(&self, path: &Path, size: u64) -> std::io::Result<Box<dyn File>> {
        let file = self.files.open(path, Open::New)?;
        // A file system keeps what is written at once in memory as one piece, and goes through all of it for each small write that falls into it.
        let zeros = vec![0; ZEROS_AT_ONCE];
        let mut offset = 0;
        while offset < size {
            let part = (size - offset).min(zeros.len() as u64);
            file.write_at(&zeros[..part as usize], offset)?;
            offset += part;
        }
        Ok(file)
    }

    fn sync_dir(&self) -> Result<()> {
        self.files
            .sync_dir(&self.dir)
            .map_err(|error| Error::io(format_args!("sync {}", self.dir.display()), error))
    }
}

fn broken() -> Error {
    Error::unavailable(SqlState::IO_ERROR, "the log stopped after a failed write or sync")
        .with_hint("Check the disk, then start again: what was acknowledged is durable.")
}

fn damaged(path: &Path, offset: u64, what: &str) -> Error {
    Error::corrupt(format!(
        "log file {} is damaged at byte {offset}: {what}",
        path.display()
    ))
    .with_hint("Restore this file from a backup; nothing was changed.")
}

#[cfg(test)]
mod tests;
