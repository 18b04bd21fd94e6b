# Every target sets up what it needs: nothing but Python 3.11, make and the usual tools is expected.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_SECONDS ?= 60

.PHONY: help demo serve test check lint types tests proto faults interop bench audit soak endurance steady together clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

# The stamp depends on pyproject.toml alone: editable installs see source changes by themselves.
$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (first time: about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/.stamp  ## server and simulator together, a live table, DEMO_SECONDS=60
	@DEMO_SECONDS=$(DEMO_SECONDS) $(BIN)/python -m simulator.demo

serve: $(VENV)/.stamp  ## run the server (CONFIG=ocs.yaml)
	@$(BIN)/ocs serve $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.stamp  ## set up, then check
	@$(MAKE) --no-print-directory check

check: lint types tests  ## ruff, mypy, import-linter, pytest

lint: $(VENV)/.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.stamp
	$(BIN)/mypy

tests: $(VENV)/.stamp
	$(BIN)/pytest

proto: $(VENV)/.stamp  ## write ocs/wire_pb again from proto/*.proto
	@$(BIN)/python proto/generate.py

soak: $(VENV)/.stamp  ## the long runs: hundreds of kills, thousands of histories; seeds and counts are printed
	@HYPOTHESIS_PROFILE=soak KILLS=100 CRASHES=200 CHANNEL_KILLS=5 FUZZ_MESSAGES=200000 \
		$(BIN)/pytest -v -n 2 --hypothesis-show-statistics \
		tests/stateful tests/fuzz tests/faults/test_faults_of_framing.py tests/live/test_live_kills.py \
		tests/live/test_live_usage_kills.py \
		tests/faults/test_faults_of_kills.py tests/faults/test_faults_of_channels.py \
		tests/shell/cli/test_capture.py tests/shell/books/test_books.py tests/shell/store/test_write_ahead_log.py

faults: $(VENV)/.stamp  ## inject each row of the fault matrix; writes docs/faults.md
	@$(BIN)/pytest -m fault --fault-page=docs/faults.md

interop: $(VENV)/.stamp  ## other stacks against a real server, and Wireshark; installs them
	@PYTHONPATH=tests $(BIN)/python -m interop.packages
	@$(BIN)/pytest -v -n 0 --interop tests/interop \
		tests/live/test_live_python_diameter.py tests/live/test_live_simulator.py

bench: $(VENV)/.stamp  ## the same CCRs to this server and to other stacks, turn by turn; ratios, and bench.json
	@PYTHONPATH=tests $(BIN)/python -m interop.packages freediameter || echo "the bench goes on without freeDiameter"
	@PYTHONPATH=tests $(BIN)/python -m bench.compare

audit: $(VENV)/.stamp  ## a closure of AUDIT_COMMITS=100000 commits, audited beside bare PyNaCl
	@PYTHONPATH=tests $(BIN)/python -m bench.audit

endurance: $(VENV)/.stamp  ## ten minutes at full rate (ENDURANCE_SECONDS=600); the last must be as the second
	@PYTHONPATH=tests $(BIN)/python -m bench.endurance

steady: $(VENV)/.stamp  ## ten minutes at half of the full rate, after as many to warm up; flat, and reconciled
	@PYTHONPATH=tests $(BIN)/python -m bench.steady

together: $(VENV)/.stamp  ## ten minutes of Gy and signed usage (TOGETHER_SECONDS=600); both ledgers must agree
	@PYTHONPATH=tests $(BIN)/python -m bench.together

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
