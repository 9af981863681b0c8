#!/bin/sh
# Make the virtual environment .venv with uv in it: venv.sh PYTHON UV_VERSION
set -eu
. "$(dirname "$0")/failure.sh"
python=$1
version=$2
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "there is no $python: install Python 3.11 or 3.12, or name one with make PYTHON=python3.12"
case $found in
3.11 | 3.12) ;;
*) fail "Beforehand needs Python 3.11 or 3.12, and $python is $found: name another with make PYTHON=python3.12" ;;
esac
echo "making the virtual environment .venv"
"$python" -m venv .venv >"$log" 2>&1 || {
    grep -qi 'no space left' "$log" && explain "$log"
    fail "$python can't make a virtual environment: install its venv module (Debian: apt-get install python3-venv)"
}
.venv/bin/python -m pip install --quiet --retries 1 "uv==$version" >"$log" 2>&1 || explain "$log"
