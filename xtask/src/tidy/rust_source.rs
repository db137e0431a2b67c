//! Rust source as far as the rules need to know it: what is code, and what is text.

/// Source in which comments and the contents of literals are blanks, so that what is left is code.
/// Every character stands on the line where it stood.
pub(super) struct Code {
    pub text: String,
}

impl Code {
    pub(super) fn of(source: &str) -> Self {
        let mut text = String::with_capacity(source.len());
        let mut rest = source;
        while let Some(first) = rest.chars().next() {
            let after_word = text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let (length, is_code) = match first {
                '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
                '/' if rest.starts_with("/*") => (block_comment(rest), false),
                '"' => (quoted(rest, '"'), false),
                '\'' => (character(rest).unwrap_or(1), character(rest).is_none()),
                'r' | 'b' | 'c' if !after_word => {
                    raw_string(rest).map_or((1, true), |length| (length, false))
                }
                _ => (first.len_utf8(), true),
            };
            let (taken, after) = rest.split_at(length);
            if is_code {
                text.push_str(taken);
            } else {
                text.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            }
            rest = after;
        }
        Self { text }
    }

    /// The line, from 1, of what begins at `offset` of the text.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// Without the items that only tests are built with.
    pub(super) fn without_tests(mut self) -> Self {
        const MARK: &str = "#[cfg(test)]";
        while let Some(start) = self.text.find(MARK) {
            let end = start + MARK.len() + item(&self.text[start + MARK.len()..]);
            let blank: String = self.text[start..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' })
                .collect();
            self.text.replace_range(start..end, &blank);
        }
        self
    }
}

/// The length of an item: to its semicolon or its closing brace.
fn item(code: &str) -> usize {
    let mut depth = 0_u32;
    for (offset, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return offset + 1;
                }
            }
            ';' if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

fn block_comment(source: &str) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < source.len() {
        let rest = &source[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    source.len()
}

fn quoted(source: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, c) in source.char_indices().skip(1) {
        if !escaped && c == quote {
            return offset + quote.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    source.len()
}

/// The length of a character literal; none for a lifetime.
fn character(source: &str) -> Option<usize> {
    let mut inside = source.chars().skip(1);
    let first = inside.next()?;
    (first == '\\' || inside.next() == Some('\'')).then(|| quoted(source, '\''))
}

/// The length of a literal such as `r#"…"#`, which knows no escapes.
fn raw_string(source: &str) -> Option<usize> {
    let marks = source.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let hashes: String = marks.chars().take_while(|c| *c == '#').collect();
    let inside = marks[hashes.len()..].strip_prefix('"')?;
    let end = format!("\"{hashes}");
    let start = source.len() - inside.len();
    Some(
        inside
            .find(&end)
            .map_or(source.len(), |at| start + at + end.len()),
    )
}

/// Where `name` stands by itself, not as the end of a longer name.
pub(super) fn occurrences<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(name)
        .map(|(at, _)| at)
        .filter(|at| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The words of a text, and where they begin.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let between = |c: char| !c.is_alphanumeric() && c != '_';
    text.split_inclusive(between)
        .scan(0, move |end, word| {
            let start = *end;
            *end += word.len();
            Some((start, word.trim_end_matches(between)))
        })
        .filter(|(_, word)| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let source =
            "a // b\n/* c /* d */ e */ f(\"g \\\" h\", 'i', '\\'', r#\"j \" k\"#, b\"l\") 'm n\"o";
        let words: Vec<_> = words(&Code::of(source).text)
            .map(|(_, word)| word.to_owned())
            .collect();
        assert_eq!(words, ["a", "f", "b", "m", "n"]);
    }

    #[test]
    fn lines_stay_where_they_are() {
        let code = Code::of("/* one\ntwo */ \"three\nfour\" here");
        assert_eq!(
            occurrences(&code.text, "here")
                .map(|at| code.line(at))
                .collect::<Vec<_>>(),
            [3]
        );
    }

    #[test]
    fn items_for_tests_are_left_out() {
        let code = Code::of(
            "a;\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn b() { c } }\n#[cfg(test)] mod d; e",
        )
        .without_tests();
        assert_eq!(
            words(&code.text).map(|(_, word)| word).collect::<Vec<_>>(),
            ["a", "e"]
        );
    }
}
