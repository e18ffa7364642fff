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
# As rustc itself names it: without links, else nothing below would match.
root=$(cd "$tools/root" && pwd -P)
# Everything that is needed, crates and what the standard library itself wants; from here on the build is offline.
pinned cargo fetch --quiet --locked >&2
RUSTC_BOOTSTRAP=1 pinned cargo fetch --quiet --locked --target wasm32v1-none -Zbuild-std=core,alloc >&2
remap="--remap-path-prefix=$chain=/chain"
# The standard library is named by its path, or from here on when the tool chain lies in the workspace.
for std in "$root" "${root#"$chain/"}"; do
  remap+=" --remap-path-prefix=$std/usr/lib/rustlib/src/rust=/rust --remap-path-prefix=$std/usr/src/rustc-1.96.0=/rust"
done
for registry in "$cargo_home"/registry/src/*/; do remap+=" --remap-path-prefix=${registry%/}=/cargo"; done
# FRAME imports the host's functions without declaring where from: the linker must allow what it cannot resolve.
link="-C link-arg=--allow-undefined -C link-arg=--export-table -C link-arg=--import-memory -C link-arg=--export=__heap_base"
env -i PATH="$root/usr/bin:/usr/local/bin:/usr/bin:/bin" HOME="$HOME" CARGO_HOME="$cargo_home" LC_ALL=C \
  LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" RUSTC="$root/usr/bin/rustc" RUSTC_BOOTSTRAP=1 \
  CARGO_TARGET_DIR="$wasm" CARGO_TARGET_WASM32V1_NONE_LINKER="$root/usr/bin/wasm-ld-22" \
  CARGO_TERM_COLOR=never RUSTFLAGS="$link --cfg substrate_runtime $remap" \
  cargo rustc -p vilokanam-runtime --lib --crate-type cdylib --frozen --target wasm32v1-none --profile wasm \
  --no-default-features ${1:+--features "$*"} -Zbuild-std=core,alloc >&2
made=$wasm/wasm32v1-none/wasm/vilokanam_runtime.wasm
# A path of this machine in the file would be another file on the next.
if found=$(grep -aoE "[A-Za-z0-9_./-]*rustlib/src/rust/[a-z/_]+|($chain|$root|$HOME|$cargo_home)/[A-Za-z0-9_./-]*" "$made" | head -3) && [ -n "$found" ]; then
  echo "the runtime holds paths of this machine, so nobody could build the same: $found" >&2
  exit 1
fi
echo "$made"
