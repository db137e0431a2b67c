//! What is answered to which request.

use std::sync::Arc;

use bytes::Bytes;
use content::{ContentError, FileBody, FileId, OpenFile};
use http_body_util::{Either, Full};
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use model::{FilePath, Sha256Digest, Uid};
use percent_encoding::percent_decode_str;
use quick_cache::sync::Cache;
use store::LiveState;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{Admissions, LocalHead};

/// How many digests are remembered that this head does not know from elsewhere.
const DIGESTS: usize = 10_000;

/// Bytes in memory or on disk.
pub(super) type AnswerBody = Either<Full<Bytes>, FileBody>;

pub(super) struct Answerer {
    state: Arc<LiveState>,
    admissions: Admissions,
    local: Arc<dyn LocalHead>,
    digests: Cache<FileId, Sha256Digest>,
    /// Files are hashed one after another: all who ask for a new large one ask at the same time.
    hashing: Semaphore,
}

/// Anything else than the answer that was asked for.
struct Refusal(StatusCode, String);

impl Answerer {
    pub(super) fn new(
        state: Arc<LiveState>,
        admissions: Admissions,
        local: Arc<dyn LocalHead>,
    ) -> Self {
        Self {
            state,
            admissions,
            local,
            digests: Cache::new(DIGESTS),
            hashing: Semaphore::new(1),
        }
    }

    /// The answer to a request of `asker`, whose certificate was verified.
    pub(super) async fn answer<B>(&self, asker: Uid, request: &Request<B>) -> Response<AnswerBody> {
        let answer = self.find(asker, request).await;
        answer.unwrap_or_else(|Refusal(status, reason)| {
            let mut response = Response::new(Either::Left(Full::from(reason + "\n")));
            *response.status_mut() = status;
            response
        })
    }

    async fn find<B>(
        &self,
        asker: Uid,
        request: &Request<B>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        if !self.admissions.may_ask(asker, &self.state.get()) {
            let reason = format!("{asker} is not a head of this cluster");
            return Err(Refusal(StatusCode::FORBIDDEN, reason));
        }
        if request.method() != Method::GET {
            let reason = "heads only ask".to_owned();
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, reason));
        }
        match request.uri().path() {
            "/status" => self.json(|local| serde_json::to_vec(&local.status())).await,
            "/reports" => self.reports(request.uri().query()).await,
            "/etcd" => self.etcd_program().await,
            path => match path.strip_prefix("/content/") {
                Some(file) => self.content(file, request).await,
                None => Err(absent(path)),
            },
        }
    }

    /// What nodes reported after `since=NUMBER`.
    async fn reports(&self, query: Option<&str>) -> Result<Response<AnswerBody>, Refusal> {
        let since = query.and_then(|query| query.strip_prefix("since=")?.parse().ok());
        let since = since.ok_or_else(|| {
            let reason = "since must be the number of a report".to_owned();
            Refusal(StatusCode::BAD_REQUEST, reason)
        })?;
        self.json(move |local| serde_json::to_vec(&local.reports(since)))
            .await
    }

    /// What `write` makes, where it may take its time.
    async fn json(
        &self,
        write: impl FnOnce(&dyn LocalHead) -> serde_json::Result<Vec<u8>> + Send + 'static,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let local = Arc::clone(&self.local);
        let written = spawn_blocking(move || write(local.as_ref()));
        let json = written.await.map_err(failed)?.map_err(failed)?;
        Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .body(Either::Left(Full::from(json)))
            .map_err(failed)
    }

    async fn etcd_program(&self) -> Result<Response<AnswerBody>, Refusal> {
        let local = Arc::clone(&self.local);
        let open = move || local.etcd_program().map(|path| OpenFile::open(&path));
        let opened = spawn_blocking(open).await.map_err(failed)?;
        let file = opened.ok_or_else(|| absent("etcd"))?.map_err(failed)?;
        let (file, sha256) = self.digest(file, None).await?;
        Response::builder()
            .header(ETAG, format!("\"{sha256}\""))
            .body(Either::Right(FileBody::new(file)))
            .map_err(failed)
    }

    async fn content<B>(
        &self,
        encoded: &str,
        request: &Request<B>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let path = percent_decode_str(encoded)
            .decode_utf8()
            .ok()
            .and_then(|path| path.parse::<FilePath>().ok())
            .ok_or_else(|| absent(encoded))?;
        let wanted = header(request, IF_MATCH.as_str())
            .and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
            .ok_or_else(|| {
                let reason = "If-Match must name the SHA-256 that is wanted".to_owned();
                Refusal(StatusCode::PRECONDITION_REQUIRED, reason)
            })?;
        let (local, shown) = (Arc::clone(&self.local), path.clone());
        let open = move || {
            let (root, name) = local.trees().locate(&path)?;
            let file = OpenFile::beneath(root, &name)?;
            let known = local.digest(&path, file.id());
            Ok::<_, ContentError>((file, known))
        };
        let opened = spawn_blocking(open).await.map_err(failed)?;
        let (file, known) = opened.map_err(|error| refused(&error))?;
        let (file, found) = self.digest(file, known).await?;
        if found != wanted {
            let reason = format!("{shown} is {found}, not {wanted}");
            return Err(Refusal(StatusCode::PRECONDITION_FAILED, reason));
        }
        send(file, header(request, RANGE.as_str()))
    }

    /// The file with its digest: `known`, remembered, or computed now.
    async fn digest(
        &self,
        file: OpenFile,
        known: Option<Sha256Digest>,
    ) -> Result<(OpenFile, Sha256Digest), Refusal> {
        let remembered = || known.or_else(|| self.digests.get(&file.id()));
        if let Some(sha256) = remembered() {
            return Ok((file, sha256));
        }
        let _turn = self.hashing.acquire().await.map_err(failed)?;
        if let Some(sha256) = remembered() {
            return Ok((file, sha256));
        }
        let hash = move || file.sha256().map(|sha256| (file, sha256));
        let hashed = spawn_blocking(hash).await.map_err(failed)?;
        let (file, sha256) = hashed.map_err(failed)?;
        if file.is_settled() {
            self.digests.insert(file.id(), sha256);
        }
        Ok((file, sha256))
    }
}

/// The file from the position on that `range` names.
fn send(file: OpenFile, range: Option<&str>) -> Result<Response<AnswerBody>, Refusal> {
    let size = file.id().size;
    let body = FileBody::new(file);
    let response = Response::builder().header(ACCEPT_RANGES, "bytes");
    let first = range.and_then(|range| {
        let first = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        first.parse::<u64>().ok()
    });
    match first {
        None => response.body(Either::Right(body)),
        Some(first) if first < size => {
            let sent = format!("bytes {first}-{}/{size}", size - 1);
            response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, sent)
                .body(Either::Right(body.slice(first..size)))
        }
        Some(first) => {
            let reason = format!("it has {size} bytes, none of them at {first}");
            return Err(Refusal(StatusCode::RANGE_NOT_SATISFIABLE, reason));
        }
    }
    .map_err(failed)
}

/// The value of a header that is there once.
fn header<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

fn absent(what: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, format!("there is no {what} here"))
}

fn refused(error: &ContentError) -> Refusal {
    let status = match error {
        ContentError::Directory { .. } | ContentError::Io { .. } => {
            tracing::warn!(%error, "another head does not get a file");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::NOT_FOUND,
    };
    Refusal(status, error.to_string())
}

fn failed(error: impl std::error::Error) -> Refusal {
    tracing::warn!(%error, "another head gets no answer");
    Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
