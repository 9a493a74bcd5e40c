//! One step in the making: the deployments as they become, and what was decided so far.

use std::sync::Arc;
use std::time::Duration;

use berth_model::id::DeploymentId;
use berth_model::service::{DeploymentConfiguration, DeploymentStatus, RolloutState, SchedulingStrategy};
use berth_model::time::Timestamp;

use super::census::{Census, Member, Standing};
use super::{Launch, Place, Step, Stop, TaskView, View, events};
use crate::service::{BackOff, BackOffCause, Deployment, Notice, Subject};

/// How long what was said is not said again while its cause lasts (ECS guide, "Service event messages").
const SAID_FOR: Duration = Duration::from_secs(6 * 60 * 60);

/// One step in the making.
#[derive(Debug)]
pub(super) struct Pass<'v> {
    pub(super) view: &'v View<'v>,
    pub(super) now: Timestamp,
    pub(super) census: Census<'v>,
    /// The deployments as they become, in the order of the view.
    pub(super) deployments: Vec<Deployment>,
    pub(super) step: Step,
    /// Whether a task has moved to another zone, and one of another goes for it.
    pub(super) rebalanced: bool,
}

impl<'v> Pass<'v> {
    pub(super) fn of(view: &'v View<'v>, now: Timestamp) -> Self {
        let census = Census::of(view, now);
        let step = Step {
            accounted: census.ended.iter().map(|task| task.id).collect(),
            wake: census.wake,
            ..Step::default()
        };
        Self {
            view,
            now,
            census,
            deployments: view.deployments.to_vec(),
            step,
            rebalanced: false,
        }
    }

    /// The step, once all is decided.
    pub(super) fn finish(mut self) -> Step {
        let changed = |(now, before): (Deployment, &Deployment)| (now != *before).then_some(now);
        let deployments = self.deployments.into_iter().zip(self.view.deployments);
        self.step.deployments = deployments.filter_map(changed).collect();
        self.step
    }

    /// How many tasks the service is to have.
    pub(super) fn desired(&self) -> usize {
        match self.view.spec.scheduling {
            SchedulingStrategy::Replica => usize::try_from(self.view.spec.desired).unwrap_or(usize::MAX),
            SchedulingStrategy::Daemon => self.view.places.len(),
        }
    }

    pub(super) fn configuration(&self) -> &'v DeploymentConfiguration {
        &self.view.spec.configuration
    }

    /// Tasks that are to stay healthy.
    pub(super) fn floor(&self) -> usize {
        let desired = u32::try_from(self.desired()).unwrap_or(u32::MAX);
        usize::try_from(self.configuration().floor(desired)).unwrap_or(usize::MAX)
    }

    /// Tasks that may be on their way or RUNNING.
    pub(super) fn ceiling(&self) -> usize {
        let desired = u32::try_from(self.desired()).unwrap_or(u32::MAX);
        usize::try_from(self.configuration().ceiling(desired)).unwrap_or(usize::MAX)
    }

    /// The deployment that the service is to consist of. There is one at any time; a view without is left alone.
    pub(super) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.is_primary())
    }

    pub(super) fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.is_primary())
    }

    pub(super) fn deployment_mut(&mut self, id: DeploymentId) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.id == id)
    }

    /// The deployment that completed last, besides the primary: where a rollback goes.
    pub(super) fn last_completed(&self) -> Option<&Deployment> {
        let left = |deployment: &&Deployment| {
            deployment.status == DeploymentStatus::Active && deployment.rollout.state != RolloutState::Failed
        };
        let completed = self.deployments.iter().filter(left);
        completed
            .filter(|deployment| deployment.completed_at.is_some())
            .max_by_key(|deployment| deployment.completed_at)
    }

    /// Has the next step come at this time at the latest.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        if at > self.now {
            self.step.wake = Some(self.step.wake.map_or(at, |earlier| earlier.min(at)));
        }
    }

    pub(super) fn say(&mut self, message: String) {
        self.step.events.push(message);
    }

    /// Says something that lasts, unless it was said some hours ago at most; none where its cause is gone.
    pub(super) fn note(&mut self, about: Subject, message: Option<String>) {
        let now = self.now;
        let Some(primary) = self.primary_mut() else {
            return;
        };
        let Some(message) = message else {
            primary.notices.retain(|notice| notice.about != about);
            return;
        };
        if primary.said(about, &message, now) {
            if about == Subject::SteadyState
                && let Some(until) = primary.said_until(about)
            {
                self.wake_at(until);
            }
            return;
        }
        primary.remember(about, &message, now);
        self.say(message);
        self.wake_at(now + SAID_FOR);
    }

    /// Stops the task, because of its deployment unless another reason is given.
    pub(super) fn stop(&mut self, task: &TaskView, reason: Option<&str>) {
        let reason: Arc<str> = match reason {
            Some(reason) => reason.into(),
            None => events::stop_reason(task.deployment).into(),
        };
        self.step.stops.push(Stop { task: task.id, reason });
        self.census.members.retain(|member| member.task.id != task.id);
    }

    /// Stops a member, because of its health checks where these fail.
    pub(super) fn stop_member(&mut self, member: &Member<'v>) {
        let reason = (member.standing == Standing::Unhealthy)
            .then(|| events::failed_checks_reason(member.task, self.target_group(member.task)));
        self.stop(member.task, reason.as_deref());
    }

    /// The target group that speaks for all of the task's.
    pub(super) fn target_group(&self, task: &TaskView) -> Option<&'v str> {
        let first = self.view.load_balancers_of(task.deployment).first();
        first.map(|load_balancer| load_balancer.target_group_arn.as_str())
    }

    pub(super) fn launch(&mut self, id: DeploymentId, place: Place, unhealthy_replaced: usize) {
        // There is room until the caller says otherwise.
        let no_room = |back_off: &BackOff| back_off.cause == BackOffCause::Placement;
        if let Some(deployment) = self.deployment_mut(id) {
            deployment.back_off = deployment.back_off.filter(|back_off| !no_room(back_off));
        }
        self.step.launches.push(Launch {
            deployment: id,
            place,
            unhealthy_replaced: u32::try_from(unhealthy_replaced).unwrap_or(u32::MAX),
        });
    }

    /// Whether the deployment may launch tasks now; if not, the next step comes when it may.
    pub(super) fn may_launch(&mut self, id: DeploymentId) -> bool {
        let Some(deployment) = self.deployments.iter().find(|deployment| deployment.id == id) else {
            return false;
        };
        let Some(back_off) = deployment.back_off else {
            return true;
        };
        // Room that was not there when placing failed is worth a try at once. An instance that is new to a DAEMON has
        // nothing to do with what failed on others.
        let about_room =
            back_off.cause == BackOffCause::Placement || self.view.spec.scheduling == SchedulingStrategy::Daemon;
        let has_room = about_room && self.view.room_since.is_some_and(|since| since > back_off.since);
        if has_room || back_off.until <= self.now {
            return true;
        }
        self.wake_at(back_off.until);
        false
    }

    /// Whether the deployment's last attempt found no room.
    pub(super) fn found_no_room(&self, id: DeploymentId) -> bool {
        let back_off = self
            .deployments
            .iter()
            .find(|deployment| deployment.id == id)
            .and_then(|deployment| deployment.back_off);
        back_off.is_some_and(|back_off| back_off.cause == BackOffCause::Placement)
    }

    /// The members of the deployment.
    pub(super) fn members_of(&self, id: DeploymentId) -> impl Iterator<Item = &Member<'v>> {
        self.census
            .members
            .iter()
            .filter(move |member| member.task.deployment == id)
    }
}

impl Deployment {
    /// Whether that was said lately.
    fn said(&self, about: Subject, message: &str, now: Timestamp) -> bool {
        let last = self.notices.iter().find(|notice| notice.about == about);
        last.is_some_and(|notice| *notice.message == *message && now < notice.at + SAID_FOR)
    }

    fn said_until(&self, about: Subject) -> Option<Timestamp> {
        let last = self.notices.iter().find(|notice| notice.about == about);
        last.map(|notice| notice.at + SAID_FOR)
    }

    fn remember(&mut self, about: Subject, message: &str, now: Timestamp) {
        self.notices.retain(|notice| notice.about != about);
        self.notices.push(Notice {
            about,
            at: now,
            message: message.into(),
        });
    }

    /// Takes over what was said of that before.
    pub(super) fn restore(&mut self, about: Subject, before: Option<&Self>) {
        let last = before.and_then(|before| before.notices.iter().find(|notice| notice.about == about));
        if let Some(last) = last.filter(|_| self.notices.iter().all(|notice| notice.about != about)) {
            self.notices.push(last.clone());
        }
    }

    /// Says something that lasts, unless it was said some hours ago at most.
    pub(super) fn say_once(&mut self, about: Subject, message: String, now: Timestamp) -> Option<String> {
        if self.said(about, &message, now) {
            return None;
        }
        self.remember(about, &message, now);
        Some(message)
    }
}
