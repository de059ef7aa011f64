#!/bin/sh
# Configures a preset when its build folder is new, and builds it. Quiet when nothing has changed. A release is laid out by a
# profile (docs/decisions/trained-release.md), which is made anew when the core has changed; TRAIN=no leaves it out.
# Usage: tools/build.sh PRESET [CMAKE ARGUMENT]...
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
case $preset in
release) dir=build ;;
*) dir=build/$preset ;;
esac
if [ "$preset" = release ] && [ "${TRAIN:-yes}" = yes ]; then
    mkdir -p build/training
    tools/build.sh training >build/training/build.log || { cat build/training/build.log; exit 1; }
    [ -d build/profile ] || rm -f build/build.ninja # of a build without it
    if [ ! -d build/profile ] || [ build/training/train -nt build/profile ]; then
        rm -rf build/profile
        build/training/train tools/train.yaml || echo "build: not trained, only slower for it" >&2
        mkdir -p build/profile && touch build/profile
    fi
fi
if [ ! -f "$dir/build.ninja" ] || [ $# -gt 0 ]; then
    if command -v ccache >/dev/null 2>&1; then
        : "${CMAKE_C_COMPILER_LAUNCHER:=ccache}"
        export CMAKE_C_COMPILER_LAUNCHER
    fi
    mkdir -p "$dir"
    cmake --preset "$preset" "$@" >"$dir/configure.log" 2>&1 || { cat "$dir/configure.log" >&2; exit 1; }
fi
exec cmake --build --preset "$preset" -j "${JOBS:-2}"
