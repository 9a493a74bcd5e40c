//! Join tokens, members, authorities, and certificates of access keys.

use berth_proto::v1::trust_client::TrustClient;
use berth_proto::v1::{
    CreateCertificateRequest, CreateCertificateResponse, CreateJoinTokenRequest, CreateJoinTokenResponse,
    DescribeAuthoritiesRequest, DescribeAuthoritiesResponse, ListJoinTokensRequest, ListJoinTokensResponse,
    ListMembersRequest, ListMembersResponse, RemoveMemberRequest, RemoveMemberResponse, RevokeJoinTokenRequest,
    RevokeJoinTokenResponse,
};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{Api, CallError};

impl Api {
    async fn trust<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(TrustClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = TrustClient::new(self.channel.clone());
        self.bounded("berth.v1.Trust", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    /// Makes a join token for the cluster that was named.
    pub(crate) async fn create_join_token(
        &self,
        request: CreateJoinTokenRequest,
    ) -> Result<CreateJoinTokenResponse, CallError> {
        let request = CreateJoinTokenRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.trust("CreateJoinToken", request, async |mut trust, request| {
            trust.create_join_token(request).await
        })
        .await
    }

    /// All join tokens of the cluster.
    pub(crate) async fn all_join_tokens(&self) -> Result<ListJoinTokensResponse, CallError> {
        let mut all = ListJoinTokensResponse::default();
        loop {
            let request = ListJoinTokensRequest {
                cluster: self.cluster.clone(),
                max_results: None,
                next_token: all.next_token.take(),
            };
            let page = self
                .trust("ListJoinTokens", request, async |mut trust, request| {
                    trust.list_join_tokens(request).await
                })
                .await?;
            all.join_tokens.extend(page.join_tokens);
            all.next_token = page.next_token;
            if all.next_token.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn revoke_join_token(&self, token_id: String) -> Result<RevokeJoinTokenResponse, CallError> {
        let request = RevokeJoinTokenRequest {
            cluster: self.cluster.clone(),
            token_id: Some(token_id),
        };
        self.trust("RevokeJoinToken", request, async |mut trust, request| {
            trust.revoke_join_token(request).await
        })
        .await
    }

    /// All members of the cluster.
    pub(crate) async fn all_members(&self) -> Result<ListMembersResponse, CallError> {
        let mut all = ListMembersResponse::default();
        loop {
            let request = ListMembersRequest {
                cluster: self.cluster.clone(),
                max_results: None,
                next_token: all.next_token.take(),
            };
            let page = self
                .trust("ListMembers", request, async |mut trust, request| {
                    trust.list_members(request).await
                })
                .await?;
            all.members.extend(page.members);
            all.next_token = page.next_token;
            if all.next_token.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn remove_member(&self, role: String, id: String) -> Result<RemoveMemberResponse, CallError> {
        let request = RemoveMemberRequest {
            cluster: self.cluster.clone(),
            role: Some(role),
            id: Some(id),
        };
        self.trust("RemoveMember", request, async |mut trust, request| {
            trust.remove_member(request).await
        })
        .await
    }

    pub(crate) async fn authorities(&self) -> Result<DescribeAuthoritiesResponse, CallError> {
        let request = DescribeAuthoritiesRequest {};
        self.trust("DescribeAuthorities", request, async |mut trust, request| {
            trust.describe_authorities(request).await
        })
        .await
    }

    pub(crate) async fn create_certificate(
        &self,
        request: CreateCertificateRequest,
    ) -> Result<CreateCertificateResponse, CallError> {
        self.trust("CreateCertificate", request, async |mut trust, request| {
            trust.create_certificate(request).await
        })
        .await
    }
}
