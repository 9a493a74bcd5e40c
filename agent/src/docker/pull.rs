//! Pulling an image, with an end to waiting: for the first sign of progress, and from one sign to the next.

use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::failure::from_bollard;

const FIRST_PROGRESS: Duration = Duration::from_secs(5 * 60);
const INACTIVITY: Duration = Duration::from_secs(60);

/// Pulls the image.
pub(super) async fn pull(client: &bollard::Docker, reference: &str) -> Result<(), Failure> {
    let options = CreateImageOptionsBuilder::new()
        .from_image(&with_tag(reference))
        .build();
    let mut progress = std::pin::pin!(client.create_image(Some(options), None, None));
    let mut patience = FIRST_PROGRESS;
    loop {
        match tokio::time::timeout(patience, progress.next()).await {
            Ok(Some(Ok(_))) => patience = INACTIVITY,
            Ok(Some(Err(error))) => return Err(from_bollard(error)),
            Ok(None) => return Ok(()),
            Err(_) => {
                let message = format!(
                    "the pull of '{reference}' showed no progress for {} s",
                    patience.as_secs()
                );
                return Err(Failure::new(FailureKind::Faltered, message));
            }
        }
    }
}

/// Docker takes a name without tag or digest for all tags of the repository; ECS takes it for `latest`.
pub(super) fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bare_name_means_its_latest_tag() {
        for (reference, full) in [
            ("busybox", "busybox:latest"),
            ("localhost:5000/team/app", "localhost:5000/team/app:latest"),
            ("localhost:5000/team/app:1", "localhost:5000/team/app:1"),
            ("app@sha256:00", "app@sha256:00"),
        ] {
            assert_eq!(super::with_tag(reference), full);
        }
    }
}
