//! Images: makes sure that the one a container is to be made of is there.
//!
//! How often the registry is asked is the operator's choice ([`ImagePullBehavior`]). Whether it is, and what that takes, is
//! decided for each registry on its own, so that one that is slow or dead costs nobody who does not need it. What was
//! used when is kept for the clean-up ([`keeper`]). The driver asks once for all that wait for the same image.

mod auth;
mod disk;
mod keeper;
mod ledger;
mod places;
mod settings;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::image::reference::Reference;
use berth_agent_core::image::registry::Registries;
use berth_agent_core::image::{ImageRequest, PulledImage};
use berth_agent_core::pause;
use berth_daemon::fraction;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::config::ImagePullBehavior;
use crate::docker::{Call, Docker, Fault, Login, PullError};
use crate::driver::now;
use crate::secrets::Secrets;
use auth::Logins;
use ledger::Ledger;
use places::Places;

pub(crate) use disk::Disk;
pub(crate) use keeper::{DiskState, Keeper, Needed};
pub(crate) use settings::Settings;
use settings::{Routine, Timeouts};

/// How long a start waits for the first word of a registry when there is a copy to fall back on.
/// Docker itself gives up on one that says nothing at all before.
const PATIENCE_WITH_COPY: Duration = Duration::from_secs(20);
/// A pull that has been silent for so long gives its place to another, and goes on without one.
const SILENCE: Duration = Duration::from_secs(2);

/// Gets images. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    docker: Docker,
    behavior: ImagePullBehavior,
    timeouts: Timeouts,
    places: Places,
    logins: Logins,
    ledger: Ledger,
    registries: Mutex<Registries>,
    /// Registries that are being tried again in the background.
    probed: Mutex<BTreeSet<String>>,
}

impl Images {
    /// Goes on with what the ledger in the state directory says; a lost one is begun anew.
    pub(crate) fn new(docker: Docker, settings: &Settings, secrets: Secrets, state_dir: &std::path::Path) -> Self {
        Self {
            inner: Arc::new(Inner {
                docker,
                behavior: settings.behavior,
                timeouts: settings.timeouts,
                places: Places::new(settings.parallel_pulls),
                logins: Logins::new(settings, secrets),
                ledger: Ledger::open(state_dir),
                registries: Mutex::default(),
                probed: Mutex::default(),
            }),
        }
    }

    /// The image, there to be used, and safe from the clean-up until a container is made of it.
    pub(crate) async fn get(&self, request: &ImageRequest) -> Result<PulledImage, Failure> {
        loop {
            let image = self.obtain(request).await?;
            if self.inner.ledger.used(&image.id, now()) {
                return Ok(image);
            }
            // It is being removed this very moment, and may have to be got again.
            self.inner.ledger.removal_over(&image.id).await;
        }
    }

    /// Containers of these images have ended.
    pub(crate) fn ended<'a>(&self, ids: impl Iterator<Item = &'a String>) {
        self.inner.ledger.ran(ids, now());
    }

    async fn obtain(&self, request: &ImageRequest) -> Result<PulledImage, Failure> {
        if request.reference == pause::IMAGE {
            return self.inner.docker.pause_image().await;
        }
        let reference = Reference::parse(&request.reference);
        if let Some(pin) = &request.pin {
            let name = pin.name(&request.reference);
            if let Some(image) = self.copy(&name).await? {
                return Ok(image);
            }
            let berth_agent_core::image::Pin::Digest(digest) = pin else {
                let message = format!("'{}' was removed from this host, and no registry knows it", name);
                return Err(Failure::new(FailureKind::NotFound, message));
            };
            return self.fetch(&reference, &reference.only(digest), request).await;
        }
        let to_pull = reference.to_pull();
        let copy = self.copy(&request.reference).await?;
        match (self.inner.behavior, copy) {
            (ImagePullBehavior::PreferCached, Some(copy)) => Ok(copy),
            (ImagePullBehavior::Once, Some(copy)) if self.inner.ledger.was_pulled(&copy.id, &to_pull) => Ok(copy),
            // What a digest names never changes.
            (ImagePullBehavior::Default, Some(copy)) if reference.digest().is_some() => Ok(copy),
            (ImagePullBehavior::Default, Some(copy)) => self.refresh(&reference, copy, request).await,
            (ImagePullBehavior::Default | ImagePullBehavior::PreferCached, None)
            | (ImagePullBehavior::Always | ImagePullBehavior::Once, _) => {
                self.fetch(&reference, &to_pull, request).await
            }
        }
    }

    /// The image as Docker has it. A Docker that hangs is asked again: a question does nothing that could be done twice.
    async fn copy(&self, name: &str) -> Result<Option<PulledImage>, Failure> {
        self.inner.docker.image(name).await.map_err(|mut failure| {
            if failure.kind == FailureKind::TimedOut {
                failure.kind = FailureKind::Lost;
            }
            failure
        })
    }

    /// Asks the registry whether the name stands for another image by now, and goes on with the copy if it does not
    /// say. A registry in trouble is not waited for: it is tried in the background until it answers again.
    async fn refresh(
        &self,
        reference: &Reference,
        copy: PulledImage,
        request: &ImageRequest,
    ) -> Result<PulledImage, Failure> {
        let registry = reference.registry();
        if self.registries().trouble(registry).is_some() {
            if self.registries().pause(registry, now()).is_none() {
                self.probe(reference.clone(), request.clone());
            }
            return Ok(copy);
        }
        match self
            .pull(reference, &reference.to_pull(), request, PATIENCE_WITH_COPY)
            .await
        {
            Ok(image) => Ok(image),
            Err(failure) => {
                tracing::warn!(image = request.reference, %failure, "using the copy that is there");
                Ok(copy)
            }
        }
    }

    /// Pulls in the background, once at a time for each registry.
    fn probe(&self, reference: Reference, request: ImageRequest) {
        if !self.probed().insert(reference.registry().to_owned()) {
            return;
        }
        let images = self.clone();
        drop(tokio::spawn(async move {
            let first_word = images.inner.timeouts.first_progress;
            let pulled = images
                .pull(&reference, &reference.to_pull(), &request, first_word)
                .await;
            if let Err(failure) = pulled {
                tracing::debug!(image = request.reference, %failure, "the registry is still in trouble");
            }
            images.probed().remove(reference.registry());
        }));
    }

    /// Pulls; a registry in trouble is waited for once, since there is nothing to fall back on.
    async fn fetch(&self, reference: &Reference, name: &str, request: &ImageRequest) -> Result<PulledImage, Failure> {
        let pause = self.registries().pause(reference.registry(), now());
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        self.pull(reference, name, request, self.inner.timeouts.first_progress)
            .await
    }

    async fn pull(
        &self,
        reference: &Reference,
        name: &str,
        request: &ImageRequest,
        first_word: Duration,
    ) -> Result<PulledImage, Failure> {
        let registry = reference.registry();
        let named =
            |failure: Failure| Failure::new(failure.kind, format!("registry '{registry}': {}", failure.message));
        let _place = self.inner.places.of_registry(registry).await;
        // Others may have found out while this one waited.
        if let Some(left) = self.registries().pause(registry, now()) {
            let reason = self
                .registries()
                .trouble(registry)
                .map(|trouble| trouble.reason.clone());
            let message = format!(
                "{}; it is not asked again for {} s",
                reason.unwrap_or_default(),
                left.as_secs() + 1
            );
            return Err(named(Failure::new(FailureKind::Faltered, message)));
        }
        let mut login = self
            .inner
            .logins
            .of(registry, request.credentials.as_deref())
            .await
            .map_err(named)?;
        let mut result = self
            .attempt(name, login.as_ref().map(|login| &login.login), first_word)
            .await;
        if let Err(error) = &result
            && error.fault == Fault::Login
            && login.as_ref().is_some_and(|login| login.remembered)
        {
            // What the helper said earlier may have run out.
            self.inner.logins.forget(registry);
            login = self
                .inner
                .logins
                .of(registry, request.credentials.as_deref())
                .await
                .map_err(named)?;
            result = self
                .attempt(name, login.as_ref().map(|login| &login.login), first_word)
                .await;
        }
        match result {
            Ok(()) => self.registries().answered(registry),
            Err(PullError { failure, fault }) => {
                match fault {
                    Fault::Registry => self.registries().failed(registry, &failure.message, fraction(), now()),
                    Fault::Login | Fault::Image => self.registries().answered(registry),
                    Fault::Host => {}
                }
                return Err(named(failure));
            }
        }
        let Some(image) = self.copy(name).await? else {
            let message = format!("'{name}' was pulled and is not there");
            return Err(Failure::new(FailureKind::Faltered, message));
        };
        self.inner.ledger.pulled(&image.id, name, now());
        Ok(image)
    }

    /// One pull, with an end to waiting: for the first word, from one to the next, and for all of it.
    async fn attempt(&self, name: &str, login: Option<&Login>, first_word: Duration) -> Result<(), PullError> {
        let timeouts = self.inner.timeouts;
        let mut place = self.inner.places.take().await;
        let begun = Instant::now();
        let end = begun + timeouts.total;
        let mut heard = begun;
        let mut patience = first_word;
        let mut progress = pin!(self.inner.docker.pull(name, login));
        let timed = self.inner.docker.timed(Call::PullImage);
        let result = loop {
            let deadline = (heard + patience).min(end);
            let silent = (heard + SILENCE).min(deadline);
            let until = if place.is_held() { silent } else { deadline };
            match tokio::time::timeout_at(until, progress.next()).await {
                Ok(Some(Ok(()))) => {
                    heard = Instant::now();
                    patience = timeouts.inactivity;
                    place.take_back();
                }
                Ok(Some(Err(error))) => break Err(error),
                Ok(None) => break Ok(()),
                Err(_) if until < deadline => place.give_up(),
                Err(_) => {
                    let message = if deadline == end {
                        format!("the pull was not done within {} s", timeouts.total.as_secs())
                    } else {
                        format!("the pull showed no progress for {} s", patience.as_secs())
                    };
                    break Err(PullError {
                        failure: Failure::new(FailureKind::Faltered, message),
                        fault: Fault::Registry,
                    });
                }
            }
        };
        timed.ended(result.is_ok());
        result
    }

    fn registries(&self) -> MutexGuard<'_, Registries> {
        self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn probed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.inner.probed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
