//! Operations on clusters.

use berth_proto::ecs::v1::{
    CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest, DeleteClusterResponse, DescribeClustersRequest,
    DescribeClustersResponse, ListClustersRequest,
};

use super::{Api, CallError, DESCRIBE_AT_MOST};

impl Api {
    /// Every ACTIVE cluster, described.
    pub(crate) async fn all_clusters(&self) -> Result<DescribeClustersResponse, CallError> {
        let mut arns = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListClustersRequest {
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListClusters", request, async |mut ecs, request| {
                    ecs.list_clusters(request).await
                })
                .await?;
            arns.extend(page.cluster_arns);
            next_token = page.next_token;
            if next_token.is_none() {
                return self.describe_clusters(arns).await;
            }
        }
    }

    /// The named clusters; those that do not exist are among the failures.
    pub(crate) async fn describe_clusters(&self, clusters: Vec<String>) -> Result<DescribeClustersResponse, CallError> {
        let mut all = DescribeClustersResponse::default();
        for chunk in clusters.chunks(DESCRIBE_AT_MOST) {
            let request = DescribeClustersRequest {
                clusters: chunk.to_vec(),
                ..Default::default()
            };
            let part = self
                .ecs("DescribeClusters", request, async |mut ecs, request| {
                    ecs.describe_clusters(request).await
                })
                .await?;
            all.clusters.extend(part.clusters);
            all.failures.extend(part.failures);
        }
        Ok(all)
    }

    /// The cluster that commands mean.
    pub(crate) async fn described_cluster(&self) -> Result<DescribeClustersResponse, CallError> {
        let name = self.cluster.clone().unwrap_or_else(|| "default".to_owned());
        self.describe_clusters(vec![name]).await
    }

    pub(crate) async fn create_cluster(&self, name: String) -> Result<CreateClusterResponse, CallError> {
        let request = CreateClusterRequest {
            cluster_name: Some(name),
            ..Default::default()
        };
        self.ecs("CreateCluster", request, async |mut ecs, request| {
            ecs.create_cluster(request).await
        })
        .await
    }

    pub(crate) async fn delete_cluster(&self, cluster: String) -> Result<DeleteClusterResponse, CallError> {
        let request = DeleteClusterRequest { cluster: Some(cluster) };
        self.ecs("DeleteCluster", request, async |mut ecs, request| {
            ecs.delete_cluster(request).await
        })
        .await
    }
}
