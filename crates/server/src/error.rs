//! What can go wrong with a request, and the one place that says which HTTP status it is.

use http::{HeaderValue, Response, StatusCode, header};

use crate::reply::{self, Body};

/// Why a request was not answered as it wished. The text is for whoever asked, so it never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is malformed.
    #[error("{0}")]
    Malformed(String),
    /// No token, or one that is not (any longer) good.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Known, but not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The path exists, with other methods.
    #[error("this path takes {}", .0.join(", "))]
    Method(Vec<&'static str>),
    /// The client does not understand what there is.
    #[error("{0}")]
    NotAcceptable(String),
    /// It contradicts what the cluster holds.
    #[error("{0}")]
    Conflict(String),
    /// What the request's precondition names is not what is there.
    #[error("{0}")]
    Stale(String),
    /// The body is larger than this many bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// The request's target is longer than this many bytes.
    #[error("the path and query are longer than {0} bytes")]
    TargetTooLong(usize),
    /// The client was too slow in sending its body.
    #[error("the body did not arrive in time")]
    SlowBody,
    /// Well-formed, but it cannot be done: above all, a boot file that lacks a value.
    #[error("{0}")]
    Unprocessable(String),
    /// Too many tries to log in.
    #[error("too many tries; wait {0} seconds")]
    TooManyTries(u32),
    /// Not now; later it may work.
    #[error("{0}")]
    Unavailable(String),
    /// Who has it could not give it.
    #[error("{0}")]
    BadGateway(String),
    /// Who has it took too long.
    #[error("{0}")]
    GatewayTimeout(String),
    /// A fault of ours. The cause goes to the log, not to the client.
    #[error("internal error; the head's log says more")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The status this error is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Stale(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyTries(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer to a boot client: the reason as one line of text.
    pub fn as_text(&self) -> Response<Body> {
        self.decorate(reply::text(self.status(), &self.to_string()))
    }

    /// The answer to a management client: the reason in the envelope.
    pub fn as_json(&self) -> Response<Body> {
        let envelope = serde_json::json!({"success": false, "reason": self.to_string()});
        self.decorate(reply::json(self.status(), &envelope))
    }

    fn decorate(&self, mut response: Response<Body>) -> Response<Body> {
        match self {
            Self::Internal(source) => {
                tracing::error!(error = %with_causes(source.as_ref()), "internal error");
            }
            Self::TooManyTries(seconds) => return reply::retry_after(response, *seconds),
            Self::Unavailable(_) => return reply::retry_after(response, 1),
            Self::Unauthenticated(_) => {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method(allowed) => {
                // Method names are ASCII tokens of ours, so they always make a header value.
                let allowed = HeaderValue::from_str(&allowed.join(", ")).expect("method names");
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            _ => {}
        }
        response
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}

/// An error and those of its causes that its own text does not tell already, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

impl From<model::Invalid> for Error {
    fn from(invalid: model::Invalid) -> Self {
        match invalid {
            model::Invalid::NoSuch { .. } => Self::Unprocessable(invalid.to_string()),
            _ => Self::Malformed(invalid.to_string()),
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(panicked: tokio::task::JoinError) -> Self {
        Self::internal(panicked)
    }
}
