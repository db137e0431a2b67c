use std::collections::VecDeque;

use memchr::memmem;

use super::sent::{OnSent, Receipt};

/// Finds, in the bytes that an HTTP/1 connection's kernel socket accepts, where each response's body is.
///
/// Responses leave strictly in the order of their requests, each as a header and then as many bytes as was announced,
/// so it is enough to find the end of each header and to count. Interim responses (`100 Continue`) are passed over, and
/// so is what the HTTP library says on its own account (`400`, after which it closes).
#[derive(Default)]
pub(super) struct Meter {
    /// Of the requests that reached the service, those whose responses have not been reported.
    responses: VecDeque<Response>,
    /// How many of them, at the front, have been written whole.
    written: usize,
}

#[derive(Default)]
struct Response {
    part: Part,
    length: Length,
    receipt: Receipt,
}

enum Part {
    Head(Head),
    Body,
}

#[derive(Default, Clone, Copy)]
enum Length {
    /// The service is still at it.
    #[default]
    Unanswered,
    Known(u64),
    /// Until the connection closes.
    Unknown,
}

impl Meter {
    /// A request has reached the service.
    pub(super) fn asked(&mut self) {
        self.responses.push_back(Response::default());
    }

    /// The service has answered the last request, with a body of `length` bytes if that is known.
    pub(super) fn answered(&mut self, length: Option<u64>, on_sent: Option<OnSent>) {
        if let Some(response) = self.responses.back_mut() {
            response.length = length.map_or(Length::Unknown, Length::Known);
            response.receipt = Receipt::new(on_sent);
        }
    }

    /// Whether every request has its response, and all of them are written and reported.
    pub(super) fn is_idle(&self) -> bool {
        self.responses.is_empty()
    }

    /// These bytes were accepted.
    pub(super) fn accepted(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(response) = self.responses.get_mut(self.written) else {
                return;
            };
            bytes = response.accepted(bytes);
            if response.is_written() {
                self.written += 1;
            }
        }
    }

    /// The connection has closed in good order, all bytes accepted: that ends a body of unknown length.
    pub(super) fn closed(&mut self) {
        if let Some(Response {
            part: Part::Body,
            length: Length::Unknown,
            ..
        }) = self.responses.get(self.written)
        {
            self.written += 1;
        }
    }

    /// Takes out a response that has been written whole. Its receipt is for the caller to complete, so that nobody
    /// else's code runs while the meter is locked.
    pub(super) fn take_written(&mut self) -> Option<Receipt> {
        self.written = self.written.checked_sub(1)?;
        self.responses.pop_front().map(|response| response.receipt)
    }
}

impl Response {
    /// Takes what is its own from the front of `bytes`, and gives the rest.
    fn accepted<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.part {
            Part::Head(head) => match head.end(bytes) {
                None => &[],
                Some(end) => {
                    self.part = match head.interim {
                        true => Part::default(),
                        false => Part::Body,
                    };
                    &bytes[end..]
                }
            },
            Part::Body => {
                let taken = match self.length {
                    Length::Known(length) => usize::try_from(length - self.receipt.bytes)
                        .map_or(bytes.len(), |left| left.min(bytes.len())),
                    Length::Unknown | Length::Unanswered => bytes.len(),
                };
                self.receipt.bytes += taken as u64;
                &bytes[taken..]
            }
        }
    }

    fn is_written(&self) -> bool {
        matches!((&self.part, self.length), (Part::Body, Length::Known(length)) if self.receipt.bytes == length)
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

/// Looks for the empty line that ends a response's header.
#[derive(Default)]
struct Head {
    /// Bytes looked at so far.
    seen: usize,
    /// How much of [`Head::END`] those ended in.
    matched: usize,
    /// Whether the status is 1xx, after which another header follows.
    interim: bool,
}

impl Head {
    const END: &[u8; 4] = b"\r\n\r\n";

    /// Where the status begins in `HTTP/1.1 200 OK`.
    const STATUS: usize = 9;

    /// How many of `bytes` belong to the header, if it ends in them.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let status = Self::STATUS
            .checked_sub(self.seen)
            .and_then(|at| bytes.get(at));
        if let Some(class) = status {
            self.interim = *class == b'1';
        }
        self.seen += bytes.len();
        let mut looked_at = 0;
        for byte in bytes {
            if self.matched == 0 {
                break;
            }
            looked_at += 1;
            self.matched = match byte {
                byte if *byte == Self::END[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == Self::END.len() {
                return Some(looked_at);
            }
        }
        let rest = &bytes[looked_at..];
        if let Some(at) = memmem::find(rest, Self::END) {
            return Some(looked_at + at + Self::END.len());
        }
        if self.matched == 0 {
            self.matched = (1..Self::END.len())
                .rev()
                .find(|length| rest.ends_with(&Self::END[..*length]))
                .unwrap_or(0);
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::super::Sent;
    use super::*;

    /// A meter, and what it reported so far.
    #[derive(Default)]
    struct Metered {
        meter: Meter,
        reports: Arc<Mutex<Vec<(usize, Sent)>>>,
    }

    impl Metered {
        fn exchange(&mut self, name: usize, length: Option<u64>) {
            self.meter.asked();
            self.answered(name, length);
        }

        fn answered(&mut self, name: usize, length: Option<u64>) {
            let reports = Arc::clone(&self.reports);
            let on_sent = Box::new(move |sent| reports.lock().unwrap().push((name, sent)));
            self.meter.answered(length, Some(on_sent));
        }

        fn accepted(&mut self, bytes: &[u8]) {
            self.meter.accepted(bytes);
            while let Some(mut receipt) = self.meter.take_written() {
                receipt.complete();
            }
        }

        fn reports(&self) -> Vec<(usize, Sent)> {
            self.reports.lock().unwrap().clone()
        }
    }

    fn complete(bytes: u64) -> Sent {
        Sent {
            bytes,
            complete: true,
        }
    }

    fn cut_off(bytes: u64) -> Sent {
        Sent {
            bytes,
            complete: false,
        }
    }

    #[test]
    fn a_response_without_a_body_is_complete_with_its_header() {
        let mut metered = Metered::default();
        metered.exchange(1, Some(0));
        metered.accepted(b"HTTP/1.1 304 Not Modified\r\n\r");
        assert_eq!(metered.reports(), []);
        metered.accepted(b"\n");
        assert_eq!(metered.reports(), [(1, complete(0))]);
        assert!(metered.meter.is_idle());
    }

    #[test]
    fn a_body_that_looks_like_a_header_is_a_body() {
        let mut metered = Metered::default();
        metered.exchange(1, Some(8));
        metered.accepted(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n\r\n\r\n\r");
        assert_eq!(metered.reports(), []);
        drop(metered.meter);
        assert_eq!(*metered.reports.lock().unwrap(), [(1, cut_off(7))]);
    }

    #[test]
    fn an_interim_response_is_passed_over_even_before_the_answer() {
        let mut metered = Metered::default();
        metered.meter.asked();
        metered.accepted(b"HTTP/1.1 100 Continue\r\n\r");
        metered.answered(1, Some(2));
        metered.accepted(b"\nHTTP/1.1 200 OK\r\n\r\nok");
        assert_eq!(metered.reports(), [(1, complete(2))]);
    }

    #[test]
    fn what_nobody_was_asked_for_is_ignored() {
        let mut metered = Metered::default();
        metered.exchange(1, Some(2));
        metered.accepted(b"HTTP/1.1 200 OK\r\n\r\nokHTTP/1.1 400 Bad Request\r\n\r\n");
        assert_eq!(metered.reports(), [(1, complete(2))]);
        assert!(metered.meter.is_idle());
    }

    #[test]
    fn a_body_of_unknown_length_ends_with_the_connection() {
        for (closed, sent) in [(true, complete(5)), (false, cut_off(5))] {
            let mut metered = Metered::default();
            metered.exchange(1, None);
            metered.accepted(b"HTTP/1.0 200 OK\r\n\r\nabcde");
            if closed {
                metered.meter.closed();
                metered.accepted(b"");
            }
            drop(metered.meter);
            assert_eq!(*metered.reports.lock().unwrap(), [(1, sent)]);
        }
    }

    #[test]
    fn a_request_that_was_never_answered_reports_nothing_of_its_own() {
        let mut metered = Metered::default();
        metered.meter.asked();
        assert!(!metered.meter.is_idle());
        drop(metered.meter);
        assert_eq!(*metered.reports.lock().unwrap(), []);
    }

    /// A response: interim ones before it, filler in its header, its body.
    fn responses() -> impl Strategy<Value = Vec<(usize, String, Vec<u8>)>> {
        let body =
            proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..40);
        proptest::collection::vec((0..3_usize, "[a-z\r]{0,8}", body), 1..6)
    }

    proptest! {
        #[test]
        fn every_split_of_the_bytes_gives_the_same_reports(
            responses in responses(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
            end in any::<prop::sample::Index>(),
        ) {
            let mut metered = Metered::default();
            let mut stream = Vec::new();
            // Where each body begins and ends in the stream.
            let mut bodies = Vec::new();
            for (name, (interim, filler, body)) in responses.iter().enumerate() {
                metered.exchange(name, Some(body.len() as u64));
                stream.extend(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(*interim));
                stream.extend(format!("HTTP/1.1 200 OK\r\nX: {filler}x\r\n\r\n").bytes());
                bodies.push((stream.len(), stream.len() + body.len()));
                stream.extend(body);
            }
            let end = end.index(stream.len() + 1);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(end + 1)).collect();
            cuts.extend([0, end]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                metered.accepted(&stream[pair[0]..pair[1]]);
            }
            drop(metered.meter);
            let expected: Vec<_> = bodies
                .into_iter()
                .enumerate()
                .map(|(name, (from, to))| (name, Sent {
                    bytes: end.clamp(from, to) as u64 - from as u64,
                    complete: end >= to,
                }))
                .collect();
            prop_assert_eq!(&*metered.reports.lock().unwrap(), &expected);
        }
    }
}
