#!/usr/bin/env bash
# tools.sh [FOLDER]: the pinned Rust tool chain that builds the committed wasm, unpacked from Debian's own packages into
# chain/.tools (or FOLDER, or $CHAIN_TOOLS). Nothing is installed, root is not needed, a second run does nothing.
#
# Debian 12 (amd64) carries a newer compiler beside its own, with the sources of core and alloc and a linker for wasm:
# rustc-web 1.96, lld-22. tools.txt pins each by version and sha256, as the wasm's bytes depend on both.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${CHAIN_TOOLS:-$here/../.tools}}
stamp=$folder/.tools-$(sha256sum "$here/tools.txt" | cut -c1-16)
[ -e "$stamp" ] && exit 0
[ "$(uname -m)" = x86_64 ] || { echo "tools.sh: the pinned tool chain is for x86_64, not $(uname -m)" >&2; exit 1; }
for program in apt-get dpkg sha256sum; do
  command -v "$program" >/dev/null || { echo "tools.sh: missing $program: Debian 12 or Ubuntu with its packages is needed" >&2; exit 1; }
done
mkdir -p "$folder/debs" "$folder/root"
cd "$folder/debs"
missing=()
while read -r package version sum; do
  ls "${package}"_*.deb 2>/dev/null | xargs -r sha256sum 2>/dev/null | grep -q "^$sum " || missing+=("$package=$version")
done <"$here/tools.txt"
if [ ${#missing[@]} -gt 0 ]; then
  echo "chain: fetching ${#missing[@]} Debian packages of the pinned tool chain (150 MB in all)" >&2
  fetch() { apt-get download "${missing[@]}" >"$folder/apt.log" 2>&1; }
  fetch || { [ "$(id -u)" -ne 0 ] || apt-get update -qq >/dev/null 2>&1; fetch; } || {
    tail -3 "$folder/apt.log" >&2
    echo "tools.sh: Debian no longer offers one of these versions, or its lists are old (apt-get update)." >&2
    echo "  Put the new version and its sha256 into chain/scripts/tools.txt and run make chain: the wasm's hash may change." >&2
    exit 1
  }
fi
while read -r package version sum; do
  file=$(sha256sum "${package}"_*.deb | sed -n "s/^$sum  //p" | head -1)
  [ -n "$file" ] || { echo "tools.sh: $package $version does not have the sha256 of tools.txt: remove $folder/debs and try again" >&2; exit 1; }
  dpkg -x "$file" "$folder/root"
done <"$here/tools.txt"
touch "$stamp"
