//! dpkg's order of versions: what is no number by character, then a number, and again (deb-version(7)).

use std::cmp::Ordering;

/// Which is newer.
pub(super) fn compare(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.as_bytes(), theirs.as_bytes());
    while !(ours.is_empty() && theirs.is_empty()) {
        let (our_text, our_number, our_rest) = split(ours);
        let (their_text, their_number, their_rest) = split(theirs);
        let text = compare_text(our_text, their_text);
        // Without leading zeros, the longer number is the greater one; no number is 0.
        let length = our_number.len().cmp(&their_number.len());
        let order = text.then(length).then(our_number.cmp(their_number));
        if order.is_ne() {
            return order;
        }
        (ours, theirs) = (our_rest, their_rest);
    }
    Ordering::Equal
}

/// What comes before the first digit, the digits from there without leading zeros, and the rest.
fn split(version: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let text_length = version.iter().take_while(|byte| !byte.is_ascii_digit());
    let (text, rest) = version.split_at(text_length.count());
    let zeros = rest.iter().take_while(|digit| **digit == b'0').count();
    let (_, rest) = rest.split_at(zeros);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = rest.split_at(digits);
    (text, number, rest)
}

fn compare_text(ours: &[u8], theirs: &[u8]) -> Ordering {
    let length = ours.len().max(theirs.len());
    ranks(ours, length).cmp(ranks(theirs, length))
}

fn ranks(text: &[u8], length: usize) -> impl Iterator<Item = u16> {
    let end = std::iter::repeat(rank(None));
    text.iter()
        .map(|byte| rank(Some(*byte)))
        .chain(end)
        .take(length)
}

/// `~` is before the end, letters are before all other characters.
fn rank(byte: Option<u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(letter) if letter.is_ascii_alphabetic() => 2 + u16::from(letter),
        Some(other) => 2 + 256 + u16::from(other),
    }
}
