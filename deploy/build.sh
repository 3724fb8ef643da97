#!/usr/bin/env bash
# Builds the release binary and the Python extension, and copies the binary to build/aion. One cargo for both, so that they see
# the same features and share every dependency; `make wheel` packs the extension. cargo decides what is up to date; its
# progress stays visible.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/env.sh

if [ ! -f engine/cli/Cargo.toml ]; then
    echo "build: not there yet: the binary 'aion' comes with engine/cli" >&2
    exit 1
fi
built="$CARGO_TARGET_DIR/release/aion"
if [ ! -e "$built" ]; then
    echo "build: the first release build compiles RocksDB and the query engine: 35 to 75 minutes on two cores."
    echo "build: it may be interrupted and goes on where it was; later builds take a minute or two."
fi
cargo build --release --locked --package aion-cli --package aion-python --bin aion --lib

mkdir -p build
if ! cmp --silent "$built" build/aion; then
    # A copy and a rename: a running build/aion keeps its file.
    cp "$built" build/aion.new
    mv build/aion.new build/aion
fi
echo "build: build/aion is ready ($(du -h build/aion | cut -f1))"
