//! Fetching by HTTP: one address judged and connected to per hop, bounded in time and size.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderName};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use super::connect::{Connector, Stream};
use super::copies::Fetch;
use super::credentials::Credentials;
use super::deadline::Deadline;
use super::error::Fault;
use super::policy::FetchPolicy;
use super::settings::FetchLimits;
use super::url::Url;

const USER_AGENT: &str = concat!("pilotlight/", env!("CARGO_PKG_VERSION"));

/// Fetches files by HTTP.
pub(super) struct HttpClient {
    pub(super) policy: Arc<FetchPolicy>,
    pub(super) connector: Connector,
    pub(super) limits: FetchLimits,
    pub(super) credentials: Option<PathBuf>,
}

/// What a server said by which to ask it later whether the file is still the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    /// The URL that answered, after redirects: another server's validators say nothing.
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// What one request led to.
enum Hop {
    Arrived(Fetch),
    Redirect(Url),
}

impl HttpClient {
    /// Fetches `url`, unless it is still what `known` says.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        known: Option<&Validators>,
    ) -> Result<Fetch, Fault> {
        let deadline = Deadline::after(self.limits.timeout);
        let credentials = Credentials::read(self.credentials.as_deref()).await?;
        let mut at = url.clone();
        let mut visited = Vec::new();
        loop {
            // They are for whom the administrator named, and not for whom an upstream names.
            let credentials = (at.origin() == url.origin()).then_some(&credentials);
            let next = match self.request(&at, known, credentials, deadline).await {
                Ok(Hop::Arrived(fetch)) => return Ok(fetch),
                Ok(Hop::Redirect(next)) => next,
                Err(fault) if visited.is_empty() => return Err(fault),
                Err(fault) => {
                    return Err(Fault::Redirected {
                        to: at.to_string(),
                        fault: Box::new(fault),
                    });
                }
            };
            visited.push(at);
            if visited.contains(&next) {
                return Err(Fault::RedirectLoop);
            }
            if visited.len() > self.limits.redirects {
                return Err(Fault::TooManyRedirects {
                    limit: self.limits.redirects,
                });
            }
            at = next;
        }
    }

    async fn request(
        &self,
        url: &Url,
        known: Option<&Validators>,
        credentials: Option<&Credentials>,
        deadline: Deadline,
    ) -> Result<Hop, Fault> {
        // Only these two are HTTP, whatever else the configuration allows.
        if !["http", "https"].contains(&&*url.scheme) {
            return Err(Fault::Scheme(url.scheme.clone()));
        }
        self.policy.check_scheme(&url.scheme)?;
        let stream = self.connector.connect(url, &self.policy, deadline).await?;
        let request = ask(url, known, credentials)?;
        let (response, _connection) = send(stream, request, deadline).await?;
        let status = response.status();
        match status {
            StatusCode::OK => {
                let validators = Validators {
                    url: url.identity(),
                    etag: text(response.headers(), header::ETAG),
                    last_modified: text(response.headers(), header::LAST_MODIFIED),
                };
                let bytes = self.read(response, deadline).await?;
                Ok(Hop::Arrived(Fetch::http(bytes, validators)))
            }
            StatusCode::NOT_MODIFIED if known.is_some_and(|known| known.url == url.identity()) => {
                Ok(Hop::Arrived(Fetch::Unchanged))
            }
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let unusable = |reason: String| Fault::Location {
                    status: status.as_u16(),
                    reason,
                };
                let location = text(response.headers(), header::LOCATION)
                    .ok_or_else(|| unusable("there is none".to_owned()))?;
                let next = url
                    .join(&location)
                    .map_err(|error| unusable(error.to_string()))?;
                Ok(Hop::Redirect(next))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Fault::Absent {
                status: status.as_u16(),
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Fault::AccessRefused {
                status: status.as_u16(),
                host: url.authority(),
            }),
            other => Err(Fault::Status(other.as_u16())),
        }
    }

    async fn read(&self, response: Response<Incoming>, deadline: Deadline) -> Result<Bytes, Fault> {
        const STAGE: &str = "reading the body";
        let coding = text(response.headers(), header::CONTENT_ENCODING);
        if let Some(coding) = coding.filter(|coding| coding != "identity") {
            return Err(Fault::Encoded(coding));
        }
        let mut body = response.into_body();
        let limit = self.limits.max_size;
        let too_large = || Fault::TooLarge { limit };
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        while let Some(frame) = deadline.bound(STAGE, body.frame()).await? {
            let frame = frame.map_err(|error| broken(STAGE, &error))?;
            if let Ok(data) = frame.into_data() {
                if (bytes.len() + data.len()) as u64 > limit {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        if bytes.is_empty() {
            return Err(Fault::Empty);
        }
        Ok(bytes.freeze())
    }
}

impl Validators {
    /// What names this state of the file, if the server gave it a name.
    pub(super) fn revision(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// The headers that make a request conditional.
    fn conditions(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let etag = self
            .etag
            .iter()
            .map(|tag| (header::IF_NONE_MATCH, tag.as_str()));
        let date = self
            .last_modified
            .iter()
            .map(|date| (header::IF_MODIFIED_SINCE, date.as_str()));
        etag.chain(date)
    }
}

fn ask(
    url: &Url,
    known: Option<&Validators>,
    credentials: Option<&Credentials>,
) -> Result<Request<Empty<Bytes>>, Fault> {
    let mut request = Request::get(url.target())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close");
    for (name, value) in known
        .filter(|known| known.url == url.identity())
        .into_iter()
        .flat_map(Validators::conditions)
    {
        request = request.header(name, value);
    }
    let login = (credentials.zip(url.host.as_ref()))
        .and_then(|(credentials, host)| credentials.for_host(host, url.user.as_deref()));
    if let Some(login) = login {
        request = request.header(header::AUTHORIZATION, login.expose());
    }
    request
        .body(Empty::new())
        .map_err(|error| broken("making the request", &error))
}

/// Sends the request and waits for the header of the answer. The body ends with the connection that comes with it.
async fn send(
    stream: Stream,
    request: Request<Empty<Bytes>>,
    deadline: Deadline,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Fault> {
    const STAGE: &str = "waiting for the header of the answer";
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(STAGE, &error))?;
    // Its failures come out of the request or the body.
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = deadline
        .bound(STAGE, sender.send_request(request))
        .await?
        .map_err(|error| broken(STAGE, &error))?;
    Ok((response, connection))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn broken(stage: &'static str, error: &dyn Error) -> Fault {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Fault::Broken { stage, reason }
}
