//! CreateJoinToken, ListJoinTokens, RevokeJoinToken, ListMembers, RemoveMember, DescribeAuthorities and CreateCertificate.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::{Fault, shortened};
use berth_model::id::InstanceId;
use berth_model::{attribute, id};
use berth_proto::v1 as wire;
use berth_scheduler_core::command::Principal;
use berth_scheduler_core::decide::access_key::not_found;
use berth_scheduler_core::decide::membership::{CreateJoinToken, NoteCertificate, RemoveMember, RevokeJoinToken};
use berth_scheduler_core::membership::{Claim, Enrollment, JoinToken};
use berth_tls::{Certificate, Request, files, random};
use berth_trust::{Identity, Member, Role, Secret};

use super::page::Page;
use super::request::{at_most, given, one_of, required};
use super::{Api, Caller};
use crate::clock;
use crate::trust::{Trust, link};

/// Bounds of the numbers of requests, and what is meant where nothing is said.
const USES: [i32; 2] = [1, 10_000];
const SECONDS: [i32; 2] = [60, 365 * 24 * 60 * 60];
const TOKEN_SECONDS: i32 = 60 * 60;
const CERTIFICATE_SECONDS: i32 = 30 * 24 * 60 * 60;
/// Attributes of a token.
const CLAIMS: usize = 10;

pub(super) async fn create_token(
    api: &Api,
    request: wire::CreateJoinTokenRequest,
    caller: &Caller,
) -> Result<wire::CreateJoinTokenResponse, Fault> {
    let pin = trust(api)?.current().authority.fingerprint();
    at_most("attributes", &request.attributes, CLAIMS)?;
    let claims: Result<Vec<Claim>, Fault> = request.attributes.iter().map(|text| claim(text)).collect();
    let bytes = random().map_err(|error| Fault::server(format!("no token can be made: {error}")))?;
    let secret = Secret::from_bytes(bytes);
    let lifetime = request.lifetime_seconds.unwrap_or(TOKEN_SECONDS);
    let command = CreateJoinToken {
        cluster: api.cluster(request.cluster.as_deref())?,
        role: role(request.role.as_ref())?,
        secret: secret.hash(),
        attributes: claims?.into(),
        uses: within("uses", request.uses.unwrap_or(1), USES)?,
        lifetime: Duration::from_secs(within("lifetimeSeconds", lifetime, SECONDS)?.into()),
        by: Principal::clone(&caller.principal),
    };
    let token = api.submit(command, caller).await?;
    let text = berth_trust::JoinToken {
        id: token.id.to_string(),
        secret,
        pin,
    };
    Ok(wire::CreateJoinTokenResponse {
        join_token: Some(described(&token)),
        token: text.reveal(),
    })
}

pub(super) fn list_tokens(
    api: &Api,
    request: &wire::ListJoinTokensRequest,
) -> Result<wire::ListJoinTokensResponse, Fault> {
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let cluster = api.cluster(request.cluster.as_deref())?;
    let state = api.view();
    let after = page.after.clone();
    let rest = state
        .join_tokens()
        .filter(|token| token.cluster == cluster && after.as_deref().is_none_or(|after| &*token.id > after));
    let (tokens, next_token) = page.take(rest, |token| token.id.to_string());
    Ok(wire::ListJoinTokensResponse {
        join_tokens: tokens.into_iter().map(|token| described(token)).collect(),
        next_token,
    })
}

pub(super) async fn revoke_token(
    api: &Api,
    request: wire::RevokeJoinTokenRequest,
    caller: &Caller,
) -> Result<wire::RevokeJoinTokenResponse, Fault> {
    let command = RevokeJoinToken {
        cluster: api.cluster(request.cluster.as_deref())?,
        id: required("tokenId", request.token_id.as_ref())?.to_owned(),
    };
    let token = api.submit(command, caller).await?;
    Ok(wire::RevokeJoinTokenResponse {
        join_token: Some(described(&token)),
    })
}

pub(super) fn list_members(api: &Api, request: &wire::ListMembersRequest) -> Result<wire::ListMembersResponse, Fault> {
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let cluster = api.cluster(request.cluster.as_deref())?;
    let state = api.view();
    let after: Option<Member> = page.after.as_ref().and_then(|after| after.parse().ok());
    let rest = state
        .members()
        .filter(|known| known.member.cluster == cluster && after.as_ref().is_none_or(|after| known.member > *after));
    let (members, next_token) = page.take(rest, |known| known.member.to_string());
    Ok(wire::ListMembersResponse {
        members: members.into_iter().map(|known| member(known)).collect(),
        next_token,
    })
}

pub(super) async fn remove_member(
    api: &Api,
    request: wire::RemoveMemberRequest,
    caller: &Caller,
) -> Result<wire::RemoveMemberResponse, Fault> {
    let id = required("id", request.id.as_ref())?;
    let id: InstanceId = id
        .parse()
        .map_err(|error: id::InvalidId| Fault::invalid(format!("id {error}.")))?;
    let member = Member {
        role: role(request.role.as_ref())?,
        cluster: api.cluster(request.cluster.as_deref())?,
        id,
    };
    api.submit(RemoveMember { member }, caller).await?;
    Ok(wire::RemoveMemberResponse {})
}

pub(super) fn authorities(api: &Api) -> Result<wire::DescribeAuthoritiesResponse, Fault> {
    let current = trust(api)?.current();
    let state = api.view();
    let mut authorities = Vec::new();
    for root in current.authority.roots() {
        let root = Certificate::read(&root).map_err(|error| Fault::server(error.to_string()))?;
        let members = state.members().filter(|known| known.authority == root.key).count();
        authorities.push(wire::Authority {
            fingerprint: root.key.to_string(),
            signs: root.key == current.authority.fingerprint(),
            expires_at: root.life.end.as_epoch_seconds(),
            members: i32::try_from(members).unwrap_or(i32::MAX),
        });
    }
    Ok(wire::DescribeAuthoritiesResponse {
        authorities,
        certificates: files::pem(&current.authority.roots()),
    })
}

/// A certificate is no new authority: it ends with its access key, of which the journal says that there is one.
pub(super) async fn create_certificate(
    api: &Api,
    request: &wire::CreateCertificateRequest,
    caller: &Caller,
) -> Result<wire::CreateCertificateResponse, Fault> {
    let current = trust(api)?.current();
    let id = required("accessKeyId", request.access_key_id.as_ref())?;
    let asked = required("certificateRequest", request.certificate_request.as_ref())?;
    let asked = Request::read_pem(asked).map_err(|error| Fault::invalid(format!("certificateRequest: {error}.")))?;
    let seconds = request.lifetime_seconds.unwrap_or(CERTIFICATE_SECONDS);
    let lifetime = Duration::from_secs(within("lifetimeSeconds", seconds, SECONDS)?.into());
    let life = link::life(lifetime);
    let known = api
        .view()
        .access_key(id)
        .filter(|key| key.is_usable(life.begin))
        .cloned();
    let key = known.ok_or_else(|| not_found(id))?;
    let command = NoteCertificate {
        access_key: key.id.clone(),
        key: asked.key,
        expires_at: life.end,
    };
    api.submit(command, caller).await?;
    let chain = link::sign(&current, &asked, &Identity::Operator(key.id.clone()), life)?;
    let chain: Vec<_> = chain.into_iter().map(Into::into).collect();
    Ok(wire::CreateCertificateResponse {
        certificate: files::pem(&chain),
        authorities: files::pem(&current.authority.roots()),
        expires_at: life.end.as_epoch_seconds(),
    })
}

fn trust(api: &Api) -> Result<&Arc<Trust>, Fault> {
    api.trust.as_ref().ok_or_else(|| {
        Fault::client(
            "This scheduler speaks no TLS, so that there is nothing to join with: start it with --tls always, or on an address \
             that is no loopback one.",
        )
    })
}

fn role(name: Option<&String>) -> Result<Role, Fault> {
    let Some(name) = given(name) else {
        return Ok(Role::Instance);
    };
    one_of("role", name, &["instance", "gateway"])?;
    Role::from_name(name).ok_or_else(|| Fault::server("a role that is known is none"))
}

/// `NAME` or `NAME=VALUE`.
fn claim(text: &str) -> Result<Claim, Fault> {
    let wrong = |rule: String| Fault::invalid(format!("attribute '{}' {rule}.", shortened(text)));
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    attribute::check_name(name).map_err(wrong)?;
    value.map_or(Ok(()), attribute::check_value).map_err(wrong)?;
    Ok(Claim {
        name: name.into(),
        value: value.map(Into::into),
    })
}

fn within(name: &str, number: i32, [least, most]: [i32; 2]) -> Result<u32, Fault> {
    let inside = u32::try_from(number).ok().filter(|_| (least..=most).contains(&number));
    inside.ok_or_else(|| Fault::invalid(format!("{name} {number} should be between {least} and {most}.")))
}

fn described(token: &JoinToken) -> wire::JoinToken {
    wire::JoinToken {
        token_id: token.id.to_string(),
        cluster: token.cluster.to_string(),
        role: token.role.to_string(),
        status: token
            .ended(clock::now())
            .map_or("Active", |ended| ended.name())
            .to_owned(),
        uses_left: i32::try_from(token.uses_left).unwrap_or(i32::MAX),
        created_by: token.created_by.to_string(),
        created_at: token.created_at.as_epoch_seconds(),
        expires_at: token.expires_at.as_epoch_seconds(),
        attributes: token.attributes.iter().map(Claim::to_string).collect(),
    }
}

fn member(known: &Enrollment) -> wire::Member {
    wire::Member {
        role: known.member.role.to_string(),
        cluster: known.member.cluster.to_string(),
        id: known.member.id.to_string(),
        token_id: known.token.to_string(),
        key: known.key.to_string(),
        authority: known.authority.to_string(),
        joined_at: known.joined_at.as_epoch_seconds(),
        expires_at: known.expires_at.as_epoch_seconds(),
        attributes: known.attributes.iter().map(Claim::to_string).collect(),
    }
}
