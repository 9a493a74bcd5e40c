//! `berth-gateway`: forwards the connections of a cluster's services to their healthy tasks.

use berth_daemon::manual::{self, Section};
use berth_gateway::config::Options;
use clap::{CommandFactory, Parser};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if manual::asked(std::env::args_os(), Section::Administration, Options::command)? {
        return Ok(());
    }
    berth_gateway::run(Options::parse()).await
}
