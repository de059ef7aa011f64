"""What Weir does when memory or descriptors run short."""
import http.client
import json
import resource
import socket
import time

import pytest

from http2 import Http2, head
from native import Native
from test_reload import BODY, Models, Running, configuration
from test_upgrade import wait_until
import vectors

LIMIT_MIB = 64


@pytest.fixture
def run(tmp_path):
    started = []

    def start(*options):
        backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
        path.write_text(configuration(port, backend.port))
        started.append(Running(path, port, backend, *options))
        return started[-1]
    yield start
    for each in started:
        each.backend.release.set()
        assert each.native.stop() == 0


class Upload:
    """A request whose body grows by a MiB at a time and is never complete."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                            b"content-length: %d\r\n\r\n" % (40 << 20) + b'{"model":"demo","messages":[{"role":"user","content":"')

    def grow(self):
        self.socket.sendall(b"x" * (1 << 20))

    def answer(self):
        self.socket.settimeout(5)
        data = b""
        try:
            while piece := self.socket.recv(1 << 16):
                data += piece
        except OSError:
            pass
        return data


def fill(weir, uploads, percent):
    """Lets the uploads grow until so much of the limit is resident; each step is waited for, so that it does not go far beyond."""
    def resident():
        return weir.metric("process_resident_memory_bytes")
    end, turn = time.monotonic() + 60, 0
    while (before := resident()) < LIMIT_MIB * (1 << 20) * percent / 100:
        assert time.monotonic() < end, "memory does not grow"
        uploads[turn % len(uploads)].grow()
        turn += 1
        taken = time.monotonic() + 0.5
        while resident() <= before and time.monotonic() < taken:
            time.sleep(0.01)


def test_memory_that_runs_short_is_met_in_steps(run):
    weir = run("--memory-limit", f"{LIMIT_MIB}Mi")
    assert weir.metric("weir_memory_limit_bytes") == LIMIT_MIB << 20
    assert weir.metric("weir_overload_level") == 0
    idle = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)
    assert weir.ask(idle).status == 200
    idle_h2 = Http2(weir.port, 60)
    assert idle_h2.ask(head("GET", "/v1/models")).status == 200
    uploads = [Upload(weir.port) for _ in range(4)]
    for _ in range(20):  # what is given back to the system at the first look may be enough to leave the level again
        fill(weir, uploads, 87)
        wait_until(lambda: weir.metric("weir_overload_entered_total{level=\"refuse\"}") >= 1, 30)
        refused = weir.ask()
        if refused.status == 503:
            break
    assert refused.status == 503 and refused.getheader("retry-after") == "1"
    assert json.loads(refused.body)["error"]["code"] == "overloaded"
    assert refused.getheader("connection") == "close"
    assert weir.metric("weir_overload_refused_total") >= 1
    assert weir.metric("weir_overload_closed_total") >= 1  # the idle one
    assert idle.sock is None or idle.sock.recv(1) == b""
    idle_h2.until(lambda: idle_h2.is_closed)
    assert idle_h2.goaway == 0  # told, not cut
    def shed():  # on to the last step; a write fails once its request was ended
        try:
            uploads[int(time.monotonic() * 1000) % len(uploads)].grow()
        except OSError:
            pass
        return weir.metric("weir_overload_shed_total") >= 1
    wait_until(shed, 60)
    for each in uploads:
        each.socket.close()
    wait_until(lambda: weir.metric("weir_overload_level") == 0, 30)
    assert weir.ask().status == 200
    entered = {level: weir.metric('weir_overload_entered_total{level="%s"}' % level) for level in ("shrink", "refuse", "shed")}
    for level, times in entered.items():
        assert times >= 1
        # once for each change, upwards and downwards, not at each look
        assert sum(f"overload level {level}" in line for line in weir.native.errors) <= 2 * sum(entered.values())


def test_a_memory_limit_is_a_size():
    from test_command_line import weir
    for text in ("512", "64Mi", "2G", "none"):
        assert "--memory-limit" not in weir("run", "--memory-limit", text, "/no/such/file.yaml").stderr
    for text in ("", "0", "-1", "5 Mi", "Mi", "99999999999999999999", "20000000000Gi"):
        assert "is not a size" in weir("run", "--memory-limit", text, "/no/such/file.yaml").stderr


def test_connections_beyond_the_descriptors_are_told_so(tmp_path):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    wrapped = tmp_path / "weir-few"
    wrapped.write_text(f'#!/bin/sh\nulimit -n 64\nexec "{vectors.weir()}" "$@"\n')
    wrapped.chmod(0o755)
    import os
    before = os.environ.get("WEIR")
    os.environ["WEIR"] = str(wrapped)
    try:
        weir = Running(path, port, backend, "--workers", "1")
    finally:
        os.environ.pop("WEIR") if before is None else os.environ.update(WEIR=before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        stream = json.dumps({"model": "demo", "stream": True, "messages": []}).encode()
        request = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                   % len(stream) + stream)
        sockets = []
        for _ in range(60):
            each = socket.create_connection(("127.0.0.1", port), timeout=10)
            each.sendall(request)
            sockets.append(each)
            time.sleep(0.005)
        heads = []
        for each in sockets:
            try:
                heads.append(each.recv(4096).split(b"\r\n")[0])
            except OSError as error:
                heads.append(repr(error).encode())
        served = sum(head == b"HTTP/1.1 200 OK" for head in heads)
        refused = sum(head.startswith(b"HTTP/1.1 503") for head in heads)
        assert served > 10 and refused > 10 and served + refused >= 58, heads  # a reset may overtake an answer
        for each in sockets:
            each.close()
        wait_until(lambda: weir.ask().status == 200)
        assert weir.metric("weir_connections_refused_total") + weir.metric("weir_connections_turned_away_total") > 10
    finally:
        backend.release.set()
        assert weir.native.stop() == 0
