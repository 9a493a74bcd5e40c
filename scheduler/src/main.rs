//! `berth-scheduler`: Berth's control plane.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    berth_scheduler::run(berth_scheduler::config::Options::parse()).await
}
