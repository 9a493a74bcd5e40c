//! Keeps room on Docker's disk: watches how full it is, tells the driver, and removes images that nothing needs.
//!
//! Two loops, so that a Docker that takes its time to remove something does not hide how full the disk is. A removal
//! never keeps a pull waiting; only who wants the very image that is being removed waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_agent_core::disk::{Gauge, Watermarks, pressure_due};
use berth_agent_core::image::cleanup::{self, Occasion, Stored, Stubborn};
use berth_agent_core::image::reference::Reference;
use berth_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Disk, Images, Routine, Settings};
use crate::conditions::{Conditions, Part};
use crate::docker::ListedImage;
use crate::driver::now;
use crate::event::Event;

const MEASURE: Duration = Duration::from_secs(2);
/// Last uses are written at most so often: losing some only makes an image look older than it is.
const SAVE: Duration = Duration::from_secs(30);

/// What the driver is told of the disk.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DiskState {
    /// It is filling up: nothing is kept that need not be.
    pub(crate) wants_room: bool,
    /// Why new tasks are refused.
    pub(crate) refusal: Option<String>,
}

/// The images that tasks need, as the driver knows them.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// By id, where a container is made of it, or was decided to be.
    pub(crate) ids: BTreeSet<String>,
    /// By name, where that is still to come.
    pub(crate) references: BTreeSet<String>,
}

/// The keeper of the disk.
#[derive(Debug)]
pub(crate) struct Keeper {
    images: Images,
    clean_up: bool,
    routine: Option<Routine>,
    watermarks: Watermarks,
    /// None where the disk cannot be looked at.
    disk: Option<Disk>,
    conditions: Conditions,
    events: mpsc::Sender<Event>,
}

impl Keeper {
    pub(crate) fn new(
        images: Images,
        settings: &Settings,
        disk: Option<Disk>,
        conditions: Conditions,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            images,
            clean_up: settings.clean_up,
            routine: settings.routine.filter(|_| settings.clean_up),
            watermarks: settings.watermarks,
            disk,
            conditions,
            events,
        }
    }

    /// Runs until the driver is gone.
    pub(crate) async fn keep(self) {
        if self.disk.is_none() {
            tracing::warn!("Docker's root directory cannot be looked at; how full its disk is stays unknown");
        }
        let (room, wanted) = watch::channel(false);
        tokio::select! {
            () = self.watch(&room) => {}
            () = self.clean(wanted) => {}
        }
    }

    /// Measures and tells.
    async fn watch(&self, room: &watch::Sender<bool>) {
        let mut gauge = Gauge::new(self.watermarks);
        let mut told = DiskState::default();
        let mut failing = false;
        loop {
            match self.measure().await {
                Some(Ok(fill)) => {
                    failing = false;
                    gauge.measured(fill);
                    let state = self.state_of(&gauge);
                    match &state.refusal {
                        Some(reason) => self.conditions.impaired(Part::Disk, reason, now()),
                        None => self.conditions.ok(Part::Disk, now()),
                    }
                    if state != told {
                        log_change(&told, &state);
                        told = state.clone();
                        if self.events.send(Event::Disk(state)).await.is_err() {
                            return;
                        }
                    }
                    room.send_if_modified(|wanted| std::mem::replace(wanted, gauge.wants_room()) != *wanted);
                }
                Some(Err(error)) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "Docker's disk cannot be looked at; it counts as it was");
                }
                Some(Err(_)) | None => {}
            }
            tokio::time::sleep(MEASURE).await;
        }
    }

    fn state_of(&self, gauge: &Gauge) -> DiskState {
        let root = self.disk.as_ref().map(|disk| disk.root().display().to_string());
        DiskState {
            wants_room: gauge.wants_room(),
            refusal: gauge.refuses().then(|| gauge.words(&root.unwrap_or_default())),
        }
    }

    async fn measure(&self) -> Option<std::io::Result<berth_agent_core::disk::Fill>> {
        let disk = self.disk.clone()?;
        let measured = tokio::task::spawn_blocking(move || disk.measure()).await;
        Some(measured.unwrap_or_else(|error| Err(std::io::Error::other(error))))
    }

    /// Cleans: at once when room is wanted, else in the course of time.
    async fn clean(&self, mut wanted: watch::Receiver<bool>) {
        let mut stubborn = Stubborn::default();
        let mut last_pressure = None;
        let every = self.routine.map_or(SAVE, |routine| routine.interval);
        let mut rounds = interval_at(Instant::now() + every, every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut saves = interval_at(Instant::now() + SAVE, SAVE);
        saves.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let occasion = tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
                () = tokio::time::sleep(MEASURE), if *wanted.borrow() => None,
                _ = saves.tick() => {
                    self.save().await;
                    None
                }
                _ = rounds.tick() => self.routine.map(|routine| Occasion::Routine {
                    minimum_age: routine.minimum_age,
                    most: routine.most,
                }),
            };
            let pressed = *wanted.borrow_and_update();
            let occasion = if pressed && self.clean_up && pressure_due(last_pressure, now()) {
                last_pressure = Some(now());
                Some(Occasion::Pressure)
            } else {
                occasion
            };
            if let Some(occasion) = occasion
                && self.round(occasion, &mut stubborn).await.is_none()
            {
                return;
            }
        }
    }

    /// One round. None when the driver is gone.
    async fn round(&self, occasion: Occasion, stubborn: &mut Stubborn) -> Option<()> {
        let began = now();
        let (answer, needed) = oneshot::channel();
        self.events.send(Event::ImagesNeeded(answer)).await.ok()?;
        let needed = needed.await.ok()?;
        let docker = &self.images.inner.docker;
        let listed = match docker.images().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "images cannot be cleaned up now");
                return Some(());
            }
        };
        let in_use = match docker.images_in_use().await {
            Ok(in_use) => in_use,
            Err(error) => {
                tracing::warn!(%error, "images cannot be cleaned up now");
                return Some(());
            }
        };
        let ledger = &self.images.inner.ledger;
        let exists = |id: &str| listed.iter().any(|image| image.id == id);
        stubborn.keep(exists);
        let uses = ledger.last_uses(exists);
        let stored: Vec<Stored> = listed
            .iter()
            .filter_map(|image| {
                Some(Stored {
                    id: image.id.clone(),
                    last_used: *uses.get(&image.id)?,
                    needed: in_use.contains(&image.id) || is_needed(image, &needed),
                    restorable: !image.digests.is_empty(),
                })
            })
            .collect();
        let mut removed = 0_usize;
        for id in cleanup::plan(&stored, stubborn, occasion, began) {
            if occasion == Occasion::Pressure && self.has_room().await {
                break;
            }
            let Some(image) = listed.iter().find(|image| image.id == id) else {
                continue;
            };
            removed += usize::from(self.remove(image, began, stubborn).await);
        }
        if removed > 0 {
            tracing::info!(
                images = removed,
                pressure = occasion == Occasion::Pressure,
                "unused images removed"
            );
        }
        Some(())
    }

    /// Takes all names off the image; with the last the image goes. Says whether it is gone.
    async fn remove(&self, image: &ListedImage, planned: Timestamp, stubborn: &mut Stubborn) -> bool {
        let ledger = &self.images.inner.ledger;
        if !ledger.begin_removal(&image.id, planned) {
            return false;
        }
        let names = image.tags.iter().chain(&image.digests).chain([&image.id]);
        let mut result = Ok(());
        for name in names {
            result = self.images.inner.docker.remove_image(name).await;
            if result.is_err() {
                break;
            }
        }
        ledger.end_removal(result.is_ok());
        match result {
            Ok(()) => {
                tracing::info!(image = image.id, tags = ?image.tags, "image removed: nothing has used it");
                true
            }
            Err(error) => {
                tracing::warn!(image = image.id, tags = ?image.tags, %error, "image cannot be removed; going on with the next");
                stubborn.refused(&image.id, now());
                false
            }
        }
    }

    /// Whether the disk is back under the low watermark.
    async fn has_room(&self) -> bool {
        match self.measure().await {
            Some(Ok(fill)) => self.watermarks.is_low(fill),
            Some(Err(_)) | None => false,
        }
    }

    async fn save(&self) {
        let images = self.images.clone();
        let saved = tokio::task::spawn_blocking(move || images.inner.ledger.save()).await;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the list of used images cannot be written"),
            Err(error) => tracing::warn!(%error, "writing the list of used images broke off"),
        }
    }
}

/// Whether a task is about to make a container of it.
fn is_needed(image: &ListedImage, needed: &Needed) -> bool {
    let named = |name: &String| {
        let name = Reference::parse(name);
        let same = |reference: &String| Reference::parse(reference).same_image(&name);
        needed.references.iter().any(same)
    };
    needed.ids.contains(&image.id) || image.tags.iter().chain(&image.digests).any(named)
}

fn log_change(before: &DiskState, after: &DiskState) {
    if before.wants_room != after.wants_room {
        if after.wants_room {
            tracing::warn!("Docker's disk is filling up; unused images and ended containers go");
        } else {
            tracing::info!("Docker's disk has room again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_needed_by_its_id_and_by_any_of_its_names() {
        let image = ListedImage {
            id: "sha256:1".to_owned(),
            tags: vec!["app:latest".to_owned(), "reg.test/app:2".to_owned()],
            digests: vec!["reg.test/app@sha256:d".to_owned()],
        };
        let needs = |ids: &[&str], references: &[&str]| {
            let set = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let needed = Needed {
                ids: set(ids),
                references: set(references),
            };
            is_needed(&image, &needed)
        };
        assert!(needs(&["sha256:1"], &[]));
        assert!(needs(&[], &["app"]) && needs(&[], &["docker.io/library/app:latest"]));
        assert!(needs(&[], &["reg.test/app:2"]) && needs(&[], &["reg.test/app@sha256:d"]));
        assert!(!needs(
            &["sha256:2"],
            &["app:2", "reg.test/app", "reg.test/app@sha256:e"]
        ));
    }
}
