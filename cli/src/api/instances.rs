//! Operations on container instances.

use berth_proto::ecs::v1::{
    Attribute, DeleteAttributesRequest, DeleteAttributesResponse, DeregisterContainerInstanceRequest,
    DeregisterContainerInstanceResponse, DescribeContainerInstancesRequest, DescribeContainerInstancesResponse,
    ListContainerInstancesRequest, PutAttributesRequest, PutAttributesResponse, UpdateContainerInstancesStateRequest,
    UpdateContainerInstancesStateResponse,
};

use super::{Api, CallError, DESCRIBE_AT_MOST};

impl Api {
    /// ARNs of all container instances of the cluster.
    pub(crate) async fn list_instances(&self) -> Result<Vec<String>, CallError> {
        let mut arns = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListContainerInstancesRequest {
                cluster: self.cluster.clone(),
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListContainerInstances", request, async |mut ecs, request| {
                    ecs.list_container_instances(request).await
                })
                .await?;
            arns.extend(page.container_instance_arns);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// The named container instances; those that do not exist are among the failures.
    pub(crate) async fn describe_instances(
        &self,
        instances: &[String],
    ) -> Result<DescribeContainerInstancesResponse, CallError> {
        let mut all = DescribeContainerInstancesResponse::default();
        for chunk in instances.chunks(DESCRIBE_AT_MOST) {
            let request = DescribeContainerInstancesRequest {
                cluster: self.cluster.clone(),
                container_instances: chunk.to_vec(),
                include: match self.is_past() {
                    // It is not in the journal.
                    true => Vec::new(),
                    false => vec!["CONTAINER_INSTANCE_HEALTH".to_owned()],
                },
            };
            let part = self
                .ecs("DescribeContainerInstances", request, async |mut ecs, request| {
                    ecs.describe_container_instances(request).await
                })
                .await?;
            all.container_instances.extend(part.container_instances);
            all.failures.extend(part.failures);
        }
        Ok(all)
    }

    /// Sets one container instance to ACTIVE or DRAINING.
    pub(crate) async fn set_instance_status(
        &self,
        instance: String,
        status: &str,
    ) -> Result<UpdateContainerInstancesStateResponse, CallError> {
        let request = UpdateContainerInstancesStateRequest {
            cluster: self.cluster.clone(),
            container_instances: vec![instance],
            status: Some(status.to_owned()),
        };
        self.ecs("UpdateContainerInstancesState", request, async |mut ecs, request| {
            ecs.update_container_instances_state(request).await
        })
        .await
    }

    /// Gives a container instance attributes, each as `NAME` or `NAME=VALUE`.
    pub(crate) async fn put_attributes(
        &self,
        instance: &str,
        attributes: &[String],
    ) -> Result<PutAttributesResponse, CallError> {
        let request = PutAttributesRequest {
            cluster: self.cluster.clone(),
            attributes: attributes.iter().map(|text| attribute(instance, text)).collect(),
        };
        self.ecs("PutAttributes", request, async |mut ecs, request| {
            ecs.put_attributes(request).await
        })
        .await
    }

    /// Takes back attributes of the names, whatever their values.
    pub(crate) async fn delete_attributes(
        &self,
        instance: &str,
        names: &[String],
    ) -> Result<DeleteAttributesResponse, CallError> {
        let request = DeleteAttributesRequest {
            cluster: self.cluster.clone(),
            attributes: names.iter().map(|text| attribute(instance, text)).collect(),
        };
        self.ecs("DeleteAttributes", request, async |mut ecs, request| {
            ecs.delete_attributes(request).await
        })
        .await
    }

    pub(crate) async fn deregister_instance(
        &self,
        instance: String,
        force: bool,
    ) -> Result<DeregisterContainerInstanceResponse, CallError> {
        let request = DeregisterContainerInstanceRequest {
            cluster: self.cluster.clone(),
            container_instance: Some(instance),
            force: force.then_some(true),
        };
        self.ecs("DeregisterContainerInstance", request, async |mut ecs, request| {
            ecs.deregister_container_instance(request).await
        })
        .await
    }
}

/// An attribute of a container instance, written as `NAME` or `NAME=VALUE`.
fn attribute(instance: &str, text: &str) -> Attribute {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    Attribute {
        name: Some(name.to_owned()),
        value,
        target_type: Some("container-instance".to_owned()),
        target_id: Some(instance.to_owned()),
    }
}
