#!/usr/bin/env bash
# Removes everything that building, testing and the demo made or downloaded, and says how much each place held.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/env.sh

# AION_CACHE is a variable, and what it names is removed whole.
cache="$(realpath --canonicalize-missing "$AION_CACHE")"
for precious in "$PWD" "$HOME"; do
    case "$(realpath --canonicalize-missing "$precious")/" in
    "${cache%/}/"*)
        echo "purge: AION_CACHE=$AION_CACHE holds $precious: not removing it; set it to a directory of its own" >&2
        exit 1
        ;;
    esac
done

for place in build demo-out "$AION_CACHE"; do
    if [ -e "$place" ]; then
        echo "purge: removing $place ($(du -sh "$place" | cut -f1))"
        rm -rf -- "$place"
    else
        echo "purge: $place is not there"
    fi
done
