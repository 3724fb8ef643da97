//! Bytes of the log: segment headers and frames.
//!
//! ```text
//! segment header, at 0, padded with zeros to 4096 bytes:
//!   0  magic        8 bytes  "AIONLOG\x01"
//!   8  sequence     u64 LE   rises by one from segment to segment
//!  16  first_index  u64 LE   index of the first entry the segment may hold
//!  24  salt         u64 LE   random; part of each frame's checksum
//!  32  crc32c       u32 LE   over bytes 0..32
//!
//! frame, at a multiple of 8, padded with zeros to a multiple of 8:
//!   0  length       u32 LE   bytes of payload
//!   4  crc32c       u32 LE   over the segment's salt, then bytes 8..32+length of the frame with `length` before them
//!   8  index        u64 LE   place of the entry in the log
//!  16  term         u64 LE
//!  24  synced_upto  u64 LE   all entries up to here were durable when this frame was written
//!  32  payload
//! ```
//!
//! The salt makes what a recycled segment held before unreadable as frames. An entry is at least one byte;
//! a frame *without* payload is a **mark**: it says only that the entries up to `synced_upto` are durable, stands where the
//! next entry will be written, and is overwritten by it. A mark of `term` [`CLOSED`] says that the log was
//! closed and nothing follows.

use aion_base::id::{LogIndex, Term};

pub const SEGMENT_HEADER_BYTES: usize = 4096;
pub const FRAME_HEADER_BYTES: usize = 32;
pub const FRAME_ALIGNMENT: usize = 8;

/// An entry's payload is at most this many bytes.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// The `term` of the mark that a closed log ends with.
pub const CLOSED: Term = Term(u64::MAX);

const MAGIC: [u8; 8] = *b"AIONLOG\x01";

/// First bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub sequence: u64,
    pub first_index: LogIndex,
    pub salt: u64,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_index.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, or what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let Some(bytes) = bytes.get(..SEGMENT_HEADER_BYTES) else {
            return Err("the file is shorter than a segment's header");
        };
        if bytes[..8] != MAGIC {
            return Err("the file does not begin like a log segment");
        }
        if crc32c::crc32c(&bytes[..32]) != u32_at(bytes, 32) {
            return Err("the checksum of the segment's header is wrong");
        }
        if bytes[36..].iter().any(|&byte| byte != 0) {
            return Err("the padding of the segment's header is not zero");
        }
        Ok(Self {
            sequence: u64_at(bytes, 8),
            first_index: LogIndex(u64_at(bytes, 16)),
            salt: u64_at(bytes, 24),
        })
    }
}

/// A frame's fields before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub index: LogIndex,
    pub term: Term,
    pub synced_upto: LogIndex,
}

/// A frame that was found intact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub header: FrameHeader,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    pub fn is_mark(&self) -> bool {
        self.payload.is_empty()
    }

    /// Bytes the frame takes, padding included.
    pub fn size(&self) -> usize {
        frame_size(self.payload.len())
    }
}

/// Bytes that a frame with a payload of `length` bytes takes, padding included.
pub const fn frame_size(length: usize) -> usize {
    (FRAME_HEADER_BYTES + length).next_multiple_of(FRAME_ALIGNMENT)
}

/// Appends a frame to `out`, which must be aligned like the segment.
pub fn encode_frame(out: &mut Vec<u8>, salt: u64, header: FrameHeader, payload: &[u8]) {
    assert!(payload.len() <= ENTRY_BYTES_MAX, "the caller has split larger entries");
    let start = out.len();
    assert!(start.is_multiple_of(FRAME_ALIGNMENT), "frames are aligned");
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.index.0.to_le_bytes());
    out.extend_from_slice(&header.term.0.to_le_bytes());
    out.extend_from_slice(&header.synced_upto.0.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = checksum(salt, &out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + frame_size(payload.len()), 0);
}

/// The frame at the start of `bytes`; None where there is none that is intact.
pub fn decode_frame(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
    let fields = bytes.get(..FRAME_HEADER_BYTES)?;
    let length = u32_at(fields, 0) as usize;
    if length > ENTRY_BYTES_MAX {
        return None;
    }
    let frame = bytes.get(..FRAME_HEADER_BYTES + length)?;
    let header = FrameHeader {
        index: LogIndex(u64_at(fields, 8)),
        term: Term(u64_at(fields, 16)),
        synced_upto: LogIndex(u64_at(fields, 24)),
    };
    // Cheap, and rejects nearly all that is no frame before the checksum is computed.
    if header.index.0 == 0 || header.synced_upto >= header.index {
        return None;
    }
    (checksum(salt, frame) == u32_at(fields, 4)).then_some(Frame {
        header,
        payload: &frame[FRAME_HEADER_BYTES..],
    })
}

fn checksum(salt: u64, frame: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &frame[..4]);
    crc32c::crc32c_append(crc, &frame[8..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_any_flipped_bit_is_noticed() {
        let header = FrameHeader {
            index: LogIndex(7),
            term: Term(1),
            synced_upto: LogIndex(6),
        };
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, 42, header, b"payload");
        assert_eq!(bytes.len(), frame_size(7));
        let frame = decode_frame(&bytes, 42).expect("intact");
        assert_eq!((frame.header, frame.payload), (header, &b"payload"[..]));
        assert_eq!(decode_frame(&bytes, 43), None, "another segment's salt");
        for bit in 0..(FRAME_HEADER_BYTES + 7) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_frame(&flipped, 42), None, "bit {bit}");
        }
        for length in 0..FRAME_HEADER_BYTES + 7 {
            assert_eq!(decode_frame(&bytes[..length], 42), None, "{length} bytes");
        }
    }

    #[test]
    fn a_segment_header_reads_back_and_any_flipped_bit_is_noticed() {
        let header = SegmentHeader {
            sequence: 3,
            first_index: LogIndex(100),
            salt: 0x0102_0304_0506_0708,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    /// The format is frozen: these bytes lie on disks.
    #[test]
    fn the_bytes_are_the_format() {
        let mut bytes = Vec::new();
        let header = FrameHeader {
            index: LogIndex(2),
            term: Term(1),
            synced_upto: LogIndex(1),
        };
        encode_frame(&mut bytes, 9, header, &[0xab]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01000000db100e46020000000000000001000000000000000100000000000000\
             ab00000000000000"
        );
    }
}
