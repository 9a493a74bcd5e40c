//! Images: how their names are read, which one a container is made of, and which may go when room is wanted.

pub mod cleanup;
pub mod reference;
pub mod registry;

use serde::Serialize;

use reference::Reference;

/// The image that a container is made of, where its task has decided already: all containers of a task that name the
/// same image get the same one, whatever its tag has come to mean since.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Pin {
    /// The digest under which the reference's registry knows it.
    Digest(String),
    /// Docker's id of it, where no registry knows it under the reference's name.
    Id(String),
}

/// What a container needs before it can be created.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRequest {
    /// The name of the image, as the definition writes it.
    pub reference: String,
    /// What the task took the name for before.
    pub pin: Option<Pin>,
    /// Where the definition says that the registry's credentials are (ECS, `repositoryCredentials`).
    pub credentials: Option<String>,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Docker's id of it.
    pub id: String,
    /// The digest under which the registry of its reference knows it.
    pub digest: Option<String>,
    /// The signal that it wants to be stopped with.
    pub stop_signal: Option<String>,
}

impl Pin {
    /// The name by which Docker finds exactly this image. A tag stays in it for people: Docker goes by the digest.
    #[must_use]
    pub fn name(&self, reference: &str) -> String {
        match self {
            Self::Digest(digest) => Reference::parse(reference).at(digest),
            Self::Id(id) => id.clone(),
        }
    }
}

impl PulledImage {
    /// What the reference is to stand for from now on.
    #[must_use]
    pub fn pin(&self) -> Pin {
        match &self.digest {
            Some(digest) => Pin::Digest(digest.clone()),
            None => Pin::Id(self.id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_name_keeps_its_tag_for_people() {
        let digest = Pin::Digest("sha256:1".to_owned());
        for (reference, name) in [
            ("busybox", "busybox:latest@sha256:1"),
            ("reg.test:5000/team/app:7", "reg.test:5000/team/app:7@sha256:1"),
            ("app@sha256:0", "app@sha256:1"),
        ] {
            assert_eq!(digest.name(reference), name);
        }
        assert_eq!(Pin::Id("sha256:2".to_owned()).name("busybox"), "sha256:2");
    }
}
