//! Where members come to their certificates: with a token once, then with the certificate before.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::time::Timestamp;
use berth_proto::trust::v1::enrollment_server::Enrollment;
use berth_proto::trust::v1::{Certificates, EnrollRequest, RenewRequest};
use berth_scheduler_core::command::Principal;
use berth_scheduler_core::decide::membership::{Enroll, Renew};
use berth_scheduler_core::membership::{self, denied, speaks_for};
use berth_tls::Request as Asked;
use berth_trust::{Identity, JoinToken, Life, Member, Secret};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::Trust;
use super::peer::Peer;
use crate::api;
use crate::clock;
use crate::engine::Engine;

/// Certificates that are made at once.
const AT_ONCE: usize = 16;
/// How long one may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gRPC service that agents and gateways ask.
#[derive(Debug)]
pub struct Link {
    engine: Engine,
    trust: Option<Arc<Trust>>,
    turns: Semaphore,
}

impl Link {
    /// A service over the engine; it gives nothing where there is no TLS.
    #[must_use]
    pub fn new(engine: Engine, trust: Option<Arc<Trust>>) -> Self {
        Self {
            engine,
            trust,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    fn trust(&self, peer: &Peer) -> Result<&Arc<Trust>, Fault> {
        let trust = self.trust.as_ref().filter(|_| peer.encrypted);
        trust.ok_or_else(|| denied("This connection is not encrypted: certificates are given over TLS alone."))
    }

    async fn enroll_member(&self, request: EnrollRequest, peer: &Peer, by: Principal) -> Result<Certificates, Fault> {
        let trust = self.trust(peer)?;
        let asked = read(&request.request)?;
        let member: Member = request.member.parse().map_err(|rule: &str| {
            Fault::invalid(format!(
                "member '{}' is none: {rule}.",
                berth_model::fault::shortened(&request.member)
            ))
        })?;
        let secret = match request.token_secret.as_str() {
            "" => None,
            text => {
                let secret = Secret::parse(text).map_err(|_| denied("This is no secret of a join token."))?;
                Some(secret.hash())
            }
        };
        if !JoinToken::is_id(&request.token_id) {
            return Err(denied("This is no id of a join token."));
        }
        let current = trust.current();
        let command = Enroll {
            member: member.clone(),
            key: asked.key,
            token: request.token_id,
            secret,
            authority: current.authority.fingerprint(),
            life: trust.lifetime(),
        };
        let enrollment = self.engine.submit(command, by).await?;
        tracing::info!(%member, token = &*enrollment.token, "member joined");
        issue(&current, &asked, &enrollment)
    }

    async fn renew_member(&self, request: RenewRequest, peer: &Peer, by: Principal) -> Result<Certificates, Fault> {
        let trust = self.trust(peer)?;
        let shown = peer.credential();
        let Some(Identity::Member(member)) = shown.as_ref().and_then(|shown| shown.identity.clone()) else {
            return Err(denied(
                "A certificate is renewed by the member that shows it, and none was shown.",
            ));
        };
        speaks_for(&self.engine.view(), shown.as_ref(), &member, clock::now())?;
        let asked = read(&request.request)?;
        let current = trust.current();
        let command = Renew {
            member,
            key: asked.key,
            authority: current.authority.fingerprint(),
            life: trust.lifetime(),
        };
        let enrollment = self.engine.submit(command, by).await?;
        issue(&current, &asked, &enrollment)
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Fault> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let busy = || Fault::unavailable("Too many certificates are asked for at once: try again.");
        turn.map_err(|_elapsed| busy())?.map_err(|_closed| busy())
    }
}

fn read(request: &[u8]) -> Result<Asked, Fault> {
    Asked::read(request).map_err(|error| Fault::invalid(format!("request: {error}.")))
}

/// The certificate of what the journal has.
fn issue(current: &super::Current, asked: &Asked, enrollment: &membership::Enrollment) -> Result<Certificates, Fault> {
    let identity = Identity::Member(enrollment.member.clone());
    let life = Life {
        begin: clock::now(),
        end: enrollment.expires_at,
    };
    let chain = sign(current, asked, &identity, life)?;
    Ok(Certificates {
        chain,
        authorities: current.authority.bundle().iter().map(|der| der.to_vec()).collect(),
    })
}

/// Has the authority sign.
///
/// # Errors
/// `ServerException`: it cannot.
pub(crate) fn sign(
    current: &super::Current,
    asked: &Asked,
    identity: &Identity,
    life: Life,
) -> Result<Vec<Vec<u8>>, Fault> {
    let chain = current.authority.issue(asked, identity, life);
    let chain =
        chain.map_err(|error| Fault::server(format!("no certificate can be made: {}", berth_daemon::chain(&error))))?;
    Ok(chain.iter().map(|der| der.to_vec()).collect())
}

/// Who asks, as the journal has it: what it says it is, and where it comes from.
fn principal<T>(request: &Request<T>, what: &str) -> Principal {
    let from = request.remote_addr().map(|address| address.ip().to_canonical());
    match from {
        Some(from) => format!("{what} {from}").into(),
        None => what.into(),
    }
}

fn answer(
    done: Result<Certificates, Fault>,
    who: &str,
    refused: &'static str,
) -> Result<Response<Certificates>, Status> {
    done.map(Response::new).map_err(|fault| {
        tracing::warn!(from = who, error = %fault, "{refused}");
        api::status(&fault)
    })
}

#[tonic::async_trait]
impl Enrollment for Link {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<Certificates>, Status> {
        let by = principal(&request, "join");
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let done = async {
            let _turn = self.turn().await?;
            self.enroll_member(request.into_inner(), &peer, Principal::clone(&by))
                .await
        };
        answer(done.await, &by, "a host may not join")
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<Certificates>, Status> {
        let by = principal(&request, "renew");
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let done = async {
            let _turn = self.turn().await?;
            self.renew_member(request.into_inner(), &peer, Principal::clone(&by))
                .await
        };
        answer(done.await, &by, "a certificate is not renewed")
    }
}

/// The moment at which a certificate ends that is made now.
pub(crate) fn life(lifetime: Duration) -> Life {
    let begin: Timestamp = clock::now();
    Life {
        begin,
        end: begin + lifetime,
    }
}
