//! The substitution language of boot files: parse once, render many. No I/O.
//!
//! A boot file is any sequence of bytes. Some places in it are *forms*, which rendering replaces; everything that is
//! not exactly a form (`<<EOF`, `a < b`, `<html>`, `<a[]>`, bytes that are not UTF-8) passes through byte for byte.
//!
//! | form | also written | replaced by | needs a node |
//! | --- | --- | --- | --- |
//! | `<a[NAME]>` | `<attributes[NAME]>` | the node's effective attribute | yes |
//! | `<h[KEY]>` | `<hardware[KEY]>` | the node's hardware key | yes |
//! | `<s[KEY]>` | `<status[KEY]>` | the node's status key | yes |
//! | `<n[NAME]>` | `<node[NAME]>` | a field of the node | yes |
//! | `<head[NAME]>` | | a setting of the head that answers | no |
//! | `<root_url()>` | | the URL of the node's install tree | yes |
//! | `<base_url()>` | | the head's API URL, as the client used it | no |
//! | `<include(FILE)>` | | another boot file, rendered too | as that file |
//!
//! * `NAME` is `[A-Za-z_][A-Za-z0-9_]*`; `KEY` is `[A-Za-z0-9_.-]+`. Case matters and no space is allowed.
//! * `FILE` is 1 to 4096 bytes of UTF-8 without `)`, `>`, newline and NUL.
//! * A form stands on one line and ends at the first `>`.
//!
//! # Defaults
//!
//! `<a[NAME]|text>` stands for `text` when the value is missing; a value that is there and empty stays empty. Every form
//! but `include` takes a default. `text` is any bytes but `>` and newline, and may be empty. A missing value without a
//! default is an error, or nothing at all: see [`Missing`].
//!
//! A default does not stand in for a node. A form that needs one fails when it is not known who asks, so that a file
//! with something of a node in it is never served to a stranger half filled in.
//!
//! # Backslash
//!
//! A backslash directly before a form is dropped, and the form is kept as text: `\<a[x]>` yields `<a[x]>`. Before
//! anything else a backslash is itself:
//!
//! | written | yields |
//! | --- | --- |
//! | `\<a[x]>` | `<a[x]>` |
//! | `\\<a[x]>` | `\<a[x]>` |
//! | `\<html>`, `\n`, `\\` | itself |
//! | `<head[backslash]\|\><a[x]>` | a backslash, then the value |
//!
//! The last line is the way to put a backslash in front of a value: the head has no setting of that name, so the form
//! yields its default.
//!
//! # Values are data
//!
//! A value or a default is copied as it is. One that looks like a form is not expanded, and one that ends in a backslash
//! does not escape the form behind it.
//!
//! # Includes
//!
//! An included file is rendered with the same values; its errors carry its own name and lines. Includes nest at most
//! [`MAX_DEPTH`] deep, a rendering makes at most [`MAX_INCLUDES`] of them and [`MAX_RENDERED`] bytes, and a cycle is an
//! error that names it.
//!
//! # Example
//!
//! ```
//! use std::{borrow::Cow, sync::Arc};
//! use template::{Dictionary, Form, IncludeError, Lookup, Missing, Template, Values};
//!
//! struct N4;
//!
//! impl Values for N4 {
//!     fn look_up(&self, form: Form<'_>) -> Lookup<'_> {
//!         match form {
//!             Form::Value { dictionary: Dictionary::Node, name: "name" } => Lookup::Value("n4".into()),
//!             _ => Lookup::Missing,
//!         }
//!     }
//!     fn include(&self, _file: &str) -> Result<Arc<Template>, IncludeError> {
//!         Err(IncludeError::NotFound)
//!     }
//!     fn subject(&self) -> Cow<'_, str> {
//!         "node n4".into()
//!     }
//! }
//!
//! let template = Template::parse("motd", "I am <n[name]>, in <a[rack]|no rack>.\n".into());
//! assert_eq!(template.render(&N4, Missing::Error)?, "I am n4, in no rack.\n");
//!
//! let template = Template::parse("basic.ks", "lang C\nrootpw <a[rootpw]>\n".into());
//! let error = template.render(&N4, Missing::Error).unwrap_err();
//! assert_eq!(error.to_string(), "basic.ks:2: node n4 has no attribute \"rootpw\"");
//! # Ok::<(), template::RenderError>(())
//! ```

mod error;
mod form;
mod render;
mod template;
mod values;

pub use error::{IncludeError, Place, RenderError};
pub use form::{Dictionary, Form};
pub use render::{MAX_DEPTH, MAX_INCLUDES, MAX_RENDERED, Missing, Origin, Substitution};
pub use template::{Reference, Template};
pub use values::{Lookup, Values};
