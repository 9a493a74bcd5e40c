//! `berth-scheduler`: Berth's control plane.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    berth_scheduler::run(berth_scheduler::config::Options::parse()).await
}
