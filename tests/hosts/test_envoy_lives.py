"""Streams inside Envoy that end where nobody expects it: what the client sees, and that the module lets go of them. With the
module of the preset asan (WEIR=build/asan/weir) every access is checked as well."""
import pathlib
import socket
import struct
import threading
import time

import h2.config
import h2.connection
import h2.events
import pytest

import http2
import vectors
from envoy import Envoy, memory_checks

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec: {{gatewayClassName: weir, listeners: [{{name: http, protocol: HTTP, port: {port}}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {{name: route}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: first}}, {{name: second, priority: 1}}]}}]}}
"""
BACKEND = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{{options}endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {{name: {name}}}
spec: {{schema: {{name: OpenAI}}, backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: {name}}}}}
"""
BODY = b'{"model":"m","stream":true,"messages":[]}'
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[]}\n\n'
EVENT_MAX = 1 << 20


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def good(connection):
    connection.sendall(CHUNKED + chunk(EVENT) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


class Backend:
    """Answers each request by `play(connection)`."""

    def __init__(self, play):
        self.play = play
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            while True:
                text = b""
                while not text.endswith(b"}"):
                    more = connection.recv(65536)
                    if not more:
                        return
                    text += more
                self.play(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        vectors.stop_accepting(self.listener)


class Setup:
    def __init__(self, folder):
        self.port, self.folder = vectors.free_port(), folder
        self.first, self.second, self.envoy = Backend(good), Backend(good), None

    def start(self, first=None, options=""):
        file = self.folder / "weir.yaml"
        file.write_text(CONFIG.format(port=self.port) + BACKEND.format(name="first", port=first or self.first.port, options=options) +
                        BACKEND.format(name="second", port=self.second.port, options=options))
        self.envoy = Envoy(file, workers=2)
        return self

    def ask(self, request=REQUEST):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(request)
        return connection

    @staticmethod
    def answer(connection):
        """-> all bytes until the answer is complete or the connection ends."""
        text = b""
        with connection:
            try:
                while not text.endswith(b"\r\n0\r\n\r\n") and (more := connection.recv(65536)):
                    text += more
            except ConnectionError:
                pass
        return text

    def end(self):
        assert self.answer(self.ask()).endswith(b"\r\n0\r\n\r\n"), "it serves as before"
        assert self.envoy.stop() == 0


@pytest.fixture
def setup(tmp_path, host_name):
    if host_name != "envoy":
        pytest.skip("needs --host envoy")
    setup = Setup(tmp_path)
    yield setup
    if setup.envoy:
        setup.envoy.stop()
    setup.first.close()
    setup.second.close()


def until_length(connection):
    """The event becomes too large with the answer's last byte."""
    connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % (EVENT_MAX + 200) + b"data: " + b"x" * (EVENT_MAX - 106))
    time.sleep(0.2)
    connection.sendall(b"y" * 300)


def at_once(connection):
    """Too large an event, more of them, and the end."""
    connection.sendall(CHUNKED + chunk(EVENT) + chunk(b"data: " + b"x" * EVENT_MAX) + chunk(EVENT) * 20 + b"0\r\n\r\n")


def in_one_frame(connection):
    """The rest of too large an event, with events behind it."""
    connection.sendall(CHUNKED + chunk(b"data: " + b"x" * (EVENT_MAX - 1000)))
    time.sleep(0.2)
    connection.sendall(chunk(b"y" * 2000) + chunk(EVENT) * 20 + b"0\r\n\r\n")


@pytest.mark.parametrize("play", [until_length, at_once, in_one_frame])
def test_a_stream_that_is_cut_never_ends_as_a_complete_one(setup, play):
    setup.first.play = play
    setup.start()
    text = Setup.answer(setup.ask())
    assert not text.endswith(b"0\r\n\r\n")
    assert text.endswith(b'"code":"upstream_too_large"}}\n\n\r\n'), text[-300:]
    setup.first.play = good
    setup.end()


@pytest.mark.parametrize("size", [0, 1, 20, len(CHUNKED) - 1, len(CHUNKED), len(CHUNKED) + 2, len(CHUNKED + chunk(EVENT)) - 5,
                                  len(CHUNKED + chunk(EVENT))])
def test_a_backend_may_reset_anywhere(setup, size):
    def play(connection):
        connection.sendall((CHUNKED + chunk(EVENT))[:size])
        time.sleep(0.1)
        reset(connection)
    setup.first.play = play
    setup.start()
    text = Setup.answer(setup.ask())
    if size < len(CHUNKED):
        assert text.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), "the other backend answers"
    else:
        assert b'"code":"upstream_reset"' in text and not text.endswith(b"\r\n0\r\n\r\n")
        setup.first.play = good
    setup.end()


def slowly(connection):
    connection.sendall(CHUNKED)
    for _ in range(20):
        connection.sendall(chunk(EVENT))
        time.sleep(0.01)
    connection.sendall(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def unavailable(connection):
    time.sleep(0.05)
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


def silent(connection):
    while connection.recv(65536):
        pass


def half_a_head(connection):
    connection.sendall(HEAD)
    silent(connection)


def unfinished(connection):
    connection.sendall(CHUNKED + chunk(EVENT) + b"40\r\ndata: {")
    silent(connection)


@pytest.mark.parametrize("play", [slowly, unavailable, silent, half_a_head, unfinished])
def test_a_client_may_leave_anywhere(setup, play):
    """In its head and body, before an answer, between tries, and in the answer; by a close and by a reset."""
    setup.first.play, setup.second.play = play, slowly
    setup.start()

    def leave(sent, wait, leaves):
        connection = setup.ask(REQUEST[:sent])
        time.sleep(wait)
        leaves(connection)
    whole = len(REQUEST)
    clients = [threading.Thread(target=leave, args=(sent, wait, leaves)) for leaves in (reset, socket.socket.close)
               for sent, wait in [(sent, 0.02) for sent in (1, 40, whole - len(BODY), whole - 10, whole - 1)] +
               [(whole, wait / 100) for wait in range(0, 16)]]
    for client in clients:
        client.start()
    for client in clients:
        client.join(30)
    setup.first.play = setup.second.play = good
    setup.end()


@pytest.mark.parametrize("play", [slowly, unavailable, silent, unfinished])
def test_streams_of_a_connection_may_be_reset_anywhere(setup, play):
    """HTTP/2: each at another time, the last ones with their connection."""
    setup.first.play, setup.second.play = play, slowly
    setup.start()
    client = http2.Http2(setup.port)
    streams = []
    for number in range(24):
        body = BODY[:number] if number % 3 == 0 else BODY
        streams.append(client.request(http2.head("POST", "/v1/chat/completions", http2.JSON), body, end=body == BODY))
        if number >= 8:
            client.raw(http2.frame(http2.RST_STREAM, 0, streams[number - 8], struct.pack(">I", 8)))
        time.sleep(0.01)
    reset(client.socket)
    setup.first.play = setup.second.play = good
    setup.end()


@pytest.mark.parametrize("play", [slowly, silent, unfinished])
def test_envoy_may_end_under_open_streams(setup, play):
    """Nothing of them is left over (leaks are counted when Envoy ends), in whatever state they are."""
    setup.first.play = setup.second.play = play
    setup.start()
    connections = [setup.ask(REQUEST[:size]) for size in (1, 60, len(REQUEST) - 5, len(REQUEST)) for _ in range(6)]
    client = http2.Http2(setup.port)
    for _ in range(6):
        client.request(http2.head("POST", "/v1/chat/completions", http2.JSON), BODY)
    time.sleep(0.2)
    assert setup.envoy.stop() == 0
    for connection in [*connections, client.socket]:
        connection.close()


def test_the_sanitizer_has_the_heap_of_the_module(setup):
    """What the preset asan is run for inside Envoy (asan_preload.c)."""
    if not memory_checks(vectors.weir().parent):
        pytest.skip("needs WEIR=build/asan/weir")
    setup.start()
    maps = [line.split("-")[0] for line in pathlib.Path(f"/proc/{setup.envoy.process.pid}/maps").read_text().splitlines() if " rw-p " in line]
    assert any(0x602000000000 <= int(start, 16) < 0x640000000000 for start in maps)
    setup.end()


def serve_http2(connection):
    """An answer that ends with trailers."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    connection.sendall(server.data_to_send())
    while data := connection.recv(65536):
        for event in server.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                server.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/event-stream")])
                server.send_data(event.stream_id, EVENT + b"data: [DONE]")
                server.send_headers(event.stream_id, [("x-trailer", "1")], end_stream=True)
        connection.sendall(server.data_to_send())


def test_what_is_left_comes_before_trailers_which_are_dropped(setup):
    listener = socket.create_server(("127.0.0.1", 0))
    def accept():
        try:
            while True:
                threading.Thread(target=serve_http2, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass
    threading.Thread(target=accept, daemon=True).start()
    setup.start(first=listener.getsockname()[1], options="appProtocols: [gateway.envoyproxy.io/h2c], ")
    client = http2.Http2(setup.port)
    stream = client.request(http2.head("POST", "/v1/chat/completions", http2.JSON), BODY)
    client.until(lambda: client.answer(stream).is_ended)
    answer = client.answer(stream)
    assert answer.status == 200 and answer.body == EVENT + b"data: [DONE]"
    assert not [event for event in client.events if isinstance(event, h2.events.TrailersReceived)]
    setup.end()
    vectors.stop_accepting(listener)
