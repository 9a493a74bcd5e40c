//! Operations on capacity providers.

use berth_proto::ecs::v1::{
    CreateCapacityProviderRequest, CreateCapacityProviderResponse, DeleteCapacityProviderRequest,
    DeleteCapacityProviderResponse, DescribeCapacityProvidersRequest, DescribeCapacityProvidersResponse,
    PutClusterCapacityProvidersRequest, PutClusterCapacityProvidersResponse,
};

use super::{Api, CallError};

impl Api {
    pub(crate) async fn create_capacity_provider(
        &self,
        request: CreateCapacityProviderRequest,
    ) -> Result<CreateCapacityProviderResponse, CallError> {
        self.ecs("CreateCapacityProvider", request, async |mut ecs, request| {
            ecs.create_capacity_provider(request).await
        })
        .await
    }

    /// The named ones, or all; those that do not exist are among the failures.
    pub(crate) async fn describe_capacity_providers(
        &self,
        names: Vec<String>,
    ) -> Result<DescribeCapacityProvidersResponse, CallError> {
        let mut all = DescribeCapacityProvidersResponse::default();
        let mut next_token = None;
        loop {
            let request = DescribeCapacityProvidersRequest {
                capacity_providers: names.clone(),
                include: vec!["TAGS".to_owned()],
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("DescribeCapacityProviders", request, async |mut ecs, request| {
                    ecs.describe_capacity_providers(request).await
                })
                .await?;
            all.capacity_providers.extend(page.capacity_providers);
            all.failures.extend(page.failures);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }

    /// Says which capacity providers a cluster has.
    pub(crate) async fn put_cluster_capacity_providers(
        &self,
        request: PutClusterCapacityProvidersRequest,
    ) -> Result<PutClusterCapacityProvidersResponse, CallError> {
        self.ecs("PutClusterCapacityProviders", request, async |mut ecs, request| {
            ecs.put_cluster_capacity_providers(request).await
        })
        .await
    }

    pub(crate) async fn delete_capacity_provider(
        &self,
        name: String,
    ) -> Result<DeleteCapacityProviderResponse, CallError> {
        let request = DeleteCapacityProviderRequest {
            capacity_provider: Some(name),
            ..Default::default()
        };
        self.ecs("DeleteCapacityProvider", request, async |mut ecs, request| {
            ecs.delete_capacity_provider(request).await
        })
        .await
    }
}
