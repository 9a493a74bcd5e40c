# The repository's tasks. What is more than a line or two is written in Rust, in xtask.

.PHONY: demo demo-stop test test-image lint bench soak traffic replicas fuzz simulate compatibility

## A cluster of this one machine that runs a task, from nothing.
demo:
	cargo xtask demo

## The end of it, with nothing left behind.
demo-stop:
	cargo xtask demo-stop

## Every test, also those against real Docker Engines and the real AWS CLI. Needs root; installs what is missing.
test:
	cargo xtask prepare
	cargo xtask test

## The image of a host, made by Packer and booted as a virtual machine that joins a scheduler and runs a task; emulated, about a
## quarter of an hour. Needs root; installs what is missing.
test-image:
	cargo xtask test-image

## What must be true of the text: format, lints, documentation.
lint:
	cargo xtask prepare build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

## Figures: placements in memory, then the daemons.
bench:
	cargo xtask prepare
	cargo bench --package berth-integration-tests --bench placement
	cargo bench --package berth-integration-tests --bench table

## What grows under load: short tasks, ten minutes of crashes, event storms. Fails where something is not flat.
soak:
	cargo xtask prepare
	cargo bench --package berth-integration-tests --bench soak

## A service behind gateways on five hosts under a steady load: ten updates, a drain, an agent's restart, a host that is
## cut off. Fails where a request failed that was not under way on that host.
traffic:
	cargo xtask prepare
	cargo bench --package berth-integration-tests --bench traffic

## Three schedulers on an etcd of three members under load for five minutes, while schedulers and members are killed, stopped
## and cut off, and disks slow or full. Fails where something that was promised did not hold.
replicas:
	cargo xtask prepare
	cargo bench --package berth-integration-tests --bench replicas

## Parsers of outside input, and the API over both wires, against inputs made from others, SECONDS long each: make fuzz SECONDS=600.
SECONDS = 60
fuzz:
	BERTH_FUZZ_SECONDS=$(SECONDS) cargo test --package berth-integration-tests --test fuzz -- --nocapture
	cargo xtask prepare
	BERTH_FUZZ_SECONDS=$(SECONDS) cargo test --package berth-integration-tests --test bad_input -- hostile --nocapture

## The whole control plane from one seed each: make simulate SEEDS=10000. One that fails is shown again, event by event, by
## cargo run --release -p berth-simulation -- --trace --from SEED.
SEEDS = 10000
simulate:
	cargo run --release --package berth-simulation -- --seeds $(SEEDS)

## docs/compatibility.md anew, from the lists of the scheduler.
compatibility:
	BERTH_WRITE_DOCS=1 cargo test --package berth-scheduler --lib compatibility
