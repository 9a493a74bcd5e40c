//! Images: what Docker has of them, getting one from its registry, and removing one.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::PulledImage;
use berth_agent_core::image::reference::Reference;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions, RemoveImageOptions,
};
use futures_util::{Stream, StreamExt};

use super::failure::{found, from_bollard};
use super::{Call, Docker, INSPECT, LIST};

const REMOVE: Duration = Duration::from_secs(3 * 60);

/// Who one is to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    /// A name and a password.
    Password {
        user: String,
        password: crate::secrets::Secret,
    },
    /// A token that the registry exchanges for one of shorter life.
    IdentityToken(crate::secrets::Secret),
}

/// A pull that failed, and whose fault it is.
#[derive(Debug)]
pub(crate) struct PullError {
    pub(crate) failure: Failure,
    pub(crate) fault: Fault,
}

/// What to hold responsible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The registry cannot be reached, is too busy or broken: other images of it fare no better.
    Registry,
    /// It wants to know who asks, or does not give it to whom it knows.
    Login,
    /// It has no such image.
    Image,
    /// Docker or its host.
    Host,
}

/// An image as Docker lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedImage {
    pub(crate) id: String,
    /// `repository:tag`.
    pub(crate) tags: Vec<String>,
    /// `repository@digest`, of registries that know it.
    pub(crate) digests: Vec<String>,
}

impl Docker {
    /// The image of the name, when Docker has it.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<PulledImage>, Failure> {
        let call = self
            .calls
            .within(Call::InspectImage, INSPECT, self.client.inspect_image(name))
            .await;
        Ok(found(call)?.and_then(|image| pulled(name, image)))
    }

    /// Pulls the image. Each item is a sign of progress; the last one may be why there is no more. Whoever drops the
    /// stream ends the pull.
    pub(crate) fn pull(&self, name: &str, login: Option<&Login>) -> impl Stream<Item = Result<(), PullError>> + use<> {
        let options = CreateImageOptionsBuilder::new().from_image(name).build();
        let credentials = login.map(|login| credentials(login, Reference::parse(name).registry()));
        self.client
            .create_image(Some(options), None, credentials)
            .map(|progress| progress.map(|_| ()).map_err(pull_error))
    }

    /// All images that have a name or a digest, or that a container is made of.
    pub(crate) async fn images(&self) -> Result<Vec<ListedImage>, Failure> {
        let call = self.client.list_images(None::<ListImagesOptions>);
        let list = self.calls.within(Call::ListImages, LIST, call).await?;
        Ok(list.into_iter().map(listed).collect())
    }

    /// Ids of the images of all containers, running or not, whoever made them.
    pub(crate) async fn images_in_use(&self) -> Result<BTreeSet<String>, Failure> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let list = self
            .calls
            .within(Call::List, LIST, self.client.list_containers(Some(options)))
            .await?;
        Ok(list.into_iter().filter_map(|container| container.image_id).collect())
    }

    /// Takes the name off its image; with its last name the image goes. One that Docker does not have is removed.
    pub(crate) async fn remove_image(&self, name: &str) -> Result<(), Failure> {
        let call = self.client.remove_image(name, None::<RemoveImageOptions>, None);
        found(self.calls.within(Call::RemoveImage, REMOVE, call).await).map(|_| ())
    }

    /// By which name the image is found: by its own as long as that stands for it, else by its id.
    pub(super) async fn name_of_image(&self, name: String, id: Option<&str>) -> Result<String, Failure> {
        let Some(id) = id else { return Ok(name) };
        let now = self.image(&name).await?;
        Ok(match now {
            Some(image) if image.id == id => name,
            Some(_) | None => id.to_owned(),
        })
    }
}

fn credentials(login: &Login, registry: &str) -> DockerCredentials {
    let mut credentials = DockerCredentials {
        serveraddress: Some(registry.to_owned()),
        ..DockerCredentials::default()
    };
    match login {
        Login::Password { user, password } => {
            credentials.username = Some(user.clone());
            credentials.password = Some(password.expose().to_owned());
        }
        Login::IdentityToken(token) => credentials.identitytoken = Some(token.expose().to_owned()),
    }
    credentials
}

fn pulled(name: &str, image: ImageInspect) -> Option<PulledImage> {
    let reference = Reference::parse(name);
    let digests = image.repo_digests.unwrap_or_default();
    let known = digests.iter().map(|known| Reference::parse(known));
    let own = known.filter(|known| known.same_repository(&reference));
    Some(PulledImage {
        id: image.id?,
        // Docker may know an image under several digests, where an index of platforms names it too.
        digest: own
            .filter_map(|known| known.digest().map(str::to_owned))
            .find(|digest| reference.digest().is_none_or(|wanted| wanted == digest)),
        stop_signal: image
            .config
            .and_then(|config| config.stop_signal)
            .filter(|signal| !signal.is_empty()),
    })
}

fn listed(image: ImageSummary) -> ListedImage {
    // Docker writes these where there is none.
    let named = |names: Vec<String>| names.into_iter().filter(|name| !name.starts_with("<none>")).collect();
    ListedImage {
        id: image.id,
        tags: named(image.repo_tags),
        digests: named(image.repo_digests),
    }
}

fn pull_error(error: Error) -> PullError {
    // An answer of Docker's passes on the registry's; without one it was Docker that was not reached.
    let answered = matches!(
        error,
        Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. }
    );
    let mut failure = from_bollard(error);
    let fault = match fault_of(&failure.message).filter(|_| answered) {
        Some(fault) => fault,
        None if failure.kind == FailureKind::NotFound => Fault::Image,
        None => Fault::Host,
    };
    failure.kind = match fault {
        Fault::Registry => FailureKind::Faltered,
        Fault::Login => FailureKind::Refused,
        Fault::Image => FailureKind::NotFound,
        Fault::Host => failure.kind,
    };
    PullError { failure, fault }
}

/// Docker passes on what the registry said, or why it could not be asked, as text alone, under statuses that do not
/// tell them apart.
fn fault_of(message: &str) -> Option<Fault> {
    const LOGIN: [&str; 7] = [
        "unauthorized",
        "no basic auth credentials",
        "authentication required",
        "access denied",
        "access to the resource is denied",
        "denied:",
        "forbidden",
    ];
    const BUSY: [&str; 2] = ["toomanyrequests", "too many requests"];
    const IMAGE: [&str; 4] = ["manifest unknown", "name unknown", "not found", "no matching manifest"];
    const REGISTRY: [&str; 18] = [
        "connection refused",
        "connection reset",
        "no such host",
        "server misbehaving",
        "temporary failure in name resolution",
        "network is unreachable",
        "no route to host",
        "timeout",
        "timed out",
        "deadline exceeded",
        "request canceled",
        "http status: 5",
        "status code 5",
        "status from",
        "server error",
        "unavailable",
        " eof",
        "tls:",
    ];
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    // A registry that is busy may say so in the words of a refusal.
    if says(&BUSY) {
        Some(Fault::Registry)
    } else if says(&LOGIN) {
        Some(Fault::Login)
    } else if says(&IMAGE) {
        Some(Fault::Image)
    } else if says(&REGISTRY) || message.contains("x509:") || message.contains("http response to https client") {
        Some(Fault::Registry)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(digests: &[&str]) -> ImageInspect {
        ImageInspect {
            id: Some("sha256:id".to_owned()),
            repo_digests: Some(digests.iter().map(|digest| (*digest).to_owned()).collect()),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn the_digest_is_that_of_the_references_own_repository() {
        let digest = |name: &str, digests: &[&str]| pulled(name, inspected(digests)).unwrap().digest;
        assert_eq!(digest("app", &[]), None);
        assert_eq!(
            digest("app:3", &["other@sha256:1", "app@sha256:2"]).as_deref(),
            Some("sha256:2")
        );
        assert_eq!(digest("app:3", &["other@sha256:1"]), None);
        assert_eq!(
            digest("docker.io/library/app", &["app@sha256:2"]).as_deref(),
            Some("sha256:2")
        );
        assert_eq!(
            digest("app@sha256:2", &["app@sha256:1", "app@sha256:2"]).as_deref(),
            Some("sha256:2")
        );
    }

    #[test]
    fn what_docker_says_of_a_pull_tells_whose_fault_it_is() {
        for (status_code, message, fault, kind) in [
            (
                500,
                r#"Get "http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused"#,
                Fault::Registry,
                FailureKind::Faltered,
            ),
            (
                500,
                r#"Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host"#,
                Fault::Registry,
                FailureKind::Faltered,
            ),
            (
                500,
                "received unexpected HTTP status: 503 Service Unavailable",
                Fault::Registry,
                FailureKind::Faltered,
            ),
            (
                429,
                "toomanyrequests: You have reached your pull rate limit",
                Fault::Registry,
                FailureKind::Faltered,
            ),
            (
                500,
                r#"Head "http://reg/v2/app/manifests/1": no basic auth credentials"#,
                Fault::Login,
                FailureKind::Refused,
            ),
            (
                404,
                "pull access denied for app, repository does not exist or may require 'docker login'",
                Fault::Login,
                FailureKind::Refused,
            ),
            (
                404,
                "manifest for reg/app:2 not found: manifest unknown",
                Fault::Image,
                FailureKind::NotFound,
            ),
            (
                500,
                "write /var/lib/docker/tmp/x: no space left on device",
                Fault::Host,
                FailureKind::Faltered,
            ),
        ] {
            let error = pull_error(Error::DockerResponseServerError {
                status_code,
                message: message.to_owned(),
            });
            assert_eq!((error.fault, error.failure.kind), (fault, kind), "{message}");
        }
        let error = pull_error(Error::DockerStreamError {
            error: "unexpected EOF".to_owned(),
        });
        assert_eq!(error.fault, Fault::Registry);
    }

    #[test]
    fn credentials_show_nothing_of_their_secret() {
        let login = Login::Password {
            user: "ada".to_owned(),
            password: crate::secrets::Secret::new("hunter2".to_owned()),
        };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
