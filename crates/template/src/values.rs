//! Where values come from: what a template asks of whoever has it rendered.

use std::{borrow::Cow, sync::Arc};

use crate::{error::IncludeError, form::Form, template::Template};

/// What the forms of a template are replaced by.
pub trait Values {
    /// The value of a form.
    fn look_up(&self, form: Form<'_>) -> Lookup<'_>;

    /// The boot file that an include names. Its [`Template::name`] tells whether it is one that is being rendered
    /// already, so the same file must come with the same name.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be had.
    fn include(&self, file: &str) -> Result<Arc<Template>, IncludeError>;

    /// Who asks, as a message shall name it: `node n4`.
    fn subject(&self) -> Cow<'_, str>;
}

/// What [`Values::look_up`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The value, which may be empty.
    Value(Cow<'a, str>),
    /// There is none.
    Missing,
    /// The form is about a node, and it is not known which node asks.
    NoNode,
}
