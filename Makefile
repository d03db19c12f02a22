# Everything that is done with this repository. `make` lists it.

IMAGE ?= webinar-bridge:dev
DOCKER ?= docker
ARGS ?=
AUDIT_ARGS ?=
RELEASE = $${CARGO_TARGET_DIR:-target}/release/webinar-bridge

.DEFAULT_GOAL := help
.PHONY: help test chart sandbox soak image audit tools

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# One profile for all of it: the C code that is linked in is compiled once.
test: tools ## format, lints, all tests, the Helm chart; installs a C compiler and Python if there are none
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked
	.ci/chart "$(RELEASE)"

chart: tools ## the tests of the Helm chart alone
	cargo build --release --locked
	.ci/chart "$(RELEASE)"

sandbox: tools ## the whole product on this machine's loopback; ARGS=--once ends when all has arrived
	cargo build --release --locked
	"$(RELEASE)" sandbox $(ARGS)

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
