# Sourced by the Makefile and by `cargo xtask`: where builds and downloads go, and how C++ is compiled.
# Everything lies below ~/.cache/aion, so that a fresh clone on the same machine builds warm and `make purge` finds it all.
export AION_CACHE="${AION_CACHE:-$HOME/.cache/aion}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$AION_CACHE/target}"
export CCACHE_DIR="${CCACHE_DIR:-$AION_CACHE/ccache}"
# clang compiles RocksDB in three quarters of the time that g++ takes. Without ccache the C++ dependencies are compiled once per
# profile, 15 minutes each; without clang by the system's compiler. They do compile.
aion_cc=cc aion_cxx=c++
if command -v clang >/dev/null 2>&1 && command -v clang++ >/dev/null 2>&1; then aion_cc=clang aion_cxx=clang++; fi
if command -v ccache >/dev/null 2>&1; then aion_cc="ccache $aion_cc" aion_cxx="ccache $aion_cxx"; fi
export CC="${CC:-$aion_cc}"
export CXX="${CXX:-$aion_cxx}"
unset aion_cc aion_cxx
# Tests leave no compiled Python in the checkout.
export PYTHONDONTWRITEBYTECODE=1
export AION_ENV=1
