//! `berth-gateway`: keeps what the scheduler says of a cluster's endpoints.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    berth_gateway::run(berth_gateway::config::Options::parse()).await
}
