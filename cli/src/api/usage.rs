//! What hosts and tasks use now.

use berth_proto::v1::{DescribeUsageRequest, DescribeUsageResponse, InstanceUsage};

use super::{Api, CallError, DESCRIBE_AT_MOST};

impl Api {
    /// What the request asks for, in the cluster that commands mean.
    pub(crate) async fn usage(&self, request: DescribeUsageRequest) -> Result<DescribeUsageResponse, CallError> {
        let request = DescribeUsageRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.berth("DescribeUsage", request, async |mut berth, request| {
            berth.describe_usage(request).await
        })
        .await
    }

    /// What those of the container instances use whose agents tell it.
    pub(crate) async fn usage_of_instances(&self, instances: &[String]) -> Result<Vec<InstanceUsage>, CallError> {
        let mut all = Vec::new();
        for chunk in instances.chunks(DESCRIBE_AT_MOST) {
            let request = DescribeUsageRequest {
                container_instances: chunk.to_vec(),
                ..DescribeUsageRequest::default()
            };
            all.extend(self.usage(request).await?.instances);
        }
        Ok(all)
    }
}
