#!/bin/sh
# Install a lock file and the project itself into the virtual environment: install.sh LOCK BIN
# The processor build of torch comes from where pip's find-links point, if they do, and else from PyTorch's own index.
set -eu
lock=$1
bin=$2
links=${PIP_FIND_LINKS:-$("$bin/python" -m pip config get global.find-links 2>/dev/null || true)}
if [ -n "$links" ]; then
    UV_FIND_LINKS=$links
    export UV_FIND_LINKS
elif grep -q '^torch==.*+cpu' "$lock"; then
    UV_TORCH_BACKEND=cpu
    export UV_TORCH_BACKEND
fi
"$bin/uv" pip install --quiet --python "$bin/python" --no-deps --requirements "$lock"
"$bin/uv" pip install --quiet --python "$bin/python" --no-deps --editable .
