//! CRC-64/XZ (ECMA-182 polynomial, reflected), eight bytes at a time.
//!
//! It notices every burst of up to 64 bits; other damage passes once in 2^64. The sections of a file may have gigabytes,
//! for which the 32 bits of CRC-32C are few.

const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;

/// `TABLES[n][byte]`: the remainder of `byte` followed by n zero bytes.
static TABLES: [[u64; 256]; 8] = tables();

/// The checksum of `bytes`.
pub(super) fn crc64(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<8>();
    let mut crc = u64::MAX;
    for block in blocks {
        let word = crc ^ u64::from_le_bytes(*block);
        crc = 0;
        for (table, byte) in TABLES.iter().rev().zip(word.to_le_bytes()) {
            crc ^= table[usize::from(byte)];
        }
    }
    for byte in rest {
        crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    !crc
}

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[table - 1][byte];
            tables[table][byte] = tables[0][(shorter & 0xFF) as usize] ^ (shorter >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
        assert_eq!(crc64(b""), 0);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes: Vec<u8> = (0..100).collect();
        let whole = crc64(&bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(crc64(&bytes), whole, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
