#!/usr/bin/env bash
# Runs the tests of the clients (engine/tests/clients) against the program that `cargo xtask ci` built. Arguments go to
# pytest: `deploy/test-clients.sh -k psql`. With --whole it runs suites of others instead, for a quarter of an hour and more:
# `deploy/test-clients.sh --whole sqlalchemy` (engine/tests/clients/suites/whole.py, engine/docs/clients.md).
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
if [ "${1:-}" = --whole ]; then
    shift
    exec "$python" engine/tests/clients/suites/whole.py "$@"
fi
exec "$python" -m pytest -q -p no:cacheprovider engine/tests/clients "$@"
