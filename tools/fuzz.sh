#!/bin/sh
# Runs every fuzz target for FUZZ_SECONDS, from the seeds in tests/fuzz/seeds/NAME. What it finds stays in
# build/fuzz/corpus/NAME between runs; a crash stops the run and leaves its input in build/fuzz/crashes/.
# Usage: tools/fuzz.sh [NAME]...
set -eu
cd "$(dirname "$0")/.."
tools/build.sh fuzz
export ASAN_OPTIONS="${ASAN_OPTIONS:-abort_on_error=0:detect_leaks=1}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
mkdir -p build/fuzz/crashes
[ $# -gt 0 ] || set -- $(ls tests/fuzz/*_fuzz.c 2>/dev/null | sed 's|.*/||; s|_fuzz\.c$||')
for name in "$@"; do
    corpus=build/fuzz/corpus/$name
    seeds=tests/fuzz/seeds/$name
    mkdir -p "$corpus"
    [ -d "$seeds" ] || seeds=${seeds}_fuzz
    [ -d "$seeds" ] || seeds=""
    echo "fuzz: $name for ${FUZZ_SECONDS:-10} s"
    log=build/fuzz/$name.log
    # shellcheck disable=SC2086
    if ! build/fuzz/"${name}_fuzz" -max_total_time="${FUZZ_SECONDS:-10}" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="build/fuzz/crashes/$name-" -print_final_stats=1 "$corpus" $seeds >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz: $name failed; its input is in build/fuzz/crashes/" >&2
        exit 1
    fi
    sed -n 's/^stat::number_of_executed_units: */  executions: /p; s/^stat::average_exec_per_sec: */  a second: /p' "$log"
done
