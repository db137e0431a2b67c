//! Ignition configs: parse, validate, translate from Butane, substitute inside strings. No I/O.

pub mod butane;
mod config;
mod data_url;
mod diagnostic;
mod json;
mod schema;
mod spec;
mod substitute;
mod tree;
mod yaml;

pub use config::Config;
pub use diagnostic::{Diagnostic, Path, Position, Segment, Severity};
pub use spec::{UnknownVersion, Version};
pub use substitute::{Fill, Find, Prepared, RenderError, Rendered};
pub use tree::{Entry, Tree, Value};
