//! Which instance of EC2 this is: its identity document, as attributes that placement constraints can name.
//!
//! Asked once, when the agent starts, and only where the host is one of EC2's or the operator names a service: elsewhere the
//! address leads nowhere, and asking would cost time. A service that does not answer costs seconds, and never the start.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_model::attribute::check_value;
use serde::Deserialize;
use tokio::time::sleep;

use super::{Imds, endpoint};
use crate::config::{Attribute, Config};

const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
/// For one call, how often it is tried, and between two tries.
const CALL: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What firmware says on machines of EC2: on Nitro the vendor, on Xen the beginning of an id (EC2 User Guide, "Identify EC2
/// instances").
const VENDOR: (&str, &str) = ("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2");
const HYPERVISOR: (&str, &str) = ("/sys/hypervisor/uuid", "ec2");

/// What the document says, as far as it means something here (EC2 User Guide, "Instance identity documents").
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Identity {
    pub(crate) instance_id: String,
    instance_type: String,
    availability_zone: String,
    image_id: String,
    region: String,
}

impl Identity {
    /// Asks the service, where there is one to ask.
    pub(crate) async fn find(config: &Config) -> Option<Self> {
        let authority = endpoint(config.imds_endpoint.as_deref(), is_of_ec2())?;
        let mut service = Imds::new(authority, CALL);
        for attempt in 1.. {
            match Self::ask(&mut service).await {
                Ok(identity) => return identity,
                Err(error) if attempt == TRIES => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the metadata service does not say which instance of EC2 this is; going on without"
                    );
                    return None;
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
        None
    }

    async fn ask(service: &mut Imds) -> anyhow::Result<Option<Self>> {
        let Some(document) = service.get(DOCUMENT).await? else {
            return Ok(None);
        };
        let identity: Self = serde_json::from_slice(&document).context("read the identity document")?;
        if !identity.instance_id.starts_with("i-") {
            bail!("the identity document names no instance");
        }
        Ok(Some(identity))
    }

    /// Adds what the settings do not say.
    pub(crate) fn join(&self, attributes: &mut Vec<Attribute>) {
        let own = [
            ("ecs.instance-type", &self.instance_type),
            ("ecs.availability-zone", &self.availability_zone),
            ("ecs.ami-id", &self.image_id),
            ("berth.region", &self.region),
        ];
        for (name, value) in own {
            let is_given = attributes.iter().any(|given| given.name == name);
            if !is_given && check_value(value).is_ok() {
                attributes.push(Attribute {
                    name: name.to_owned(),
                    value: value.clone(),
                });
            }
        }
    }
}

/// Whether the host says of itself that it is one of EC2's.
fn is_of_ec2() -> bool {
    [VENDOR, HYPERVISOR].iter().any(|(path, begin)| {
        let says = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
        says.trim().starts_with(begin)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;
    use crate::imds::testing;

    const ANSWER: &str = r#"{"accountId": "1", "instanceId": "i-0abc", "instanceType": "t3.micro", "imageId": "ami-1",
        "availabilityZone": "eu-west-1b", "region": "eu-west-1", "architecture": "x86_64"}"#;

    /// A service that has this document.
    async fn serve(document: &str) -> String {
        let documents = (!document.is_empty()).then(|| (DOCUMENT.to_owned(), document.to_owned()));
        testing::serve(documents.into_iter().collect()).await
    }

    fn config(flags: &[&str]) -> Config {
        let given = ["berth-agent", "--scheduler", "http://a:1", "--cluster", "prod"];
        Config::load(given.iter().chain(flags).map(std::ffi::OsString::from)).unwrap()
    }

    async fn found(authority: &str) -> Option<Identity> {
        Identity::find(&config(&["--imds-endpoint", authority])).await
    }

    #[tokio::test]
    async fn an_instance_of_ec2_has_the_attributes_that_ecs_gives_it() {
        let identity = found(&serve(ANSWER).await).await.unwrap();
        assert_eq!(identity.instance_id, "i-0abc");
        let mut attributes = config(&["--attribute", "ecs.instance-type=own,rack=r1"]).attributes;
        identity.join(&mut attributes);
        let all: Vec<_> = attributes
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(
            all,
            [
                ("ecs.instance-type", "own"),
                ("rack", "r1"),
                ("ecs.availability-zone", "eu-west-1b"),
                ("ecs.ami-id", "ami-1"),
                ("berth.region", "eu-west-1"),
            ]
        );
    }

    #[tokio::test]
    async fn what_says_nothing_of_an_instance_is_none() {
        for document in ["", "{", r#"{"instanceId": "vm-7"}"#] {
            assert_eq!(found(&serve(document).await).await, None, "{document}");
        }
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(found(&nobody.to_string()).await, None);
    }

    #[tokio::test]
    async fn a_service_that_never_answers_costs_seconds() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = Instant::now();
        assert_eq!(found(&silent.local_addr().unwrap().to_string()).await, None);
        assert!(begun.elapsed() < 2 * TRIES * (CALL + PAUSE), "{:?}", begun.elapsed());
    }

    #[test]
    fn nobody_is_asked_where_the_host_is_none_of_ec2s() {
        assert_eq!(endpoint(None, false), None);
        assert_eq!(endpoint(None, true).as_deref(), Some("169.254.169.254:80"));
        assert_eq!(
            endpoint(Some("127.0.0.1:1338"), false).as_deref(),
            Some("127.0.0.1:1338")
        );
    }
}
