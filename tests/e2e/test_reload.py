"""Reloads (S10): what makes them happen, what they leave alone, and that nothing is lost or kept by a thousand of them.

WEIR_RELOADS, WEIR_RELOAD_STREAMS and WEIR_RELOAD_RATE make the last test longer: `make storm` runs it in full."""
import asyncio
import http.client
import json
import os
import pathlib
import signal
import threading
import time
import urllib.request

import pytest

from conftest import EXAMPLES, is_sanitized, rss_kib
from native import Native
from test_streams import Backend, EVENT, SSE, STREAM, chunk
import vectors

BODY = json.dumps({"model": "demo", "messages": []}).encode()
ANSWER = b'{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
LISTENER = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: second, namespace: default}
spec: {gatewayClassName: weir, listeners: [{name: http, protocol: HTTP, port: %d}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: second, namespace: default}
spec:
  parentRefs: [{name: second}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: mock}]}]
---
"""


def configuration(port, backend_port, backend_model="one"):
    text = (EXAMPLES / "quickstart.yaml").read_text().replace("demo-small", backend_model)
    return vectors.substitute(text, {"WEIR_PORT": str(port), "MOCK_PORT": str(backend_port)})


class Models(Backend):
    """A backend that keeps connections, counts them, and says which model it was asked for."""

    def __init__(self):
        self.connections, self.models, self.release = 0, [], threading.Event()
        super().__init__(None)

    def _run(self, connection):
        self.connections += 1
        with connection:
            try:
                while True:
                    self._answer(connection)
            except OSError:
                pass

    def _answer(self, connection):
        data = b""
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < self._length(data):
            piece = connection.recv(1 << 16)
            if not piece:
                raise OSError
            data += piece
        body = json.loads(data.split(b"\r\n\r\n", 1)[1] or b"{}")
        self.models.append(body.get("model"))
        if body.get("stream"):
            connection.sendall(SSE.encode() + chunk(EVENT))
            self.release.wait(30)
            connection.sendall(chunk(EVENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)


class Running:
    def __init__(self, path, port, backend, *options):
        self.path, self.port, self.backend, self.admin = path, port, backend, vectors.free_port()
        self.native = Native(path, "--generation-header", "--admin-port", str(self.admin), *options, workers=2)

    def ask(self, connection=None, body=BODY):
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        own.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = own.getresponse()
        response.body = response.read() if body is BODY else b""
        return response

    def generation(self):
        response = self.ask()
        assert response.status == 200
        return int(response.getheader("x-weir-generation"))

    def until_generation(self, wanted, seconds=15.0):
        """Waits until it serves; gives the time that it took."""
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            if self.generation() == wanted:
                return time.monotonic() - begin
            time.sleep(0.001)
        raise AssertionError(f"generation {wanted} did not come; stderr:\n" + "\n".join(self.native.errors))

    def metric(self, line):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics").read().decode()
        return next((float(each.split()[-1]) for each in text.splitlines() if each.startswith(line)), None)


@pytest.fixture
def run(tmp_path):
    started = []

    def start(path=None, *options):
        backend, port = Models(), vectors.free_port()
        path = path or tmp_path / "weir.yaml"
        path.write_text(configuration(port, backend.port))
        started.append(Running(path, port, backend, *options))
        return started[-1]
    yield start
    for each in started:
        each.backend.release.set()
        assert each.native.stop() == 0


def quickest(weir, limit, change, turns=5):
    """Makes changes until one is in effect within `limit` seconds: what else the machine does must not count."""
    took = []
    for turn in range(turns):
        change(turn)
        took.append(weir.until_generation(turn + 2))
        if took[-1] < limit:
            return
    raise AssertionError(f"changes were in effect after {took} s")


def test_a_write_is_in_effect_at_once(run):
    weir = run()
    assert weir.generation() == 1
    quickest(weir, 0.5, lambda turn: weir.path.write_text(configuration(weir.port, weir.backend.port, f"turn-{turn}")))
    assert weir.backend.models[-1].startswith("turn-")
    assert weir.metric('weir_config_reloads_total{result="ok"}') == weir.generation() - 1


def test_a_renamed_file_is_taken(run, tmp_path):
    weir = run()
    new = tmp_path / "weir.yaml.new"

    def rename(turn):
        new.write_text(configuration(weir.port, weir.backend.port, f"turn-{turn}"))
        new.rename(weir.path)
    quickest(weir, 1.0, rename)


def test_a_kubernetes_symlink_swap_is_taken(tmp_path):
    mount, backend, port = tmp_path / "mount", Models(), vectors.free_port()
    for name, model in (("..1", "one"), ("..2", "two")):
        (mount / name).mkdir(parents=True)
        (mount / name / "weir.yaml").write_text(configuration(port, backend.port, model))
    (mount / "..data").symlink_to("..1")
    (mount / "weir.yaml").symlink_to("..data/weir.yaml")
    weir = Running(mount, port, backend)
    try:
        assert weir.generation() == 1
        (mount / "..data_tmp").symlink_to("..2")
        (mount / "..data_tmp").rename(mount / "..data")
        took = [weir.until_generation(2)]
        assert backend.models[-1] == "two"
        for name in ("..3", "..4"):  # the folder that is watched now is another one
            (mount / name).mkdir()
            (mount / name / "weir.yaml").write_text(configuration(port, backend.port, name))
            (mount / "..data_tmp").symlink_to(name)
            (mount / "..data_tmp").rename(mount / "..data")
            took.append(weir.until_generation(int(name[2:])))
        assert min(took) < 1.0
    finally:
        assert weir.native.stop() == 0


def test_sighup_reloads_and_a_touch_does_not(run):
    weir = run()
    weir.path.touch()
    time.sleep(0.7)
    assert weir.generation() == 1
    weir.native.process.send_signal(signal.SIGHUP)
    weir.until_generation(2)


def test_a_bad_configuration_leaves_the_old_one(run):
    weir = run()
    weir.path.write_text("kind: Gateway\nspec: {listenerz: []}\n")
    assert weir.native.wait(lambda: any("the old one stays" in line for line in weir.native.errors), 15)
    assert any(f"{weir.path}:" in line and "error" in line for line in weir.native.errors)
    time.sleep(1.2)  # it is refused once, not at every look
    assert weir.metric('weir_config_reloads_total{result="rejected"}') == 1
    assert weir.generation() == 1
    weir.path.write_text(configuration(weir.port, weir.backend.port, "two"))
    weir.until_generation(2)


def test_a_port_that_is_taken_leaves_the_old_one(run):
    weir, other = run(), Backend(None)
    weir.path.write_text(LISTENER % other.port + configuration(weir.port, weir.backend.port))
    assert weir.native.wait(lambda: any("the old one stays" in line for line in weir.native.errors), 15)
    assert weir.generation() == 1


def test_listeners_come_and_go_and_leave_the_others_alone(run):
    weir, second = run(), vectors.free_port()
    kept = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)
    assert weir.ask(kept).status == 200
    socket = kept.sock
    stream = weir.ask(body=STREAM)
    assert stream.read1().count(b"data:") == 1
    for turn in range(3):
        weir.path.write_text(LISTENER % second + configuration(weir.port, weir.backend.port))
        weir.until_generation(2 + turn * 2)
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{second}/v1/chat/completions", BODY)).read()
        weir.path.write_text(configuration(weir.port, weir.backend.port))
        weir.until_generation(3 + turn * 2)
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{second}/", timeout=1)
        assert weir.ask(kept).status == 200 and kept.sock is socket
    weir.backend.release.set()
    assert stream.read().endswith(b"data: [DONE]\n\n")


def test_connections_to_unchanged_backends_stay(run):
    weir = run(None, "--workers", "1")
    kept = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)
    for turn in range(5):
        assert weir.ask(kept).status == 200
        weir.path.write_text(configuration(weir.port, weir.backend.port, f"turn-{turn}"))
        weir.until_generation(turn + 2)
    assert weir.backend.connections == 1
    assert weir.metric("weir_open_upstream_connections") == 1
    other = Models()
    weir.path.write_text(configuration(weir.port, other.port))
    weir.until_generation(7)
    assert other.connections == 1
    assert weir.metric("weir_open_upstream_connections") == 1


def test_a_request_that_began_before_a_reload_uses_the_connections_that_are_there(run):
    weir = run(None, "--workers", "1")
    assert weir.generation() == 1
    late = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=10)
    late.putrequest("POST", "/v1/chat/completions")
    late.putheader("content-type", "application/json")
    late.putheader("content-length", str(len(BODY)))
    late.putheader("expect", "100-continue")  # the answer to that tells that its head was read
    late.endheaders()
    assert late.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    weir.path.write_text(configuration(weir.port, weir.backend.port, "two"))
    weir.until_generation(2)
    late.send(BODY)
    response = late.getresponse()
    assert response.status == 200 and response.getheader("x-weir-generation") == "1" and response.read()
    assert weir.backend.models[-1] == "one" and weir.backend.connections == 1
    assert weir.generation() == 2 and weir.backend.connections == 1


# ---- many reloads under load -----------------------------------------------------------------------------------------


class Load:
    """Requests on kept connections at a steady rate, streams that last throughout, and requests on a connection of their own
    each, `fresh` of them at a time."""

    def __init__(self, port, rate, streams, connections=16, fresh=0):
        self.port, self.rate, self.stream_count, self.connections, self.fresh = port, rate, streams, connections, fresh
        self.fresh_done = 0
        self.done, self.failures, self.latencies, self.stop = 0, [], [], False
        self.ended, self.events, self.open_streams, self.goodbyes = 0, 0, 0, 0

    async def _requests(self):
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
        reader = writer = None
        pause, due = self.connections / self.rate, time.monotonic()
        while not self.stop:
            due += pause
            await asyncio.sleep(max(0, due - time.monotonic()))
            begin = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200"):
                    self.failures.append(head)
                self.done += 1
                self.latencies.append(time.monotonic() - begin)
                if b"connection: close" in head.lower():
                    self.goodbyes += 1
                    writer.close()
                    writer = None
            except Exception as error:
                self.failures.append(error)
                writer = None
        if writer:
            writer.close()

    async def _fresh(self):
        request = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
        while not self.stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(request)
                answer = await reader.read()
                if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(ANSWER):
                    self.failures.append(answer)
                writer.close()
                self.fresh_done += 1
            except OSError as error:
                self.failures.append(error)
            await asyncio.sleep(0.01)

    async def _stream(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(STREAM) + STREAM)
        self.open_streams += 1
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            piece = await reader.read(1 << 16)
            if not piece:
                self.failures.append("a stream was cut")
                return
            self.events += piece.count(b"data:")
            data = data[-16:] + piece
        if b"[DONE]" not in data:
            self.failures.append("a stream has no end")
        self.ended += 1
        writer.close()

    async def _run(self):
        streams = [asyncio.create_task(self._stream()) for _ in range(self.stream_count)]
        await asyncio.gather(*[self._requests() for _ in range(self.connections)], *[self._fresh() for _ in range(self.fresh)])
        await asyncio.gather(*streams)

    def start(self):
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        return self

    def finish_after(self, requests):
        while self.done < requests:
            time.sleep(0.1)
        self.finish()

    def finish(self, seconds=30):
        self.stop = True
        self.thread.join(seconds)
        assert not self.thread.is_alive()

    def told(self):
        latencies = sorted(self.latencies)
        return (f"{self.done} requests on kept connections, {self.fresh_done} on new ones; p50 {latencies[len(latencies) // 2] * 1000:.2f} ms, p99 {latencies[len(latencies) * 99 // 100] * 1000:.2f} ms; "
                f"{self.ended} streams with {self.events} events")


class Slow:
    """A backend on one loop: quick answers, and streams with an event a second until they are released."""

    def __init__(self):
        self.port, self.released = vectors.free_port(), threading.Event()
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._main(ready)), daemon=True).start()
        ready.wait(5)

    async def _main(self, ready):
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        ready.set()
        async with server:
            await server.serve_forever()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(Backend._length(head))
                if b'"stream"' in body:
                    writer.write(SSE.encode())
                    while not self.released.is_set():
                        writer.write(chunk(EVENT))
                        await asyncio.sleep(1)
                    writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


def test_many_reloads_under_load_lose_nothing_and_keep_nothing(tmp_path):
    reloads, streams = int(os.environ.get("WEIR_RELOADS", 100)), int(os.environ.get("WEIR_RELOAD_STREAMS", 40))
    rate = int(os.environ.get("WEIR_RELOAD_RATE", 300))
    backend, port, path = Slow(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    weir = Running(path, port, backend)
    load = Load(port, rate, streams).start()

    def reload(turn):
        new = tmp_path / "new"
        new.write_text(configuration(port, backend.port, f"turn-{turn}"))
        new.rename(path)
        weir.native.process.send_signal(signal.SIGHUP)

    def wait_for(count):
        end = time.monotonic() + 10
        while weir.metric('weir_config_reloads_total{result="ok"}') < count and time.monotonic() < end:
            time.sleep(0.005)
    try:
        time.sleep(1)
        if reloads >= 1000:  # until each page of the rings of the access log was touched once
            Load(port, 5000, 0).start().finish_after(20000)
        for turn in range(reloads // 5):  # the allocator's own high mark
            reload(turn)
            wait_for(turn + 1)
        time.sleep(0.5)
        before = rss_kib(weir.native.process.pid)
        for turn in range(reloads // 5, reloads):
            reload(turn)
            wait_for(turn + 1)
        time.sleep(0.5)
        after = rss_kib(weir.native.process.pid)
        assert load.open_streams == streams and load.ended == 0
        backend.released.set()
        load.finish()
        print(f"\nstorm: {reloads} reloads: {load.told()}; RSS {before} KiB before, {after} KiB after ({(after - before) * 100 / before:+.2f} %)")
        assert load.failures == []
        assert load.ended == streams
        assert weir.metric("weir_upstream_resets_total") == 0
        if not is_sanitized():
            assert after - before <= (before * 0.01 if reloads >= 1000 else 1024)
    finally:
        backend.released.set()
        assert weir.native.stop() == 0
