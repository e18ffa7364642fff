#!/usr/bin/env bash
# run.sh CONFIG FOLDER [OPTION...]: write the edge's configuration into FOLDER and run nginx there until Ctrl-C.
set -eu
config=$1 folder=$2
shift 2
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
vilokanam edge config nginx --config "$config" --standalone "$folder" "$@"
exec "$(PATH=$PATH:/usr/sbin command -v nginx)" -c "$folder/nginx.conf"
