#!/usr/bin/env bash
# Fetches the SQL scripts that DataFusion is tested with (the crate datafusion-sqllogictest 55.2.0, Apache-2.0) into
# ${AION_CACHE:-~/.cache/aion}/corpora and checks its sha256. With the folder in place it does nothing and needs no network.
# The tests read the scripts and nothing else of it: no code of the crate is built or run.
set -euo pipefail

readonly crate=datafusion-sqllogictest
readonly version=55.2.0
readonly sha256=b270cea4d8c2b2c42773e60164204386fb97d7936736e5f126ac751b86d7dabe
readonly folder="${AION_CACHE:-$HOME/.cache/aion}/corpora"
readonly name="$crate-$version"

fail() {
    printf 'fetch-corpora: %s\n' "$@" >&2
    exit 1
}

if [[ -d "$folder/$name/test_files" ]]; then exit 0; fi
mkdir -p "$folder"
work="$(mktemp -d "$folder/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT
echo "fetch-corpora: downloading the crate $crate $version (1 MB)"
curl --proto '=https' --tlsv1.2 -sSfL --retry 2 -o "$work/crate" "https://static.crates.io/crates/$crate/$name.crate" ||
    fail "the crate could not be downloaded: check the network, or put its folder in place by hand: $folder/$name"
found="$(sha256sum "$work/crate" | cut -d ' ' -f 1)"
[[ "$found" == "$sha256" ]] ||
    fail "the file that was found is not the expected one, and is not kept" "its sha256 is $found" "expected      $sha256"
tar -xzf "$work/crate" -C "$work"
mv "$work/$name" "$folder/$name"
