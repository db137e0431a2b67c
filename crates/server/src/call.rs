//! [`Call`]: one request as an endpoint sees it.

use std::{net::IpAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use matchit::Params;
use model::{ClusterState, Ip, Key};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use store::StoreError;

use crate::{
    Error, asking::Asker, auth::Caller, base_url, envelope::revision_tag, head::Head,
    listen::Connection, query::Query,
};

/// One request, with all that was found out about it before an endpoint gets it.
pub(crate) struct Call {
    pub head: Arc<Head>,
    /// The cluster as it stood when the request came in.
    pub state: Arc<ClusterState>,
    pub parts: Parts,
    pub query: Query,
    /// What the route's pattern found in the path.
    pub params: Vec<(&'static str, String)>,
    pub connection: Arc<Connection>,
    /// The client's address; none on the local socket.
    pub address: Option<IpAddr>,
    /// The administrator who calls, where the route needs or allows one.
    pub caller: Option<Caller>,
    /// The node that asks, on boot routes.
    pub asker: Option<Asker>,
    /// The normalised path.
    pub path: String,
    body: Option<Incoming>,
}

impl Call {
    pub(crate) fn new(
        head: &Arc<Head>,
        (parts, body): (Parts, Incoming),
        path: String,
        connection: &Arc<Connection>,
        address: Option<IpAddr>,
    ) -> Self {
        Self {
            head: Arc::clone(head),
            state: head.state(),
            query: Query::parse(parts.uri.query()),
            parts,
            params: Vec::new(),
            connection: Arc::clone(connection),
            address,
            caller: None,
            asker: None,
            path,
            body: Some(body),
        }
    }

    pub(crate) fn keep_params(&mut self, names: &'static [&'static str], params: &Params<'_, '_>) {
        let found = names
            .iter()
            .filter_map(|name| Some((*name, params.get(*name)?.to_owned())));
        self.params = found.collect();
    }

    /// A part of the path. Each route names in its pattern what its endpoint asks for here.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Where the call comes from, for logs.
    pub(crate) fn from(&self) -> String {
        self.address
            .map_or_else(|| "local".into(), |address| address.to_string())
    }

    /// This head's `/api/v1` URL as the client used it.
    pub(crate) fn base_url(&self) -> String {
        match &self.head.settings.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => match self.connection.local {
                Some(local) => base_url::as_used(&self.parts, local, self.connection.tls),
                None => base_url::of_address(self.head.settings.own_address),
            },
        }
    }

    /// The address of this head that the client used; on the local socket, the one that nodes would use.
    pub(crate) fn head_ip(&self) -> IpAddr {
        let local = self.connection.local;
        Ip::of_peer(local.unwrap_or(self.head.settings.own_address).ip()).addr()
    }

    /// The body as it comes, once.
    pub(crate) fn take_body(&mut self) -> Option<Incoming> {
        self.body.take()
    }

    /// The body, if it is no larger than `limit` and comes in time.
    pub(crate) async fn bytes(&mut self, limit: u64) -> Result<Bytes, Error> {
        let Some(mut body) = self.body.take() else {
            return Ok(Bytes::new());
        };
        // Refused before it is sent, where the client says how much it will be.
        if body.size_hint().lower() > limit {
            return Err(Error::TooLarge(limit));
        }
        let read = async {
            let mut bytes = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let frame = frame
                    .map_err(|error| Error::Malformed(format!("the body broke off: {error}")))?;
                if let Ok(data) = frame.into_data() {
                    if (bytes.len() + data.len()) as u64 > limit {
                        return Err(Error::TooLarge(limit));
                    }
                    bytes.extend_from_slice(&data);
                }
            }
            Ok(bytes.freeze())
        };
        tokio::time::timeout(self.head.settings.body_time, read)
            .await
            .map_err(|_| Error::SlowBody)?
    }

    /// The body, a JSON object.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        self.json_within(self.head.settings.body_limit).await
    }

    /// The body, a JSON object of no more bytes than this.
    pub(crate) async fn json_within<T: DeserializeOwned>(
        &mut self,
        limit: u64,
    ) -> Result<T, Error> {
        let body = self.bytes(limit).await?;
        // By way of a map: serde would take a list of the fields' values for an object, too.
        let object: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|error| unexpected(&error))?;
        serde_json::from_value(object.into()).map_err(|error| unexpected(&error))
    }

    /// The body, JSON of any kind.
    pub(crate) async fn any_json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let body = self.bytes(self.head.settings.body_limit).await?;
        serde_json::from_slice(&body).map_err(|error| unexpected(&error))
    }

    /// Fails unless the request's `If-Match`, if it has one, names this revision.
    pub(crate) fn check_revision(&self, revision: model::Revision) -> Result<(), Error> {
        let mut wanted = self.headers().get_all(header::IF_MATCH).iter().peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let tag = revision_tag(revision);
        let is_it = |one: &[u8]| one.trim_ascii() == b"*" || one.trim_ascii() == tag.as_bytes();
        let mut tags = wanted.flat_map(|value| value.as_bytes().split(|c| *c == b','));
        if tags.any(is_it) {
            Ok(())
        } else {
            Err(Error::Stale(format!(
                "it was changed since you read it: its revision is now {revision}"
            )))
        }
    }

    /// The error for a commit that the store refused.
    pub(crate) fn refused(&self, error: &StoreError) -> Error {
        match error {
            StoreError::Conflict { key } => self.conflict(key),
            StoreError::WrittenTwice { .. } => Error::internal(error.clone()),
            StoreError::Uncertain { .. } => {
                tracing::error!(%error, "a change may be written or not");
                Error::Unavailable(error.to_string())
            }
            _ => {
                tracing::error!(%error, "a change was not written");
                Error::Unavailable(format!("the change was not written: {error}"))
            }
        }
    }

    fn conflict(&self, key: &Key) -> Error {
        Error::Conflict(self.head.state().explain_conflict(key))
    }
}

fn unexpected(error: &serde_json::Error) -> Error {
    Error::Malformed(format!("the body is not what was expected: {error}"))
}
