//! Capacity providers, as far as `berth` can tell them from the real ones.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use berth_proto::ecs::v1::*;

use super::State;
use super::operations::{Answer, last, missing, page};
use super::state::ARN;

impl State {
    pub(super) fn create_capacity_provider(
        &mut self,
        request: CreateCapacityProviderRequest,
    ) -> Answer<CreateCapacityProviderResponse> {
        let provider = CapacityProvider {
            capacity_provider_arn: Some(format!("{ARN}:capacity-provider/{}", request.name())),
            name: request.name,
            status: Some("ACTIVE".to_owned()),
            r#type: Some("EC2_AUTOSCALING".to_owned()),
            auto_scaling_group_provider: request.auto_scaling_group_provider,
            ..Default::default()
        };
        self.providers.push(provider.clone());
        Ok(CreateCapacityProviderResponse {
            capacity_provider: Some(provider),
        })
    }

    pub(super) fn describe_capacity_providers(
        &mut self,
        request: DescribeCapacityProvidersRequest,
    ) -> Answer<DescribeCapacityProvidersResponse> {
        let all: Vec<String> = self.providers.iter().map(|known| known.name().to_owned()).collect();
        let (names, next_token) = match request.capacity_providers.is_empty() {
            true => page(all, request.next_token)?,
            false => (request.capacity_providers, None),
        };
        let mut answer = DescribeCapacityProvidersResponse {
            next_token,
            ..Default::default()
        };
        for name in names {
            match self.providers.iter().find(|known| known.name() == last(&name)) {
                Some(known) => answer.capacity_providers.push(known.clone()),
                None => answer.failures.push(missing(&name)),
            }
        }
        Ok(answer)
    }

    pub(super) fn put_cluster_capacity_providers(
        &mut self,
        request: PutClusterCapacityProvidersRequest,
    ) -> Answer<PutClusterCapacityProvidersResponse> {
        Ok(PutClusterCapacityProvidersResponse {
            cluster: Some(Cluster {
                cluster_name: request.cluster,
                status: Some("ACTIVE".to_owned()),
                capacity_providers: request.capacity_providers,
                default_capacity_provider_strategy: request.default_capacity_provider_strategy,
                ..Default::default()
            }),
        })
    }

    pub(super) fn delete_capacity_provider(
        &mut self,
        request: DeleteCapacityProviderRequest,
    ) -> Answer<DeleteCapacityProviderResponse> {
        let gone = self
            .providers
            .extract_if(.., |known| known.name() == request.capacity_provider());
        Ok(DeleteCapacityProviderResponse {
            capacity_provider: gone.last(),
        })
    }
}
