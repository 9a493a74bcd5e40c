//! Account settings, as far as `berth` can tell them from the real ones.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use berth_proto::ecs::v1::{
    DeleteAccountSettingRequest, DeleteAccountSettingResponse, ListAccountSettingsRequest, ListAccountSettingsResponse,
    PutAccountSettingRequest, PutAccountSettingResponse, Setting,
};

use super::State;
use super::operations::{Answer, page};

fn setting(name: &str, value: &str, principal: Option<&str>) -> Setting {
    Setting {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        principal_arn: Some(principal.unwrap_or("arn:aws:iam::000000000000:root").to_owned()),
        r#type: Some("user".to_owned()),
    }
}

impl State {
    pub(super) fn list_account_settings(
        &mut self,
        request: ListAccountSettingsRequest,
    ) -> Answer<ListAccountSettingsResponse> {
        let (names, next_token) = page(self.settings.keys().cloned().collect(), request.next_token.clone())?;
        let one = |name: &String| setting(name, &self.settings[name], request.principal_arn.as_deref());
        Ok(ListAccountSettingsResponse {
            settings: names.iter().map(one).collect(),
            next_token,
        })
    }

    pub(super) fn put_account_setting(
        &mut self,
        request: PutAccountSettingRequest,
    ) -> Answer<PutAccountSettingResponse> {
        self.settings
            .insert(request.name().to_owned(), request.value().to_owned());
        Ok(PutAccountSettingResponse {
            setting: Some(setting(
                request.name(),
                request.value(),
                request.principal_arn.as_deref(),
            )),
        })
    }

    pub(super) fn delete_account_setting(
        &mut self,
        request: DeleteAccountSettingRequest,
    ) -> Answer<DeleteAccountSettingResponse> {
        self.settings.insert(request.name().to_owned(), "disabled".to_owned());
        Ok(DeleteAccountSettingResponse {
            setting: Some(setting(request.name(), "disabled", request.principal_arn.as_deref())),
        })
    }
}
