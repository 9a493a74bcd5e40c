//! Volumes that a container needs before it is created.

use std::time::Duration;

use berth_agent_core::create::{Lifetime, VolumeRequest};
use berth_agent_core::failure::{Failure, FailureKind};
use bollard::models::VolumeCreateRequest;

use super::calls::{Call, Calls};
use super::convert::plain;
use super::failure::found;

/// Sees to it that the volume is there. To make one that exists changes nothing, so this may be repeated.
pub(super) async fn provide(
    (client, calls): (&bollard::Docker, &Calls),
    volume: &VolumeRequest,
    deadline: Duration,
) -> Result<(), Failure> {
    let refused = |why: String| Failure::new(FailureKind::Unprepared, format!("volume '{}': {why}", volume.name));
    if let Lifetime::Shared { autoprovision } = volume.lifetime {
        let call = calls.within(Call::InspectVolume, super::INSPECT, client.inspect_volume(&volume.name));
        match found(call.await)? {
            Some(existing) if autoprovision && existing.driver != volume.driver => {
                return Err(refused(format!(
                    "it exists with driver '{}', the task definition asks for '{}'",
                    existing.driver, volume.driver
                )));
            }
            Some(_) => return Ok(()),
            None if !autoprovision => {
                return Err(refused(
                    "it is shared, does not exist on this host, and 'autoprovision' is not set".to_owned(),
                ));
            }
            None => {}
        }
    }
    let body = VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: Some(volume.driver.clone()),
        driver_opts: Some(plain(&volume.options)),
        labels: Some(plain(&volume.labels)),
        ..VolumeCreateRequest::default()
    };
    match calls
        .within(Call::CreateVolume, deadline, client.create_volume(body))
        .await
    {
        Ok(_) => Ok(()),
        Err(failure) => match failure.kind {
            FailureKind::Refused | FailureKind::NotFound | FailureKind::Faltered | FailureKind::PortTaken => {
                Err(refused(failure.message))
            }
            FailureKind::TimedOut | FailureKind::Lost | FailureKind::Unprepared => Err(failure),
        },
    }
}
