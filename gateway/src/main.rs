//! `berth-gateway`: forwards the connections of a cluster's services to their healthy tasks.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    berth_gateway::run(berth_gateway::config::Options::parse()).await
}
