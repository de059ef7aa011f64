"""Slow attacks: slowhttptest's three modes with a thousand connections each, which must all be closed in time, while Weir serves
others as if nothing were. Here with short limits; docs/security.md has the figures with the defaults."""
import csv
import selectors
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

import vectors
from conftest import EXAMPLES, rss_kib
from native import Native
from requests_table import BODY
from test_requests import PLAIN
from wire import Client

LIMITS = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: limits, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  timeout: {http: {requestHeadersReceivedTimeout: 2s, streamIdleTimeout: 3s, idleTimeout: 4s}}
"""
CONNECTIONS = 1000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000


def serve_much(listener):
    """A backend, one thread for all: a megabyte for everything."""
    selector = selectors.DefaultSelector()
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, None)
    while True:
        for key, events in selector.select():
            if key.data is None:
                connection, _ = listener.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, [len(ANSWER)])
                continue
            try:
                if events & selectors.EVENT_READ:
                    data = key.fileobj.recv(65536)
                    if not data:
                        raise ConnectionResetError
                    if b"\r\n\r\n" in data:
                        key.data[0] = 0
                if key.data[0] < len(ANSWER):
                    key.data[0] += key.fileobj.send(memoryview(ANSWER)[key.data[0]:key.data[0] + (1 << 18)])
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                continue
            is_sending = key.data[0] < len(ANSWER)
            selector.modify(key.fileobj, selectors.EVENT_READ | (selectors.EVENT_WRITE if is_sending else 0), key.data)


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=serve_much, args=(listener,), daemon=True).start()
    port = vectors.free_port()
    file = tmp_path_factory.mktemp("slow") / "config.yaml"
    file.write_text(vectors.substitute((EXAMPLES / "quickstart.yaml").read_text() + PLAIN + LIMITS,
                                       {"WEIR_PORT": str(port), "MOCK_PORT": str(listener.getsockname()[1])}))
    native = Native(file)
    native.port = port
    yield native
    assert native.stop() == 0


MODES = {
    "slow heads": ("-H", "/v1/models", 2),
    "slow bodies": ("-B", "/v1/chat/completions", 3),
    "slow readers": ("-X", "/plain/x", 3),
}


def attack(port, mode, path, seconds, prefix):
    """slowhttptest -> how it ended, and its rows: seconds, closed, pending, connected, service available."""
    pace = ["-n", "1", "-w", "512", "-y", "1024", "-z", "256"] if mode == "-X" else ["-i", "1"]
    process = subprocess.run(
        ["slowhttptest", mode, "-c", str(CONNECTIONS), "-r", "500", "-l", str(seconds), "-x", "24", "-p", "2", *pace, "-f",
         "application/json", "-g", "-o", prefix, "-u", f"http://127.0.0.1:{port}{path}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 60, check=False)
    rows = [[int(float(cell)) for cell in row[:5]] for row in list(csv.reader(open(prefix + ".csv")))[1:]]
    return process.stdout.decode(errors="replace"), rows


@pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is not installed")
@pytest.mark.parametrize("name", MODES)
def test_slow_attack(front, tmp_path, name):
    mode, path, limit = MODES[name]
    before = rss_kib(front.process.pid)
    end, rows = attack(front.port, mode, path, 30, str(tmp_path / "slow"))
    print(*rows, sep="\n")
    assert max(row[3] for row in rows) > CONNECTIONS / 3, "it never got going"
    assert all(row[4] for row in rows), "the service was not available all the time"
    assert "No open connections left" in end, "some were left open"
    assert rows[-1][0] <= limit + 10, "they were closed late"  # the tool takes some seconds to open them all
    assert rss_kib(front.process.pid) - before < 200 * 1024


def test_trickled_head_ends_in_time(front):
    """A byte now and then does not move the limit of a head."""
    client = Client(front.port, seconds=10)
    begun = time.monotonic()
    while not client.is_closed and time.monotonic() - begun < 8:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: "[int((time.monotonic() - begun) * 10) % 30:][:1])
        client.socket.settimeout(0.1)
        try:
            client.more()
        except TimeoutError:
            pass
    assert client.is_closed and time.monotonic() - begun < 4


@pytest.mark.parametrize("bytes_each", [1, 100])
def test_trickled_body_ends_in_time(front, bytes_each):
    """Nor does it move the limit of a body; what is steady does."""
    client = Client(front.port, seconds=10)
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n")
    begun = time.monotonic()
    client.socket.settimeout(0.1)
    while not client.is_closed and time.monotonic() - begun < 6:
        client.send(b"x" * bytes_each)
        try:
            client.more()
        except TimeoutError:
            pass
    if bytes_each == 1:
        assert client.is_closed and 2.5 < time.monotonic() - begun < 5
        assert client.data.startswith(b"HTTP/1.1 408 ")
    else:
        assert not client.is_closed


def test_idle_connections_end_in_time(front):
    clients = [Client(front.port, seconds=8) for _ in range(50)]
    begun = time.monotonic()
    for client in clients:
        assert client.ends()
    assert 3.5 < time.monotonic() - begun < 6


def test_others_are_served_meanwhile(front):
    """A thousand heads that do not end, and the time of an ordinary request among them."""
    slow = [Client(front.port, seconds=8).send(b"POST /v1/chat/completions HTTP/1.1\r\nHo") for _ in range(CONNECTIONS)]
    worst = 0
    for _ in range(50):
        begun = time.monotonic()
        urllib.request.urlopen(f"http://127.0.0.1:{front.port}/v1/models", timeout=5).read()
        worst = max(worst, time.monotonic() - begun)
    assert worst < 1
    for client in slow:
        assert client.answer()[0] == 408 and client.ends()
        client.close()
