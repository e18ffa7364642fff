#!/usr/bin/env bash
# tree.sh: prints the git tree hash (sha1) of chain/ as it lies on disk: every file that is not git-ignored, without
# artefacts/ and npm/, of which nothing is built. On a clean clone it is what `git ls-tree HEAD:chain | grep -vP "\t(artefacts|npm)$" | git mktree` prints.
# It uses an index of its own and needs no repository (a source archive will do).
set -euo pipefail
chain=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE GIT_OBJECT_DIRECTORY
git init --quiet --bare --object-format=sha1 "$scratch"
cd "$chain/.."
own() { git --git-dir="$scratch" --work-tree=. -c core.autocrlf=false "$@"; }
own add --all -- chain ':(exclude)chain/artefacts' ':(exclude)chain/npm'
own write-tree --prefix=chain/
