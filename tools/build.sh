#!/bin/sh
# Configures a preset when its build folder is new, and builds it. Quiet when nothing has changed.
# Usage: tools/build.sh PRESET [CMAKE ARGUMENT]...
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
case $preset in
release) dir=build ;;
*) dir=build/$preset ;;
esac
if [ ! -f "$dir/build.ninja" ] || [ $# -gt 0 ]; then
    if command -v ccache >/dev/null 2>&1; then
        : "${CMAKE_C_COMPILER_LAUNCHER:=ccache}"
        export CMAKE_C_COMPILER_LAUNCHER
    fi
    mkdir -p "$dir"
    cmake --preset "$preset" "$@" >"$dir/configure.log" 2>&1 || { cat "$dir/configure.log" >&2; exit 1; }
fi
exec cmake --build --preset "$preset" -j "${JOBS:-2}"
