#!/bin/sh
# Every test: unit tests (release and with sanitizers), vectors in the core, vectors over sockets, end to end, and the
# native host under the thread sanitizer. Usage: tools/test.sh [unit|vectors|hosts|envoy|e2e|tsan]... (default: all)
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- unit vectors hosts envoy e2e tsan
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1}"

step() { printf '\n== %s\n' "$*"; }
pytest() { .venv/bin/python -m pytest -q -p no:cacheprovider "$@"; }

step "build"
tools/build.sh release
for part in "$@"; do
    case $part in
    unit)
        step "unit tests"
        ctest --test-dir build --output-on-failure -j "${JOBS:-2}" --no-tests=error
        step "unit tests, address and undefined-behaviour sanitizers"
        tools/build.sh asan
        ctest --test-dir build/asan --output-on-failure -j "${JOBS:-2}" --no-tests=error
        ;;
    vectors)
        step "vectors in the core"
        build/weir test tests/vectors/*.yaml
        step "vectors in the core, address and undefined-behaviour sanitizers"
        tools/build.sh asan
        build/asan/weir test tests/vectors/*.yaml
        ;;
    hosts)
        step "vectors over sockets, native host"
        pytest tests/hosts
        step "vectors over sockets, native host, HTTP/2"
        WEIR_HTTP=2 pytest tests/hosts/test_vectors.py
        step "vectors over sockets, native host, HTTP/2 to backends"
        WEIR_UPSTREAM_HTTP=2 pytest tests/hosts/test_vectors.py
        step "vectors over sockets, native host with sanitizers"
        tools/build.sh asan
        WEIR=build/asan/weir pytest tests/hosts
        step "HTTP/2, native host with sanitizers"
        WEIR=build/asan/weir WEIR_HTTP=2 WEIR_UPSTREAM_HTTP=2 pytest tests/hosts/test_vectors.py
        WEIR=build/asan/weir pytest tests/e2e/test_h2.py tests/e2e/test_h2spec.py tests/e2e/test_upstream_h2.py
        ;;
    envoy)
        step "vectors over sockets, Envoy with the module"
        pytest tests/hosts --host envoy
        step "vectors over sockets, Envoy with the module, every attempt built in the upstream position"
        WEIR_ENVOY_OPTIONS="--publish all" pytest tests/hosts/test_vectors.py --host envoy
        step "the founding examples and the OpenAI SDK through Envoy"
        pytest tests/e2e/test_founding.py tests/e2e/test_openai_python.py --host envoy
        step "through Envoy: who clients are, what their connections may do, backends behind proxies and over HTTP/2"
        pytest tests/e2e/test_edge.py tests/e2e/test_proxy_protocol.py tests/e2e/test_forward_proxy.py \
            tests/e2e/test_upstream_h2.py --host envoy
        step "TLS of both sides, and passed on, through Envoy"
        pytest tests/e2e/test_tls.py tests/e2e/test_upstream_tls.py tests/e2e/test_passthrough.py --host envoy
        step "vectors over sockets, Envoy with the module, HTTP/2 on both sides"
        WEIR_HTTP=2 WEIR_UPSTREAM_HTTP=2 pytest tests/hosts/test_vectors.py --host envoy
        step "through Envoy: hostile requests and answers, streams, HTTP/2"
        pytest tests/e2e/hostile/test_requests_in_envoy.py tests/e2e/hostile/test_answers.py --host envoy
        pytest tests/e2e/test_streams.py tests/e2e/test_h2.py --host envoy
        step "Envoy with the module under the address and undefined-behaviour sanitizers, two workers"
        tools/build.sh asan
        WEIR=build/asan/weir WEIR_WORKERS=2 pytest tests/hosts --host envoy
        WEIR=build/asan/weir WEIR_WORKERS=2 pytest tests/e2e/test_founding.py --host envoy
        ;;
    e2e)
        step "end to end"
        pytest tests/e2e
        ;;
    tsan)
        step "vectors over sockets, native host under the thread sanitizer"
        tools/build.sh tsan
        WEIR=build/tsan/weir WEIR_WORKERS=2 pytest tests/hosts
        ;;
    *)
        echo "test: unknown part '$part' (unit, vectors, hosts, envoy, e2e, tsan)" >&2
        exit 2
        ;;
    esac
done
step "all passed"
