#!/usr/bin/env bash
# benchmark.sh [OUT]: measures the pallet's calls on this machine and writes OUT (pallets/tick-stream/src/weights.rs).
# Environment: STEPS (50), REPEAT (20), BENCHER (path of frame-omni-bencher), NOTE (a line for the head of the file).
#
# The bencher runs the runtime's wasm, built with `runtime-benchmarks`, on a trie in memory: nothing else must run on the
# machine meanwhile. Without BENCHER it is built with cargo install into the tool chain's folder; that compiles a
# thousand crates and wants protoc and libclang (apt-get install protobuf-compiler libclang-dev).
set -euo pipefail
. "$(dirname "$0")/env.sh"
out=${1:-$chain/pallets/tick-stream/src/weights.rs}
version=0.28.0
bencher=${BENCHER:-$(command -v frame-omni-bencher || echo "$tools/bencher/bin/frame-omni-bencher")}
if [ ! -x "$bencher" ]; then
  command -v cargo >/dev/null || { echo "benchmark.sh: cargo is needed to build frame-omni-bencher" >&2; exit 1; }
  CARGO_TARGET_DIR=$tools/bencher/target cargo install frame-omni-bencher --version "$version" --locked --root "$tools/bencher"
  bencher=$tools/bencher/bin/frame-omni-bencher
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$("$chain/scripts/build-wasm.sh" runtime-benchmarks)" "$scratch/runtime.wasm"
hash=$(sha256sum <"$scratch/runtime.wasm" | cut -d' ' -f1)
cp "$chain/scripts/weights.hbs" "$scratch/weights.hbs"
cd "$scratch"
PATH=$(dirname "$bencher"):$PATH
"$(basename "$bencher")" v1 benchmark pallet --runtime runtime.wasm --genesis-builder none --pallet pallet_tick_stream \
  --extrinsic '*' --steps "${STEPS:-50}" --repeat "${REPEAT:-20}" --heap-pages 4096 --template weights.hbs --output weights.rs
sed -i -e "s|^//! HEAD\$|//! $("$bencher" --version), polkadot-sdk stable2609, rustc-web 1.96; wasm of the runtime with \`runtime-benchmarks\`, sha256\n//! $hash.|" \
  -e 's/[[:space:]]*$//' weights.rs
[ -z "${NOTE:-}" ] || sed -i "s|^//! Reads and writes of|//! $NOTE\n&|" weights.rs
cp weights.rs "$out"
(cd "$chain" && native_cargo fmt --all)
echo "$out"
