"""The vectors of tests/vectors over real sockets: `weir run`, or Envoy with the module (--host envoy), between a raw client
and scripted backends. With WEIR_HTTP=2 the client speaks HTTP/2, with WEIR_UPSTREAM_HTTP=2 the backends do.

One process serves the cases of a file, until one lets a backend fail: a running Weir remembers that. What sockets can't show is skipped, with its reason: a fixed random number,
and a backend that refuses one connection and accepts the next.
"""
import itertools
import os

import pytest

import client
import envoy_differences
import http2
import vectors
from envoy import Envoy
from native import Native
from upstream import IS_HTTP2 as IS_UPSTREAM_HTTP2
from upstream import Upstreams
from upstream_h2 import is_sayable

IS_HTTP2 = os.environ.get("WEIR_HTTP") == "2"
marks = itertools.count(1)


def cases():
    for path in vectors.files():
        vector = vectors.load(path.read_text())
        for case in vector.get("cases", []):
            yield pytest.param(path, vector, case, id=f"{path.stem}: {case['name']}")


class Host:
    """A running Weir with the configuration of one vector file."""

    def __init__(self, path, vector, folder, kind):
        self.path, self.kind = path, kind
        self.upstreams = Upstreams()
        self.config = vectors.Moved(vectors.resources(path, vector), self.upstreams.open)
        self.file = folder / f"{path.stem}.yaml"
        self.config.write(self.file)
        # A native host remembers what failed, an Envoy only where it is configured to.
        self.remembers = kind is Native or any("healthCheck" in doc.get("spec", {}) for doc in self.config.docs)
        self.native = kind(self.file)

    def restart(self):
        if self.remembers:
            self.end()
            self.native = self.kind(self.file)

    def end(self):
        status = self.native.stop()
        assert status == 0, "weir ended with %s:\n%s" % (status, "\n".join(self.native.errors[-50:]))

    def stop(self):
        self.end()
        self.upstreams.close()


@pytest.fixture(scope="session")
def hosts(tmp_path_factory, host_name):
    """The host of the file whose turn it is; cases come file by file."""
    current = []

    def host_of(path, vector):
        if current and current[0].path != path:
            current.pop().stop()
        if not current:
            kind = {"native": Native, "envoy": Envoy}[host_name]
            current.append(Host(path, vector, tmp_path_factory.mktemp("hosts"), kind))
        return current[0]
    yield host_of
    if current:
        current.pop().stop()


def refused_backends(case, config, script):
    """The Backends that must refuse in this case."""
    refused, expected = set(), case["expect"].get("attempts") or []
    for index, answer in enumerate(script):
        name = expected[index].get("backend") if index < len(expected) else None
        backend = next((key for key, names in config.names.items() if name in names), None)
        if answer.get("fault") == "refuse":
            if not backend:
                pytest.skip("the backend that refuses is not known beforehand")
            refused.add(backend)
        elif backend in refused:
            pytest.skip("one backend refuses and then accepts")
    return refused


def compare_attempts(expected, attempts, config, differences):
    if len(attempts) != len(expected):
        seen = [attempt.backend for attempt in attempts]
        differences.append(f"{len(attempts)} attempts {seen}, expected {len(expected)}")
        return
    for index, (want, attempt) in enumerate(zip(expected, attempts)):
        what = f"attempt {index}"
        if "backend" in want and want["backend"] not in config.names[attempt.backend]:
            differences.append(f"{what}: went to {attempt.backend}, expected {want['backend']}")
        for key in ("method", "path"):
            if key in want and getattr(attempt, key) != want[key]:
                differences.append(f"{what}: {key} is {getattr(attempt, key)}, expected {want[key]}")
        if "authority" in want:
            authority = config.authorities.get(want["authority"], want["authority"])
            if attempt.values("host") != [authority]:
                differences.append(f"{what}: host is {attempt.values('host')}, expected {authority}")
        vectors.compare_message(want, attempt, what, differences)


def compare_response(expected, response, config, differences):
    if response is None:
        differences.append("no response")
        return
    if "status" in expected and response.status != expected["status"]:
        differences.append(f"status is {response.status}, expected {expected['status']}; body {response.body[:300]!r}")
    vectors.compare_message(expected, response, "response", differences, config.here)
    if "end" in expected and response.is_complete != (expected["end"] == "complete"):
        differences.append(f"the response is {'complete' if response.is_complete else 'cut'}, expected {expected['end']}")


def compare_log(expected, line, differences):
    if line is None:
        differences.append("no access-log line")
        return
    for name, value in expected.items():
        if (IS_UPSTREAM_HTTP2 if name == "backendProtocol" else IS_HTTP2) and isinstance(value, str):
            value = value.replace("HTTP/1.1", "HTTP/2")
        if line.get(name) != value:
            differences.append(f"log: {name} is {line.get(name)!r}, expected {value!r}")


def speak(port, sent, body, extra):
    if not IS_HTTP2:
        return client.send(port, sent, body, extra)
    response = http2.send(port, sent, body, extra)
    if response is None:
        pytest.skip("only HTTP/1 can say this")
    return response


@pytest.mark.parametrize("path, vector, case", cases())
def test_vector(path, vector, case, hosts, host_name, request):
    if host_name == "envoy" and (why := envoy_differences.reason(path.stem, case["name"])):
        request.node.add_marker(pytest.mark.xfail(reason=why, strict=True))
    if "random" in case:
        pytest.skip("the random numbers of a running Weir are its own")
    script = vectors.script_of(case)
    if IS_UPSTREAM_HTTP2 and not all(is_sayable(answer) for answer in script):
        pytest.skip("only HTTP/1 can say this")
    host = hosts(path, vector)
    refused = refused_backends(case, host.config, script)
    if any(answer.get("fault") == "reset" for answer in script):
        host.restart()  # on a pooled connection a reset may just be its age, and is tried again on a new one
    expect = case["expect"]
    host.upstreams.start([answer for answer in script if answer.get("fault") != "refuse"])
    for backend in refused:
        host.upstreams.refuse(backend)
    try:
        sent = case["request"]
        mark = next((line.split(":", 1)[1].strip() for line in sent.get("headers", []) if line.lower().startswith("user-agent:")), None)
        extra = [] if mark else [f"user-agent: case-{next(marks)};"]
        response = speak(host.config.port(case.get("listener")), sent, vectors.body_of(sent), extra)
    finally:
        for backend in refused:
            host.upstreams.open(backend)
    differences = []
    if "attempts" in expect:
        wanted = [want for index, want in enumerate(expect["attempts"])
                  if index >= len(script) or script[index].get("fault") != "refuse"]
        compare_attempts(wanted, host.upstreams.attempts, host.config, differences)
    if "response" in expect:
        compare_response(expect["response"], response, host.config, differences)
    if "log" in expect:
        compare_log(expect["log"], host.native.log_line(mark or extra[0].split(": ")[1]), differences)
    if any(answer.get("fault") or answer.get("status", 200) >= 429 for answer in script):
        host.restart()  # health, cooling and the retry budget would be felt by the next case
    assert not differences, "\n".join(differences)
