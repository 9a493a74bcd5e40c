//! Names of images: `[registry/]repository[:tag][@digest]`, with Docker's rules for what is left out.

/// Where images without a registry in their name come from.
pub const DOCKER_HUB: &str = "docker.io";
/// Other names of the same registry; credentials are kept under the longer one.
const DOCKER_HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];
/// The namespace of Docker Hub's own images, left out in their names.
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// A name, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Without tag and digest, as it was written.
    name: String,
    registry: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads a name. Any text is one: what is wrong with it the registry says, or Docker.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            // The first part is a host only if it cannot be the name of a user.
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            Some(_) | None => (DOCKER_HUB, name),
        };
        let registry = if DOCKER_HUB_ALIASES.contains(&registry) {
            DOCKER_HUB
        } else {
            registry
        };
        let official = registry == DOCKER_HUB && !path.contains('/');
        Self {
            name: name.to_owned(),
            registry: registry.to_owned(),
            path: format!("{}{path}", if official { OFFICIAL } else { "" }),
            tag,
            digest,
        }
    }

    /// The host, with its port, of the registry; `docker.io` where the name has none.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The digest, where the name has one: it then means one image for ever.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether both name the same image of the same registry, by tag or by digest.
    #[must_use]
    pub fn same_image(&self, other: &Self) -> bool {
        let which = |reference: &Self| {
            let tag = reference.tag.as_deref().unwrap_or(DEFAULT_TAG);
            reference.digest.clone().unwrap_or_else(|| format!(":{tag}"))
        };
        self.same_repository(other) && which(self) == which(other)
    }

    /// Whether both name the same repository of the same registry.
    #[must_use]
    pub fn same_repository(&self, other: &Self) -> bool {
        (&self.registry, &self.path) == (&other.registry, &other.path)
    }

    /// What to pull: Docker takes a bare name for all tags of the repository, ECS for its `latest`.
    #[must_use]
    pub fn to_pull(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}@{digest}", self.name),
            None => self.tagged(),
        }
    }

    /// This repository at a digest, for a pull: Docker refuses to pull a tag and a digest at once.
    #[must_use]
    pub fn only(&self, digest: &str) -> String {
        format!("{}@{digest}", self.name)
    }

    /// This name at a digest.
    #[must_use]
    pub fn at(&self, digest: &str) -> String {
        if self.tag.is_none() && self.digest.is_some() {
            return self.only(digest);
        }
        format!("{}@{digest}", self.tagged())
    }

    fn tagged(&self) -> String {
        format!("{}:{}", self.name, self.tag.as_deref().unwrap_or(DEFAULT_TAG))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_leaves_out_is_dockers_default() {
        for (text, registry, path, to_pull) in [
            ("busybox", DOCKER_HUB, "library/busybox", "busybox:latest"),
            ("team/app:1", DOCKER_HUB, "team/app", "team/app:1"),
            (
                "docker.io/library/busybox:1",
                DOCKER_HUB,
                "library/busybox",
                "docker.io/library/busybox:1",
            ),
            (
                "index.docker.io/team/app",
                DOCKER_HUB,
                "team/app",
                "index.docker.io/team/app:latest",
            ),
            ("localhost/app", "localhost", "app", "localhost/app:latest"),
            (
                "localhost:5000/team/app",
                "localhost:5000",
                "team/app",
                "localhost:5000/team/app:latest",
            ),
            ("reg.test/app:1@sha256:0", "reg.test", "app", "reg.test/app@sha256:0"),
            ("app@sha256:0", DOCKER_HUB, "library/app", "app@sha256:0"),
        ] {
            let reference = Reference::parse(text);
            assert_eq!(
                (
                    reference.registry(),
                    reference.path.as_str(),
                    reference.to_pull().as_str()
                ),
                (registry, path, to_pull),
                "{text}"
            );
        }
    }

    #[test]
    fn a_repository_is_the_same_under_all_its_names() {
        let same = |a: &str, b: &str| Reference::parse(a).same_repository(&Reference::parse(b));
        assert!(same("busybox:1", "docker.io/library/busybox@sha256:0"));
        assert!(!same("busybox", "localhost:5000/busybox"));
        assert!(!same("team/app", "app"));
    }
}
