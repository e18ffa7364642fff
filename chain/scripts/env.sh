# Sourced by the scripts: where things are, and which cargo builds what.
#   chain   the workspace            tools   the pinned tool chain ($CHAIN_TOOLS, else chain/.tools)
#   native  target folder of tests and tools ($CHAIN_TARGET, else chain/target)
#   wasm    target folder of the runtime ($CHAIN_TARGET_WASM, else chain/target-wasm)
chain=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${CHAIN_TOOLS:=$chain/.tools}"
tools=$(cd "$CHAIN_TOOLS" && pwd)
native=${CHAIN_TARGET:-$chain/target}
wasm=${CHAIN_TARGET_WASM:-$chain/target-wasm}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# Checked beside the plain build: benchmarks and try-state must compile and pass too.
features=vilokanam-runtime/runtime-benchmarks,vilokanam-runtime/try-runtime
export CHAIN_TOOLS=$tools

# pinned CMD...: runs CMD with the pinned tool chain first.
pinned() {
  PATH=$tools/root/usr/bin:$PATH LD_LIBRARY_PATH=$tools/root/usr/lib/x86_64-linux-gnu \
    RUSTC=$tools/root/usr/bin/rustc RUSTDOC=$tools/root/usr/bin/rustdoc "$@"
}

# native_cargo ARGS...: the cargo of this machine, or the pinned one when it has none. Its version does not matter: what
# native programs write here (metadata, genesis) does not depend on the compiler.
native_cargo() {
  command -v cc >/dev/null || { echo "missing: a C compiler (apt-get install gcc libc6-dev): the native part is linked with it" >&2; return 1; }
  if command -v cargo >/dev/null && cargo --version >/dev/null 2>&1; then
    CARGO_TARGET_DIR=$native cargo "$@"
  else
    "$chain/scripts/tools.sh" && CARGO_TARGET_DIR=$native pinned cargo "$@"
  fi
}
