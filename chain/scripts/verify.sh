#!/usr/bin/env bash
# verify.sh [COMMIT]: builds the chain of COMMIT (HEAD) in an empty folder with empty target folders, prints each hash
# beside the committed one; exit code 0 only when all are equal. The tool chain and the crates come from the caches
# (both are checked by hash); FRESH=1 fetches those too, into the empty folder.
set -euo pipefail
. "$(dirname "$0")/env.sh"
commit=$(git -C "$chain" rev-parse --short "${1:-HEAD}^{commit}")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/chain-verify.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
git -C "$chain/.." archive "$commit" chain .gitignore | tar -x -C "$scratch"
echo "building $commit in $scratch" >&2
committed=$scratch/chain/artefacts
rebuilt=$scratch/rebuilt
unset CHAIN_TARGET CHAIN_TARGET_WASM
if [ -n "${FRESH:-}" ]; then
  unset CHAIN_TOOLS
  export CARGO_HOME=$scratch/cargo-home
fi
"$scratch/chain/scripts/build.sh" "$rebuilt" >/dev/null
verdict=0
printf '%-36s %-64s %s\n' file committed rebuilt
for name in vilokanam.compact.compressed.wasm genesis.raw.json metadata.hex versions.json; do
  old=$(sed -n "s/  $name\$//p" "$committed/SHA256SUMS")
  held=$(sha256sum <"$committed/$name" | cut -d' ' -f1)
  new=$(sed -n "s/  $name\$//p" "$rebuilt/SHA256SUMS")
  word=same
  [ "$old" = "$new" ] && [ "$held" = "$new" ] || { word=DIFFERENT; verdict=1; }
  printf '%-36s %s %s %s\n' "$name" "$held" "$new" "$word"
done
word=same
[ "$(cat "$committed/TREE")" = "$(cat "$rebuilt/TREE")" ] || { word=DIFFERENT; verdict=1; }
printf '%-36s %-64s %-64s %s\n' TREE "$(cat "$committed/TREE")" "$(cat "$rebuilt/TREE")" "$word"
exit $verdict
