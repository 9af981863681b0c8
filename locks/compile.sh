#!/bin/sh
# Resolve the dependencies of pyproject.toml into the lock files: compile.sh BIN
set -eu
bin=$1
compile() {
    "$bin/uv" pip compile --quiet --upgrade --python "$bin/python" --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links pyproject.toml "$@"
}
UV_FIND_LINKS=${PIP_FIND_LINKS:-} compile --extra cpu --output-file locks/cpu.txt
UV_FIND_LINKS=${PIP_FIND_LINKS:-} compile --extra cpu --extra dev --constraints locks/cpu.txt --output-file locks/dev.txt
compile --constraints locks/cpu.txt --output-file locks/serve.txt
compile --extra gpu --output-file locks/gpu.txt
