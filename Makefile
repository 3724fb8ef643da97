# The few commands that a person types. Each reads deploy/env.sh, so that all builds share one target directory and one
# compiler cache; what they do in detail is in deploy/*.sh and in `cargo xtask help`.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build wheel demo test fmt purge
# In the environment that deploy/setup.sh makes.
PYTEST := "$$AION_CACHE/python/bin/python" -m pytest -q -p no:cacheprovider
# Two cargos at a time only wait for each other's lock.
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## download all that is needed; afterwards demo and test work without a network
	@bash deploy/setup.sh all

build: ## the release binary, as build/aion (the first time: up to 75 minutes on two slow cores)
	@bash deploy/setup.sh build
	@bash deploy/build.sh

wheel: ## the Python package with the command aion, as build/wheels/aiondb-*.whl
	@bash deploy/setup.sh build
	@bash deploy/build.sh
	@. deploy/env.sh && python3 deploy/wheel.py --library "$$CARGO_TARGET_DIR/release/libaiondb.so" --program build/aion

demo: ## set up, build and run the demo; the result is in demo-out
	@bash deploy/setup.sh demo
	@bash deploy/build.sh
	@. deploy/env.sh && build/aion demo --out demo-out

test: ## the gate that CI runs: fmt, tidy, clippy, all tests, those of the page in a browser among them
	@bash deploy/setup.sh test
	@. deploy/env.sh && if [ ! -d "$$CARGO_TARGET_DIR/debug" ]; then \
		echo "test: the first build compiles every dependency: up to an hour on two slow cores, later ones a few minutes"; fi
	@. deploy/env.sh && AION_REQUIRE_ONNXRUNTIME=1 cargo xtask ci
	@bash deploy/test-clients.sh
	@. deploy/env.sh && AION_PROGRAM="$$CARGO_TARGET_DIR/debug/aion" $(PYTEST) python/tests
	@. deploy/env.sh && AION_PROGRAM="$$CARGO_TARGET_DIR/debug/aion" $(PYTEST) engine/tests/page
	@. deploy/env.sh && AION_REQUIRE_ONNXRUNTIME=1 $(PYTEST) models/training/tests

fmt: ## format all code
	@. deploy/env.sh && cargo fmt --all

purge: ## remove build/, demo-out/ and the cache, saying how much each held
	@bash deploy/purge.sh
