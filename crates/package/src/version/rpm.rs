//! rpm's order of versions: runs of digits and runs of letters, one after the other (rpmvercmp).

use std::cmp::Ordering;

/// Which is newer.
pub(super) fn compare(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.as_bytes(), theirs.as_bytes());
    loop {
        ours = without_separators(ours);
        theirs = without_separators(theirs);
        let rank = rank(ours).cmp(&rank(theirs));
        if rank.is_ne() || ours.is_empty() {
            return rank;
        }
        let (our_run, our_rest) = split_run(ours);
        let (their_run, their_rest) = split_run(theirs);
        // Without leading zeros, the longer number is the greater one.
        let is_number = our_run.first().is_some_and(u8::is_ascii_digit);
        let run = if is_number {
            let [our_run, their_run] = [our_run, their_run].map(without_zeros);
            let length = our_run.len().cmp(&their_run.len());
            length.then(our_run.cmp(their_run))
        } else {
            our_run.cmp(their_run)
        };
        if run.is_ne() {
            return run;
        }
        (ours, theirs) = (our_rest, their_rest);
    }
}

/// Separators separate, whatever and however many.
fn without_separators(text: &[u8]) -> &[u8] {
    let begin = text
        .iter()
        .position(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    text.get(begin.unwrap_or(text.len())..).unwrap_or_default()
}

/// What decides when two texts go on differently: `~` is before the end, `^` after the end but before anything else.
fn rank(text: &[u8]) -> u8 {
    match text.first() {
        Some(b'~') => 0,
        None => 1,
        Some(b'^') => 2,
        Some(byte) if byte.is_ascii_digit() => 4,
        Some(_) => 3,
    }
}

/// The digits or letters that the text begins with, or its `~` or `^`, and the rest.
fn split_run(text: &[u8]) -> (&[u8], &[u8]) {
    let goes_on: fn(&u8) -> bool = match text.first() {
        Some(byte) if byte.is_ascii_digit() => u8::is_ascii_digit,
        Some(byte) if byte.is_ascii_alphabetic() => u8::is_ascii_alphabetic,
        _ => return text.split_at(text.len().min(1)),
    };
    let length = text.iter().take_while(|byte| goes_on(byte)).count();
    text.split_at(length)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|digit| **digit == b'0').count();
    number.get(zeros..).unwrap_or_default()
}
