//! How many tasks a service should have: target tracking over what was measured of it.
//!
//! Pure and without memory: what is asked twice is answered twice. Looks at what the tasks that run need, not at what
//! was decided before, so that a decision which had no effect is not built upon. Rules are those of target tracking for
//! ECS services (Application Auto Scaling user guide, "Target tracking scaling policies"): more tasks as soon as any
//! policy asks for them, fewer only when all agree, none fewer during a deployment.

mod window;

use std::fmt;
use std::time::Duration;

use berth_model::name::PolicyName;
use berth_model::scaling::{Capacity, Suspended, TargetTracking};
use berth_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use self::window::Window;

/// Periods above the target after which tasks are added.
pub const PERIODS_OUT: u32 = 3;
/// Periods well below the target after which tasks are taken away.
pub const PERIODS_IN: u32 = 15;
/// How long a period is, unless a scheduler is told otherwise: as those of the alarms that ECS services are scaled by.
pub const PERIOD: Duration = Duration::from_secs(60);
/// What counts as well below, of the target: what is nearer is left, so that a count does not swing.
const WELL_BELOW: f64 = 0.9;

/// One measurement of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// What it was, for one task on average.
    pub value: f64,
    /// Whether all tasks that should be in it are: what is not whole is good enough to add tasks, and not to take any
    /// away.
    pub whole: bool,
}

/// A policy with what was measured of its metric.
#[derive(Debug, Clone, Copy)]
pub struct Tracked<'v> {
    /// The policy's name.
    pub name: &'v PolicyName,
    /// What it asks.
    pub policy: &'v TargetTracking,
    /// The last periods, in any order.
    pub samples: &'v [Sample],
}

/// The last change of a service's count that its policies made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// From how many tasks.
    pub from: u32,
    /// To how many.
    pub to: u32,
    /// Tasks that ran then.
    pub running: u32,
    /// How long the policy that made it waits for its effect.
    pub cooldown: Duration,
}

/// A service as it is.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// Tasks that it should have.
    pub desired: u32,
    /// Tasks that run.
    pub running: u32,
    /// Whether a deployment goes on.
    pub deploying: bool,
    /// Between how many tasks it may be scaled.
    pub capacity: Capacity,
    /// What its policies do not do for now.
    pub suspended: Suspended,
    /// Its policies.
    pub policies: &'v [Tracked<'v>],
    /// What they did last.
    pub last: Option<Activity>,
    /// How long a period is; never 0.
    pub period: Duration,
}

/// How many tasks a service should have from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// So many.
    pub desired: u32,
    /// Why.
    pub reason: Reason,
}

/// Why a count changes, or stays.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It was out of bounds.
    Bounds(Capacity),
    /// A policy asks for more.
    Out(Change),
    /// All policies agree on fewer; this one needs most.
    In(Change),
    /// Nothing changes.
    Stays(Obstacle),
}

/// A change that a policy asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The policy's name.
    pub policy: PolicyName,
    /// What it looked at.
    pub metric: String,
    /// What that was: in the last period, or the most in those that were looked at.
    pub value: f64,
    /// What it is to be.
    pub target: f64,
    /// Tasks that ran.
    pub running: u32,
    /// Tasks that it takes for that, before bounds and steps.
    pub needed: u32,
    /// For how long that has been so.
    pub lasted: Duration,
    /// How long its effect is waited for.
    pub cooldown: Duration,
}

/// Why nothing changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// There is no policy, or nothing is wrong.
    Fits,
    /// The count is as high or as low as it may be.
    AtBounds(Capacity),
    /// Nothing runs that could be measured.
    NothingRuns,
    /// Policies are told not to do what they would.
    Suspended,
    /// Fewer would do, but a policy does not know enough.
    Unknown {
        /// Its metric.
        metric: String,
        /// Periods of those that it looks at of which enough is known.
        known: usize,
        /// How long each is.
        period: Duration,
    },
    /// Fewer would do, but a deployment goes on.
    Deploying,
    /// A change is to show its effect first.
    Cooldown {
        /// Until then.
        until: Timestamp,
    },
}

/// What a policy makes of its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    /// More: the value has been above the target for long enough.
    More { value: f64 },
    /// Fewer would do: it has been well below for long enough; the most in that time.
    Fewer { most: f64 },
    /// It is where it should be, or not for long enough elsewhere.
    Stay,
    /// Too little is known for fewer; of so many periods enough is.
    Unknown { known: usize },
}

impl Tracked<'_> {
    fn wish(&self, now: Timestamp, period: Duration) -> Wish {
        let window = Window::of(self.samples, now, period);
        let target = self.policy.target;
        if let Some(values) = window.last(PERIODS_OUT)
            && values.iter().all(|value| *value > target)
        {
            let value = values.last().copied().unwrap_or(target);
            return Wish::More { value };
        }
        match window.last_whole(PERIODS_IN) {
            None => Wish::Unknown {
                known: window.whole(PERIODS_IN),
            },
            Some(values) => {
                let most = values.iter().copied().fold(0.0, f64::max);
                match most < target * WELL_BELOW {
                    true => Wish::Fewer { most },
                    false => Wish::Stay,
                }
            }
        }
    }

    /// Tasks that bring the metric to the target, where so many now have this value.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    fn needed(&self, running: u32, value: f64) -> u32 {
        (f64::from(running) * value / self.policy.target).ceil() as u32
    }

    fn change(&self, running: u32, value: f64, lasted: Duration, cooldown: Duration) -> Change {
        Change {
            policy: self.name.clone(),
            metric: self.policy.metric.to_string(),
            value,
            target: self.policy.target,
            running,
            needed: self.needed(running, value),
            lasted,
            cooldown,
        }
    }
}

impl View<'_> {
    /// How many tasks the service should have from now on, and why.
    #[must_use]
    pub fn decide(&self, now: Timestamp) -> Verdict {
        let inside = self.capacity.nearest(self.desired);
        // Fewer only when no deployment counts on them.
        if inside > self.desired || (inside < self.desired && !self.deploying) {
            return Verdict {
                desired: inside,
                reason: Reason::Bounds(self.capacity),
            };
        }
        let wishes: Vec<(&Tracked<'_>, Wish)> = self
            .policies
            .iter()
            .map(|tracked| (tracked, tracked.wish(now, self.period)))
            .collect();
        self.out(&wishes, now)
            .or_else(|| self.fewer(&wishes, now))
            .unwrap_or_else(|| self.stays(Obstacle::Fits))
    }

    /// More tasks, where a policy asks for them: as many as the one that needs most.
    fn out(&self, wishes: &[(&Tracked<'_>, Wish)], now: Timestamp) -> Option<Verdict> {
        let asks = wishes.iter().filter_map(|(tracked, wish)| match wish {
            Wish::More { value } => Some((*tracked, *value)),
            Wish::Fewer { .. } | Wish::Stay | Wish::Unknown { .. } => None,
        });
        let most = asks.max_by_key(|(tracked, value)| tracked.needed(self.running, *value))?;
        let (tracked, value) = most;
        if self.running == 0 {
            return Some(self.stays(Obstacle::NothingRuns));
        }
        if self.desired >= self.capacity.max {
            return Some(self.stays(Obstacle::AtBounds(self.capacity)));
        }
        if self.suspended.scale_out {
            return Some(self.stays(Obstacle::Suspended));
        }
        // While tasks that were added have not shown their effect they are not counted as if they had: only what more
        // than them is needed adds to them.
        let cooling = self.last.filter(|last| last.to > last.from && now < last.end());
        let base = cooling.map_or(self.running, |last| last.running.min(self.running));
        let lasted = self.period * PERIODS_OUT;
        let change = tracked.change(base, value, lasted, tracked.policy.scale_out_cooldown);
        let step = tracked.policy.most_out.unwrap_or(u32::MAX);
        let desired = change.needed.min(self.desired.saturating_add(step));
        let desired = self.capacity.nearest(desired);
        if desired > self.desired {
            return Some(Verdict {
                desired,
                reason: Reason::Out(change),
            });
        }
        cooling.map(|last| self.stays(Obstacle::Cooldown { until: last.end() }))
    }

    /// Fewer tasks, where all policies that take any away agree: as many as the one that needs most.
    fn fewer(&self, wishes: &[(&Tracked<'_>, Wish)], now: Timestamp) -> Option<Verdict> {
        let mut least: Option<Change> = None;
        let mut step = u32::MAX;
        for (tracked, wish) in wishes {
            let policy = tracked.policy;
            match wish {
                // Also where it takes none away itself: what it needs it would ask for again.
                Wish::More { .. } | Wish::Stay => return None,
                Wish::Unknown { .. } if policy.disable_scale_in => {}
                Wish::Unknown { known } => {
                    let metric = policy.metric.to_string();
                    let (known, period) = (*known, self.period);
                    return Some(self.stays(Obstacle::Unknown { metric, known, period }));
                }
                Wish::Fewer { most } => {
                    let lasted = self.period * PERIODS_IN;
                    let change = tracked.change(self.running, *most, lasted, policy.scale_in_cooldown);
                    if !policy.disable_scale_in {
                        step = step.min(policy.most_in.unwrap_or(u32::MAX));
                    }
                    if least.as_ref().is_none_or(|known| known.needed < change.needed) {
                        least = Some(change);
                    }
                }
            }
        }
        let change = least?;
        if wishes.iter().all(|(tracked, _)| tracked.policy.disable_scale_in) {
            return None;
        }
        if self.running == 0 {
            return Some(self.stays(Obstacle::NothingRuns));
        }
        let desired = change.needed.max(self.desired.saturating_sub(step));
        let desired = self.capacity.nearest(desired);
        if desired >= self.desired {
            let bound = self.desired <= self.capacity.min;
            return bound.then(|| self.stays(Obstacle::AtBounds(self.capacity)));
        }
        if self.suspended.scale_in {
            return Some(self.stays(Obstacle::Suspended));
        }
        if self.deploying {
            return Some(self.stays(Obstacle::Deploying));
        }
        if let Some(last) = self.last.filter(|last| now < last.end()) {
            return Some(self.stays(Obstacle::Cooldown { until: last.end() }));
        }
        Some(Verdict {
            desired,
            reason: Reason::In(change),
        })
    }

    const fn stays(&self, obstacle: Obstacle) -> Verdict {
        Verdict {
            desired: self.desired,
            reason: Reason::Stays(obstacle),
        }
    }
}

impl Activity {
    /// When its effect is no longer waited for.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.at + self.cooldown
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bounds(capacity) => write!(f, "it must have {} to {} tasks", capacity.min, capacity.max),
            Self::Out(change) => write!(
                f,
                "{} has been above {} for {}; {change}",
                change.metric,
                change.target,
                Span(change.lasted)
            ),
            Self::In(change) => write!(
                f,
                "{} has been below {} for {}; {change}",
                change.metric,
                change.target * WELL_BELOW,
                Span(change.lasted)
            ),
            Self::Stays(obstacle) => obstacle.fmt(f),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {:.1} with {} running tasks it takes {}",
            self.value, self.running, self.needed
        )
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits => f.write_str("nothing asks for another count"),
            Self::AtBounds(capacity) => write!(f, "it may have {} to {} tasks", capacity.min, capacity.max),
            Self::NothingRuns => f.write_str("no task runs that could be measured"),
            Self::Suspended => f.write_str("what its policies would do is suspended"),
            Self::Unknown { metric, known, period } => write!(
                f,
                "{metric} is known of {known} of the last {PERIODS_IN} periods of {}, and all are needed for fewer tasks",
                Span(*period)
            ),
            Self::Deploying => f.write_str("a deployment goes on, during which no tasks are taken away"),
            Self::Cooldown { until } => write!(f, "the last change is to show its effect until {}", until.to_rfc3339()),
        }
    }
}

/// A time in words.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 60, seconds % 60) {
            (1, 0) => f.write_str("1 minute"),
            (minutes, 0) if minutes > 0 => write!(f, "{minutes} minutes"),
            _ => write!(f, "{seconds} s"),
        }
    }
}

#[cfg(test)]
mod tests;
