#!/bin/sh
# Format, lint, include directions, purity, lengths, generated docs, warnings of two compilers.
# Runs everything, then fails when one of them failed.
set -u
cd "$(dirname "$0")/.."
failed=""
step() { # name, command...
    name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || failed="$failed $name"
}
sources() { git ls-files --cached --others --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' 'tools/*.[ch]'; }

format() {
    formatter=.venv/bin/clang-format
    [ -x "$formatter" ] || formatter=clang-format
    sources | xargs -r "$formatter" --dry-run -Werror 2>build/format.log && return 0
    sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: .*/  \1/p' build/format.log | sort | uniq -c
    echo "  $formatter -i FILE formats a file"
    return 1
}
cppcheck_all() {
    cppcheck --quiet --std=c11 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr -j "${JOBS:-2}" \
        --suppressions-list=tools/cppcheck-suppressions.txt -Isrc src
}
warnings() { # compiler, build type
    cmake -S . -B "build/check-$1" -G Ninja -DCMAKE_C_COMPILER="$1" -DCMAKE_BUILD_TYPE="$2" -DWEIR_WERROR=ON >/dev/null || return 1
    cmake --build "build/check-$1" -j "${JOBS:-2}" -- -k 0 >"build/check-$1.log" 2>&1 && return 0
    grep -E ': (error|warning|fatal error):|undefined reference' "build/check-$1.log" | sort -u
    return 1
}

fuzz_targets() { # built by `make fuzz` alone
    for file in tests/fuzz/*_fuzz.c; do
        clang -std=gnu17 -fsyntax-only -Werror -Wall -Wextra -Isrc "$file" || return 1
    done
}

reference() {
    build/check-gcc/config_reference | diff -u docs/configuration.md - && return 0
    echo "  build/check-gcc/config_reference > docs/configuration.md writes it anew"
    return 1
}

mkdir -p build
step format format
step includes tools/check_includes.py
step style tools/check_style.py
step gcc warnings gcc Release
step clang warnings clang Debug # clang-tidy takes its compile commands, too
step fuzz fuzz_targets
step purity tools/check_purity.py build/check-clang/libweir.a # not gcc's: link-time optimisation hides symbols
step docs tools/docs.py --check
step reference reference
step cppcheck cppcheck_all
step tidy tools/tidy.py
[ -z "$failed" ] && { echo "check: all good"; exit 0; }
echo "check: failed:$failed" >&2
exit 1
