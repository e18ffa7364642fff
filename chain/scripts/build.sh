#!/usr/bin/env bash
# build.sh [FOLDER]: everything that is committed of the chain, from source, into FOLDER (chain/artefacts):
# the compressed wasm, the raw genesis, the metadata, the versions, SHA256SUMS, and TREE, the tree hash of the source.
set -euo pipefail
. "$(dirname "$0")/env.sh"
folder=${1:-$chain/artefacts}
mkdir -p "$folder"
runtime=$("$chain/scripts/build-wasm.sh")
(cd "$chain" && native_cargo run --quiet --locked -p vilokanam-genesis -- "$runtime" "$(cd "$folder" && pwd)")
# What was built must be what is named: nobody may edit the source meanwhile.
(cd "$folder" && sha256sum genesis.raw.json metadata.hex versions.json vilokanam.compact.compressed.wasm >SHA256SUMS)
"$chain/scripts/tree.sh" >"$folder/TREE"
cat "$folder/SHA256SUMS"
echo "source tree $(cat "$folder/TREE")"
