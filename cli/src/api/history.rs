//! What happened.

use berth_proto::v1::{HistoryRequest, HistoryResponse};

use super::{Api, CallError};

impl Api {
    /// The story that the request asks for, in the cluster that commands mean, up to so many lines; the token is there where
    /// there are more.
    pub(crate) async fn history(&self, request: HistoryRequest, limit: usize) -> Result<HistoryResponse, CallError> {
        let mut all = HistoryResponse::default();
        let mut next_token = None;
        loop {
            let request = HistoryRequest {
                cluster: self.cluster.clone(),
                next_token,
                ..request.clone()
            };
            let page = self
                .berth("History", request, async |mut berth, request| {
                    berth.history(request).await
                })
                .await?;
            all.lines.extend(page.lines);
            all.oldest_revision = page.oldest_revision;
            all.oldest_at = page.oldest_at;
            next_token = page.next_token;
            let has_more = all.lines.len() > limit;
            if next_token.is_none() || all.lines.len() >= limit {
                all.lines.truncate(limit);
                all.next_token = next_token.or_else(|| has_more.then(String::new));
                return Ok(all);
            }
        }
    }
}
