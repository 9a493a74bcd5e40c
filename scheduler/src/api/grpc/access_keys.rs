//! Access keys over gRPC.

use berth_proto::v1 as wire;
use berth_proto::v1::access_keys_server::AccessKeys;
use tonic::{Request, Response, Status};

use super::super::access_keys;
use super::{Additions, answer};

#[tonic::async_trait]
impl AccessKeys for Additions {
    async fn create_access_key(
        &self,
        request: Request<wire::CreateAccessKeyRequest>,
    ) -> Result<Response<wire::CreateAccessKeyResponse>, Status> {
        let (api, caller) = self.write("CreateAccessKey", &request)?;
        answer(api, access_keys::create(api, request.into_inner(), &caller).await)
    }

    async fn list_access_keys(
        &self,
        request: Request<wire::ListAccessKeysRequest>,
    ) -> Result<Response<wire::ListAccessKeysResponse>, Status> {
        let api = self.read("ListAccessKeys", &request).await?;
        answer(&api, access_keys::list(&api, &request.into_inner()))
    }

    async fn get_access_key(
        &self,
        request: Request<wire::GetAccessKeyRequest>,
    ) -> Result<Response<wire::GetAccessKeyResponse>, Status> {
        let api = self.read("GetAccessKey", &request).await?;
        answer(&api, access_keys::get(&api, &request.into_inner()))
    }

    async fn update_access_key(
        &self,
        request: Request<wire::UpdateAccessKeyRequest>,
    ) -> Result<Response<wire::UpdateAccessKeyResponse>, Status> {
        let (api, caller) = self.write("UpdateAccessKey", &request)?;
        answer(api, access_keys::update(api, request.into_inner(), &caller).await)
    }

    async fn delete_access_key(
        &self,
        request: Request<wire::DeleteAccessKeyRequest>,
    ) -> Result<Response<wire::DeleteAccessKeyResponse>, Status> {
        let (api, caller) = self.write("DeleteAccessKey", &request)?;
        answer(api, access_keys::delete(api, request.into_inner(), &caller).await)
    }

    async fn rotate_access_key(
        &self,
        request: Request<wire::RotateAccessKeyRequest>,
    ) -> Result<Response<wire::RotateAccessKeyResponse>, Status> {
        let (api, caller) = self.write("RotateAccessKey", &request)?;
        answer(api, access_keys::rotate(api, request.into_inner(), &caller).await)
    }

    async fn get_session_token(
        &self,
        request: Request<wire::GetSessionTokenRequest>,
    ) -> Result<Response<wire::GetSessionTokenResponse>, Status> {
        let (api, caller) = self.write("GetSessionToken", &request)?;
        answer(api, access_keys::session(api, &request.into_inner(), &caller))
    }
}
