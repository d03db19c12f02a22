# Everything that is done with this repository. `make` lists it.

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

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# One profile for all of it: the C code that is linked in is compiled once.
test: tools ## format, lints, all tests, other people's signers, the Helm chart; installs a C compiler and Python if there are none
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	cargo test --release --locked
	.ci/signers "$(RELEASE)"
	.ci/chart "$(RELEASE)"

chart: tools ## the tests of the Helm chart alone
	cargo build --release --locked
	.ci/chart "$(RELEASE)"

sandbox: tools ## the whole product on this machine's loopback; ARGS=--once ends when all has arrived
	cargo build --release --locked
	"$(RELEASE)" sandbox $(ARGS)

simulate: tools ## one seed of the simulation, and its story: SEED=123
	BRIDGE_SIM_SEED=$(SEED) cargo test --release --locked --test it \
	  sim::hubspot_ends_up_with_what_was_said_whatever_happens -- --exact --nocapture

soak: tools ## the long tests
	cargo test --release --locked --tests -- --ignored --nocapture

# RUSTC_BOOTSTRAP: cargo-fuzz asks for a nightly compiler's flags, and the stable one takes them so. No sanitizer: the
# code that is searched is safe. The lock file's copy makes it search what is built otherwise.
fuzz: tools ## a search for inputs that break a promise, with cargo-fuzz; TARGET=webhook SECONDS=60
	@cargo fuzz --version >/dev/null || { echo 'To have it: cargo install --locked cargo-fuzz'; exit 1; }
	cp Cargo.lock tests/fuzz/Cargo.lock
	mkdir -p target/fuzz/corpus/$(TARGET)
	RUSTC_BOOTSTRAP=1 BRIDGE_FUZZ_CORPUS="$(CURDIR)/target/fuzz/corpus/$(TARGET)" \
		cargo fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz $(TARGET) target/fuzz/corpus/$(TARGET) -- \
		-max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=65536

image: ## the container image, as $(IMAGE)
	$(DOCKER) build --tag $(IMAGE) .

audit: ## known vulnerabilities, licences, banned crates, with whichever of the two tools there is
	@if cargo audit --version >/dev/null 2>&1; then cargo audit $(AUDIT_ARGS); \
	else echo 'cargo-audit is not installed; skipped. To have it: cargo install --locked cargo-audit'; fi
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check bans licenses sources; \
	else echo 'cargo-deny is not installed; skipped. To have it: cargo install --locked cargo-deny'; fi

tools:
	@.ci/tools
