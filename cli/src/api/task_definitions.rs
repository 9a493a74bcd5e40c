//! Operations on task definitions.

use berth_proto::ecs::v1::{
    DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse, DeregisterTaskDefinitionRequest,
    DeregisterTaskDefinitionResponse, DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse,
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionsRequest, ListTaskDefinitionsResponse,
    RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse,
};

use super::{Api, CallError};

impl Api {
    pub(crate) async fn register_task_definition(
        &self,
        request: RegisterTaskDefinitionRequest,
    ) -> Result<RegisterTaskDefinitionResponse, CallError> {
        self.ecs("RegisterTaskDefinition", request, async |mut ecs, request| {
            ecs.register_task_definition(request).await
        })
        .await
    }

    /// ARNs of all revisions with `status`, of one family or of all.
    pub(crate) async fn list_task_definitions(
        &self,
        family: Option<&str>,
        status: &str,
    ) -> Result<ListTaskDefinitionsResponse, CallError> {
        let mut all = ListTaskDefinitionsResponse::default();
        let mut next_token = None;
        loop {
            let request = ListTaskDefinitionsRequest {
                family_prefix: family.map(str::to_owned),
                status: Some(status.to_owned()),
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListTaskDefinitions", request, async |mut ecs, request| {
                    ecs.list_task_definitions(request).await
                })
                .await?;
            all.task_definition_arns.extend(page.task_definition_arns);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }

    /// The families with ACTIVE revisions whose names begin so.
    pub(crate) async fn list_families(&self, prefix: &str) -> Result<Vec<String>, CallError> {
        let mut families = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListTaskDefinitionFamiliesRequest {
                family_prefix: Some(prefix.to_owned()),
                status: Some("ACTIVE".to_owned()),
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListTaskDefinitionFamilies", request, async |mut ecs, request| {
                    ecs.list_task_definition_families(request).await
                })
                .await?;
            families.extend(page.families);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(families);
            }
        }
    }

    /// The newest ACTIVE revision of the family, with its tags; none where it has none.
    pub(crate) async fn newest_definition(
        &self,
        family: &str,
    ) -> Result<Option<DescribeTaskDefinitionResponse>, CallError> {
        match self.describe_task_definition(family.to_owned()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(CallError::Fault { class, message })
                if class == "ClientException" && message.contains("Unable to describe task definition") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn describe_task_definition(
        &self,
        task_definition: String,
    ) -> Result<DescribeTaskDefinitionResponse, CallError> {
        let request = DescribeTaskDefinitionRequest {
            task_definition: Some(task_definition),
            include: vec!["TAGS".to_owned()],
        };
        self.ecs("DescribeTaskDefinition", request, async |mut ecs, request| {
            ecs.describe_task_definition(request).await
        })
        .await
    }

    pub(crate) async fn deregister_task_definition(
        &self,
        task_definition: String,
    ) -> Result<DeregisterTaskDefinitionResponse, CallError> {
        let request = DeregisterTaskDefinitionRequest {
            task_definition: Some(task_definition),
        };
        self.ecs("DeregisterTaskDefinition", request, async |mut ecs, request| {
            ecs.deregister_task_definition(request).await
        })
        .await
    }

    /// Deletes INACTIVE revisions; those that cannot be are among the failures.
    pub(crate) async fn delete_task_definitions(
        &self,
        task_definitions: Vec<String>,
    ) -> Result<DeleteTaskDefinitionsResponse, CallError> {
        let request = DeleteTaskDefinitionsRequest { task_definitions };
        self.ecs("DeleteTaskDefinitions", request, async |mut ecs, request| {
            ecs.delete_task_definitions(request).await
        })
        .await
    }
}
