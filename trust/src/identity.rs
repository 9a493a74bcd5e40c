//! The names that certificates carry, one each, as a URI (RFC 5280 section 4.2.1.6; the form is SPIFFE's).

use std::fmt;

use berth_model::id::{AccessKeyId, InstanceId};
use berth_model::name::ClusterName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The DNS name that the certificates of schedulers have besides those under which they are dialled: agents, gateways and
/// the command line look for it, so that a scheduler may have any address, and several share one.
pub const SCHEDULER_NAME: &str = "berth-scheduler";

/// What all names begin with.
const DOMAIN: &str = "spiffe://berth/";

/// Who somebody is, as a certificate says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// One of the schedulers.
    Scheduler,
    /// A host's agent, or a gateway.
    Member(Member),
    /// Whoever has this access key: what it may do is in the state.
    Operator(AccessKeyId),
}

/// What joins a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// As what.
    pub role: Role,
    /// The cluster.
    pub cluster: ClusterName,
    /// The id that it chose itself.
    pub id: InstanceId,
}

/// As what something joins a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A container instance: its agent speaks for it and its tasks.
    Instance,
    /// A gateway.
    Gateway,
}

impl Role {
    /// `instance` or `gateway`
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Gateway => "gateway",
        }
    }

    /// The role of the name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "instance" => Some(Self::Instance),
            "gateway" => Some(Self::Gateway),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Identity {
    /// The name that the URI says; nothing where it is none of ours.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let path = uri.strip_prefix(DOMAIN)?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["scheduler"] => Some(Self::Scheduler),
            ["operator", key] if is_key(key) => Some(Self::Operator(AccessKeyId::named(key))),
            [role, ..] if Role::from_name(role).is_some() => path.parse().ok().map(Self::Member),
            _ => None,
        }
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 20
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler => write!(f, "{DOMAIN}scheduler"),
            Self::Member(member) => write!(f, "{DOMAIN}{member}"),
            Self::Operator(key) => write!(f, "{DOMAIN}operator/{key}"),
        }
    }
}

/// `instance/CLUSTER/ID`
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.role, self.cluster, self.id)
    }
}

impl std::str::FromStr for Member {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "a member is instance/CLUSTER/ID or gateway/CLUSTER/ID";
        let parts: Vec<&str> = text.split('/').collect();
        let [role, cluster, id] = parts[..] else {
            return Err(RULE);
        };
        Ok(Self {
            role: Role::from_name(role).ok_or(RULE)?,
            cluster: ClusterName::parse(cluster).map_err(|_| RULE)?,
            id: id.parse().map_err(|_| RULE)?,
        })
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let member = |role| Member {
            role,
            cluster: ClusterName::parse("prod_1").unwrap(),
            id: InstanceId::from_bits(7),
        };
        for identity in [
            Identity::Scheduler,
            Identity::Member(member(Role::Instance)),
            Identity::Member(member(Role::Gateway)),
            Identity::Operator(AccessKeyId::from_bits("AKIA", 5)),
        ] {
            assert_eq!(Identity::parse(&identity.to_string()), Some(identity));
        }
        let written = Identity::Member(member(Role::Instance)).to_string();
        assert_eq!(
            written,
            "spiffe://berth/instance/prod_1/00000000000000000000000000000007"
        );
    }

    #[test]
    fn what_is_no_name_of_ours_is_nobody() {
        for wrong in [
            "",
            "spiffe://berth/",
            "spiffe://berth/scheduler/1",
            "spiffe://other/scheduler",
            "spiffe://berth/instance/prod",
            "spiffe://berth/instance//00000000000000000000000000000007",
            "spiffe://berth/instance/prod/7",
            "spiffe://berth/instance/prod/00000000000000000000000000000007/x",
            "spiffe://berth/root/prod/00000000000000000000000000000007",
            "spiffe://berth/operator/",
            "spiffe://berth/operator/akia",
        ] {
            assert_eq!(Identity::parse(wrong), None, "{wrong}");
        }
    }
}
