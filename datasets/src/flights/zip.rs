//! The one file of a zip archive.
//!
//! The source packs `flights.csv` alone into `flights.csv.zip`. This reads such an archive (PKWARE APPNOTE 6.3: the end
//! record, the one entry of the central directory, the local header) with the method Deflate, and checks length and
//! CRC-32. Left out: several files, ZIP64, encryption, other methods; they are refused.
//!
//! ```text
//! local header (30 bytes + name + extra) | Deflate data | directory entry (46 bytes + ...) | end record (22 bytes + comment)
//!                                                          + 16 CRC-32, 20 and 24 sizes,      + 10 count, 16 offset
//!                                                          42 offset of the local header        of the directory
//! ```

use std::io::Read;

use flate2::Crc;
use flate2::read::DeflateDecoder;

const END_SIGNATURE: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const ENTRY_SIGNATURE: &[u8] = b"PK\x01\x02";
const LOCAL_SIGNATURE: &[u8] = b"PK\x03\x04";
const LOCAL_SIZE: usize = 30;
const METHOD_DEFLATE: usize = 8;
/// Bit 0 of the flags: the data is encrypted.
const FLAG_ENCRYPTED: usize = 1;

/// Unpacks the one file in `archive`, whose length must not exceed `length_max`. The error says what is wrong.
pub fn unpack_single(archive: &[u8], length_max: usize) -> Result<Vec<u8>, String> {
    let last_start = archive
        .len()
        .checked_sub(END_SIZE)
        .ok_or("it is shorter than the end record of a zip archive")?;
    let end = (0..=last_start)
        .rev()
        .find(|at| archive[*at..].starts_with(END_SIGNATURE))
        .ok_or("it has no end record of a zip archive")?;
    let count = number(archive, end + 10, 2)?;
    if count != 1 {
        return Err(format!("it holds {count} files instead of one"));
    }
    let entry = number(archive, end + 16, 4)?;
    expect_signature(archive, entry, ENTRY_SIGNATURE)?;
    if number(archive, entry + 8, 2)? & FLAG_ENCRYPTED != 0 || number(archive, entry + 10, 2)? != METHOD_DEFLATE {
        return Err("its file is encrypted, or packed otherwise than with Deflate".to_owned());
    }
    let checksum = number(archive, entry + 16, 4)?;
    let packed_length = number(archive, entry + 20, 4)?;
    let length = number(archive, entry + 24, 4)?;
    if length > length_max {
        return Err(format!("its file has {length} bytes, more than {length_max}"));
    }
    let local = number(archive, entry + 42, 4)?;
    expect_signature(archive, local, LOCAL_SIGNATURE)?;
    let start = local + LOCAL_SIZE + number(archive, local + 26, 2)? + number(archive, local + 28, 2)?;
    let packed = archive.get(start..start + packed_length).ok_or("its data is cut off")?;
    inflate(packed, length, checksum)
}

fn inflate(packed: &[u8], length: usize, checksum: usize) -> Result<Vec<u8>, String> {
    let mut file = Vec::with_capacity(length);
    // One byte more than allowed, so that a longer file is noticed without being unpacked.
    let limit = u64::try_from(length).map_or(u64::MAX, |length| length + 1);
    DeflateDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut file)
        .map_err(|error| format!("its data cannot be unpacked: {error}"))?;
    let mut crc = Crc::new();
    crc.update(&file);
    if file.len() != length || usize::try_from(crc.sum()) != Ok(checksum) {
        return Err("its file has not the length and CRC-32 that the directory gives".to_owned());
    }
    Ok(file)
}

/// The little-endian number of `width` bytes at `offset`.
fn number(archive: &[u8], offset: usize, width: usize) -> Result<usize, String> {
    let bytes = archive.get(offset..offset + width).ok_or("it is cut off")?;
    Ok(bytes
        .iter()
        .rev()
        .fold(0, |value, byte| (value << 8) | usize::from(*byte)))
}

fn expect_signature(archive: &[u8], offset: usize, signature: &[u8]) -> Result<(), String> {
    let found = archive.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    if found {
        Ok(())
    } else {
        Err("its directory points to something else".to_owned())
    }
}

#[cfg(test)]
pub mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// A zip archive with one file.
    pub fn pack(name: &str, file: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(file).expect("into memory");
        let packed = encoder.finish().expect("into memory");
        let mut crc = Crc::new();
        crc.update(file);
        let name_length = u16::try_from(name.len()).expect("short").to_le_bytes();
        let mut sizes = crc.sum().to_le_bytes().to_vec();
        for length in [packed.len(), file.len()] {
            sizes.extend(u32::try_from(length).expect("small").to_le_bytes());
        }
        // Version 20, no flags, Deflate, no time.
        let head = [20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
        let mut archive = Vec::new();
        for part in [
            LOCAL_SIGNATURE,
            &head,
            &sizes,
            &name_length,
            &[0; 2],
            name.as_bytes(),
            &packed,
        ] {
            archive.extend(part);
        }
        let directory = u32::try_from(archive.len()).expect("small").to_le_bytes();
        for part in [
            ENTRY_SIGNATURE,
            &[20, 0],
            &head,
            &sizes,
            &name_length,
            &[0; 16],
            name.as_bytes(),
        ] {
            archive.extend(part);
        }
        for part in [END_SIGNATURE, &[0; 4], &[1, 0, 1, 0], &[0; 4], &directory, &[0; 2]] {
            archive.extend(part);
        }
        archive
    }

    #[test]
    fn the_file_comes_back() {
        let file = b"year,month\n2013,1\n".repeat(1000);
        assert_eq!(unpack_single(&pack("flights.csv", &file), 1 << 20), Ok(file));
    }

    #[test]
    fn a_damaged_archive_is_refused_and_never_panics() {
        let file: Vec<u8> = (0..2000u32)
            .flat_map(|number| (number * number).to_le_bytes())
            .collect();
        let archive = pack("flights.csv", &file);
        for length in 0..archive.len() {
            assert!(unpack_single(&archive[..length], 1 << 20).is_err(), "cut at {length}");
        }
        for at in 0..archive.len() {
            let mut damaged = archive.clone();
            damaged[at] ^= 0x40;
            // Flips in names, times and versions do no harm.
            if let Ok(unpacked) = unpack_single(&damaged, 1 << 20) {
                assert!(unpacked == file, "flip at {at}");
            }
        }
    }

    #[test]
    fn a_longer_file_than_allowed_is_refused() {
        let error = unpack_single(&pack("flights.csv", &[0; 100]), 99).expect_err("too long");
        assert_eq!(error, "its file has 100 bytes, more than 99");
    }
}
