//! Talks to a head's management API.

mod connection;
mod head_address;
mod logins;
mod payload;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};

pub(crate) use head_address::HeadAddress;
pub(crate) use logins::{Login, Logins};
use payload::{Payload, Sending};

use crate::error::Error;

/// How long an answer may take, from the request to its last byte.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// How much longer for each mebibyte that is sent.
const SLOWEST: Duration = Duration::from_secs(1);

/// No answer of a head is larger: lists come in pages, boot files are small.
const LARGEST_ANSWER: usize = 1 << 28;

/// A token with less time left than this is refreshed before use.
const TIME_LEFT: Duration = Duration::from_secs(10);

/// A head, and the right to ask it.
pub(crate) struct Client {
    head: HeadAddress,
    ca_file: Option<PathBuf>,
    token: Option<String>,
    logins: Logins,
    verbose: bool,
}

/// What to ask.
pub(crate) struct Ask {
    method: Method,
    /// The path below `/api/v1`, with its query.
    path: String,
    payload: Payload,
    if_match: Option<String>,
}

impl Ask {
    /// A request without a body. `path` starts below `/api/v1`.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            payload: Payload::None,
            if_match: None,
        }
    }

    /// `GET path`
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Sends `value` as JSON.
    pub(crate) fn json(mut self, value: &Value) -> Self {
        self.payload = Payload::Json(value.to_string().into());
        self
    }

    /// Sends `bytes` as they are.
    pub(crate) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.payload = Payload::Bytes(bytes.into());
        self
    }

    /// Sends the local file at `path`.
    pub(crate) fn file(mut self, path: PathBuf) -> Self {
        self.payload = Payload::File(path);
        self
    }

    /// Does nothing (412) unless the object still has this ETag.
    pub(crate) fn if_match(mut self, etag: Option<String>) -> Self {
        self.if_match = etag;
        self
    }
}

/// What a head answered, with the envelope taken off.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked for; null when there was nothing to say.
    pub(crate) data: Value,
    /// The cursor of the next page of a list.
    pub(crate) next: Option<String>,
    /// Where the list is known to be incomplete: `since`, `until`, `count`.
    pub(crate) gaps: Vec<Value>,
    /// The revision's ETag.
    pub(crate) etag: Option<String>,
}

/// An answer as it came.
struct RawAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// A client of `head`. `token`, when given, is used instead of a stored login; `ca_file` instead of the system's
    /// certificates. With `verbose`, each request is named on standard error.
    pub(crate) fn new(
        head: HeadAddress,
        ca_file: Option<PathBuf>,
        token: Option<String>,
        logins: Logins,
        verbose: bool,
    ) -> Self {
        Self {
            head,
            ca_file,
            token,
            logins,
            verbose,
        }
    }

    /// The head that is asked.
    pub(crate) fn head(&self) -> &HeadAddress {
        &self.head
    }

    /// Asks, and takes the answer out of its envelope.
    ///
    /// # Errors
    /// [`Error::Refused`] with the head's reason, [`Error::Unreachable`], or [`Error::Answer`].
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        let raw = self.authorized(&ask).await?;
        self.open(&raw)
    }

    /// Asks for bytes that have no envelope.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn ask_bytes(&self, ask: Ask) -> Result<Bytes, Error> {
        let raw = self.authorized(&ask).await?;
        if raw.status.is_success() {
            Ok(raw.body)
        } else {
            Err(refused(&raw))
        }
    }

    /// Logs in and stores the tokens.
    ///
    /// # Errors
    /// As [`Self::ask`], and [`Error::File`] when the tokens cannot be stored.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> Result<(), Error> {
        let ask = Ask::new(Method::POST, "/auth/login")
            .json(&json!({"user": user, "password": password}));
        let raw = self.exchange(&ask, None).await?;
        let login = self.login_from(&raw)?;
        self.logins.lock()?.store(&self.head, Some(login))
    }

    /// Ends the stored login, on the head and here. `false` when there is none.
    ///
    /// # Errors
    /// As [`Self::ask`]; the stored tokens are gone in any case.
    pub(crate) async fn log_out(&self) -> Result<bool, Error> {
        if self.logins.get(&self.head)?.is_none() {
            return Ok(false);
        }
        let login = self.good_login(TIME_LEFT).await;
        self.logins.lock()?.store(&self.head, None)?;
        let logout = Ask::new(Method::POST, "/auth/logout");
        let ended = match login {
            Ok(login) => self.exchange(&logout, Some(&login.access_token)).await,
            Err(error) => Err(error),
        };
        match ended.and_then(|raw| self.open(&raw)) {
            // The tokens had ended by themselves.
            Err(Error::Refused { status: 401, .. }) => Ok(true),
            ended => ended.map(|_| true),
        }
    }

    /// An access token with at least `time_left` before it ends: the given one, or that of the stored login.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] without either, or as [`Self::ask`].
    pub(crate) async fn access_token(&self, time_left: Duration) -> Result<String, Error> {
        match &self.token {
            Some(token) => Ok(token.clone()),
            None => Ok(self.good_login(time_left).await?.access_token),
        }
    }

    /// Asks with whatever right there is, and once more with fresh tokens if the head does not know them.
    async fn authorized(&self, ask: &Ask) -> Result<RawAnswer, Error> {
        let token = match self.access_token(TIME_LEFT).await {
            Ok(token) => Some(token),
            // The local socket may need none; else the head says that it wants one.
            Err(Error::NotLoggedIn(_) | Error::Refused { status: 401, .. }) => None,
            Err(error) => return Err(error),
        };
        let mut raw = self.exchange(ask, token.as_deref()).await?;
        if raw.status == StatusCode::UNAUTHORIZED
            && self.token.is_none()
            && let Some(token) = token
            && let Ok(login) = self.refreshed(|login| login.access_token != token).await
        {
            raw = self.exchange(ask, Some(&login.access_token)).await?;
        }
        if raw.status == StatusCode::UNAUTHORIZED
            && let Error::Refused { status, reason } = refused(&raw)
        {
            let advice = match self.token {
                None => "`pilotlight login` logs in",
                Some(_) => "the token is that of PILOTLIGHT_TOKEN",
            };
            let reason = format!("{reason} ({advice})");
            return Err(Error::Refused { status, reason });
        }
        Ok(raw)
    }

    async fn good_login(&self, time_left: Duration) -> Result<Login, Error> {
        let is_good = |login: &Login| login.is_good_at(SystemTime::now() + time_left);
        match self.logins.get(&self.head)? {
            Some(login) if is_good(&login) => Ok(login),
            Some(_) => self.refreshed(is_good).await,
            None => Err(Error::NotLoggedIn(self.head.clone())),
        }
    }

    /// Refreshes the stored login, unless it `is_good` because another command did so meanwhile.
    async fn refreshed(&self, is_good: impl Fn(&Login) -> bool) -> Result<Login, Error> {
        // A refresh token is good once: of two commands, only one may use it.
        let logins = self.logins.lock()?;
        let old = logins.get(&self.head)?;
        let old = old.ok_or_else(|| Error::NotLoggedIn(self.head.clone()))?;
        if is_good(&old) {
            return Ok(old);
        }
        let ask = Ask::new(Method::POST, "/auth/refresh")
            .json(&json!({"refresh_token": old.refresh_token}));
        let new = self.login_from(&self.exchange(&ask, None).await?)?;
        logins.store(&self.head, Some(new.clone()))?;
        Ok(new)
    }

    fn login_from(&self, raw: &RawAnswer) -> Result<Login, Error> {
        let data = self.open(raw)?.data;
        match (
            &data["access_token"],
            &data["refresh_token"],
            data["expires_in"].as_u64(),
        ) {
            (Value::String(access), Value::String(refresh), Some(seconds)) => Ok(Login::new(
                access.clone(),
                refresh.clone(),
                SystemTime::now() + Duration::from_secs(seconds),
            )),
            _ => Err(self.unexpected("no tokens")),
        }
    }

    /// Takes the envelope off.
    fn open(&self, raw: &RawAnswer) -> Result<Answer, Error> {
        if !raw.status.is_success() {
            return Err(refused(raw));
        }
        let mut envelope: Map<String, Value> = serde_json::from_slice(&raw.body)
            .map_err(|error| self.unexpected(&error.to_string()))?;
        if envelope.get("success") != Some(&Value::Bool(true)) {
            return Err(self.unexpected("an answer without success"));
        }
        Ok(Answer {
            data: envelope.remove("data").unwrap_or_default(),
            gaps: match envelope.remove("gaps") {
                Some(Value::Array(gaps)) => gaps,
                _ => Vec::new(),
            },
            next: envelope
                .get("next")
                .and_then(Value::as_str)
                .map(str::to_owned),
            etag: raw
                .headers
                .get(ETAG)
                .and_then(|etag| Some(etag.to_str().ok()?.to_owned())),
        })
    }

    fn unexpected(&self, reason: &str) -> Error {
        Error::Answer {
            head: self.head.clone(),
            reason: reason.to_owned(),
        }
    }

    /// One request on a connection of its own.
    async fn exchange(&self, ask: &Ask, token: Option<&str>) -> Result<RawAnswer, Error> {
        let request = self.request(ask, token).await?;
        let patience =
            ANSWER_TIME + SLOWEST * u32::try_from(request.body().len() >> 20).unwrap_or(u32::MAX);
        let mut sender = connection::open(&self.head, self.ca_file.as_deref()).await?;
        let answer = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok((parts, body))
        };
        let answer = match tokio::time::timeout(patience, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} seconds", patience.as_secs())),
        };
        let (parts, body) = answer.map_err(|reason| Error::Unreachable {
            head: self.head.clone(),
            reason,
        })?;
        if self.verbose {
            let (method, path, head) = (&ask.method, &ask.path, &self.head);
            eprintln!("pilotlight: {method} {path} at {head}: {}", parts.status);
        }
        Ok(RawAnswer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    async fn request(&self, ask: &Ask, token: Option<&str>) -> Result<Request<Sending>, Error> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{}{}", self.head.base_path(), ask.path))
            .header(http::header::HOST, self.head.host())
            .header(
                http::header::USER_AGENT,
                concat!("pilotlight/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                Error::Usage("the token holds characters that no token has".to_owned())
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(etag) = &ask.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(media_type) = ask.payload.media_type() {
            request = request.header(CONTENT_TYPE, media_type);
        }
        let body = ask
            .payload
            .body()
            .await
            .map_err(|source| match &ask.payload {
                Payload::File(path) => Error::file("read", path, source),
                _ => Error::Terminal {
                    action: "send the request",
                    source,
                },
            })?;
        request
            .body(body)
            .map_err(|error| Error::Usage(format!("{}: {error}", ask.path)))
    }
}

/// The reason of an answer that is a refusal, in one line.
fn refused(raw: &RawAnswer) -> Error {
    let stated = serde_json::from_slice::<Value>(&raw.body)
        .ok()
        .and_then(|envelope| Some(envelope["reason"].as_str()?.to_owned()));
    // A proxy in between answers in its own words.
    let reason = stated.unwrap_or_else(|| raw.status.to_string());
    Error::Refused {
        status: raw.status.as_u16(),
        reason: crate::table::printable(&reason),
    }
}

/// `text` as one segment of a path, or one word of a query.
pub(crate) fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, UNRESERVED_ONLY).to_string()
}

/// `name` as the path of a boot file: its slashes stay.
pub(crate) fn escaped_path(name: &str) -> String {
    let segments: Vec<String> = name.split('/').map(escaped).collect();
    segments.join("/")
}

/// Everything but the unreserved characters (RFC 3986 section 2.3).
const UNRESERVED_ONLY: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
