//! Operations on account settings.

use berth_proto::ecs::v1::{
    DeleteAccountSettingRequest, DeleteAccountSettingResponse, ListAccountSettingsRequest, ListAccountSettingsResponse,
    PutAccountSettingRequest, PutAccountSettingResponse,
};

use super::{Api, CallError};

impl Api {
    /// All settings as they hold for the principal.
    pub(crate) async fn account_settings(
        &self,
        principal_arn: Option<String>,
    ) -> Result<ListAccountSettingsResponse, CallError> {
        let mut all = ListAccountSettingsResponse::default();
        let mut next_token = None;
        loop {
            let request = ListAccountSettingsRequest {
                principal_arn: principal_arn.clone(),
                effective_settings: Some(true),
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListAccountSettings", request, async |mut ecs, request| {
                    ecs.list_account_settings(request).await
                })
                .await?;
            all.settings.extend(page.settings);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn put_account_setting(
        &self,
        name: String,
        value: String,
        principal_arn: Option<String>,
    ) -> Result<PutAccountSettingResponse, CallError> {
        let request = PutAccountSettingRequest {
            name: Some(name),
            value: Some(value),
            principal_arn,
        };
        self.ecs("PutAccountSetting", request, async |mut ecs, request| {
            ecs.put_account_setting(request).await
        })
        .await
    }

    pub(crate) async fn delete_account_setting(
        &self,
        name: String,
        principal_arn: Option<String>,
    ) -> Result<DeleteAccountSettingResponse, CallError> {
        let request = DeleteAccountSettingRequest {
            name: Some(name),
            principal_arn,
        };
        self.ecs("DeleteAccountSetting", request, async |mut ecs, request| {
            ecs.delete_account_setting(request).await
        })
        .await
    }
}
