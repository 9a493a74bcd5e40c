//! ListAccountSettings, PutAccountSetting, PutAccountSettingDefault, DeleteAccountSetting.

use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::fault::{Fault, shortened};
use berth_proto::ecs::v1 as ecs;
use berth_scheduler_core::decide::account::SetAccountSetting;

use super::page::Page;
use super::request::{given, required};
use super::{Api, Caller};
use crate::auth::Authority;

/// Settings of one page, at most and where nothing is said (ECS API).
const LISTED: usize = 10;
/// What this scheduler, not a user, decides.
const MANAGED: [SettingName; 1] = [SettingName::GuardDutyActivate];

impl Api {
    /// Who calls, as account settings know it: the user of an access key, and else the account itself.
    pub(super) fn principal(&self, caller: &Caller) -> Arc<str> {
        match &caller.authority {
            Authority::Key(key) => self.namespace.user(&key.user).into(),
            Authority::Unasked | Authority::Root(_) => self.root().into(),
        }
    }

    /// The account itself, whose settings hold for all principals that have none of their own.
    fn root(&self) -> String {
        self.namespace.root()
    }
}

/// The principal that a request means: none where it is the account itself.
fn principal(api: &Api, arn: Option<&String>, caller: &Caller) -> Result<Option<Arc<str>>, Fault> {
    let root = api.root();
    let meant = match given(arn) {
        None => api.principal(caller),
        Some(arn) => {
            let resource = arn.strip_prefix(root.trim_end_matches("root"));
            let is_known = resource.is_some_and(|resource| {
                let named = ["user/", "role/"].iter().find_map(|kind| resource.strip_prefix(kind));
                resource == "root" || named.is_some_and(|name| !name.is_empty())
            });
            if !is_known || arn.len() > 2048 {
                return Err(Fault::invalid(format!(
                    "principalArn '{}' should be {root}, or the ARN of a user or a role of this account.",
                    shortened(arn)
                )));
            }
            arn.into()
        }
    };
    Ok(Some(meant).filter(|meant| **meant != *root))
}

pub(super) async fn list(
    api: &Api,
    request: ecs::ListAccountSettingsRequest,
    caller: &Caller,
) -> Result<ecs::ListAccountSettingsResponse, Fault> {
    let wanted = given(request.name.as_ref()).map(SettingName::parse).transpose()?;
    let value = given(request.value.as_ref());
    if value.is_some() && wanted.is_none() {
        return Err(Fault::invalid(
            "value is given without name: it selects among values of one setting.",
        ));
    }
    if let Some(count) = request.max_results.filter(|count| !(1..=10).contains(count)) {
        return Err(Fault::invalid(format!(
            "maxResults {count} should be between 1 and {LISTED}."
        )));
    }
    let whose = principal(api, request.principal_arn.as_ref(), caller)?;
    let page = Page::of_at_most(request.max_results, request.next_token.as_ref(), LISTED)?;
    let after = page.after.clone();
    let effective = request.effective_settings == Some(true);
    let state = api.view();
    let arn: Arc<str> = whose.clone().unwrap_or_else(|| api.root().into());
    let settings = SettingName::ALL.iter().filter_map(|name| {
        let value = if effective {
            state.account_setting(*name, &arn).to_owned()
        } else {
            let mut set = state.account_settings();
            let own = set.find(|(of, principal, _)| of == name && *principal == whose.as_ref());
            own?.2.to_string()
        };
        Some((*name, value))
    });
    let rest = settings
        .filter(|(name, _)| wanted.is_none_or(|wanted| *name == wanted))
        .filter(|(_, has)| value.is_none_or(|value| has == value))
        .skip_while(|(name, _)| {
            // In ECS's order, which is not that of the alphabet.
            let last = after.as_deref().and_then(SettingName::from_name);
            last.is_some_and(|last| *name <= last)
        });
    let (settings, next_token) = page.take(rest, |(name, _)| name.to_string());
    Ok(ecs::ListAccountSettingsResponse {
        settings: settings
            .into_iter()
            .map(|(name, value)| setting(name, &value, &arn))
            .collect(),
        next_token,
    })
}

pub(super) async fn put(
    api: &Api,
    request: ecs::PutAccountSettingRequest,
    caller: &Caller,
) -> Result<ecs::PutAccountSettingResponse, Fault> {
    let whose = principal(api, request.principal_arn.as_ref(), caller)?;
    let setting = set(api, whose, request.name.as_ref(), request.value.as_ref(), caller).await?;
    Ok(ecs::PutAccountSettingResponse { setting: Some(setting) })
}

pub(super) async fn put_default(
    api: &Api,
    request: ecs::PutAccountSettingDefaultRequest,
    caller: &Caller,
) -> Result<ecs::PutAccountSettingDefaultResponse, Fault> {
    let setting = set(api, None, request.name.as_ref(), request.value.as_ref(), caller).await?;
    Ok(ecs::PutAccountSettingDefaultResponse { setting: Some(setting) })
}

pub(super) async fn delete(
    api: &Api,
    request: ecs::DeleteAccountSettingRequest,
    caller: &Caller,
) -> Result<ecs::DeleteAccountSettingResponse, Fault> {
    let name = SettingName::parse(required("name", request.name.as_ref())?)?;
    let whose = principal(api, request.principal_arn.as_ref(), caller)?;
    let arn: Arc<str> = whose.clone().unwrap_or_else(|| api.root().into());
    let command = SetAccountSetting {
        name,
        principal: whose,
        value: None,
    };
    api.submit(command, caller).await?;
    let value = api.view().account_setting(name, &arn).to_owned();
    Ok(ecs::DeleteAccountSettingResponse {
        setting: Some(setting(name, &value, &arn)),
    })
}

async fn set(
    api: &Api,
    whose: Option<Arc<str>>,
    name: Option<&String>,
    value: Option<&String>,
    caller: &Caller,
) -> Result<ecs::Setting, Fault> {
    let name = SettingName::parse(required("name", name)?)?;
    let value = required("value", value)?;
    name.check(value)?;
    let arn: Arc<str> = whose.clone().unwrap_or_else(|| api.root().into());
    let command = SetAccountSetting {
        name,
        principal: whose,
        value: Some(value.into()),
    };
    api.submit(command, caller).await?;
    Ok(setting(name, value, &arn))
}

fn setting(name: SettingName, value: &str, principal: &str) -> ecs::Setting {
    let kind = if MANAGED.contains(&name) { "aws_managed" } else { "user" };
    ecs::Setting {
        name: Some(name.name().to_owned()),
        value: Some(value.to_owned()),
        principal_arn: Some(principal.to_owned()),
        r#type: Some(kind.to_owned()),
    }
}
