#!/usr/bin/env bash
# build-wasm.sh [FEATURE...]: the runtime as wasm, with the pinned tool chain; prints the path of the file.
#
# The same source gives the same bytes in any folder, with any CARGO_HOME and any CHAIN_TOOLS: every path that the
# compiler could write into the file is remapped, and nothing of the caller's environment reaches the compiler.
# Neither substrate-wasm-builder nor a rustup target is needed: core and alloc are built from Debian's rust-web-src.
set -euo pipefail
. "$(dirname "$0")/env.sh"
"$chain/scripts/tools.sh" "$tools"
cd "$chain"
root=$tools/root
# Everything that is needed, crates and what the standard library itself wants; from here on the build is offline.
pinned cargo fetch --quiet --locked >&2
RUSTC_BOOTSTRAP=1 pinned cargo fetch --quiet --locked --target wasm32v1-none -Zbuild-std=core,alloc >&2
remap="--remap-path-prefix=$chain=/chain --remap-path-prefix=$root/usr/lib/rustlib/src/rust=/rust"
remap+=" --remap-path-prefix=$root/usr/src/rustc-1.96.0=/rust"
for registry in "$cargo_home"/registry/src/*/; do remap+=" --remap-path-prefix=${registry%/}=/cargo"; done
# FRAME imports the host's functions without declaring where from: the linker must allow what it cannot resolve.
link="-C link-arg=--allow-undefined -C link-arg=--export-table -C link-arg=--import-memory -C link-arg=--export=__heap_base"
env -i PATH="$root/usr/bin:/usr/local/bin:/usr/bin:/bin" HOME="$HOME" CARGO_HOME="$cargo_home" LC_ALL=C \
  LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" RUSTC="$root/usr/bin/rustc" RUSTC_BOOTSTRAP=1 \
  CARGO_TARGET_DIR="$wasm" CARGO_TARGET_WASM32V1_NONE_LINKER="$root/usr/bin/wasm-ld-22" \
  CARGO_TERM_COLOR=never RUSTFLAGS="$link --cfg substrate_runtime $remap" \
  cargo rustc -p vilokanam-runtime --lib --crate-type cdylib --frozen --target wasm32v1-none --profile wasm \
  --no-default-features ${1:+--features "$*"} -Zbuild-std=core,alloc >&2
echo "$wasm/wasm32v1-none/wasm/vilokanam_runtime.wasm"
