//! What holds of every text, as a config and as one to put values in.

use ignition::{Config, Diagnostic, Path, Prepared, RenderError, Rendered, Severity};

/// Panics where it does not hold.
pub(crate) fn hold(source: &[u8]) {
    let strict = Config::parse(source);
    let lenient = Prepared::<()>::parse(source, &|_, _| None);
    match (&strict, &lenient) {
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        (Err(_), Ok(_)) => panic!("without forms there is nothing to be lenient about"),
        (Ok(_), Err(found)) => assert!(
            found.iter().all(is_in_url),
            "only what URLs hold is looked at more closely"
        ),
    }
    if let Ok(config) = &strict {
        assert_eq!(config.text(), source);
        let rewritten = Config::from_tree(config.tree().clone());
        assert!(
            rewritten.is_ok_and(|rewritten| Config::parse(rewritten.text()).is_ok()),
            "what is valid stays so, written anew"
        );
    }
    let Ok(prepared) = Prepared::parse(source, &find) else {
        return;
    };
    let unchanged = prepared.render::<()>(&mut |_| Ok(None));
    assert!(
        unchanged.is_ok_and(|rendered| rendered.text == source) || strict.is_err(),
        "what nothing is put in stays as it is"
    );
    for value in [&b"x"[..], br#"", "a": {"b": ["c"#, b"\0\xff"] {
        if let Ok(rendered) = render(&prepared, value) {
            assert!(
                Config::parse(&rendered.text).is_ok(),
                "what is sent is valid"
            );
        }
    }
}

fn is_in_url(found: &Diagnostic) -> bool {
    let path = found.path.as_ref().map(Path::to_string);
    found.severity == Severity::Warning || path.is_some_and(|path| path.contains(".source"))
}

/// The form of these tests.
pub(crate) const FORM: &[u8] = b"<v>";

/// Whether a text holds it.
pub(crate) fn has_form(text: &[u8]) -> bool {
    text.windows(FORM.len()).any(|window| window == FORM)
}

/// A text that holds it.
pub(crate) fn find(_: &Path, text: &[u8]) -> Option<Vec<u8>> {
    has_form(text).then(|| text.to_vec())
}

/// Puts `value` in the place of each form.
pub(crate) fn render<'p>(
    prepared: &'p Prepared<Vec<u8>>,
    value: &[u8],
) -> Result<Rendered<'p>, RenderError<String>> {
    prepared.render(&mut |text| Ok(Some(replace(text, value))))
}

/// `text` with `value` in the place of each form.
pub(crate) fn replace(text: &[u8], value: &[u8]) -> Vec<u8> {
    let (mut replaced, mut rest) = (Vec::new(), text);
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(FORM) {
            Some(after) => {
                replaced.extend_from_slice(value);
                rest = after;
            }
            None => {
                replaced.push(first);
                rest = after;
            }
        }
    }
    replaced
}
