//! `GET` and `POST /install/head/join`: how a machine that knows the cluster database password becomes a head.

use heads::{
    join::{ChallengeError, Refusal, Request},
    membership::AdmissionError,
};
use http::Response;

use super::password;
use crate::{Error, auth::attempt, call::Call, envelope, reply::Body};

/// The longest request, in bytes: most of it is a certificate request of a few hundred.
const LONGEST: u64 = 64 << 10;

/// `GET /install/head/join`
pub(crate) async fn challenge(call: &mut Call) -> Result<Response<Body>, Error> {
    let engine = call.head.membership.engine();
    let cluster = call.state.cluster();
    let challenge = call.head.challenges.issue(
        &cluster.database_password,
        engine,
        env!("CARGO_PKG_VERSION"),
        cluster.name.clone(),
    );
    Ok(envelope::data(challenge?))
}

/// `POST /install/head/join`
pub(crate) async fn admit(call: &mut Call) -> Result<Response<Body>, Error> {
    let request: Request = call.json_within(LONGEST).await?;
    let name = request.name.clone();
    let admission = attempt(call, async {
        let password = &call.state.cluster().database_password;
        let verified = call.head.challenges.verify(request, password)?;
        Ok(call.head.membership.admit(verified).await?)
    })
    .await?;
    tracing::info!(head = %name, uid = %admission.uid, from = call.from(), "let in a new head");
    Ok(envelope::data(admission))
}

impl From<ChallengeError> for Error {
    fn from(error: ChallengeError) -> Self {
        Self::internal(error)
    }
}

impl From<AdmissionError> for Error {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Refused(refusal) => refusal.into(),
            AdmissionError::Move(_) | AdmissionError::NotReady => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let said = refusal.to_string();
        match refusal {
            Refusal::Password => password::wrong(),
            Refusal::Unreachable(_) | Refusal::Twice(_) => Self::Unprocessable(said),
            Refusal::Stale
            | Refusal::Version { .. }
            | Refusal::Name(_)
            | Refusal::Address { .. }
            | Refusal::Different(_)
            | Refusal::WouldMigrate => Self::Conflict(said),
            Refusal::ProofKey(_) | Refusal::Certificate(_) | Refusal::Random(_) => {
                Self::internal(refusal)
            }
        }
    }
}
