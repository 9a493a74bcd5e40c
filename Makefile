# The repository's tasks. What is more than a line is written in Rust, in xtask.

.PHONY: demo demo-stop

## A cluster of this one machine that runs a task, from nothing.
demo:
	cargo xtask demo

## The end of it, with nothing left behind.
demo-stop:
	cargo xtask demo-stop
