use serde_json::Value;

/// One HTTP response, as it came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names as they were on the wire, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The response that `bytes` begin with, and what follows it. `to_head`: it answers HEAD, so nothing of it follows
    /// its header.
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> (Self, &[u8]) {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no whole header in {:?}", shown()));
        let header = str::from_utf8(&bytes[..end]).expect("a header is text");
        let mut lines = header.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let mut reply = Self {
            status: status.unwrap_or_else(|| panic!("no status line in {:?}", shown())),
            headers: lines
                .map(|line| line.split_once(": ").expect("a header field"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let rest = &bytes[end + 4..];
        let length = match (
            to_head || reply.status == 304,
            reply.header("Content-Length"),
        ) {
            (true, _) => 0,
            (false, Some(length)) => length.parse().expect("a length is a number"),
            (false, None) => rest.len(),
        };
        assert!(rest.len() >= length, "the body is cut off: {:?}", shown());
        reply.body = rest[..length].to_owned();
        (reply, &rest[length..])
    }

    /// The value of a header field, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice: {self:?}");
        value
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `data` of a management answer that succeeded.
    pub(crate) fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!(json["success"], true, "{self:?}");
        json["data"].take()
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", String::from_utf8_lossy(&self.body))
    }
}
