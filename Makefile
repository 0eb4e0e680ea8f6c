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

docs: ## Write docs/directives.md anew from the table
	UPDATE=1 $(CARGO) test --package limpet-modules page

bench: deps build ## Measure against nginx and HAProxy, and write docs/performance.md
	$(CARGO) run --release --manifest-path tests/bench/Cargo.toml

fmt: ## Format the sources
	$(CARGO) fmt --all

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf $(PREFIX_DIR)

.PHONY: help deps run build check test audit docs bench fmt clean
