//! Access keys.

use berth_proto::v1::access_keys_client::AccessKeysClient;
use berth_proto::v1::{
    AccessKey, CreateAccessKeyRequest, CreateAccessKeyResponse, DeleteAccessKeyRequest, DeleteAccessKeyResponse,
    GetAccessKeyRequest, GetAccessKeyResponse, GetSessionTokenRequest, GetSessionTokenResponse, ListAccessKeysRequest,
    ListAccessKeysResponse, RotateAccessKeyRequest, RotateAccessKeyResponse, UpdateAccessKeyRequest,
    UpdateAccessKeyResponse,
};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{Api, CallError};

impl Api {
    async fn access_keys<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(AccessKeysClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = AccessKeysClient::new(self.channel.clone());
        self.bounded("berth.v1.AccessKeys", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    pub(crate) async fn create_access_key(
        &self,
        user_name: String,
        policy_document: String,
    ) -> Result<CreateAccessKeyResponse, CallError> {
        let request = CreateAccessKeyRequest {
            user_name: Some(user_name),
            policy_document: Some(policy_document),
        };
        self.access_keys("CreateAccessKey", request, async |mut keys, request| {
            keys.create_access_key(request).await
        })
        .await
    }

    /// All access keys; those of one user where one is named.
    pub(crate) async fn all_access_keys(&self, user_name: Option<String>) -> Result<ListAccessKeysResponse, CallError> {
        let mut access_keys: Vec<AccessKey> = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListAccessKeysRequest {
                user_name: user_name.clone(),
                next_token,
                max_results: None,
            };
            let page = self
                .access_keys("ListAccessKeys", request, async |mut keys, request| {
                    keys.list_access_keys(request).await
                })
                .await?;
            access_keys.extend(page.access_keys);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(ListAccessKeysResponse {
                    access_keys,
                    next_token,
                });
            }
        }
    }

    pub(crate) async fn access_key(&self, id: String) -> Result<GetAccessKeyResponse, CallError> {
        let request = GetAccessKeyRequest {
            access_key_id: Some(id),
        };
        self.access_keys("GetAccessKey", request, async |mut keys, request| {
            keys.get_access_key(request).await
        })
        .await
    }

    pub(crate) async fn update_access_key(
        &self,
        request: UpdateAccessKeyRequest,
    ) -> Result<UpdateAccessKeyResponse, CallError> {
        self.access_keys("UpdateAccessKey", request, async |mut keys, request| {
            keys.update_access_key(request).await
        })
        .await
    }

    pub(crate) async fn delete_access_key(&self, id: String) -> Result<DeleteAccessKeyResponse, CallError> {
        let request = DeleteAccessKeyRequest {
            access_key_id: Some(id),
        };
        self.access_keys("DeleteAccessKey", request, async |mut keys, request| {
            keys.delete_access_key(request).await
        })
        .await
    }

    pub(crate) async fn rotate_access_key(
        &self,
        request: RotateAccessKeyRequest,
    ) -> Result<RotateAccessKeyResponse, CallError> {
        self.access_keys("RotateAccessKey", request, async |mut keys, request| {
            keys.rotate_access_key(request).await
        })
        .await
    }

    pub(crate) async fn session(&self, request: GetSessionTokenRequest) -> Result<GetSessionTokenResponse, CallError> {
        self.access_keys("GetSessionToken", request, async |mut keys, request| {
            keys.get_session_token(request).await
        })
        .await
    }
}
