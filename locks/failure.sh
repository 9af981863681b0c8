# Sourced by the set-up's scripts: `fail SENTENCE` ends them, `explain FILE` says in one sentence why an install failed.
# `$log` takes what uv and pip print.
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() {
    echo "set-up: $1" >&2
    exit 2
}

explain() {
    proxy=${HTTPS_PROXY:-${https_proxy:-${ALL_PROXY:-${all_proxy:-}}}}
    if grep -qi 'no space left\|os error 28\|errno 28' "$1"; then
        fail "the disk is full: free about 10 GB for .venv and the package cache, and run make again"
    elif ! grep -qi 'failed to fetch\|error sending\|request failed\|connection\|tunnel\|proxy\|timed out' "$1"; then
        fail "the packages could not be installed: $(sed -n -e 's/^error: //p' -e 's/^ERROR: //p' "$1" | head -n 1)"
    elif [ -n "$proxy" ]; then
        fail "the packages can't be fetched through the proxy that HTTPS_PROXY names: correct it, or unset it, and run make again"
    else
        fail "no package index can be reached: connect this machine, or name your mirror in UV_DEFAULT_INDEX and PIP_INDEX_URL, and run make again"
    fi
}
