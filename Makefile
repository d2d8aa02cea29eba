# Two commands need nothing but Python >= 3.11 and make: `make demo` and `make test`.
# The first of them sets up .venv from the lock; after that they work offline.

PYTHON ?= python3
UV     ?= $(shell command -v uv 2>/dev/null)
VENV   := .venv
BIN    := $(VENV)/bin
OWN    := layers functions cli localcloud
# By file, since the tests of a file share a cloud. In the order of tests/conftest.py, where long files come first:
# xdist's own order is by the number of tests, and long tests are few in a file. Three on two cores: a tenth of the time
# a test waits for a process, a browser or a deadline, and a core would wait with it.
WORKERS := --numprocesses 3 --dist loadfile --no-loadscope-reorder
BENCHES := evidence turns bill caching plan overhead cold_import loops leases moves hot_window deadline families

# The stamp names Python's version, so that another PYTHON= makes another environment.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
READY   := $(VENV)/.ready-$(VERSION)

# The lock is whole, so pip resolves nothing (--no-deps): asked to, it takes a newer coverage[toml] for an unpinned one.
# uv takes what the lock says and no Python from elsewhere.
UV_FLAGS  := --quiet --python $(BIN)/python
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --no-compile
# Bytecode of all that is installed costs 20 seconds; the first import makes what is used, here and not in two workers at once.
unexport PYTHONDONTWRITEBYTECODE
USED := boto3, cfnlint.api, hypothesis, moto.cloudformation, moto.dynamodb, pytest, samtranslator.translator.translator

# $(call stage,name,command,how to see it again): run the command; where it fails, say how. Ctrl-C needs no advice.
stage = @printf '━━ %s\n' '$(1)'; trap 'exit 130' INT; $(2) || { code=$$?; echo '$(1) failed. See it again: $(3)' >&2; exit $$code; }
# The same for tests: those that failed, or all of it where pytest itself did not get so far.
pytest = @printf '━━ %s\n' '$(1)'; trap 'exit 130' INT; $(2) || { code=$$?; again='$(2)'; \
  test $$code -ne 1 || again='$(or $(3),$(BIN)/pytest --last-failed)'; echo "$(1) failed. See it again: $$again" >&2; exit $$code; }
# A stage with mypy beside it, which uses one core for most of a minute. What it says is printed when the stage has
# ended; the first of the two that failed says how make exits. The shell has its own children ignore Ctrl-C.
SAID := .mypy_cache/said
beside_mypy = @mkdir -p $(dir $(SAID)); $(BIN)/mypy >$(SAID) 2>&1 & types=$$!; \
  trap 'kill $$types 2>/dev/null; exit 130' INT; ( $(patsubst @%,%,$(1)) ); ended=$$?; \
  wait $$types; code=$$?; printf '━━ mypy\n'; cat $(SAID); \
  test $$code -eq 0 || { echo 'mypy failed. See it again: make lint' >&2; test $$ended -ne 0 || ended=$$code; }; exit $$ended

.DEFAULT_GOAL := help
.PHONY: help demo test unit coverage lint style artifacts faults desk-faults format lock build deploy bench tau2 servers clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Watch an agent run, on this machine. Another scenario: make demo SCENARIO=name
	@$(BIN)/ballast demo $(SCENARIO)

test: style ## The gate: lint, types and the suite (10 minutes). A part of it: make test ARGS=tests/template
	$(call beside_mypy,$(call pytest,pytest,$(BIN)/pytest $(WORKERS) $(ARGS)))

unit: $(READY) ## The tests that need no cloud, no socket and no process (2 minutes).
	$(call pytest,pytest,$(BIN)/pytest $(WORKERS) $(if $(filter tests/%,$(ARGS)),,tests/unit) $(ARGS))

coverage: $(READY) ## The whole suite, with the coverage of what is shipped (half as long again as make test).
	$(call pytest,coverage,$(BIN)/pytest $(WORKERS) --cov --cov-report term $(or $(ARGS),--cov-fail-under 95))

lint: style ## Check style, format and types (15 seconds).
	$(call stage,mypy,$(BIN)/mypy,make lint)

style: $(READY)
	$(call stage,ruff check,$(BIN)/ruff check .,make lint)
	$(call stage,ruff format,$(BIN)/ruff format --check .,make lint (make format mends it))

artifacts: $(READY) ## Build what is deployed and play every built function (half a minute; the first time two); needs python3.13.
	$(call pytest,artifacts,$(BIN)/pytest tests/artifacts $(ARGS))

faults: $(READY) ## Play every fault at every request of every handler (an hour); writes fault-report.json.
	$(call stage,faults,$(BIN)/python -m tests.faults $(ARGS),make faults)

desk-faults: $(READY) ## Play 500 seeded runs of the desk under a random mix of faults, and the harness's long tests (2 minutes).
	$(call stage,desk-faults,$(BIN)/python -m tests.faults --every 0 --random 500 --report desk-fault-report.json $(ARGS),make desk-faults)
	$(call pytest,deep tests,$(BIN)/pytest tests/faults -m deep -o timeout=600,$(BIN)/pytest --last-failed -m deep -o timeout=600)

format: $(READY) ## Mend what can be mended by itself.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin the dependencies anew (needs uv).
	@test -n "$(UV)" || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --group dev pyproject.toml --output-file requirements/dev.lock
	$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --group sam --output-file requirements/sam.lock
	echo uv | $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" - --output-file requirements/uv.txt

# Without a `sam` on PATH: the pinned one, which the tests use too.
SAM := $(if $(shell command -v sam 2>/dev/null),sam,$(BIN)/python -m tests.artifacts.build)

build: $(READY) ## Build what is deployed (needs python3.13).
	$(SAM) validate --lint
	$(SAM) build

deploy: build ## Deploy it to your AWS account. Another stage: make deploy STAGE=prod
	$(SAM) deploy --guided --config-env $(if $(STAGE),$(STAGE),default)

bench: $(READY) ## Measure and check what is published: turns, a Plan, imports, loops, leases, moves, a hot window, deadlines, models (7 minutes).
	@for one in $(BENCHES); do \
	  printf '\n━━━━ python -m bench.%s\n\n' $$one; $(BIN)/python -m bench.$$one || failed="$$failed bench.$$one"; \
	done; test -z "$$failed" || { echo "Failed:$$failed. See one again: $(BIN)/python -m bench.NAME" >&2; exit 1; }

tau2: $(READY) ## Install tau2-bench's real tools, which bench/tau2 wraps.
	$(if $(UV),$(UV) pip install $(UV_FLAGS),$(BIN)/python -m pip install $(PIP_FLAGS)) --no-deps -r requirements/tau2.txt

# In environments of their own: what these servers bring is not Ballast's.
NPM_SERVERS := @modelcontextprotocol/server-memory@2026.8.31 @modelcontextprotocol/server-filesystem@2026.8.31 \
  @loopback/example-todo@6.0.0
servers: $(READY) ## Install servers of others (MCP, OpenAPI), and play them behind a lossy wire (needs npm, git).
	$(if $(UV),$(UV) venv --quiet --allow-existing --python $(BIN)/python .servers,$(PYTHON) -m venv .servers)
	$(if $(UV),$(UV) pip install --quiet --python .servers/bin/python,.servers/bin/python -m pip install --quiet) -r requirements/servers.txt
	$(if $(UV),$(UV) venv --quiet --allow-existing --python $(BIN)/python .servers/prefect,$(PYTHON) -m venv .servers/prefect)
	$(if $(UV),$(UV) pip install --quiet --python .servers/prefect/bin/python,.servers/prefect/bin/python -m pip install --quiet) \
	  prefect==3.9.1
	npm install --silent --no-save --prefix .servers $(NPM_SERVERS)
	OPENAPI_SERVERS=$(CURDIR)/.servers MCP_SERVERS=.servers/bin:.servers/node_modules/.bin $(BIN)/pytest \
	  tests/functions/executor/test_servers_elsewhere.py tests/functions/executor/test_openapi_elsewhere.py \
	  -o junit_family=xunit1 --junitxml=.servers/plays.xml $(ARGS); code=$$?; $(BIN)/python -m tests.support.servers_table .servers/plays.xml; exit $$code

clean: ## Remove what make made.
	rm -rf $(VENV) .servers .aws-sam .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(OWN) tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Ballast needs Python 3.11 or newer; '$(PYTHON)' is $(if $(VERSION),$(VERSION),not there)." \
	       "Name another: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.13" >&2; exit 1; }
	@echo "Setting up $(VENV) with Python $(VERSION) ..."
	@rm -f $(VENV)/.ready-*
	@test "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$(VERSION)" || rm -rf $(VENV)
ifneq ($(UV),)
	@test -d $(VENV) || UV_PYTHON_DOWNLOADS=never $(UV) venv --quiet --python "$(PYTHON)" $(VENV)
else
	@test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1 || rm -rf $(VENV)  # made by a uv that is gone
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt install python3-venv;" \
	       "or install uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --require-hashes --requirement requirements/uv.txt 2>/dev/null \
	  || echo "uv cannot be had here; pip takes half a minute longer."
endif
	@if uv=$$(command -v "$(or $(UV),$(BIN)/uv)"); then \
	  "$$uv" pip install $(UV_FLAGS) --exact --no-deps --require-hashes --requirement requirements/dev.lock && \
	  "$$uv" pip install $(UV_FLAGS) --no-deps --no-build-isolation --editable .; \
	else \
	  $(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --require-hashes --requirement requirements/dev.lock && \
	  $(BIN)/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .; \
	fi
	@$(BIN)/python -c 'import $(USED)'
	@$(BIN)/python -m compileall -q $(OWN)
	@touch $@
