#!/usr/bin/env bash
# Installs a wheel for one role:
#   runtime.sh PYTHON DIST ROLE PREFIX TORCH [TORCH_INDEX]
#
# PREFIX becomes a virtual environment with what the role needs and no
# compiler, headers or tests: what the images of the Containerfile contain.
set -euo pipefail

python=$1 dist=$2 role=$3 prefix=$4 torch=$5 torch_index=${6:-}
case $role in
# Generations are trained, judged and converted by the controller role.
controller) extras=train,evaluate,serve,retrieve ;;
node) extras=serve,approximate ;;
*)
    echo "ROLE=$role: known are controller and node" >&2
    exit 2
    ;;
esac
wheels=("$dist"/reconciler-*.whl)
[ -e "${wheels[0]}" ] || {
    echo "$dist holds no wheel: run make wheel first" >&2
    exit 1
}
[ ${#wheels[@]} = 1 ] || {
    echo "$dist holds several wheels: ${wheels[*]}" >&2
    exit 1
}

"$python" -m venv "$prefix"
pip=("$prefix/bin/python" -m pip install -q --disable-pip-version-check)
if [ "$role" = controller ]; then
    "${pip[@]}" ${torch_index:+--index-url "$torch_index"} "$torch"
fi
"${pip[@]}" -c constraints.txt "${wheels[0]}[$extras]"
"$prefix/bin/reconciler" --version
