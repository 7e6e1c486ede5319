# What a person or a CI calls. Each target first brings what it needs; what is there already is left alone, silently.
# Every script says at its head what it fetches, where it puts it, and what to do where that fails.

PYTHON ?= python3
ARGS ?=

.PHONY: help setup peers languages demo test onnx conformance bench torture fuzz screenshots lint

help:
	@echo "make demo    a simulated plant with the gateway on it; ARGS='--for 90s' ends it by itself"
	@echo "make test    every test; brings the OPC UA peers they talk to (needs Python 3.11 and Node.js 20)"
	@echo "make onnx    the detector for models, which takes minutes to build, and its tests"
	@echo "make bench   the benchmarks; ARGS='sustain' or ARGS='ring' for those that take long (tests/bench/run.py says which)"
	@echo "make conformance  the tests of detectors in every language (needs Node.js 20; 500 MB to fetch)"
	@echo "make torture 1,000 kills and 500 power cuts of a process that writes, flipped bits, and 500 kills of the gateway"
	@echo "             in the middle of what operators do (needs a C compiler, and Python 3.11)"
	@echo "make fuzz    packages, configurations, names, schemas, components and answers that nobody would write; a minute each"
	@echo "make screenshots  the pictures of docs/operators.md, of a Qt client on the demo (needs xvfb)"
	@echo "make lint    formatting, clippy, and cargo-deny where it is installed"
	@echo "make setup   what any cargo build needs: patched OPC UA crates, a WebAssembly compiler, the detectors"
	@echo "make peers   the tests' OPC UA peers alone; make languages: their compilers of C and Go"

# Cargo reads nothing of this workspace until the patched crates are in place: they come first.
setup:
	@$(PYTHON) gateway/ua/patches/apply.py
	@$(PYTHON) plugins/build.py

peers:
	@$(PYTHON) tests/peers/prepare.py

languages:
	@$(PYTHON) tests/languages/prepare.py c go

demo: setup
	@cargo run --quiet --package watchfire -- demo $(ARGS)

# The integration tests wait more than they compute: more of them at once than there are processors.
test: export RUST_TEST_THREADS ?= 6
test: setup peers languages
	cargo test --workspace
	cargo test --manifest-path plugins/Cargo.toml --workspace --target-dir plugins/target/host

# A detector with a large library: not in the program, and built for those who want it.
onnx: setup
	@$(PYTHON) plugins/build.py onnx
	cargo test --workspace --test onnx

# Detectors in languages whose compilers are large: 500 MB to fetch, ten minutes.
conformance: export WATCHFIRE_LANGUAGES = all
conformance: setup languages
	@$(PYTHON) tests/languages/prepare.py python javascript
	cargo test --workspace --test watchfire -- conformance plugins::the_guide

# A client with windows, as a person sees it; someone has to look at what comes of it.
screenshots: setup
	@cargo build --package watchfire
	@$(PYTHON) tests/screens/take.py

bench: setup
	@$(PYTHON) tests/bench/run.py $(ARGS)

# Its last part needs of the peers the one in Python alone.
torture: export WATCHFIRE_TORTURE_FLIPS ?= 400
torture: setup
	cargo run --package watchfire-torture -- --kills 1000 --cuts 500 --full 100 $(ARGS)
	cargo test --package watchfire-history whatever_a_damaged_file -- --nocapture
	-@$(PYTHON) tests/peers/prepare.py
	@$(PYTHON) tests/bench/run.py kills --kills 500 --unoptimised

fuzz: setup
	@$(PYTHON) tests/fuzz/run.py $(ARGS)

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo fmt --manifest-path plugins/Cargo.toml --all --check
	cargo clippy --manifest-path plugins/Cargo.toml --workspace --target-dir plugins/target/host --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories were not checked"; fi
