//! Who may manage the cluster: log-in, tokens, and the local socket's credentials.

mod attempt;
mod password;
mod throttle;
mod token;

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Response, StatusCode, header};
use jiff::Timestamp;
use model::{Admin, ClusterState, Expect, Session, Transaction, Uid};
use serde::{Deserialize, Serialize};

pub use self::password::{HashError, hash_password};
pub(crate) use self::{attempt::attempt, password::Passwords, throttle::Throttle};

use self::token::Token;
use crate::{
    Error,
    audit::Event,
    call::Call,
    envelope,
    head::{Head, new_uid},
    listen::Peer,
    reply::Body,
};

/// Somebody who may manage the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An administrator with a good access token, and the session it belongs to.
    Admin { name: String, session: Uid },
    /// Root, or the owner of the data directory, on the local socket.
    Local { uid: u32 },
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Admin { name, .. } => f.write_str(name),
            Self::Local { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// Who calls, if it is somebody.
///
/// # Errors
/// A token is given, and it is not good: being taken for nobody would hide that.
pub(crate) fn caller(
    head: &Head,
    state: &ClusterState,
    headers: &HeaderMap,
    peer: Peer,
) -> Result<Option<Caller>, Error> {
    if let Some(token) = bearer(headers)? {
        let hash = token::hash(token);
        let (uid, session) = state.sessions.of_token(&hash).ok_or(BAD_TOKEN)?;
        if hash != session.access || session.access_expires <= now() {
            return Err(BAD_TOKEN);
        }
        let admin = opened_by(state, session)?;
        return Ok(Some(Caller::Admin {
            name: admin.name.to_string(),
            session: uid,
        }));
    }
    match peer {
        Peer::Unix(user) if user.uid == 0 || user.uid == head.settings.owner => {
            Ok(Some(Caller::Local { uid: user.uid }))
        }
        _ => Ok(None),
    }
}

/// The administrator whose session it is, if their password is still the one it was opened with.
fn opened_by<'a>(state: &'a ClusterState, session: &Session) -> Result<&'a Admin, Error> {
    let admin = state.admins.get(session.admin).ok_or(BAD_TOKEN)?;
    if token::hash(&admin.password.0) == session.password {
        Ok(admin)
    } else {
        Err(BAD_TOKEN)
    }
}

const BAD_TOKEN: Error =
    Error::Unauthenticated("this token is unknown or has expired; log in again");

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    token.map(Some).ok_or(Error::Unauthenticated(
        "the Authorization header is not 'Bearer TOKEN'",
    ))
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// What a log-in asks.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The administrator's name.
    user: String,
    /// Their password.
    password: String,
}

/// What a refresh asks.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The refresh token of the last log-in or refresh.
    refresh_token: String,
}

/// The tokens of a session.
#[derive(Serialize, schemars::JsonSchema)]
pub(crate) struct Tokens {
    /// For the `Authorization: Bearer` header.
    access_token: String,
    /// Good once, for new tokens.
    refresh_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds the access token is good.
    expires_in: u64,
}

/// `POST /auth/login`
pub(crate) async fn login(call: &mut Call) -> Result<Response<Body>, Error> {
    let from = source_address(call);
    let Login { user, password } = call.json().await?;
    if let Err(refused) = call.head.throttle.take(from, std::time::Instant::now()) {
        audit_try(call, &user, refused.status()).await;
        return Err(refused);
    }
    let admin: Option<Admin> = call
        .state
        .admins
        .named(&user)
        .map(|admin| (**admin).clone());
    let hash = admin.as_ref().map(|admin| admin.password.clone());
    let right = call.head.passwords.verify(password, hash).await?;
    let Some(admin) = admin.filter(|_| right) else {
        audit_try(call, &user, StatusCode::UNAUTHORIZED).await;
        return Err(Error::Unauthenticated("wrong user or password"));
    };
    call.head.throttle.forgive(from);
    let (session, tokens) = open_session(&call.head, &admin)?;
    let mut transaction = end_expired(&call.state);
    transaction.expect(
        model::Kind::Admin.key(admin.uid),
        Expect::At(admin.revision),
    );
    transaction.claim(Session::key(new_uid()?), record(&session)?);
    call.head
        .commit(transaction)
        .await
        .map_err(|error| call.refused(&error))?;
    audit_try(call, &user, StatusCode::OK).await;
    Ok(envelope::data(tokens))
}

/// `POST /auth/refresh`
pub(crate) async fn refresh(call: &mut Call) -> Result<Response<Body>, Error> {
    let Refresh { refresh_token } = call.json().await?;
    let hash = token::hash(&refresh_token);
    let (uid, old) = call.state.sessions.of_token(&hash).ok_or(BAD_TOKEN)?;
    let admin = opened_by(&call.state, old)?;
    if hash != old.refresh || old.refresh_expires <= now() {
        return Err(BAD_TOKEN);
    }
    let (session, tokens) = open_session(&call.head, admin)?;
    // The old session ends as the new one begins: of two who use one refresh token, one gets tokens.
    let mut transaction = Transaction::default();
    transaction.expect(Session::key(uid), Expect::Present);
    transaction.delete(Session::key(uid));
    transaction.claim(Session::key(new_uid()?), record(&session)?);
    match call.head.commit(transaction).await {
        Ok(_) => Ok(envelope::data(tokens)),
        Err(store::StoreError::Conflict { .. }) => Err(BAD_TOKEN),
        Err(error) => Err(call.refused(&error)),
    }
}

/// `POST /auth/logout`
pub(crate) async fn logout(call: &mut Call) -> Result<Response<Body>, Error> {
    if let Some(Caller::Admin { session, .. }) = call.caller {
        let mut transaction = Transaction::default();
        transaction.delete(Session::key(session));
        call.head
            .commit(transaction)
            .await
            .map_err(|error| call.refused(&error))?;
    }
    Ok(envelope::done())
}

fn open_session(head: &Head, admin: &Admin) -> Result<(Session, Tokens), Error> {
    let access = Token::generate().map_err(Error::internal)?;
    let refresh = Token::generate().map_err(Error::internal)?;
    let session = Session {
        admin: admin.uid,
        password: token::hash(&admin.password.0),
        access: access.hash(),
        access_expires: now().saturating_add_unsigned(head.settings.access_ttl.as_secs()),
        refresh: refresh.hash(),
        refresh_expires: now().saturating_add_unsigned(head.settings.refresh_ttl.as_secs()),
    };
    let tokens = Tokens {
        access_token: access.expose(),
        refresh_token: refresh.expose(),
        token_type: "Bearer",
        expires_in: head.settings.access_ttl.as_secs(),
    };
    Ok((session, tokens))
}

fn record(session: &Session) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(session).map_err(Error::internal)
}

/// Takes away what has ended by itself, a bounded piece with each log-in, so that sessions do not pile up.
fn end_expired(state: &ClusterState) -> Transaction {
    let mut transaction = Transaction::default();
    let now = now();
    for (uid, _) in state
        .sessions
        .iter()
        .filter(|(_, session)| session.refresh_expires <= now)
        .take(100)
    {
        transaction.delete(Session::key(uid));
    }
    transaction
}

/// Adds to a transaction that all sessions of an administrator end with it.
pub(crate) fn end_sessions(state: &ClusterState, admin: Uid, transaction: &mut Transaction) {
    for (uid, _) in state
        .sessions
        .iter()
        .filter(|(_, session)| session.admin == admin)
    {
        transaction.delete(Session::key(uid));
    }
}

async fn audit_try(call: &Call, user: &str, status: StatusCode) {
    let (from, action) = (call.from(), "login");
    // What is no name may be a password in the wrong field, or a megabyte.
    let who = if user.parse::<model::Name>().is_ok() {
        user
    } else {
        "nobody"
    };
    call.head
        .audit
        .record(Event {
            who,
            from: &from,
            action,
            status: status.as_u16(),
        })
        .await;
}

/// The address that tries are counted by; the local socket counts as one.
fn source_address(call: &Call) -> IpAddr {
    call.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
