//! CreateAccessKey, ListAccessKeys, GetAccessKey, UpdateAccessKey, RotateAccessKey, DeleteAccessKey and GetSessionToken.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::id::AccessKeyId;
use berth_model::name::UserName;
use berth_model::policy::Policy;
use berth_model::time::Timestamp;
use berth_proto::v1 as wire;
use berth_scheduler_core::access_key::{AccessKey, AccessKeyStatus};
use berth_scheduler_core::decide::access_key::{
    CreateAccessKey, DeleteAccessKey, RotateAccessKey, UpdateAccessKey, not_found,
};
use berth_signature::secret::{MasterKey, MasterKeys};
use berth_signature::session::Session;

use super::authorize::actions;
use super::page::Page;
use super::request::{given, one_of, required};
use super::{Api, Caller};
use crate::auth::Authority;
use crate::{clock, seed};

/// Seconds for which an old key is good besides the new one, where nothing is said, and at most.
const GRACE: i32 = 24 * 60 * 60;
const LONGEST_GRACE: i32 = 7 * 24 * 60 * 60;
/// Seconds of a session where nothing is said, and the bounds.
const SESSION: i32 = 60 * 60;
const SESSIONS: [i32; 2] = [60, 36 * 60 * 60];

pub(super) async fn create(
    api: &Api,
    request: wire::CreateAccessKeyRequest,
    caller: &Caller,
) -> Result<wire::CreateAccessKeyResponse, Fault> {
    let user = UserName::parse(required("userName", request.user_name.as_ref())?)?;
    let policy = policy(required("policyDocument", request.policy_document.as_ref())?)?;
    let master = masters(api)?.newest();
    let command = CreateAccessKey {
        user,
        policy,
        master: master.fingerprint().into(),
    };
    let key = api.submit(command, caller).await?;
    Ok(wire::CreateAccessKeyResponse {
        secret_access_key: master.secret_of(key.id.as_str()),
        access_key: Some(described(&key)),
    })
}

pub(super) fn list(api: &Api, request: &wire::ListAccessKeysRequest) -> Result<wire::ListAccessKeysResponse, Fault> {
    let page = Page::read(request.max_results, request.next_token.as_ref())?;
    let state = api.view();
    let (after, user) = (page.after.clone(), given(request.user_name.as_ref()));
    let rest = state
        .access_keys()
        .filter(|key| after.as_deref().is_none_or(|after| key.id.as_str() > after))
        .filter(|key| user.is_none_or(|user| key.user.as_str() == user));
    let (keys, next_token) = page.take(rest, |key| key.id.to_string());
    let without_policy = |key: &Arc<AccessKey>| wire::AccessKey {
        policy_document: None,
        ..described(key)
    };
    Ok(wire::ListAccessKeysResponse {
        access_keys: keys.into_iter().map(without_policy).collect(),
        next_token,
    })
}

pub(super) fn get(api: &Api, request: &wire::GetAccessKeyRequest) -> Result<wire::GetAccessKeyResponse, Fault> {
    let id = required("accessKeyId", request.access_key_id.as_ref())?;
    let state = api.view();
    let key = state.access_key(id).ok_or_else(|| not_found(id))?;
    Ok(wire::GetAccessKeyResponse {
        access_key: Some(described(key)),
    })
}

pub(super) async fn update(
    api: &Api,
    request: wire::UpdateAccessKeyRequest,
    caller: &Caller,
) -> Result<wire::UpdateAccessKeyResponse, Fault> {
    let status = given(request.status.as_ref()).map(|name| {
        one_of("status", name, &["Active", "Inactive"])?;
        Ok::<_, Fault>(AccessKeyStatus::from_name(name))
    });
    let command = UpdateAccessKey {
        id: required("accessKeyId", request.access_key_id.as_ref())?.to_owned(),
        status: status.transpose()?.flatten(),
        policy: given(request.policy_document.as_ref()).map(policy).transpose()?,
    };
    let key = api.submit(command, caller).await?;
    Ok(wire::UpdateAccessKeyResponse {
        access_key: Some(described(&key)),
    })
}

pub(super) async fn rotate(
    api: &Api,
    request: wire::RotateAccessKeyRequest,
    caller: &Caller,
) -> Result<wire::RotateAccessKeyResponse, Fault> {
    let grace = seconds(
        "graceSeconds",
        request.grace_seconds.unwrap_or(GRACE),
        [0, LONGEST_GRACE],
    )?;
    let master = masters(api)?.newest();
    let command = RotateAccessKey {
        id: required("accessKeyId", request.access_key_id.as_ref())?.to_owned(),
        master: master.fingerprint().into(),
        grace,
    };
    let key = api.submit(command, caller).await?;
    Ok(wire::RotateAccessKeyResponse {
        secret_access_key: master.secret_of(key.id.as_str()),
        access_key: Some(described(&key)),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: wire::DeleteAccessKeyRequest,
    caller: &Caller,
) -> Result<wire::DeleteAccessKeyResponse, Fault> {
    let id = required("accessKeyId", request.access_key_id.as_ref())?.to_owned();
    api.submit(DeleteAccessKey { id }, caller).await?;
    Ok(wire::DeleteAccessKeyResponse {})
}

/// Changes nothing: all there is to know of a session is in its token.
pub(super) fn session(
    api: &Api,
    request: &wire::GetSessionTokenRequest,
    caller: &Caller,
) -> Result<wire::GetSessionTokenResponse, Fault> {
    let duration = seconds("durationSeconds", request.duration_seconds.unwrap_or(SESSION), SESSIONS)?;
    let own = || match &caller.authority {
        Authority::Unasked => Err(Fault::invalid(
            "accessKeyId must be given: this call is signed with no access key.",
        )),
        Authority::Root(id) => Ok(id.to_string()),
        Authority::Key(key) => Ok(key.id.to_string()),
    };
    let access_key = match given(request.access_key_id.as_ref()) {
        Some(id) => id.to_owned(),
        None => own()?,
    };
    let now = clock::now();
    let master = master_of(api, &access_key, now)?;
    let session = Session {
        access_key,
        id: new_session_id()?,
        // To the millisecond, and told as such.
        expires: now + duration,
    };
    let (session_token, secret_access_key) = session.issue(master);
    Ok(wire::GetSessionTokenResponse {
        access_key_id: session.id,
        secret_access_key,
        session_token,
        expiration: session.expires.as_epoch_seconds(),
    })
}

/// The master key that the secret of a key follows from.
fn master_of<'a>(api: &'a Api, access_key: &str, now: Timestamp) -> Result<&'a MasterKey, Fault> {
    let masters = masters(api)?;
    if let Some(master) = masters.of_root_id(access_key) {
        return Ok(master);
    }
    let state = api.view();
    let key = state.access_key(access_key).filter(|key| key.is_usable(now));
    let key = key.ok_or_else(|| not_found(access_key))?;
    masters.of_fingerprint(&key.master).ok_or_else(|| {
        Fault::client(format!(
            "Access key {access_key} was made with the master key {}, which this scheduler does not have.",
            key.master
        ))
    })
}

fn masters(api: &Api) -> Result<&MasterKeys, Fault> {
    api.authenticator.master().ok_or_else(|| {
        Fault::client(
            "This scheduler has no master key, from which the secrets of access keys follow: start it with --master-key-file.",
        )
    })
}

fn policy(document: &str) -> Result<Arc<Policy>, Fault> {
    Policy::parse(document, &actions()).map(Arc::new)
}

fn seconds(name: &str, seconds: i32, [least, most]: [i32; 2]) -> Result<Duration, Fault> {
    let number = u64::try_from(seconds)
        .ok()
        .filter(|_| (least..=most).contains(&seconds));
    let number =
        number.ok_or_else(|| Fault::invalid(format!("{name} {seconds} should be between {least} and {most}.")))?;
    Ok(Duration::from_secs(number))
}

fn new_session_id() -> Result<String, Fault> {
    let draw = || seed().map_err(|error| Fault::server(format!("no session can be made: {error:#}")));
    let bits = (u128::from(draw()?) << 64) | u128::from(draw()?);
    Ok(AccessKeyId::from_bits("ASIA", bits).to_string())
}

fn described(key: &AccessKey) -> wire::AccessKey {
    let status = match key.has_ended(clock::now()) {
        true => "Expired",
        false => key.status.name(),
    };
    wire::AccessKey {
        access_key_id: key.id.to_string(),
        user_name: key.user.to_string(),
        status: status.to_owned(),
        create_date: key.created_at.as_epoch_seconds(),
        expires_at: key.expires_at.map(Timestamp::as_epoch_seconds),
        policy_document: Some(key.policy.to_json()),
    }
}
