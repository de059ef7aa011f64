#!/bin/sh
# What `make run` starts: the mock provider and Weir in front of it, with the line to try. Ctrl-C ends both.
# WEIR_PORT and MOCK_PORT move the two ports (1975 and 1976).
set -eu
cd "$(dirname "$0")/.."
: "${WEIR_PORT:=1975}" "${MOCK_PORT:=1976}"
export WEIR_PORT MOCK_PORT

build/weir mock --port "$MOCK_PORT" &
mock=$!
# shellcheck disable=SC2086
build/weir run ${WEIR_OPTIONS:-} examples/quickstart.yaml &
weir=$!
# The first signal drains Weir and then ends the mock; a second one reaches Weir again.
trap 'kill -TERM "$weir" 2>/dev/null || :' INT TERM
trap 'kill "$weir" "$mock" 2>/dev/null || :' EXIT

for _ in $(seq 1 100); do
    kill -0 "$weir" 2>/dev/null && kill -0 "$mock" 2>/dev/null || { wait "$weir"; exit 1; }
    curl -s -o /dev/null "http://localhost:$WEIR_PORT/v1/models" && break
    sleep 0.05
done
cat <<TEXT

Weir serves on port $WEIR_PORT, with a mock provider behind it on port $MOCK_PORT. Try it from another terminal:

  curl -N http://localhost:$WEIR_PORT/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model": "demo", "stream": true, "messages": [{"role": "user", "content": "Hello"}]}'

Ctrl-C ends both.
TEXT
# A signal ends `wait` early; what it says after that is Weir's own status.
status=130
while [ "$status" -gt 128 ]; do
    wait "$weir" && status=0 || status=$?
    kill -0 "$weir" 2>/dev/null || break
done
wait "$weir" && status=0 || status=$?
exit "$status"
