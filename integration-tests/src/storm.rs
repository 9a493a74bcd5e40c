//! An event storm: many events of Docker at once, made by hand on an engine while an agent watches it. Some are of
//! containers that are nobody's, some carry the labels of the agent's own instance and of tasks that no scheduler knows,
//! and some are of the containers of tasks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::docker::{Engine, NAME_LABEL, TASK_LABEL};

/// The label with the id of the instance that a container belongs to.
pub const INSTANCE_LABEL: &str = "berth.instance";

/// Strangers at a time; more only wait for each other inside the engine.
const AT_ONCE: usize = 2;

/// How often a container is frozen that the kernel did not freeze in time.
const FREEZE_ATTEMPTS: usize = 10;

/// What a storm is made of.
#[derive(Debug, Clone, Copy)]
pub struct Storm<'a> {
    /// The id of the instance whose labels some containers carry.
    pub instance: &'a str,
    /// Containers made and removed, and never started: one in three unlabelled, one of another instance, one of this
    /// instance and a task that nobody knows.
    pub strangers: usize,
    /// Running containers that are sent signals, which they must survive.
    pub signalled: &'a [String],
    /// Running containers that are frozen and thawed, and run in the end. Others than those that are signalled: a signal
    /// thaws a container.
    pub frozen: &'a [String],
    /// How often each of these is.
    pub rounds: usize,
}

impl Storm<'_> {
    /// Blows until all is done.
    ///
    /// # Errors
    ///
    /// If the engine refuses something.
    pub fn blow(&self, engine: &Engine) -> Result<()> {
        let next = AtomicUsize::new(0);
        let strangers = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.strangers {
                    return Ok(());
                }
                self.stranger(engine, number)?;
            }
        };
        let each = |targets: &[String], act: &dyn Fn(&str) -> Result<()>| -> Result<()> {
            (0..self.rounds).try_for_each(|_| targets.iter().try_for_each(|target| act(target)))
        };
        let signals = || each(self.signalled, &|target| engine.signal(target, "USR1"));
        let freezes = || {
            each(self.frozen, &|target| {
                freeze(engine, target)?;
                engine.unpause(target)
            })
        };
        thread::scope(|scope| {
            let mut workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(strangers)).collect();
            workers.push(scope.spawn(signals));
            workers.push(scope.spawn(freezes));
            let join = |worker: thread::ScopedJoinHandle<'_, Result<()>>| {
                worker.join().map_err(|_| anyhow!("a part of the storm panicked"))?
            };
            workers.into_iter().try_for_each(join)
        })
    }

    fn stranger(&self, engine: &Engine, number: usize) -> Result<()> {
        let instance = match number % 3 {
            0 => None,
            1 => Some("00000000000000000000000000000001"),
            _ => Some(self.instance),
        };
        let labels = instance.map_or_else(|| json!({}), |instance| unknown_task(instance, number));
        let spec = json!({"Image": "busybox", "Cmd": ["true"], "Labels": labels});
        let id = engine.create(&format!("stranger-{number}"), &spec)?;
        engine.remove(&id)
    }
}

/// Pauses a container. The kernel may not stop all its processes in the time that runc gives it, on a machine that is busy;
/// runc then lets them go on and says so, and nothing has happened to the container.
fn freeze(engine: &Engine, target: &str) -> Result<()> {
    for _ in 1..FREEZE_ATTEMPTS {
        match engine.pause(target) {
            Err(error) if error.to_string().contains("unable to freeze") => {}
            outcome => return outcome,
        }
    }
    engine.pause(target)
}

/// The labels of a task of an instance that no scheduler has ever heard of.
#[must_use]
pub fn unknown_task(instance: &str, number: usize) -> Value {
    json!({
        TASK_LABEL: format!("arn:aws:ecs:us-east-1:000000000000:task/storm/{number:032x}"),
        NAME_LABEL: "app",
        INSTANCE_LABEL: instance,
    })
}
