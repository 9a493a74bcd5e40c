//! systemd's watchdog: the process counts as alive only while the engine decides what it is asked.

use berth_daemon::service;
use berth_model::fault::Fault;
use berth_scheduler_core::command::{Command, Decision, Env};
use berth_scheduler_core::state::State;

use crate::engine::Engine;

/// Asks for nothing: that it is answered says that the engine works, and has seen the newest record of its journal.
#[derive(Debug)]
struct Nothing;

impl Command for Nothing {
    type Outcome = ();

    fn decide(&self, _state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        Ok(Decision::unchanged(()))
    }
}

/// Tells the watchdog for as long as it runs. A scheduler that is cut off from its journal says so at once, and lives.
pub(crate) async fn keep_watchdog(engine: Engine) {
    service::keep_watchdog(|| async {
        let _answered = ask(&engine).await;
    })
    .await;
}

/// Asks the engine whether it is there.
///
/// # Errors
/// When it is not, or is cut off from its journal.
pub(crate) async fn ask(engine: &Engine) -> Result<(), Fault> {
    engine.submit(Nothing, "scheduler".into()).await
}
