#!/bin/sh
# Install a lock file and the project itself into the virtual environment: install.sh LOCK BIN
# The processor build of torch comes from where pip's find-links point, if they do, and else from PyTorch's own index;
# where neither has it, PyPI's build takes its place: larger by what it needs for GPUs, and it runs the same.
set -eu
. "$(dirname "$0")/failure.sh"
lock=$1
bin=$2

install() {
    "$bin/uv" pip install --quiet --python "$bin/python" "$@" 2>"$log"
}

configured() {
    "$bin/python" -m pip config get "global.$1" 2>/dev/null || true
}

# uv reads none of pip's configuration, where a company names its mirror.
mirror=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(configured index-url)}}
links=${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(configured find-links)}}
[ -z "$mirror" ] || export UV_DEFAULT_INDEX="$mirror"
[ -z "$links" ] || export UV_FIND_LINKS="$links"

torch=$(sed -n 's/^\(torch==.*\)+cpu$/\1/p' "$lock")
[ -n "$links" ] || [ -z "$torch" ] || export UV_TORCH_BACKEND=cpu

if ! install --no-deps --requirements "$lock"; then
    # Neither what PyTorch's index refuses nor a missing "torch==…+cpu" is the fault of the other packages.
    [ -n "$torch" ] && grep -qi 'pytorch\|torch==' "$log" || explain "$log"
    unset UV_TORCH_BACKEND UV_FIND_LINKS
    install --dry-run --no-deps "$torch" || explain "$log"
    echo "torch's processor build can't be had from here: taking PyPI's, which is larger (7 GB instead of 4) and runs the same"
    rest=$(mktemp)
    trap 'rm -f "$log" "$rest"' EXIT
    grep -v '^torch==\|^triton==' "$lock" >"$rest"
    install --constraints "$rest" "$torch" || explain "$log"
    install --no-deps --requirements "$rest" || explain "$log"
fi
install --no-deps --editable . || explain "$log"
