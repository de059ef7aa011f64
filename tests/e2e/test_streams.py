"""What happens to streams when a client leaves, reads slowly, an upstream stalls, or Weir is told to stop."""
import json
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import client as raw
from conftest import EXAMPLES, host_kind, is_sanitized, rss_kib
from native import Native
import vectors

SSE = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
REQUEST = {"path": "/v1/chat/completions", "headers": ["content-type: application/json"]}
STREAM = json.dumps({"model": "demo", "stream": True, "stream_options": {"include_usage": True}, "messages": []}).encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Backend:
    """A backend whose behaviour is a function of (connection, request bytes), a thread for each connection."""

    def __init__(self, serve):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.sock.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with connection:
            data = b""
            while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < self._length(data):
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                data += piece
            try:
                self.serve(connection, data)
            except OSError:
                pass

    @staticmethod
    def _length(data):
        for line in data.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line.split(b":")[1])
        return 0


def behind(tmp_path, backend, policy="", rule=None, workers=1, tls=None):
    """Weir with quickstart.yaml in front of `backend`, with fields added to its rules, and with the certificate of Secret
    `tls` -> (native, port)."""
    port = vectors.free_port()
    text = vectors.substitute((EXAMPLES / "quickstart.yaml").read_text(), {"WEIR_PORT": str(port), "MOCK_PORT": str(backend.port)})
    docs = list(vectors.yaml.load_all(text, vectors.Loader))
    for doc in docs:
        if doc["kind"] == "AIGatewayRoute":
            for each in doc["spec"]["rules"]:
                each.update(rule or {})
        if doc["kind"] == "Gateway" and tls:
            doc["spec"]["listeners"][0].update(protocol="HTTPS", tls={"certificateRefs": [{"name": tls}]})
    file = tmp_path / "config.yaml"
    file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs) + policy)
    return host_kind()(file, workers=workers), port


def connect(port, body=STREAM, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    return sock


def test_a_client_that_leaves_closes_the_upstream_within_100_ms(tmp_path):
    gone = []

    def serve(connection, _):
        connection.sendall(SSE.encode() + chunk(EVENT))
        connection.settimeout(5)
        try:
            while connection.recv(100):
                pass
        except ConnectionError:
            pass
        gone.append(time.monotonic())
    native, port = behind(tmp_path, Backend(serve))
    try:
        for how in ("close", "reset"):
            gone.clear()
            sock = connect(port)
            data = b""
            while EVENT not in data:
                data += sock.recv(4096)
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            left = time.monotonic()
            sock.close()
            while not gone and time.monotonic() - left < 3:
                time.sleep(0.002)
            assert gone, f"{how}: the upstream connection stayed open"
            assert gone[0] - left < 0.1, f"{how}: it took {gone[0] - left:.3f} s"
    finally:
        assert native.stop() == 0


def test_a_slow_reader_of_100_mb_leaves_memory_flat(tmp_path):
    total = 100 << 20
    sent = [0]

    def serve(connection, _):
        connection.sendall(SSE.encode())
        event = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 16000)
        while sent[0] < total:
            connection.sendall(chunk(event))
            sent[0] += len(event)
        connection.sendall(b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve))
    try:
        before = rss_kib(native.process.pid)
        sock = connect(port, receive_buffer=1 << 16)
        received, worst, end = 0, 0, time.monotonic() + 1.5
        while time.monotonic() < end:  # slow: 64 KiB every 10 ms
            received += len(sock.recv(1 << 16))
            worst = max(worst, rss_kib(native.process.pid))
            time.sleep(0.01)
        assert sent[0] - received < 24 << 20, "the upstream was read far ahead of the client"
        while piece := sock.recv(1 << 20):  # then at full speed to the end
            received += len(piece)
            if b"0\r\n\r\n" in piece[-8:]:
                break
        worst = max(worst, rss_kib(native.process.pid))
        assert received > total
        # Sanitizers keep what is freed for a while; Envoy gathers up to a megabyte in several places.
        room = 4096 if host_kind() is Native else 12288
        room = (1 << 17) + 16 * room if is_sanitized() else room
        assert worst - before < room, f"it grew by {worst - before} KiB"
        sock.close()
    finally:
        assert native.stop() == 0


POLICY = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: times, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: quickstart}]
  retry: {numRetries: 0, perRetry: {timeout: 300ms}}
"""


def test_a_stalled_upstream_ends_in_its_time_limit(tmp_path):
    native, port = behind(tmp_path, Backend(lambda connection, _: connection.recv(1)), POLICY)
    try:
        begun = time.monotonic()
        response = raw.send(port, REQUEST, b'{"model":"demo"}')
        assert response.status == 504 and 0.25 < time.monotonic() - begun < 1.5
        error = json.loads(response.body)["error"]
        assert error["code"] == "upstream_timeout" and error["type"] == "server_error"
        assert response.values("x-request-id")
    finally:
        assert native.stop() == 0


IDLE = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: idle, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  timeout: {http: {streamIdleTimeout: 1s}}
"""


def test_a_body_that_stops_coming_ends_in_its_time_limit(tmp_path):
    native, port = behind(tmp_path, Backend(lambda connection, _: connection.recv(1)), IDLE)
    try:
        begun = time.monotonic()
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        response = raw.read_response(sock)
        assert response.status == 408 and 0.9 < time.monotonic() - begun < 6
        assert json.loads(response.body)["error"]["code"] == "request_timeout" and response.values("x-request-id")
        sock.close()
    finally:
        assert native.stop() == 0


def test_an_answer_may_pause_for_longer_than_a_body(tmp_path):
    def serve(connection, _):
        time.sleep(1.5)
        connection.sendall(SSE.encode() + chunk(EVENT))
        time.sleep(1.5)
        connection.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve), IDLE, rule={"streamIdleTimeout": "20s"})
    try:
        response = raw.send(port, REQUEST, STREAM)
        assert response.is_complete and response.body == EVENT + b"data: [DONE]\n\n"
    finally:
        assert native.stop() == 0


def test_a_stream_that_falls_silent_ends_in_an_error_event(tmp_path):
    def serve(connection, _):
        connection.sendall(SSE.encode() + chunk(EVENT))
        connection.recv(1)
    native, port = behind(tmp_path, Backend(serve), rule={"streamIdleTimeout": "300ms"})
    try:
        begun = time.monotonic()
        response = raw.send(port, REQUEST, STREAM)
        assert 0.25 < time.monotonic() - begun < 1.5
        assert response.status == 200 and not response.is_complete
        assert response.body.startswith(EVENT) and b'"error"' in response.body and b"[DONE]" not in response.body
    finally:
        assert native.stop() == 0


def drain(tmp_path, workers):
    streams, events = 100, 20

    def serve(connection, _):
        connection.sendall(SSE.encode())
        for _ in range(events):
            connection.sendall(chunk(EVENT))
            time.sleep(0.05)
        connection.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve), workers=workers)
    results = []

    def one():
        try:
            results.append(raw.send(port, REQUEST, STREAM))
        except OSError as error:
            results.append(error)
    threads = [threading.Thread(target=one) for _ in range(streams)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)  # in the middle of all of them
    native.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        accepts = True
    except OSError:
        accepts = False
    for thread in threads:
        thread.join(20)
    assert native.process.wait(10) == 0
    whole = [r for r in results if isinstance(r, raw.Response) and r.is_complete and r.body.endswith(b"data: [DONE]\n\n")
             and r.body.count(EVENT) == events]
    assert len(whole) == streams
    assert not accepts, "a new connection was accepted while draining"


def test_sigterm_loses_no_stream_that_ends_in_time(native_only, tmp_path):
    drain(tmp_path, 1)


def test_sigterm_loses_no_stream_with_two_workers(native_only, tmp_path):
    drain(tmp_path, 2)


def test_events_are_not_held_back(tmp_path):
    """Every event reaches the client before the next one is sent."""
    ready = threading.Semaphore(0)

    def serve(connection, _):
        connection.sendall(SSE.encode())
        for _ in range(50):
            connection.sendall(chunk(EVENT))
            assert ready.acquire(timeout=2)
        connection.sendall(b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve))
    try:
        sock = connect(port)
        sock.settimeout(3)
        data, seen = b"", 0
        while seen < 50:
            piece = sock.recv(4096)
            assert piece
            data += piece
            while data.count(EVENT) > seen:
                seen += 1
                ready.release()
    finally:
        assert native.stop() == 0


@pytest.mark.parametrize("piece_bytes", [16384, 1 << 20], ids=["in pieces", "whole"])
def test_a_large_event_reaches_a_client_that_takes_little_at_once(tmp_path, piece_bytes):
    """An event up to its limit (S11) is more than what is kept for a slow reader otherwise."""
    event = b"data: " + b"x" * ((1 << 20) - 8) + b"\n\n"

    def serve(connection, _):
        connection.sendall(SSE.encode())
        for at in range(0, len(event), piece_bytes):
            connection.sendall(chunk(event[at:at + piece_bytes]))
        connection.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve))
    try:
        sock = connect(port, receive_buffer=16384)
        sock.settimeout(20)
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            piece = sock.recv(65536)
            assert piece, data[-200:]
            data += piece
        assert data.count(b"x") >= len(event) - 8 and b"data: [DONE]\n\n" in data
    finally:
        assert native.stop() == 0


def test_a_large_event_reaches_an_http2_client_with_large_windows(tmp_path):
    """All of it may be sent at once, and is more than what is gathered for one write."""
    event = b"data: " + b"x" * ((1 << 20) - 8) + b"\n\n"

    def serve(connection, _):
        connection.sendall(SSE.encode() + chunk(event) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve))
    try:
        run = subprocess.run(["curl", "-sSN", "--http2-prior-knowledge", "-H", "content-type: application/json", "-d", STREAM.decode(),
                              f"http://127.0.0.1:{port}/v1/chat/completions"], capture_output=True, timeout=60)
        assert (run.returncode, run.stderr) == (0, b"")
        assert run.stdout == event + b"data: [DONE]\n\n"
    finally:
        assert native.stop() == 0
