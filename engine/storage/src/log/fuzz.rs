//! The log's frames for a fuzzer: a segment is made as its bytes say, damaged as they say, and read as when a log is opened.
//!
//! The reference knows what was appended and which bytes were changed. It demands of the reader:
//! 1. What it reads is what was appended, from the first entry on; without damage all of it.
//! 2. Where it stops before an entry that an undamaged later frame says was durable, it says so.

use std::ops::Range;

use aion_base::id::{LogIndex, Term};

use super::frame::{self, FrameHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::recovery::{later_sync, scan};

/// A checksum of 32 bits finds up to so many flipped bits wherever they are; with more it may miss one in four billion.
const FLIPS_MAX: usize = 3;
/// Bytes of a segment: more find nothing new.
const SEGMENT_BYTES_MAX: usize = 64 << 10;

/// A frame that was written.
struct Written {
    bytes: Range<usize>,
    /// The bytes that count; behind them is padding.
    end: usize,
    synced_upto: LogIndex,
}

/// Reads `data` as steps: append, sync, mark; and where bits are flipped afterwards.
pub fn frames(data: &[u8]) {
    let header = SegmentHeader {
        sequence: 1,
        first_index: LogIndex(1),
        salt: 0x5eed_5eed_5eed_5eed,
    };
    let mut bytes = header.encode().to_vec();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut written: Vec<Written> = Vec::new();
    let (mut synced_upto, mut flips) = (LogIndex(0), Vec::new());
    // A mark is overwritten by the next entry.
    let mut mark = None;
    let mut rest = data;
    while let Some((&step, after)) = rest.split_first() {
        rest = after;
        let last = LogIndex(entries.len() as u64);
        match step % 4 {
            0 | 1 if bytes.len() < SEGMENT_BYTES_MAX => {
                let length = usize::from(step / 4) + 1;
                let (payload, after) = rest.split_at(length.min(rest.len()));
                rest = after;
                let payload = if payload.is_empty() { &[0][..] } else { payload };
                if let Some(start) = mark.take() {
                    bytes.truncate(start);
                    written.pop();
                }
                push(&mut bytes, &mut written, header.salt, last.next(), synced_upto, payload);
                entries.push(payload.to_vec());
            }
            2 if step & 4 == 0 => synced_upto = last,
            2 if mark.is_none() => {
                mark = Some(bytes.len());
                push(&mut bytes, &mut written, header.salt, last.next(), synced_upto, &[]);
            }
            _ => {
                if let Some((&[low, high], after)) = rest.split_first_chunk::<2>()
                    && flips.len() < FLIPS_MAX
                {
                    rest = after;
                    flips.push((usize::from(u16::from_le_bytes([low, high])), step / 4 % 8));
                }
            }
        }
    }
    bytes.resize((bytes.len() + 64).next_multiple_of(frame::FRAME_ALIGNMENT), 0);
    let frames_bytes = bytes.len() - SEGMENT_HEADER_BYTES;
    let places: Vec<usize> = flips
        .iter()
        .map(|(at, _)| SEGMENT_HEADER_BYTES + at % frames_bytes)
        .collect();
    for (&place, (_, bit)) in places.iter().zip(&flips) {
        bytes[place] ^= 1 << bit;
    }
    // Two flips of one bit are none.
    let is_damaged = |frame: &Written| {
        let mut sum = vec![0_u8; frame.end - frame.bytes.start];
        for (place, (_, bit)) in places.iter().zip(&flips) {
            if let Some(byte) = place.checked_sub(frame.bytes.start).and_then(|at| sum.get_mut(at)) {
                *byte ^= 1 << bit;
            }
        }
        sum.iter().any(|byte| *byte != 0)
    };

    let mut read = Vec::new();
    let found = scan(&bytes, &header, |_, frame| {
        read.push(frame.payload.to_vec());
        Ok(())
    });
    let found = found.expect("nothing it calls fails");
    assert!(entries.starts_with(&read), "entries are read that were not appended");
    assert_eq!(found.next_index.0, read.len() as u64 + 1);
    let first_damaged = written.iter().take(entries.len()).position(is_damaged);
    assert_eq!(
        read.len(),
        first_damaged.unwrap_or(entries.len()),
        "intact entries are read"
    );
    let says_so = written
        .iter()
        .any(|frame| frame.bytes.start >= found.end && !is_damaged(frame) && frame.synced_upto >= found.next_index);
    if says_so {
        assert!(
            later_sync(&bytes, &header, &found).is_some(),
            "a durable entry is lost silently"
        );
    }
    if first_damaged.is_none() {
        assert!(later_sync(&bytes, &header, &found).is_none(), "a whole log is refused");
    }
}

fn push(
    bytes: &mut Vec<u8>,
    written: &mut Vec<Written>,
    salt: u64,
    index: LogIndex,
    synced_upto: LogIndex,
    payload: &[u8],
) {
    let start = bytes.len();
    let header = FrameHeader {
        index,
        term: Term(1),
        synced_upto,
    };
    frame::encode_frame(bytes, salt, header, payload);
    written.push(Written {
        bytes: start..bytes.len(),
        end: start + frame::FRAME_HEADER_BYTES + payload.len(),
        synced_upto,
    });
}
