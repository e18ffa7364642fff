#!/usr/bin/env bash
# check.sh lint|test [always]: the Rust part of `make lint` and `make test`.
#
# The committed artefacts name the source that they were built from (artefacts/TREE). As long as that is the source that
# lies here, it was linted, tested and built when they were committed, and no cargo is needed: only their hashes are
# compared. Otherwise
#   lint   rustfmt and clippy, warnings are errors
#   test   cargo test with benchmarks and try-state, then the artefacts are built again: when they differ from the
#          committed ones this fails (run `make chain`, commit). A line more is another wasm, as panics name their
#          line; when only tests, scripts or texts changed, it passes.
# `always` runs lint and test whether anything changed or not, and builds nothing (`make chain-test`).
set -euo pipefail
. "$(dirname "$0")/env.sh"
artefacts=$chain/artefacts
tree=$("$chain/scripts/tree.sh")
if [ "${2:-}" != always ]; then
  (cd "$artefacts" && sha256sum --check --quiet SHA256SUMS) || { echo "chain/artefacts is not what its SHA256SUMS says: git checkout chain/artefacts, or make chain" >&2; exit 1; }
  if [ "$tree" = "$(cat "$artefacts/TREE")" ]; then
    echo "chain: the committed runtime was built from this source (tree ${tree:0:12}), Rust is not needed"
    exit 0
  fi
  echo "chain: changed since its artefacts were built (tree ${tree:0:12}): Rust checks" >&2
fi
cd "$chain"
case ${1:?lint or test} in
  lint)
    native_cargo fmt --all --check
    native_cargo clippy --quiet --locked --workspace --all-targets --features "$features" -- -D warnings
    ;;
  test)
    native_cargo test --quiet --locked --workspace --features "$features"
    [ "${2:-}" = always ] && exit 0
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    "$chain/scripts/build.sh" "$scratch" >/dev/null
    if ! diff -u "$artefacts/SHA256SUMS" "$scratch/SHA256SUMS"; then
      echo "chain/artefacts does not correspond to the source: make chain, and commit what it writes" >&2
      exit 1
    fi
    echo "chain: the source changed, the artefacts did not; make chain writes the new TREE"
    ;;
  *) echo "check.sh lint|test [always], not $1" >&2; exit 2 ;;
esac
