#!/usr/bin/env bash
# Tests of the kernels: test-native.sh VENV [address|thread|kernels|neon|fuzz]...
#
# For each sanitizer the extension is built once more, into an environment of
# its own that borrows every other package from VENV. There AMX is emulated,
# instruction by instruction, so that the level amx is always tested.
set -euo pipefail

venv=$(realpath "$1")
shift
phases=("${@:-}")
[ -n "${phases[0]}" ] || phases=(address thread kernels neon fuzz)
root=$(realpath "$(dirname "$0")/..")
runs=${FUZZ_RUNS:-20000}
tests=(tests/native tests/retrieval/test_exactness.py tests/retrieval/test_index.py
    tests/retrieval/test_durability.py tests/training/test_advantages.py
    tests/feedback/test_reward_table.py)
cd "$root"

step() { printf '\n== %s\n' "$1"; }

build() { # build NAME SANITIZERS: build/sanitize/NAME/bin/python has them
    local place=$root/build/sanitize/$1 site borrowed
    borrowed=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    [ -x "$place/bin/python" ] || "$venv/bin/python" -m venv --without-pip "$place"
    site=$("$place/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # A .pth file in a borrowed directory is not read, so the editable
    # install of VENV stays out of sight.
    echo "$borrowed" >"$site/borrowed.pth"
    PATH="$venv/bin:$PATH" "$venv/bin/uv" pip install -q --python "$place/bin/python" --no-deps \
        --no-build-isolation --reinstall --config-setting "build-dir=$root/build/cmake-$1" \
        --config-setting "cmake.define.RECONCILER_SANITIZE=$2" \
        --config-setting "cmake.define.RECONCILER_EMULATE_AMX=${2:+ON}" "$root"
    # Neither the checkout nor VENV may answer for the build under test.
    PYTHONSAFEPATH=1 preloaded "$1" "$place/bin/python" - "$place" <<'PY'
import sys
import reconciler._native as native
assert native.__file__.startswith(sys.argv[1]), native.__file__
PY
}

build_kernels() { # build_kernels NAME [CMAKE ARGUMENTS]: the tests in C++
    local place=build/kernels-$1
    shift
    PATH="$venv/bin:$PATH" cmake -S tests/native/kernels -B "$place" -G Ninja \
        -DCMAKE_CXX_FLAGS=-Werror --log-level=WARNING "$@" >/dev/null
    PATH="$venv/bin:$PATH" cmake --build "$place" -- --quiet
}

run_kernels() { # run_kernels NAME
    PATH="$venv/bin:$PATH" ctest --test-dir "build/kernels-$1" --output-on-failure
}

need() { # need COMMAND PACKAGE: installs the package of Debian, or fails
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "Please install $2." >&2
        return 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
}

preloaded() { # preloaded NAME COMMAND...: with the sanitizer's library
    local libraries=
    case $1 in
    address) libraries="$(c++ -print-file-name=libasan.so) $(c++ -print-file-name=libubsan.so)" ;;
    thread) libraries=$(c++ -print-file-name=libtsan.so) ;;
    esac
    shift
    # Python frees little at exit; OpenBLAS's own threads are not ours to test.
    # Randomised addresses are more than GCC 12's ThreadSanitizer can map.
    LD_PRELOAD=$libraries PYTHONSAFEPATH=1 OPENBLAS_NUM_THREADS=1 PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
        UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 \
        setarch "$(uname -m)" -R "$@"
}

# The plug-in of pyproject's addopts is in the checkout, which is out of sight.
# faulthandler would take the signals that emulate AMX.
run_tests() { # run_tests NAME [PYTEST ARGUMENTS]
    local name=$1
    shift
    preloaded "$name" "build/sanitize/$name/bin/python" -m pytest -q -p no:cacheprovider -p no:faulthandler \
        -o pythonpath= -o timeout=900 -o addopts=--import-mode=importlib "${tests[@]}" "$@"
}

fuzzed() { # fuzzed NAME OPTIONS: quiet unless it finds something
    TMPDIR=$scratch preloaded "$1" "build/sanitize/$1/bin/python" "${fuzz[@]}" "${@:2}" \
        >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
}

for phase in "${phases[@]}"; do
    case $phase in
    address)
        step "AddressSanitizer and UndefinedBehaviorSanitizer"
        build address address,undefined
        # AddressSanitizer's allocator has no fork handler: a child forked
        # while another thread allocates waits for its lock for ever.
        run_tests address -k "not fork_amid_searches"
        ;;
    thread)
        step "ThreadSanitizer"
        build thread thread
        # ThreadSanitizer cannot follow a fork into new threads.
        run_tests thread -k "not fork"
        ;;
    kernels)
        step "Every instruction set against the portable one, under AddressSanitizer"
        build_kernels here -DRECONCILER_SANITIZE=address,undefined -DRECONCILER_EMULATE_AMX=ON
        # Leaks are looked for by ptrace, which containers may refuse.
        ASAN_OPTIONS=detect_leaks=0 run_kernels here
        ;;
    neon)
        step "The same for 64-bit ARM, in an emulator"
        cross=aarch64-linux-gnu-g++
        emulator=qemu-aarch64-static
        need $cross g++-aarch64-linux-gnu
        build_kernels arm -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
            -DCMAKE_CXX_COMPILER=$cross -DCMAKE_EXE_LINKER_FLAGS=-static \
            -DCMAKE_CROSSCOMPILING_EMULATOR=$emulator
        if need $emulator qemu-user-static; then
            run_kernels arm
        else
            echo "Skipped: they were compiled, but there is nothing to run them with."
        fi
        ;;
    fuzz)
        step "Fuzzing, $runs inputs a target; what it found again under AddressSanitizer"
        build plain ""
        build address address,undefined
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        for target in files calls; do
            mkdir "$scratch/$target"
            fuzz=(tests/native/fuzz/fuzz_index.py $target "$scratch/$target" -max_len=4096
                -artifact_prefix="$root/build/")
            fuzzed plain -runs="$runs"
            fuzzed address -runs=0 -handle_ill=0
            echo "$(ls "$scratch/$target" | wc -l) inputs kept and replayed"
        done
        ;;
    *)
        echo "unknown phase $phase: address, thread, kernels, neon or fuzz" >&2
        exit 2
        ;;
    esac
done
