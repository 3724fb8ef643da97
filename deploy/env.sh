# Sourced by the Makefile and by `cargo xtask`: where builds and downloads go, and how C++ is compiled.
# Everything lies below ~/.cache/aion, so that a fresh clone on the same machine builds warm and `make purge` finds it all.
export AION_CACHE="${AION_CACHE:-$HOME/.cache/aion}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$AION_CACHE/target}"
export CCACHE_DIR="${CCACHE_DIR:-$AION_CACHE/ccache}"
# Without ccache the C++ dependencies are compiled once per profile, 15 minutes each; they do compile.
if command -v ccache >/dev/null 2>&1; then
    export CC="${CC:-ccache cc}"
    export CXX="${CXX:-ccache c++}"
fi
# Tests leave no compiled Python in the checkout.
export PYTHONDONTWRITEBYTECODE=1
export AION_ENV=1
