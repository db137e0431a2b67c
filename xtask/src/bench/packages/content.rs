//! Content for packages: the same each time, and of about half its size when it is compressed.

use std::{io, ops::Range};

/// How many words texts are made of.
const WORDS: usize = 1024;
/// How many patterns of eight bytes come again and again in binary content.
const PATTERNS: usize = 256;

/// Makes content: words in lines, where some words are frequent, and binary content, of which half comes from a table
/// and half is random.
pub(crate) struct Content {
    random: Random,
    words: Vec<Vec<u8>>,
    patterns: Vec<[u8; 8]>,
    /// What `read` made and has not yet given.
    rest: Vec<u8>,
}

impl Content {
    pub(crate) fn new() -> Self {
        let mut random = Random(1);
        let mut word = |_| {
            let length = random.within(2..13);
            let mut word: Vec<u8> = (0..length)
                .map(|_| b'a' + random.within(0..26) as u8)
                .collect();
            word.push(b' ');
            word
        };
        let words = (0..WORDS).map(&mut word).collect();
        let patterns = (0..PATTERNS).map(|_| random.next().to_le_bytes()).collect();
        Self {
            random,
            words,
            patterns,
            rest: Vec::new(),
        }
    }

    /// Mostly short, with some that are long, below this length and a quarter of it on average.
    pub(crate) fn length(&mut self, below: usize) -> usize {
        let share = self.random.within(0..1 << 16) as f64 / f64::from(1 << 16);
        (below as f64 * share.powi(3)) as usize
    }

    pub(crate) fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            // The sooner in the list, the more frequent.
            let end = self.random.within(1..WORDS + 1);
            let word = self.random.within(0..end);
            text.extend_from_slice(&self.words[word]);
            if word.is_multiple_of(16) {
                text.push(b'\n');
            }
        }
        text.truncate(length);
        text
    }

    pub(crate) fn binary(&mut self, length: usize) -> Vec<u8> {
        let mut binary = Vec::with_capacity(length + 8);
        while binary.len() < length {
            let random = self.random.next();
            let piece = match random % 2 {
                0 => self.patterns[self.random.within(0..PATTERNS)],
                _ => self.random.next().to_le_bytes(),
            };
            binary.extend_from_slice(&piece);
        }
        binary.truncate(length);
        binary
    }
}

/// Binary content without end.
impl io::Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.binary(64 << 10);
        }
        let count = buffer.len().min(self.rest.len());
        let rest = self.rest.split_off(count);
        buffer[..count].copy_from_slice(&self.rest);
        self.rest = rest;
        Ok(count)
    }
}

/// Numbers that look random: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    fn within(&mut self, range: Range<usize>) -> usize {
        let length = (range.end - range.start) as u64;
        range.start + (self.next() % length) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_the_same_each_time_and_as_long_as_asked() {
        let (mut one, mut other) = (Content::new(), Content::new());
        for length in [0, 1, 1000] {
            let text = one.text(length);
            assert_eq!(text.len(), length);
            assert_eq!(text, other.text(length));
            let binary = one.binary(length);
            assert_eq!(binary.len(), length);
            assert_eq!(binary, other.binary(length));
        }
    }
}
