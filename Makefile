# make demo   all set-up, then a release of the example, a few answers, and what to type next
# make test   all set-up, then every check
# EXTRA=gpu   the CUDA build of vLLM instead of the one for processors; chosen by itself where there is an NVIDIA GPU

PYTHON ?= python3
EXTRA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
UV_VERSION := 0.13.9
BIN := .venv/bin
DEMO := examples/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test setup setup-dev models lock docs clean

demo: setup models
	@$(BIN)/python examples/demo.py

test: setup-dev models
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest

setup: .venv/$(EXTRA).done

setup-dev: .venv/dev.done

models: setup
	@$(BIN)/beforehand --config $(DEMO)/beforehand.toml models pull >/dev/null

.venv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Beforehand needs Python 3.11 or newer; name one with make PYTHON=python3.11")'
	@echo "making the virtual environment .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --quiet uv==$(UV_VERSION)

.venv/%.done: locks/%.txt pyproject.toml | .venv/bin/uv
	@echo "installing $< (about half a minute, and several GB the first time)"
	@sh locks/install.sh $< $(BIN)
	@touch $@

# A new lock: the same versions on every machine; no address of an index or a file is written down.
lock: | .venv/bin/uv
	@sh locks/compile.sh $(BIN)

docs: setup
	@$(BIN)/python docs/reference.py

clean:
	rm -rf .venv models $(DEMO)/data $(DEMO)/documents
