//! [`Renderings`]: what was rendered lately, for nodes that ask for it again.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use content::{BootFile, Sha256Digest};
use model::{Revision, Uid};
use quick_cache::{Weighter, sync::Cache};
use template::{Dictionary, Form, Template};

use super::values::NodeValues;
use crate::Error;

/// How many bytes of renderings are kept: the kickstarts of a thousand nodes, which is more than install at once.
const CAPACITY: u64 = 4 << 20;

/// A rendered boot file.
#[derive(Clone)]
pub(crate) struct Rendering {
    pub bytes: Bytes,
    pub sha256: Sha256Digest,
}

/// Whether what a text becomes depends on nothing but an [`Occasion`]: not on the files it includes, and not on a node's
/// status, which changes with each report and with time.
pub(crate) fn can_be_kept(template: &Template) -> bool {
    let is_status = |form| {
        matches!(
            form,
            Form::Value {
                dictionary: Dictionary::Status,
                ..
            }
        )
    };
    template.includes().next().is_none()
        && !template
            .references()
            .any(|reference| is_status(reference.form))
}

/// Everything that a rendering that [can be kept](can_be_kept) depends on, beside this head's own settings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Occasion {
    rendered: Rendered,
    /// Of the whole cluster: a node's values come from its groups and its boot configuration, too.
    state: Revision,
    node: Option<Uid>,
    head_ip: IpAddr,
    base_url: Box<str>,
}

/// What the values were put into. The same bytes may be a boot file and a config, where values are escaped.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Rendered {
    BootFile(Sha256Digest),
    Config(Sha256Digest),
}

impl Occasion {
    /// The rendering of an Ignition config.
    pub(crate) fn of_config(sha256: Sha256Digest, values: &NodeValues) -> Self {
        Self::new(Rendered::Config(sha256), values)
    }

    /// The rendering of a boot file, if it can be kept.
    pub(crate) fn of_file(file: &BootFile, values: &NodeValues) -> Option<Self> {
        can_be_kept(&file.template).then(|| Self::new(Rendered::BootFile(file.sha256), values))
    }

    fn new(rendered: Rendered, values: &NodeValues) -> Self {
        Self {
            rendered,
            state: values.state.revision(),
            node: values.node.as_ref().map(|node| node.uid),
            head_ip: values.head_ip,
            base_url: values.base_url.as_str().into(),
        }
    }
}

/// What `fill` makes of these values; from memory, if it did so before on this occasion. Without one, it is not kept.
pub(crate) async fn rendering(
    occasion: Option<Occasion>,
    values: NodeValues,
    fill: impl Fn(&NodeValues) -> Result<Bytes, Error> + Send + 'static,
) -> Result<Arc<Rendering>, Error> {
    let head = Arc::clone(&values.head);
    let Renderings(known) = &head.renderings;
    if let Some(known) = occasion.as_ref().and_then(|occasion| known.get(occasion)) {
        return Ok(known);
    }
    let bytes = match fill(&values) {
        // An included file is not in memory: where reading it may block, once more from the start.
        Err(_) if values.must_read() => {
            let values = values.reading();
            tokio::task::spawn_blocking(move || fill(&values)).await??
        }
        filled => filled?,
    };
    let sha256 = Sha256Digest::of(&bytes);
    let rendering = Arc::new(Rendering { bytes, sha256 });
    if let Some(occasion) = occasion {
        known.insert(occasion, Arc::clone(&rendering));
    }
    Ok(rendering)
}

/// The latest renderings, by what they were made from. One that went out of date is never found again.
///
/// An installer asks for its kickstart two or three times over (`HEAD`, the initrd, the installer itself).
pub(crate) struct Renderings(Cache<Occasion, Arc<Rendering>, Length>);

#[derive(Clone)]
struct Length;

impl Weighter<Occasion, Arc<Rendering>> for Length {
    fn weight(&self, _: &Occasion, rendering: &Arc<Rendering>) -> u64 {
        // With what surrounds it in memory.
        rendering.bytes.len() as u64 + 512
    }
}

impl Default for Renderings {
    fn default() -> Self {
        Self(Cache::with_weighter(1024, CAPACITY, Length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_a_status_or_includes_a_file_is_not_kept() {
        for (text, kept) in [
            ("plain", true),
            (
                "<a[x]> <h[mac]> <n[name]> <head[name]> <root_url()> <base_url()>",
                true,
            ),
            ("\\<s[state]> <s[]> a[status]", true),
            ("<a[x]> <s[state]>", false),
            ("<status[load]|none>", false),
            ("<include(other.ks)>", false),
        ] {
            let template = Template::parse("a.ks", Bytes::from(text));
            assert_eq!(can_be_kept(&template), kept, "{text}");
        }
    }
}
