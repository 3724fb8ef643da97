//! Short codes of letters and digits, held in place.

use std::fmt;

/// A code of 1 to `N` printable ASCII characters without blanks: a carrier (2), an airport (3), a tail number (6).
/// Ordered as its text is, byte by byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code<const N: usize> {
    // Padded with zero bytes, which no code contains: so the order of the arrays is the order of the texts.
    bytes: [u8; N],
}

impl<const N: usize> Code<N> {
    /// The code that `text` is, or `None` where it is empty, too long or has other characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=N).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| {
            let mut bytes = [0; N];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            Self { bytes }
        })
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        let length = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(N);
        std::str::from_utf8(&self.bytes[..length]).expect("a code is ASCII")
    }
}

impl<const N: usize> fmt::Display for Code<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Code<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_its_text_and_its_order() {
        let codes: Vec<Code<3>> = ["9E", "A", "AA", "JFK"]
            .map(|text| Code::new(text).expect("a code"))
            .to_vec();
        assert_eq!(
            codes.iter().map(Code::as_str).collect::<Vec<_>>(),
            ["9E", "A", "AA", "JFK"]
        );
        assert!(codes.is_sorted());
    }

    #[test]
    fn other_text_is_no_code() {
        for text in ["", "JFKX", "J K", "É", "A\0"] {
            assert_eq!(Code::<3>::new(text), None, "{text:?}");
        }
    }
}
