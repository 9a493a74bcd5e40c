//! Join tokens, members, authorities and certificates of operators over gRPC.

use berth_proto::v1 as wire;
use berth_proto::v1::trust_server::Trust;
use tonic::{Request, Response, Status};

use super::super::trust;
use super::{Additions, answer};

#[tonic::async_trait]
impl Trust for Additions {
    async fn create_join_token(
        &self,
        request: Request<wire::CreateJoinTokenRequest>,
    ) -> Result<Response<wire::CreateJoinTokenResponse>, Status> {
        let (api, caller) = self.write("CreateJoinToken", &request)?;
        answer(api, trust::create_token(api, request.into_inner(), &caller).await)
    }

    async fn list_join_tokens(
        &self,
        request: Request<wire::ListJoinTokensRequest>,
    ) -> Result<Response<wire::ListJoinTokensResponse>, Status> {
        let api = self.read("ListJoinTokens", &request).await?;
        answer(&api, trust::list_tokens(&api, &request.into_inner()))
    }

    async fn revoke_join_token(
        &self,
        request: Request<wire::RevokeJoinTokenRequest>,
    ) -> Result<Response<wire::RevokeJoinTokenResponse>, Status> {
        let (api, caller) = self.write("RevokeJoinToken", &request)?;
        answer(api, trust::revoke_token(api, request.into_inner(), &caller).await)
    }

    async fn list_members(
        &self,
        request: Request<wire::ListMembersRequest>,
    ) -> Result<Response<wire::ListMembersResponse>, Status> {
        let api = self.read("ListMembers", &request).await?;
        answer(&api, trust::list_members(&api, &request.into_inner()))
    }

    async fn remove_member(
        &self,
        request: Request<wire::RemoveMemberRequest>,
    ) -> Result<Response<wire::RemoveMemberResponse>, Status> {
        let (api, caller) = self.write("RemoveMember", &request)?;
        answer(api, trust::remove_member(api, request.into_inner(), &caller).await)
    }

    async fn describe_authorities(
        &self,
        request: Request<wire::DescribeAuthoritiesRequest>,
    ) -> Result<Response<wire::DescribeAuthoritiesResponse>, Status> {
        let api = self.read("DescribeAuthorities", &request).await?;
        answer(&api, trust::authorities(&api))
    }

    async fn create_certificate(
        &self,
        request: Request<wire::CreateCertificateRequest>,
    ) -> Result<Response<wire::CreateCertificateResponse>, Status> {
        let (api, caller) = self.write("CreateCertificate", &request)?;
        answer(
            api,
            trust::create_certificate(api, &request.into_inner(), &caller).await,
        )
    }
}
