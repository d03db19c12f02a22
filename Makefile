# Everything that is done with this repository. `make` lists it.

IMAGE ?= webinar-bridge:dev
DOCKER ?= docker
ARGS ?=
SEED ?= 0
AUDIT_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help test sandbox simulate soak image audit tools

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# One profile for all of it: the C code that is linked in is compiled once.
test: tools ## format, lints, all tests; installs a C compiler if there is none
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked

sandbox: tools ## the whole product on this machine's loopback; ARGS=--once ends when all has arrived
	cargo build --release --locked
	"$${CARGO_TARGET_DIR:-target}/release/webinar-bridge" sandbox $(ARGS)

simulate: tools ## one seed of the simulation, and its story: SEED=123
	BRIDGE_SIM_SEED=$(SEED) cargo test --release --locked --test it \
	  sim::hubspot_ends_up_with_what_was_said_whatever_happens -- --exact --nocapture

soak: tools ## the long tests
	BRIDGE_SOAK=1 cargo test --release --locked --tests -- --ignored --nocapture

image: ## the container image, as $(IMAGE)
	$(DOCKER) build --tag $(IMAGE) .

audit: ## known vulnerabilities, licences, banned crates, with whichever of the two tools there is
	@if cargo audit --version >/dev/null 2>&1; then cargo audit $(AUDIT_ARGS); \
	else echo 'cargo-audit is not installed; skipped. To have it: cargo install --locked cargo-audit'; fi
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check bans licenses sources; \
	else echo 'cargo-deny is not installed; skipped. To have it: cargo install --locked cargo-deny'; fi

tools:
	@.ci/tools
