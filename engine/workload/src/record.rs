//! Keys and values of records, and digests of what was read.

use aion_base::rng::SeededRng;

/// Bytes of a key.
pub const KEY_BYTES: usize = 23;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Of 64 random bits so many letters are made.
const LETTERS_OF_WORD: usize = 10;
/// Tells the values that are loaded from everything else that is drawn.
const LOADED_SEED: u64 = 0x6c6f_6164_6564_2031;

/// YCSB's hash of a number: FNV-1a of its eight bytes, without the sign. It scatters keys and hot records over the whole range.
pub fn scatter(number: u64) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 1_099_511_628_211;
    let hash = number
        .to_le_bytes()
        .iter()
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    hash.cast_signed().unsigned_abs()
}

/// Writes the key of a record in the place of what `key` held.
pub fn write_key(number: u64, key: &mut String) {
    key.clear();
    key.push_str("user");
    let mut digits = [b'0'; KEY_BYTES - 4];
    let mut rest = scatter(number);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key.extend(digits.iter().map(|digit| char::from(*digit)));
}

/// The key of a record.
pub fn key(number: u64) -> String {
    let mut key = String::with_capacity(KEY_BYTES);
    write_key(number, &mut key);
    key
}

/// Writes a random value of so many bytes in the place of what `value` held.
pub fn write_value(rng: &mut SeededRng, bytes: usize, value: &mut String) {
    value.clear();
    while value.len() < bytes {
        let mut word = rng.next_u64();
        for _ in 0..LETTERS_OF_WORD.min(bytes - value.len()) {
            value.push(char::from(ALPHABET[(word & 63) as usize]));
            word >>= 6;
        }
    }
}

/// Writes the value that a record is loaded with.
pub fn write_loaded_value(number: u64, bytes: usize, value: &mut String) {
    write_value(&mut SeededRng::new(LOADED_SEED ^ number), bytes, value);
}

/// 64 bits that depend on every byte and its place.
pub fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let fold = |digest: u64, word: u64| (digest.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let digest = words.iter().fold(bytes.len() as u64, |digest, word| {
        fold(digest, u64::from_le_bytes(*word))
    });
    rest.iter().fold(digest, |digest, byte| fold(digest, u64::from(*byte)))
}

/// The digest of a row.
pub fn row_digest(key: &[u8], value: &[u8]) -> u64 {
    digest_of_parts(digest(key), digest(value))
}

/// The digest of a row whose key and value have these.
pub fn digest_of_parts(key: u64, value: u64) -> u64 {
    key.rotate_left(32) ^ value
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_have_one_length_and_differ() {
        let keys: HashSet<String> = (0..100_000).map(key).collect();
        assert_eq!(keys.len(), 100_000);
        assert!(keys.iter().all(|key| key.len() == KEY_BYTES && key.starts_with("user")));
    }

    #[test]
    fn the_hash_is_the_one_that_ycsb_has() {
        // FNV-1a of eight zero bytes, and of a one and seven zeros, by its definition with 128 bits.
        let slowly = |number: u64| {
            let mut hash: u128 = 0xcbf2_9ce4_8422_2325;
            for at in 0..8 {
                hash ^= u128::from((number >> (8 * at)) & 0xff);
                hash = hash * 1_099_511_628_211 % (1 << 64);
            }
            (hash as u64 as i64).unsigned_abs()
        };
        for number in [0, 1, 255, 256, 999_999, u64::MAX] {
            assert_eq!(scatter(number), slowly(number), "{number}");
        }
    }

    #[test]
    fn values_have_the_length_that_was_asked_for_and_all_letters() {
        let mut value = String::new();
        for bytes in [0, 1, 9, 10, 11, 200, 1_000] {
            write_loaded_value(7, bytes, &mut value);
            assert_eq!(value.len(), bytes);
        }
        write_loaded_value(8, 10_000, &mut value);
        assert_eq!(value.bytes().collect::<HashSet<u8>>().len(), 64);
    }

    #[test]
    fn a_digest_sees_each_byte() {
        let bytes: Vec<u8> = (0..77).collect();
        let whole = digest(&bytes);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(digest(&other), whole, "byte {at}");
        }
        assert_ne!(digest(&[0; 8]), digest(&[0; 16]));
    }
}
