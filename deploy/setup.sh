#!/usr/bin/env bash
# Downloads what building needs, and says what it does before it does it: system packages, the Rust toolchain, crates,
# data sets. What is already there is left alone, so a second run takes a second and does not touch the network.
#
#   deploy/setup.sh [all|build|demo|test]
#
#   build   packages, toolchain and crates
#   demo    build, the data sets of the demo, Python clients, and what models are trained and run with
#   test    demo, and what only the tests need
#   all     everything above (the default): afterwards `make demo` and `make test` pass with the network off
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/env.sh

mode="${1:-all}"
case "$mode" in
all | build | demo | test) ;;
*)
    echo "setup: unknown mode '$mode'; it is one of: all, build, demo, test" >&2
    exit 2
    ;;
esac

# Debian package | a command that succeeds when the machine has it from elsewhere. Without one, only dpkg knows.
build_packages=(
    "clang|clang --version"
    "libclang-dev|ldconfig -p | grep -q libclang || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*'"
    "cmake|cmake --version"
    "pkg-config|pkg-config --version"
    "mold|mold --version"
    "ccache|ccache --version"
    "make|make --version"
    "gcc|gcc --version"
    "g++|g++ --version"
    "git|git --version"
    "curl|curl --version"
    "ca-certificates|test -e /etc/ssl/certs/ca-certificates.crt -o -e /etc/pki/tls/certs/ca-bundle.crt"
)
demo_packages=(
    "python3|python3 --version"
    "python3-venv|python3 -c 'import venv, ensurepip'"
    "python3-pip|python3 -m pip --version"
)
test_packages=(
    "postgresql-client|psql --version"
    "chromium|test -x \"\${AION_CHROMIUM:-/usr/bin/chromium}\""
    # The browser lays text out with whatever fonts are there.
    "fonts-dejavu-core|compgen -G '/usr/share/fonts/*/*/*.ttf' || compgen -G '/usr/share/fonts/*/*/*.otf'"
)

# What some tests of clients need, which say so and are skipped without it: node-postgres comes from npm, the JDBC driver from Debian.
client_packages=(
    "nodejs|node --version"
    "npm|npm --version"
    "default-jdk-headless|javac -version"
    "libpostgresql-jdbc-java|test -e /usr/share/java/postgresql.jar"
)

packages=("${build_packages[@]}")
if [ "$mode" != build ]; then packages+=("${demo_packages[@]}"); fi
if [ "$mode" = test ] || [ "$mode" = all ]; then packages+=("${test_packages[@]}"); fi

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}

# 1. System packages. Of a list, those that the machine lacks.
missing=()
look_for() {
    missing=()
    for entry in "$@"; do
        name="${entry%%|*}" probe="${entry#*|}"
        if command -v dpkg >/dev/null 2>&1 && dpkg -s "$name" 2>/dev/null | grep -q '^Status: .* installed$'; then continue; fi
        if bash -c "$probe" >/dev/null 2>&1; then continue; fi
        missing+=("$name")
    done
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    # Nobody can type a password where there is no terminal.
    if [ ! -t 0 ]; then as_root=(sudo -n); fi
fi
install_missing() {
    say "installing: ${as_root[*]} apt-get install -y --no-install-recommends ${missing[*]}"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}
look_for "${packages[@]}"
if [ "${#missing[@]}" -gt 0 ]; then
    say "missing system packages: ${missing[*]}"
    if ! command -v apt-get >/dev/null 2>&1; then
        fail "this is not a Debian system: install what these packages hold with its package manager, then run this again"
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        fail "run as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    fi
    install_missing
fi
if [ "$mode" = test ] || [ "$mode" = all ]; then
    look_for "${client_packages[@]}"
    if [ "${#missing[@]}" -gt 0 ] && ! install_missing; then
        echo "setup: goes on without ${missing[*]}: the tests of those clients say that they were not run" >&2
    fi
fi

# 2. The Rust toolchain. cargo would install it by itself, silently, at its first call.
if ! command -v cargo >/dev/null 2>&1; then
    fail "cargo is missing; install Rust from https://rustup.rs, open a new shell and run this again:
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain none"
fi
channel="$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)"
if command -v rustup >/dev/null 2>&1; then
    if ! rustup toolchain list | grep -q "^$channel-"; then
        say "installing Rust $channel with rustfmt and clippy, about 250 MB"
        rustup toolchain install "$channel" --profile minimal --component rustfmt,clippy
    elif ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
        say "adding rustfmt and clippy to Rust $channel"
        rustup component add --toolchain "$channel" rustfmt clippy
    fi
elif ! cargo --version | grep -q "^cargo $channel "; then
    say "found $(cargo --version) without rustup; this workspace is built and tested with $channel, going on with what is there"
fi

# 3. Crates. The offline call fails exactly when something is still to be downloaded.
if ! cargo fetch --locked --offline >/dev/null 2>&1; then
    say "downloading the crates named in Cargo.lock"
    cargo fetch --locked ||
        fail "the crates could not be downloaded: check the network, and that Cargo.lock belongs to the Cargo.toml files"
fi

# 4. Data sets.
if [ "$mode" != build ] && [ -f deploy/fetch-data.sh ]; then
    bash deploy/fetch-data.sh
fi
if [ "$mode" = test ] || [ "$mode" = all ]; then
    bash deploy/fetch-corpora.sh || echo "setup: goes on without the scripts of DataFusion: their test says that it was not run" >&2
fi

# 5. Python and its packages, in an environment of their own: DuckDB as the demo's peer, numpy to train models and the ONNX Runtime that
# the database loads, and for the tests the clients and what drives the browser. Each list that was installed leaves a stamp with its
# checksum, so that a second run asks neither pip nor the network.
if [ "$mode" != build ]; then
    python_home="$AION_CACHE/python"
    lists=(engine/bench/peers/requirements.txt models/training/requirements.txt)
    if [ "$mode" != demo ]; then
        lists+=(engine/tests/clients/requirements.txt engine/tests/page/requirements.txt python/requirements-test.txt)
    fi
    wanted=() stamps=()
    for list in "${lists[@]}"; do
        stamp="$python_home/installed-$(sha256sum "$list" | cut -c1-16)"
        if [ ! -x "$python_home/bin/python" ] || [ ! -e "$stamp" ]; then wanted+=("$list") stamps+=("$stamp"); fi
    done
    if [ "${#wanted[@]}" -gt 0 ]; then
        say "installing the Python packages of ${wanted[*]} into $python_home"
        if [ ! -x "$python_home/bin/python" ]; then
            python3 -m venv "$python_home" || fail "python3 -m venv failed: install python3-venv"
        fi
        PIP_NO_CACHE_DIR=1 "$python_home/bin/python" -m pip install --quiet --disable-pip-version-check "${wanted[@]/#/--requirement=}" ||
            fail "the Python packages could not be installed: check the network, and ${wanted[*]}"
        touch "${stamps[@]}"
    fi
fi

# 6. node-postgres, with which the client tests drive the server. Its lock file has the checksums.
if { [ "$mode" = test ] || [ "$mode" = all ]; } && command -v npm >/dev/null 2>&1; then
    node_home="$AION_CACHE/node"
    node_list=engine/tests/clients/node/package-lock.json
    stamp="$node_home/installed-$(sha256sum "$node_list" | cut -c1-16)"
    if [ ! -e "$stamp" ]; then
        say "installing node-postgres into $node_home"
        rm -rf "$node_home"
        mkdir -p "$node_home"
        cp engine/tests/clients/node/package.json "$node_list" "$node_home/"
        if (cd "$node_home" && npm ci --silent --no-audit --no-fund --ignore-scripts); then
            touch "$stamp"
        else
            echo "setup: goes on without node-postgres: its tests say that they were not run" >&2
        fi
    fi
fi

# 7. The test runner is welcome, not required.
if { [ "$mode" = test ] || [ "$mode" = all ]; } && ! cargo nextest --version >/dev/null 2>&1; then
    say "cargo-nextest is not installed (https://nexte.st): the tests will run with 'cargo test', which is slower"
fi

say "everything that '$mode' needs is here"
