# What can be done here, by name; `make` alone lists it. Needs cargo, python3 and node in the PATH;
# what else the tests need is installed by `make deps`, which `make test` runs.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
PYTHON ?= python3
export PYTHON
BUILT := $(or $(CARGO_TARGET_DIR),target)
INTEROP := $(BUILT)/interop
# Debian's packages for what `make deps` finds missing.
APT_TOOLS := gcc:gcc g++:g++ curl:curl openssl:openssl $(PYTHON):python3 node:nodejs npm:npm valgrind:valgrind \
    pushpin:pushpin condure:condure zurl:zurl

# A day: 86,400 seconds of troubles, so many of them in one. Files go where no disk is in the way.
CHURN_SECONDS ?= 86400
CHURN_SPEED ?= 30

.PHONY: help run check test e2e churn interop interop-pushpin interop-pushpin-table conformance conformance-short counted bench docs plots fuzz deps bench-deps

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: ## build for release and serve the compiled routes on port 7999, control on 5561
	$(CARGO) run --release --locked --

check: ## format, lints and unit tests: the quick round
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --lib --bins --test tidy
	$(PYTHON) benches/plot --self-test

test: deps ## everything: format, lints, all Rust tests, counted instructions, interop with real libraries
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --no-fail-fast
	$(PYTHON) benches/plot --self-test
	$(MAKE) counted
	$(MAKE) interop
	$(MAKE) conformance-short

e2e: ## end-to-end tests over real sockets; STORY=name runs one of them
	$(CARGO) test --locked --test e2e -- $(STORY)

churn: ## a day of restarts and rewritten routes in 50 minutes: make churn CHURN_SECONDS=86400 CHURN_SPEED=30
	$(CARGO) build --release --locked --bin linchpin
	SERVER_UNDER_TEST="$(abspath $(BUILT))/release/linchpin" TMPDIR="$$([ -d /dev/shm ] && echo /dev/shm || echo /tmp)" \
	    CHURN_SECONDS=$(CHURN_SECONDS) CHURN_SPEED=$(CHURN_SPEED) \
	    $(CARGO) test --locked --test e2e churn:: -- --nocapture

interop: ## real GRIP libraries and clients against linchpin
	tests/interop/prepare
	$(CARGO) build --locked
	SERVER_UNDER_TEST="$(BUILT)/debug/linchpin" $(INTEROP)/venv/bin/python -m pytest tests/interop

interop-pushpin-table: ## write the table of docs/pushpin-compared.md from the list of differences
	$(PYTHON) tests/interop/pushpin/table.py --write

interop-pushpin: ## the same against Debian's Pushpin, to check the tests themselves
	tests/interop/prepare
	SERVER=pushpin $(INTEROP)/venv/bin/python -m pytest tests/interop

conformance: ## the suites of WebSocket (Autobahn) and SockJS, whole; reports in target/conformance
	tests/conformance/autobahn/prepare
	$(CARGO) build --release --locked --bin linchpin
	SERVER_UNDER_TEST="$(BUILT)/release/linchpin" $(PYTHON) tests/conformance/autobahn/run
	SERVER_UNDER_TEST="$(BUILT)/release/linchpin" tests/conformance/sockjs/run

conformance-short: ## the same without the cases that take long; `make test` does it too
	tests/conformance/autobahn/prepare
	$(CARGO) build --locked
	SERVER_UNDER_TEST="$(BUILT)/debug/linchpin" $(PYTHON) tests/conformance/autobahn/run --short
	SERVER_UNDER_TEST="$(BUILT)/debug/linchpin" tests/conformance/sockjs/run

bench: bench-deps ## all benchmarks beside their peers, about 50 minutes; figures and charts in target/bench
	$(CARGO) build --release --locked --bin linchpin --example load --example rates
	mkdir -p $(BUILT)/bench && rm -f $(BUILT)/bench/*.jsonl
	$(CARGO) run --release --locked --example load -- --json $(BUILT)/bench/load.jsonl
	$(CARGO) run --release --locked --example rates -- --json $(BUILT)/bench/rates.jsonl
	$(PYTHON) benches/plot --out $(BUILT)/bench $(BUILT)/bench/load.jsonl $(BUILT)/bench/rates.jsonl
	$(CARGO) bench --locked

counted: ## instructions of what is done most, against what is recorded; RECORD=1 records them anew
	$(CARGO) --config benches/counted/release.toml run --locked --example counted -- \
	    $(if $(RECORD),--record,$(if $(CASE),"$(CASE)"))

docs: ## the example of a configuration file and the tables of docs/configuration.md, from the options
	UPDATE_DOCS=1 $(CARGO) test --locked --lib cli::documented

plots: ## charts in docs/plots of what the load harnesses measured: make plots DATA="a.jsonl b.jsonl"
	@test -n "$(DATA)" || { echo 'say of what: make plots DATA="load.jsonl rates.jsonl"' >&2; exit 2; }
	$(PYTHON) benches/plot $(DATA)

fuzz: ## fuzz one parser for SECONDS (60): make fuzz TARGET=item
	@test -n "$(TARGET)" || { echo "say which: make fuzz TARGET=item" >&2; exit 2; }
	$(CARGO) +nightly fuzz run $(TARGET) -- -max_total_time=$(or $(SECONDS),60)

deps: ## install what the tests need: apt packages that are missing, pip and npm packages
	@missing=(); \
	for pair in $(APT_TOOLS); do \
	    command -v "$${pair%%:*}" >/dev/null || missing+=("$${pair#*:}"); \
	done; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv); \
	[ $${#missing[@]} -eq 0 ] || tests/interop/apt "$${missing[@]}"
	@$(CARGO) fmt --version >/dev/null 2>&1 || tests/interop/again rustup component add rustfmt
	@$(CARGO) clippy --version >/dev/null 2>&1 || tests/interop/again rustup component add clippy
	tests/interop/prepare

bench-deps: deps
	@missing=(); \
	[ -x /usr/sbin/nginx ] || missing+=(nginx-light); \
	[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(libnginx-mod-nchan); \
	[ $${#missing[@]} -eq 0 ] || tests/interop/apt "$${missing[@]}"
