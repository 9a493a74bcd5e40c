//! What a RunTask would do.

use berth_proto::v1::{PlanRequest, PlanResponse};

use super::{Api, CallError};

impl Api {
    /// What the request's RunTask would do now.
    pub(crate) async fn plan(&self, request: PlanRequest) -> Result<PlanResponse, CallError> {
        self.berth("Plan", request, async |mut berth, request| berth.plan(request).await)
            .await
    }
}
