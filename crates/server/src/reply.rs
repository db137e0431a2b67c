//! Bytes → HTTP: the one place where a reply is made.
//!
//! What holds for every reply made here, because some boot client breaks without it: it has a `Content-Length` (also
//! for `HEAD` and for errors), so it is never chunked; it has no `Content-Encoding`; what answers `HEAD` is what would
//! answer `GET`, less the body. The one exception is 304, whose length a client must not read (RFC 9110 §15.4.5).
//!
//! Which status an error has is decided in `error.rs`.

mod body;
mod conditional;
mod range;
mod validator;

use std::time::SystemTime;

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;

pub use content::FileBody;

pub use self::body::Body;
pub use self::conditional::{Verdict, preconditions};
pub use self::validator::{ETag, LastModified};

use self::range::Selection;

/// What a URL stands for at this moment: bytes, what they are, and how to tell them from other bytes.
#[derive(Debug)]
pub struct Content {
    /// All of it; a `Range` cuts its part out of this.
    pub body: Body,
    /// What the bytes are.
    pub content_type: ContentType,
    /// Changes when the bytes do.
    pub etag: ETag,
    /// When the bytes last changed; `None` where nobody knows, as for a rendered template.
    pub last_modified: Option<LastModified>,
    /// What else is said of it.
    pub fields: HeaderMap,
}

/// A media type that Pilotlight sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType(&'static str);

impl ContentType {
    /// Kickstarts, scripts, error lines. With the charset, since python-requests (so pykickstart) reads a bare
    /// `text/plain` as Latin-1.
    pub const TEXT: Self = Self("text/plain; charset=utf-8");
    /// Ignition configs, SONiC ZTP files, management.
    pub const JSON: Self = Self("application/json");
    /// What Prometheus reads.
    pub const OPENMETRICS: Self =
        Self("application/openmetrics-text; version=1.0.0; charset=utf-8");
    /// Packages and programs.
    pub const BINARY: Self = Self("application/octet-stream");

    fn field(self) -> HeaderValue {
        HeaderValue::from_static(self.0)
    }
}

/// Answers a request for `content`: whole, in part (`Range`, `If-Range`), as 304, 412 or 416, as the request's header
/// fields ask (RFC 9110 §13 and §14).
#[must_use]
pub fn content(method: &Method, headers: &HeaderMap, mut content: Content) -> Response<Body> {
    content.last_modified = content
        .last_modified
        .filter(|date| date.is_settled(SystemTime::now()));

    let response = match preconditions(
        method,
        headers,
        &content.etag,
        content.last_modified.as_ref(),
    ) {
        Verdict::Proceed => match selection(method, headers, &content) {
            Selection::Whole => whole(content),
            Selection::Part(range) => part(content, range),
            Selection::Unsatisfiable => unsatisfiable(content.body.len()),
        },
        Verdict::NotModified => not_modified(content),
        Verdict::Failed => text(
            StatusCode::PRECONDITION_FAILED,
            "the content is not the one that the request's precondition names",
        ),
    };
    if method == Method::HEAD {
        without_body(response)
    } else {
        response
    }
}

/// One line of text, mostly why a boot client gets no file. Control characters (a path may hold a newline) become
/// spaces, so that it stays one line.
#[must_use]
pub fn text(status: StatusCode, line: &str) -> Response<Body> {
    let mut line = line.replace(char::is_control, " ");
    line.push('\n');
    bare(status, ContentType::TEXT, Body::from(line))
}

/// Bytes that were made for this one answer.
#[must_use]
pub fn binary(body: Body) -> Response<Body> {
    bare(StatusCode::OK, ContentType::BINARY, body)
}

/// A JSON document. One that cannot be written (a fault of ours) becomes a 500 and a line in the log.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(document) => bare(status, ContentType::JSON, Body::from(document)),
        Err(error) => {
            tracing::error!(%error, "a reply could not be written as JSON");
            let document =
                br#"{"success":false,"reason":"the reply could not be written as JSON"}"#;
            bare(
                StatusCode::INTERNAL_SERVER_ERROR,
                ContentType::JSON,
                Body::from(document.as_slice()),
            )
        }
    }
}

/// Tells the client to come back in `seconds`: whole seconds, since iPXE reads nothing else.
#[must_use]
pub fn retry_after(mut response: Response<Body>, seconds: u32) -> Response<Body> {
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// What `HEAD` gets where `GET` would get `response`: the same header fields, `Content-Length` too.
#[must_use]
pub fn without_body(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::Empty)
}

fn selection(method: &Method, headers: &HeaderMap, content: &Content) -> Selection {
    let last_modified = content.last_modified.as_ref();
    // RFC 9110 §14.2: a Range on any other method is ignored, HEAD's too.
    if method == Method::GET && conditional::range_counts(headers, &content.etag, last_modified) {
        range::select(headers, content.body.len())
    } else {
        Selection::Whole
    }
}

fn whole(content: Content) -> Response<Body> {
    let mut response = bare(StatusCode::OK, content.content_type, content.body);
    let fields = response.headers_mut();
    fields.extend(content.fields);
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert_validators(fields, content.etag, content.last_modified);
    response
}

fn part(content: Content, range: std::ops::Range<u64>) -> Response<Body> {
    let (first, last, length) = (range.start, range.end - 1, content.body.len());
    let mut response = bare(
        StatusCode::PARTIAL_CONTENT,
        content.content_type,
        content.body.slice(range),
    );
    let fields = response.headers_mut();
    fields.extend(content.fields);
    fields.insert(
        CONTENT_RANGE,
        ascii(format!("bytes {first}-{last}/{length}")),
    );
    insert_validators(fields, content.etag, content.last_modified);
    response
}

fn unsatisfiable(length: u64) -> Response<Body> {
    let mut response = text(
        StatusCode::RANGE_NOT_SATISFIABLE,
        &format!("the range lies outside the content, which has {length} bytes"),
    );
    response
        .headers_mut()
        .insert(CONTENT_RANGE, ascii(format!("bytes */{length}")));
    response
}

fn not_modified(content: Content) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    let fields = response.headers_mut();
    fields.extend(content.fields);
    insert_validators(fields, content.etag, content.last_modified);
    response
}

fn bare(status: StatusCode, content_type: ContentType, body: Body) -> Response<Body> {
    // Those of a whole reply, and hyper's Date.
    let mut fields = HeaderMap::with_capacity(6);
    fields.insert(CONTENT_TYPE, content_type.field());
    // Written here, not left to hyper, which leaves it out for HEAD and for an empty body over HTTP/2.
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));

    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

fn insert_validators(fields: &mut HeaderMap, etag: ETag, last_modified: Option<LastModified>) {
    fields.insert(ETAG, etag.into_field());
    if let Some(date) = last_modified {
        fields.insert(LAST_MODIFIED, date.into_field());
    }
}

/// A field value made of printable ASCII.
fn ascii(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("every caller formats digits and fixed ASCII words")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;
    use http::header::{HOST, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
    use http::{HeaderName, header};
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    const BYTES: &[u8] = b"0123456789";

    fn sample() -> Content {
        Content {
            body: Body::from(BYTES),
            content_type: ContentType::TEXT,
            etag: ETag::of_sha256(&[0xab; 32]),
            last_modified: LastModified::of(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            fields: HeaderMap::new(),
        }
    }

    fn tag() -> HeaderValue {
        sample().etag.into_field()
    }

    fn asking(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn get(fields: &[(HeaderName, &str)]) -> Response<Body> {
        content(&Method::GET, &asking(fields), sample())
    }

    fn field(response: &Response<Body>, name: HeaderName) -> &str {
        response.headers()[name].to_str().unwrap()
    }

    fn bytes(response: Response<Body>) -> Bytes {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(response.into_body().collect())
            .unwrap()
            .to_bytes()
    }

    #[test]
    fn a_plain_get_is_answered_whole_with_all_its_fields() {
        let response = get(&[(HOST, "head")]);
        assert_eq!(response.status(), StatusCode::OK);
        let fields: BTreeMap<_, _> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            fields,
            BTreeMap::from([
                ("accept-ranges", "bytes"),
                ("content-length", "10"),
                ("content-type", "text/plain; charset=utf-8"),
                ("etag", "\"abababababababababababababababab\""),
                ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
            ])
        );
        assert_eq!(bytes(response), BYTES);
    }

    #[test]
    fn head_is_get_without_the_body() {
        let head = content(&Method::HEAD, &HeaderMap::new(), sample());
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers(), get(&[]).headers());
        assert_eq!(bytes(head), "");
    }

    #[test]
    fn an_error_on_head_has_the_length_of_its_line_and_no_body() {
        let wrong = asking(&[(IF_MATCH, "\"other\"")]);
        let head = content(&Method::HEAD, &wrong, sample());
        let get = content(&Method::GET, &wrong, sample());
        assert_eq!(head.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(head.headers(), get.headers());
        let length = field(&head, CONTENT_LENGTH).to_owned();
        assert_eq!(length, bytes(get).len().to_string());
        assert_eq!(bytes(head), "");
    }

    #[test]
    fn content_of_unknown_date_has_no_last_modified() {
        let mut rendered = sample();
        rendered.last_modified = None;
        let response = content(&Method::GET, &HeaderMap::new(), rendered);
        assert!(!response.headers().contains_key(LAST_MODIFIED));
        assert!(response.headers().contains_key(header::ETAG));
    }

    #[test]
    fn a_date_to_come_is_not_sent() {
        let mut future = sample();
        future.last_modified = LastModified::of(SystemTime::now() + Duration::from_secs(3600));
        let response = content(&Method::GET, &HeaderMap::new(), future);
        assert!(!response.headers().contains_key(LAST_MODIFIED));
    }

    #[test]
    fn not_modified_carries_the_validators_and_no_length() {
        let response = get(&[(IF_NONE_MATCH, tag().to_str().unwrap())]);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.headers()[header::ETAG], tag());
        assert_eq!(
            field(&response, LAST_MODIFIED),
            "Tue, 14 Nov 2023 22:13:20 GMT"
        );
        assert_eq!(bytes(response), "");
    }

    #[test]
    fn a_part_says_where_it_lies() {
        let response = get(&[(RANGE, "bytes=2-4")]);
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(field(&response, CONTENT_RANGE), "bytes 2-4/10");
        assert_eq!(field(&response, CONTENT_LENGTH), "3");
        assert_eq!(response.headers()[header::ETAG], tag());
        assert_eq!(bytes(response), "234");
    }

    #[test]
    fn a_range_outside_is_416_with_the_length() {
        let response = get(&[(RANGE, "bytes=10-")]);
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(field(&response, CONTENT_RANGE), "bytes */10");
        assert!(bytes(response).ends_with(b"10 bytes\n"));
    }

    #[test]
    fn a_range_counts_for_get_alone() {
        for method in [Method::HEAD, Method::POST] {
            let response = content(&method, &asking(&[(RANGE, "bytes=2-4")]), sample());
            assert_eq!(response.status(), StatusCode::OK, "{method}");
            assert_eq!(field(&response, CONTENT_LENGTH), "10", "{method}");
        }
    }

    #[test]
    fn a_changed_file_is_not_resumed() {
        let response = get(&[(RANGE, "bytes=2-4"), (IF_RANGE, "\"before\"")]);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(bytes(response), BYTES);
    }

    #[test]
    fn preconditions_come_before_the_range() {
        let tag = tag();
        let tag = tag.to_str().unwrap();
        let outside = (RANGE, "bytes=10-");
        let current = get(&[outside.clone(), (IF_NONE_MATCH, tag)]);
        assert_eq!(current.status(), StatusCode::NOT_MODIFIED);
        let other = get(&[outside, (IF_MATCH, "\"other\"")]);
        assert_eq!(other.status(), StatusCode::PRECONDITION_FAILED);
    }

    #[test]
    fn text_is_one_line() {
        let response = text(StatusCode::NOT_FOUND, "no boot file \"a\r\nb\"");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(field(&response, CONTENT_TYPE), "text/plain; charset=utf-8");
        assert_eq!(field(&response, CONTENT_LENGTH), "20");
        assert_eq!(bytes(response), "no boot file \"a  b\"\n");
    }

    #[test]
    fn json_is_the_document() {
        let response = json(StatusCode::CREATED, &BTreeMap::from([("success", true)]));
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(field(&response, CONTENT_TYPE), "application/json");
        assert_eq!(field(&response, CONTENT_LENGTH), "16");
        assert_eq!(bytes(response), "{\"success\":true}");
    }

    #[test]
    fn what_json_cannot_hold_is_a_500() {
        let response = json(
            StatusCode::OK,
            &BTreeMap::from([((1, 2), "a pair is no key")]),
        );
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let document: serde_json::Value = serde_json::from_slice(&bytes(response)).unwrap();
        assert_eq!(document["success"], false);
    }

    #[test]
    fn retry_after_is_whole_seconds() {
        let response = retry_after(text(StatusCode::SERVICE_UNAVAILABLE, "not ready"), 5);
        assert_eq!(field(&response, RETRY_AFTER), "5");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    proptest! {
        #[test]
        fn any_range_field_yields_bytes_of_the_content(
            source in proptest::collection::vec(any::<u8>(), 0..64),
            range in prop_oneof![
                "[ -~]{0,24}",
                "bytes=[-0-9, \t]{0,12}",
                "(?i:bytes)=[0-9]{0,2}-[0-9]{0,2}",
                "bytes=[0-9]{0,30}-[0-9]{0,30}",
            ],
        ) {
            let content_of_source = Content { body: Body::from(source.clone()), ..sample() };
            let response = content(&Method::GET, &asking(&[(RANGE, &range)]), content_of_source);
            let status = response.status();
            let length: usize = field(&response, CONTENT_LENGTH).parse().unwrap();
            match status {
                StatusCode::OK => {
                    prop_assert_eq!(length, source.len());
                    prop_assert_eq!(bytes(response), source);
                }
                StatusCode::PARTIAL_CONTENT => {
                    let place = field(&response, CONTENT_RANGE).to_owned();
                    let (positions, total) = place.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
                    let (first, last) = positions.split_once('-').unwrap();
                    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                    prop_assert_eq!(total, source.len().to_string());
                    prop_assert_eq!(length, last - first + 1);
                    prop_assert_eq!(bytes(response), &source[first..=last]);
                }
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    prop_assert_eq!(field(&response, CONTENT_RANGE), format!("bytes */{}", source.len()));
                }
                other => prop_assert!(false, "{}", other),
            }
        }
    }
}
