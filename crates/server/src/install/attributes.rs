//! `GET /install/client/attributes`: the asking node's effective attributes, for the agent that runs on it.
//!
//! An INI file. A value stands as it is, on the line of its name. One that could not be read back so (it begins or ends
//! with a blank, begins with a quotation mark, or holds a line break or another control character) is written as a JSON
//! string, so a value that begins with a quotation mark is always one.

use std::{borrow::Cow, fmt::Write};

use content::Sha256Digest;
use http::{HeaderMap, Response};
use model::{ClusterState, Node};

use crate::{
    Error,
    asking::Asker,
    boot::values::NodeValues,
    call::Call,
    ledger::How,
    reply::{self, Body, Content, ContentType, ETag},
};

/// `GET /install/client/attributes`
pub(crate) async fn get(call: &mut Call) -> Result<Response<Body>, Error> {
    // All of a node's attributes: a header that anybody can write does not do here.
    let asker = (call.asker.as_ref()).filter(|asker| asker.how != How::MacHeader);
    let Some(Asker { node, .. }) = asker else {
        return Err(Error::NotFound(NodeValues::of_call(call).nobody()));
    };
    let text = text(&call.state, node);
    let content = Content {
        etag: tag(&text),
        body: Body::from(text),
        content_type: ContentType::TEXT,
        last_modified: None,
        fields: HeaderMap::new(),
    };
    Ok(reply::content(call.method(), call.headers(), content))
}

/// What tells a node that its attributes are not those that it has: the tag of their text.
pub(crate) fn tag_of(state: &ClusterState, node: &Node) -> ETag {
    tag(&text(state, node))
}

fn tag(text: &str) -> ETag {
    ETag::of_sha256(Sha256Digest::of(text.as_bytes()).as_bytes())
}

fn text(state: &ClusterState, node: &Node) -> String {
    let mut text = format!(
        "[Node]\nUID = {}\nName = {}\n\n[Attributes]\n",
        node.uid, node.name
    );
    for (name, (value, _)) in state.effective(node) {
        // A String takes everything.
        let _ = writeln!(text, "{name} = {}", line(value));
    }
    text
}

/// A value on one line.
fn line(value: &str) -> Cow<'_, str> {
    let is_plain = !value.starts_with('"')
        && value.trim().len() == value.len()
        && !value.contains(char::is_control);
    match is_plain {
        true => value.into(),
        false => serde_json::Value::from(value).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_stands_as_it_is_unless_that_could_be_misread() {
        for (value, written) in [
            ("", ""),
            ("sda", "sda"),
            ("a = b # c; d", "a = b # c; d"),
            ("say \"hi\" \\n", "say \"hi\" \\n"),
            ("\"quoted\"", r#""\"quoted\"""#),
            (" indented", r#"" indented""#),
            ("trailing ", r#""trailing ""#),
            ("one\ntwo\r\n", r#""one\ntwo\r\n""#),
            ("a\tb", r#""a\tb""#),
        ] {
            assert_eq!(line(value), written);
        }
    }

    proptest! {
        #[test]
        fn any_value_is_read_back_from_its_line(value in any::<String>()) {
            let line = line(&value);
            prop_assert_eq!(line.lines().count().max(1), 1);
            let trimmed = line.trim();
            let read = match trimmed.starts_with('"') {
                true => serde_json::from_str(trimmed).map_err(|error| TestCaseError::fail(error.to_string()))?,
                false => trimmed.to_owned(),
            };
            prop_assert_eq!(read, value);
        }
    }
}
