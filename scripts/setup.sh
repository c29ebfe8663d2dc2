#!/usr/bin/env bash
# Makes the virtual environment: setup.sh PYTHON VENV TORCH
set -euo pipefail

python=$1 venv=$2 torch=$3
command -v "$python" >/dev/null || python=python3

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $("$python" --version) was found." >&2
    exit 1
}

# As root on Debian the missing system packages are installed; elsewhere the
# user is told which ones they are.
missing=()
command -v git >/dev/null || missing+=(git)
command -v c++ >/dev/null || missing+=(g++)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
    else
        echo "Please install: ${missing[*]}" >&2
        exit 1
    fi
fi

step() { printf '  %-12s %s\n' "$1" "$2"; }

[ -x "$venv/bin/python" ] || {
    step venv "$venv"
    "$python" -m venv "$venv"
}
step pip "pip and uv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -U pip uv
step torch "$torch (CPU)"
"$venv/bin/python" -m pip install -q --disable-pip-version-check "$torch"
step packages "pinned by constraints.txt"
uv=("$venv/bin/uv" pip install -q --python "$venv/bin/python" -c constraints.txt)
"${uv[@]}" --group dev --group bench
step reconciler "editable, with its C++ kernels"
"${uv[@]}" --no-build-isolation -e '.[all]'
"$venv/bin/python" - <<'PY'
import importlib.util

if importlib.util.find_spec("reconciler._native") is None:
    print("  note: no C++ compiler worked; the pure-Python kernels are used")
PY
