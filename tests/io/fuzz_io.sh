#!/bin/sh
# Fuzzes the readers of files: fuzz_io.sh <fuzzer> <tests/io> <scratch folder> <seconds>
# RESET_FUZZ_SECONDS in the environment overrides the seconds. New inputs and findings stay in the scratch folder.
set -eu
fuzzer=$1
source=$2
scratch=$3
seconds=${RESET_FUZZ_SECONDS:-$4}
rm -rf "$scratch"
mkdir -p "$scratch/corpus"
cp "$source"/corpus/* "$scratch/corpus/"
exec "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -dict="$source/fuzz.dict" \
  -artifact_prefix="$scratch/" -print_final_stats=1 "$scratch/corpus"
