# All tasks of this repository. `make` lists them.

IMAGE ?= webinar-bridge:dev
DOCKER ?= docker
ARGS ?=
SEED ?= 0
AUDIT_ARGS ?=
RELEASE = $${CARGO_TARGET_DIR:-target}/release/webinar-bridge
TARGET ?= webhook
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help test chart sandbox simulate soak fuzz image audit tools

help: ## prints this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# All steps use one profile, so that the C code is compiled once.
test: tools ## checks format and lints, runs all tests, the independent signers and the chart's tests; installs a C compiler and Python if missing
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked
	.ci/signers "$(RELEASE)"
	.ci/chart "$(RELEASE)"

chart: tools ## tests the Helm chart alone
	cargo build --release --locked
	.ci/chart "$(RELEASE)"

sandbox: tools ## runs the whole product on loopback; ARGS=--once ends when everything has arrived
	cargo build --release --locked
	"$(RELEASE)" sandbox $(ARGS)

simulate: tools ## runs one seed of the simulation and prints its log; SEED=123
	BRIDGE_SIM_SEED=$(SEED) cargo test --release --locked --test it \
	  sim::hubspot_ends_up_with_the_accepted_events_under_any_faults -- --exact --nocapture

soak: tools ## runs the long tests
	cargo test --release --locked --tests -- --ignored --nocapture

# RUSTC_BOOTSTRAP makes the stable compiler accept the nightly flags of cargo-fuzz. There is no sanitizer, since the code
# under test is safe Rust. The copied lock file gives it the same dependencies as the program.
fuzz: tools ## searches for inputs that break a promise, with cargo-fuzz; TARGET=webhook SECONDS=60
	@cargo fuzz --version >/dev/null || { echo 'cargo-fuzz is not installed. To install it: cargo install --locked cargo-fuzz'; exit 1; }
	cp Cargo.lock tests/fuzz/Cargo.lock
	mkdir -p target/fuzz/corpus/$(TARGET)
	RUSTC_BOOTSTRAP=1 BRIDGE_FUZZ_CORPUS="$(CURDIR)/target/fuzz/corpus/$(TARGET)" \
		cargo fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz $(TARGET) target/fuzz/corpus/$(TARGET) -- \
		-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=65536

image: ## builds the container image $(IMAGE)
	$(DOCKER) build --tag $(IMAGE) .

audit: ## checks for known vulnerabilities, licences and banned crates, with cargo-audit and cargo-deny if installed
	@if cargo audit --version >/dev/null 2>&1; then cargo audit $(AUDIT_ARGS); \
	else echo 'cargo-audit is not installed; skipped. To install it: cargo install --locked cargo-audit'; fi
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check bans licenses sources; \
	else echo 'cargo-deny is not installed; skipped. To install it: cargo install --locked cargo-deny'; fi

tools:
	@.ci/tools
