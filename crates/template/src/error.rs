//! Why a template could not be rendered.

use std::{error::Error, fmt};

use crate::render::{MAX_DEPTH, MAX_INCLUDES, MAX_RENDERED};

/// Why a template could not be rendered. Each message is one line, fit to be shown to an administrator.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The form stands for something of a node, and it is not known which node asks.
    #[error("{at}: {form} needs a node, and it is not known which node is asking")]
    NeedsNode {
        /// Where the form stands.
        at: Place,
        /// The form in its short spelling, without its default.
        form: String,
    },
    /// There is no value for the form, and the form has no default.
    #[error("{at}: {owner} has no {what}")]
    Missing {
        /// Where the form stands.
        at: Place,
        /// Whose value was looked for: `node n4`, `this head`.
        owner: String,
        /// What was looked for: `attribute "rootpw"`.
        what: String,
    },
    /// The file to include could not be had.
    #[error("{at}: cannot include \"{file}\": {reason}")]
    Include {
        /// Where the include stands.
        at: Place,
        /// The file as the include names it.
        file: Box<str>,
        /// Why it could not be had.
        reason: IncludeError,
    },
    /// A file includes itself, directly or through others.
    #[error("{at}: include cycle: {cycle}")]
    Cycle {
        /// Where the include stands that closes the cycle.
        at: Place,
        /// The files of the cycle, the first one again at the end: `a.ks -> b.ks -> a.ks`.
        cycle: String,
    },
    /// Includes nest deeper than [`MAX_DEPTH`].
    #[error("{at}: including \"{file}\" would nest includes more than {MAX_DEPTH} deep")]
    TooDeep {
        /// Where the include stands.
        at: Place,
        /// The file as the include names it.
        file: Box<str>,
    },
    /// More than [`MAX_INCLUDES`] includes in one rendering.
    #[error("{at}: including \"{file}\" would make more than {MAX_INCLUDES} includes in one text")]
    TooManyIncludes {
        /// Where the include stands.
        at: Place,
        /// The file as the include names it.
        file: Box<str>,
    },
    /// The rendered text grew past [`MAX_RENDERED`].
    #[error("{file}: the rendered text is larger than {} MiB", MAX_RENDERED >> 20)]
    TooLarge {
        /// The file that was to be rendered, not one it includes.
        file: Box<str>,
    },
}

/// A line of a boot file, shown as `basic.ks:7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: Box<str>,
    /// Line in that file, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why [`Values::include`](crate::Values::include) has no template to give.
#[derive(Debug, thiserror::Error)]
pub enum IncludeError {
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// There may be one, and it cannot be had: not readable, too large, outside the boot files' directory.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}
