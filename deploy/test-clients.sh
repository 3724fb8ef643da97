#!/usr/bin/env bash
# Runs the tests of the Python clients (engine/tests/clients) against the program that `cargo xtask ci` built. Arguments go to
# pytest: `deploy/test-clients.sh -k psql`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/env.sh

python="$AION_CACHE/python/bin/python"
export AION_PROGRAM="${AION_PROGRAM:-$CARGO_TARGET_DIR/debug/aion}"
if [ ! -x "$python" ]; then
    echo "test-clients: $python is not there: run deploy/setup.sh test" >&2
    exit 1
fi
if [ ! -x "$AION_PROGRAM" ]; then
    echo "test-clients: $AION_PROGRAM is not there: run cargo xtask ci, or set AION_PROGRAM to the program" >&2
    exit 1
fi
if ! command -v psql >/dev/null 2>&1; then
    echo "test-clients: psql is not there: run deploy/setup.sh test" >&2
    exit 1
fi
exec "$python" -m pytest -q -p no:cacheprovider engine/tests/clients "$@"
