# One line a target; `make help` shows them.
.DEFAULT_GOAL := help
CARGO ?= cargo
PREFIX_DIR := run

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

deps: ## Install what the build and the tests need, where it is missing
	@sh tests/deps.sh

run: deps ## Build limpet and start it with its sample backends on conf/nginx.conf
	$(CARGO) build --package limpet
	@mkdir -p $(PREFIX_DIR)/logs
	@echo && echo "limpet listens on http://127.0.0.1:8080/ with two sample backends. In another terminal, try:" && \
	echo "  curl -c jar http://127.0.0.1:8080/; for i in 1 2 3; do curl -b jar http://127.0.0.1:8080/; done" && echo
	target/debug/limpet -p $(PREFIX_DIR) -c $(CURDIR)/conf/nginx.conf -g 'daemon off;'

build: deps ## Build limpet as it should be measured and installed
	$(CARGO) build --release --package limpet

check: deps ## Format, lints and the tree's own rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) check --quiet --manifest-path tests/bench/Cargo.toml
	$(CARGO) check --quiet --tests --manifest-path tests/fuzz/Cargo.toml

test: deps ## All tests
	$(CARGO) build --package limpet
	$(CARGO) test --workspace

# Where the tools of `make audit` are put.
TOOLS := target/tools

audit: deps ## Licences, sources and doubles of the dependencies, unused ones, and known faults where their list can be had
	@test -x $(TOOLS)/bin/cargo-deny || $(CARGO) install --quiet --locked --root $(TOOLS) cargo-deny
	@test -x $(TOOLS)/bin/cargo-machete || $(CARGO) install --quiet --locked --root $(TOOLS) cargo-machete
	$(TOOLS)/bin/cargo-machete --with-metadata
	$(TOOLS)/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	@if $(TOOLS)/bin/cargo-deny fetch db 2>/dev/null; then $(TOOLS)/bin/cargo-deny check advisories; \
	else echo "the list of known faults can't be reached: not checked"; fi

# What cargo-fuzz runs, where it and a nightly compiler are there.
FUZZ_TARGETS := lexer request_head response_head chunks cookie_reader set_cookie_writer uri

fuzz: ## Any bytes against what reads them: a minute each with cargo-fuzz where it is there, else 100,000 made-up cases each
	@if cargo +nightly fuzz --version >/dev/null 2>&1; then \
	for target in $(FUZZ_TARGETS); do \
	(cd tests && cargo +nightly fuzz run --fuzz-dir fuzz --features libfuzzer $$target -- -max_total_time=60) || exit 1; done; \
	else PROPTEST_CASES=100000 $(CARGO) test --release --manifest-path tests/fuzz/Cargo.toml; fi

mutants: ## Changes to the pure crates that their own tests do not see
	@test -x $(TOOLS)/bin/cargo-mutants || $(CARGO) install --quiet --locked --root $(TOOLS) cargo-mutants
	$(TOOLS)/bin/cargo-mutants mutants --package limpet-syntax --package limpet-sticky --package limpet-balance \
	--package limpet-message --output target --timeout 20

# The profile's tools are the toolchain's own (`rustup component add llvm-tools`).
PROFDATA := $(firstword $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/llvm-profdata))

pgo: deps ## A release build that is optimised for what requests do, where the toolchain's llvm-profdata is there
	@test -n "$(PROFDATA)" || { echo "the toolchain has no llvm-profdata: rustup component add llvm-tools"; exit 1; }
	rm -rf target/pgo && mkdir -p target/pgo/raw
	RUSTFLAGS="-Cprofile-generate=$(CURDIR)/target/pgo/raw" $(CARGO) build --release --package limpet --target-dir target/pgo/build
	LIMPET=$(CURDIR)/target/pgo/build/release/limpet $(CARGO) run --release --manifest-path tests/bench/Cargo.toml requests
	$(PROFDATA) merge -o target/pgo/merged.profdata target/pgo/raw
	RUSTFLAGS="-Cprofile-use=$(CURDIR)/target/pgo/merged.profdata" $(CARGO) build --release --package limpet

docs: ## Write docs/directives.md anew from the table
	UPDATE=1 $(CARGO) test --package limpet-modules page

bench: deps build ## Measure against nginx and HAProxy, and write docs/performance.md
	$(CARGO) run --release --manifest-path tests/bench/Cargo.toml

fmt: ## Format the sources
	$(CARGO) fmt --all

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf $(PREFIX_DIR)

.PHONY: help deps run build check test audit fuzz mutants pgo docs bench fmt clean
