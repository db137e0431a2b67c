//! What nodes ask for while they boot: a name, who asks, and from these the bytes to send.

pub(crate) mod ignition;
pub(crate) mod ignition_bin;
pub(crate) mod kickstart;
pub(crate) mod renderings;
pub(crate) mod values;
pub(crate) mod ztp;

use std::sync::Arc;

use bytes::Bytes;
use content::{BootFile, ContentError, FileName, OpenFile, Sha256Digest};
use http::HeaderMap;
use model::Tree;
use template::{IncludeError, Missing, RenderError, Substitution, Template};

use self::{renderings::Occasion, values::NodeValues};
use crate::{
    Error,
    call::Call,
    head::Head,
    reply::{Body, Content, ContentType, ETag, FileBody, LastModified},
};

/// What a node is to receive.
pub(crate) struct Delivery {
    pub content: Content,
    pub sha256: [u8; 32],
    /// Which revision of the file it was made from.
    pub file_revision: Box<str>,
    /// What is to be said about it although it is served.
    pub remark: Option<Box<str>>,
}

impl Delivery {
    /// A file as it is on disk, whose digest this is; `fields` are said of it besides.
    pub(crate) fn of_file(file: OpenFile, sha256: Sha256Digest, fields: HeaderMap) -> Self {
        Self {
            content: Content {
                content_type: ContentType::BINARY,
                etag: ETag::of_sha256(sha256.as_bytes()),
                last_modified: LastModified::of(file.id().mtime),
                body: Body::File(FileBody::new(file)),
                fields,
            },
            sha256: *sha256.as_bytes(),
            file_revision: sha256.revision().into(),
            remark: None,
        }
    }

    /// A script that was made for who asked.
    pub(crate) fn of_script(script: String) -> Self {
        let sha256 = Sha256Digest::of(script.as_bytes());
        Self {
            content: Content {
                content_type: ContentType::TEXT,
                etag: ETag::of_sha256(sha256.as_bytes()),
                last_modified: None,
                body: Body::Full(Bytes::from(script)),
                fields: HeaderMap::new(),
            },
            sha256: *sha256.as_bytes(),
            file_revision: sha256.revision().into(),
            remark: None,
        }
    }
}

/// The boot file of this name as the asking node is to receive it.
pub(crate) async fn deliver(call: &Call, name: &FileName) -> Result<Delivery, Error> {
    let file = boot_file(&call.head, name).await?;
    let (bytes, sha256, last_modified) = if file.template.is_plain() {
        (
            file.bytes.clone(),
            file.sha256,
            LastModified::of(file.modified()),
        )
    } else {
        let values = NodeValues::of_call(call);
        let occasion = Occasion::of_file(&file, &values);
        let (missing, file) = (call.head.settings.missing, Arc::clone(&file));
        let fill = move |values: &NodeValues| values.fill(&file, missing, |_| {});
        let rendering = renderings::rendering(occasion, values, fill).await?;
        (rendering.bytes.clone(), rendering.sha256, None)
    };
    Ok(Delivery {
        content: Content {
            body: Body::Full(bytes),
            content_type: if name.as_str().ends_with(".json") {
                ContentType::JSON
            } else {
                ContentType::TEXT
            },
            etag: ETag::of_sha256(sha256.as_bytes()),
            last_modified,
            fields: HeaderMap::new(),
        },
        sha256: *sha256.as_bytes(),
        file_revision: file.sha256.revision().into(),
        remark: None,
    })
}

/// A boot file as it is on disk now; from memory, after one `stat`, if it was read before.
pub(crate) async fn boot_file(head: &Head, name: &FileName) -> Result<Arc<BootFile>, Error> {
    if let Some(file) = head.boot_files.try_cached(name) {
        return Ok(file);
    }
    let load = || {
        let (files, name) = (Arc::clone(&head.boot_files), name.clone());
        async { Ok(tokio::task::spawn_blocking(move || files.load(&name)).await??) }
    };
    head.awaiting(Tree::Kickstarts, name.as_str(), load).await
}

impl NodeValues {
    /// Puts these values into a boot file, and tells `trace` of each.
    pub(crate) fn fill(
        &self,
        file: &BootFile,
        missing: Missing,
        trace: impl FnMut(Substitution<'_>),
    ) -> Result<Bytes, Error> {
        let rendered = self.fill_template(&file.template, missing, trace)?;
        if rendered.is_empty() {
            // Clients take an empty answer for "nothing to do", and come up unconfigured.
            return Err(Error::Unprocessable(format!(
                "{} renders to nothing for this node",
                file.name
            )));
        }
        Ok(rendered)
    }

    /// The same of any text.
    pub(crate) fn fill_template(
        &self,
        template: &Template,
        missing: Missing,
        trace: impl FnMut(Substitution<'_>),
    ) -> Result<Bytes, Error> {
        let rendered = template.render_traced(self, missing, trace);
        rendered.map_err(|error| self.explain(error))
    }

    /// What a rendering that failed means to whoever asked.
    fn explain(&self, error: RenderError) -> Error {
        match error {
            RenderError::NeedsNode { at, form } => {
                Error::NotFound(format!("{}, and {at} needs {form}", self.nobody()))
            }
            RenderError::Include {
                at,
                file,
                reason: IncludeError::Failed(reason),
            } => match reason.downcast::<ContentError>() {
                Ok(reason) if matches!(*reason, ContentError::Changing { .. }) => (*reason).into(),
                Ok(reason) => Error::Unprocessable(format!("{at}: {reason}")),
                Err(reason) => {
                    Error::Unprocessable(format!("{at}: cannot include {file:?}: {reason}"))
                }
            },
            error => Error::Unprocessable(error.to_string()),
        }
    }
}

impl From<ContentError> for Error {
    fn from(error: ContentError) -> Self {
        let said = error.to_string();
        match error {
            ContentError::Name(_) | ContentError::Upload { .. } => Self::Malformed(said),
            ContentError::NotFound { .. } | ContentError::NotRegular { .. } => Self::NotFound(said),
            ContentError::Escapes { .. } | ContentError::SymbolicLink { .. } => {
                Self::Forbidden(said)
            }
            ContentError::Empty { .. } | ContentError::TooLarge { .. } => Self::Unprocessable(said),
            ContentError::ParentNotDirectory { .. } => Self::Conflict(said),
            ContentError::Precondition { .. } => Self::Stale(said),
            ContentError::Changing { .. }
            | ContentError::NoSpace { .. }
            | ContentError::Directory { .. }
            | ContentError::Io { .. } => Self::Unavailable(said),
            error => Self::internal(error),
        }
    }
}
