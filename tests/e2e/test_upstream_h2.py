"""HTTP/2 towards backends: many requests on a connection, limits of the backend, ends of streams and connections, and
backends that break the rules. The backends are Python's h2, with its own checks switched off, or frames by hand."""
import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request

import certificates as make
import client as raw
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest
import vectors
from conftest import EXAMPLES, rss_kib
from http2 import CONTINUATION, DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame
from native import Native
from test_streams import EVENT, STREAM, connect

OK = [(":status", "200"), ("content-type", "application/json")]
SSE = [(":status", "200"), ("content-type", "text/event-stream")]
ANSWER = b'{"id":"x","usage":{}}'
ASK = {"path": "/v1/chat/completions", "headers": ["content-type: application/json"]}
BODY = b'{"model":"demo","messages":[]}'
Errors = h2.errors.ErrorCodes


class Conn:
    """One connection of a backend, in its own thread."""

    def __init__(self, sock, settings=None):
        self.sock, self.lock, self.bodies, self.heads, self.resets = sock, threading.RLock(), {}, {}, []
        self.waiting, self.is_over, self.goaway = [], False, False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        with self.lock:  # frames of two threads must go out in the order in which they were made
            self.sock.sendall(self.h2.data_to_send())

    def raw(self, data):
        self.flush()
        self.sock.sendall(data)

    def read(self):
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.is_over = True
            return False
        with self.lock:
            for event in self.h2.receive_data(data):
                self.take(event)
        self.flush()
        return True

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.heads[event.stream_id], self.bodies[event.stream_id] = dict(event.headers), b""
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.waiting.append(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets.append((event.stream_id, int(event.error_code), time.monotonic()))
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = True

    def next(self):
        """The next request that is complete; None at the end of the connection."""
        while not self.waiting:
            if not self.read():
                return None
        return self.waiting.pop(0)

    def head(self, stream, fields=OK, end=False):
        with self.lock:
            self.h2.send_headers(stream, fields, end_stream=end)
        self.flush()

    def data(self, stream, data, end=False):
        with self.lock:
            self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def answer(self, stream, fields=OK, body=ANSWER):
        self.head(stream, fields)
        self.data(stream, body, end=True)

    def reset(self, stream, code):
        with self.lock:
            self.h2.reset_stream(stream, code)
        self.flush()

    def to_the_end(self):
        while self.read():
            pass


class Backend:
    """serve(conn, number) runs for each connection."""

    def __init__(self, serve, settings=None, context=None):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port, self.serve, self.settings, self.context = self.sock.getsockname()[1], serve, settings, context
        self.connections, self.protocols = [], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
                self.protocols.append(sock.selected_alpn_protocol())
            with sock:
                conn = Conn(sock, self.settings)
                self.connections.append(conn)
                self.serve(conn, len(self.connections))
        except (OSError, h2.exceptions.ProtocolError):
            pass


def answers(conn, _):
    while stream := conn.next():
        conn.answer(stream)


POLICY = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: h2-policy, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: %s}]
  %s
"""


class Front:
    def __init__(self, kind, tmp_path, backend, policy="", rule=None, spec=None, workers=1, more=""):
        self.kind, self.port = kind, vectors.free_port()
        text = vectors.substitute((EXAMPLES / "quickstart.yaml").read_text(),
                                  {"WEIR_PORT": str(self.port), "MOCK_PORT": str(backend.port)})
        docs = list(vectors.yaml.load_all(text, vectors.Loader))
        for doc in docs:
            if doc["kind"] == "AIGatewayRoute":
                for each in doc["spec"]["rules"]:
                    each.update(rule or {})
            elif doc["kind"] == "Backend":
                doc["spec"].update(spec or {"appProtocols": ["gateway.envoyproxy.io/h2c"]})
            elif doc["kind"] == "Gateway":
                gateway = doc["metadata"]["name"]
        self.file = tmp_path / "config.yaml"
        self.file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs)
                             + (POLICY % (gateway, policy) if policy else "") + more)
        options = ["--admin-port", str(vectors.free_port())] if kind is Native else []
        self.native = kind and kind(self.file, *options, workers=workers)

    def ask(self, body=BODY, extra=()):
        return raw.send(self.port, ASK, body, list(extra))

    def many(self, count, body=BODY):
        """As many at once -> their answers."""
        found = [None] * count

        def one(index):
            found[index] = self.ask(body)
        threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return found

    def metric(self, name):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.native.admin_port()}/metrics", timeout=5).read().decode()
        return float(re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.M)[1])


@pytest.fixture
def front(tmp_path, kind):
    running = []

    def start(backend, *args, **kwargs):
        running.append(Front(kind, tmp_path, backend, *args, **kwargs))
        return running[-1]
    yield start
    for each in running:
        assert each.native.stop() == 0, "\n".join(each.native.errors[-30:])


def until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.005)


# ---- what is served -------------------------------------------------------------------------------------------------

def test_many_requests_share_a_connection(front):
    backend = Backend(answers)
    weir = front(backend)
    assert weir.ask().status == 200  # the backend's settings are known from here on
    for answer in weir.many(40):
        assert answer.status == 200 and answer.body == ANSWER and answer.is_complete
    assert len(backend.connections) == 1
    assert weir.kind is not Native or weir.metric("weir_upstream_http2_connections_total") == 1


def test_requests_wait_for_the_connection_that_is_being_made(front):
    backend = Backend(answers)
    weir = front(backend)
    assert all(answer.status == 200 for answer in weir.many(30))
    assert len(backend.connections) == 1


def test_what_a_request_looks_like(front):
    backend = Backend(answers)
    weir = front(backend)
    weir.ask(extra=["X-Mixed: 1", "Connection: x-hop", "X-Hop: 1", "TE: trailers", "Keep-Alive: 5"])
    (head,), (body,) = backend.connections[0].heads.values(), backend.connections[0].bodies.values()
    assert head[":method"] == "POST" and head[":scheme"] == "http" and head[":path"] == "/v1/chat/completions"
    assert head[":authority"] == f"127.0.0.1:{backend.port}" and head["x-mixed"] == "1"
    assert head["content-length"] == str(len(body)) and json.loads(body)["messages"] == []
    assert not {"host", "connection", "x-hop", "te", "keep-alive", "transfer-encoding"} & set(head)


def test_the_limit_of_the_backend_holds(native_only, front):
    busy, most = [0], [0]

    def serve(conn, _):
        def one(stream):
            time.sleep(0.02)
            busy[0] -= 1
            conn.answer(stream)
        while stream := conn.next():
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            threading.Thread(target=one, args=(stream,), daemon=True).start()
    backend = Backend(serve, {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    weir = front(backend, "circuitBreaker: {maxConnections: 1}")
    assert all(answer.status == 200 for answer in weir.many(15))
    assert len(backend.connections) == 1 and 1 < most[0] <= 3
    assert not backend.connections[0].resets


def test_a_full_connection_gets_company(native_only, front):
    gate = threading.Event()

    def serve(conn, _):
        def one(stream):
            gate.wait(20)
            conn.answer(stream)
        while stream := conn.next():
            threading.Thread(target=one, args=(stream,), daemon=True).start()
    backend = Backend(serve, {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    weir = front(backend)
    found = []
    thread = threading.Thread(target=lambda: found.extend(weir.many(6)))
    thread.start()
    until(lambda: sum(len(conn.heads) for conn in backend.connections) == 6)
    gate.set()
    thread.join(30)
    assert all(answer.status == 200 for answer in found) and len(backend.connections) == 3


def test_requests_per_connection(native_only, front):
    backend = Backend(answers)
    weir = front(backend, "circuitBreaker: {maxRequestsPerConnection: 2}")
    for _ in range(5):
        assert weir.ask().status == 200
    assert [len(conn.heads) for conn in backend.connections] == [2, 2, 1]
    until(lambda: backend.connections[0].is_over and backend.connections[0].goaway)


def test_a_large_body_respects_small_windows(front):
    backend = Backend(answers, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    weir = front(backend)
    body = json.dumps({"model": "demo", "messages": [], "pad": "x" * 300000}).encode()
    assert weir.ask().status == 200 and weir.ask(body).status == 200
    assert json.loads(list(backend.connections[0].bodies.values())[1])["pad"] == "x" * 300000


def test_a_large_body_goes_at_once_into_large_windows(front):
    """More than what is gathered for one write."""
    def serve(conn, path):
        conn.h2.increment_flow_control_window(16 << 20)
        answers(conn, path)
    backend = Backend(serve, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 16 << 20})
    weir = front(backend)
    body = json.dumps({"model": "demo", "messages": [], "pad": "x" * (3 << 20)}).encode()
    assert weir.ask().status == 200 and weir.ask(body).status == 200
    assert len(json.loads(list(backend.connections[0].bodies.values())[1])["pad"]) == 3 << 20


def test_interim_answers_and_trailers(front):
    def serve(conn, _):
        while stream := conn.next():
            for _ in range(3):
                conn.head(stream, [(":status", "103"), ("link", "</a>")])
            conn.head(stream)
            conn.data(stream, ANSWER)
            conn.head(stream, [("x-trailer", "1")], end=True)
    weir = front(Backend(serve))
    answer = weir.ask()
    assert answer.status == 200 and answer.body == ANSWER and answer.is_complete


def test_a_stream_of_events(front):
    def serve(conn, _):
        while stream := conn.next():
            conn.head(stream, SSE)
            for _ in range(3):
                conn.data(stream, EVENT)
            conn.data(stream, b"data: [DONE]\n\n", end=True)
    weir = front(Backend(serve))
    answer = weir.ask(STREAM)
    assert answer.body.count(EVENT) == 3 and answer.body.endswith(b"data: [DONE]\n\n") and answer.is_complete


# ---- flow control ---------------------------------------------------------------------------------------------------

def test_a_client_that_does_not_read_stops_its_own_stream_alone(native_only, front):
    sent = [0]

    def flood(conn, stream):
        conn.head(stream, SSE)
        while not conn.is_over:
            with conn.lock:
                room = min(conn.h2.local_flow_control_window(stream), 16384)
                if room >= len(EVENT):
                    data = EVENT * (room // len(EVENT))
                    conn.h2.send_data(stream, data)
                    sent[0] += len(data)
            conn.flush()
            time.sleep(0 if room >= len(EVENT) else 0.01)

    def serve(conn, _):
        while stream := conn.next():
            if b'"stream"' in conn.bodies[stream]:
                threading.Thread(target=flood, args=(conn, stream), daemon=True).start()
            else:
                conn.answer(stream)
    backend = Backend(serve)
    weir = front(backend)
    assert weir.ask().status == 200
    slow = connect(weir.port, receive_buffer=4096)
    last = [-1, time.monotonic()]

    def has_stopped():
        if sent[0] != last[0]:
            last[:] = sent[0], time.monotonic()
        return sent[0] and time.monotonic() - last[1] > 0.5
    until(has_stopped, 30)
    assert sent[0] < 4 << 20  # buffers of the kernel included
    for answer in weir.many(10):
        assert answer.status == 200
    assert len(backend.connections) == 1
    slow.close()
    until(lambda: backend.connections[0].resets)
    assert backend.connections[0].resets[0][1] == Errors.CANCEL


def test_a_client_that_leaves_cancels_its_stream_at_once(native_only, front):
    def serve(conn, _):
        while stream := conn.next():
            if b'"stream"' not in conn.bodies[stream]:
                conn.answer(stream)
                continue
            conn.head(stream, SSE)
            conn.data(stream, EVENT)
    backend = Backend(serve)
    weir = front(backend)
    sock = connect(weir.port)
    data = b""
    while EVENT not in data:
        data += sock.recv(4096)
    left = time.monotonic()
    sock.close()
    until(lambda: backend.connections[0].resets)
    assert backend.connections[0].resets[0][1] == Errors.CANCEL
    assert backend.connections[0].resets[0][2] - left < 0.5  # 0.1 is what an idle machine shows
    assert weir.ask().status == 200 and len(backend.connections) == 1


# ---- ends -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["goaway", "refused", "refused at once"])
def test_what_was_not_processed_is_sent_again(native_only, front, how):
    def serve(conn, number):
        while stream := conn.next():
            if number > 1:
                conn.answer(stream)
            elif how == "goaway":
                conn.raw(frame(GOAWAY, payload=struct.pack(">II", 0, 0)))
                conn.to_the_end()
                return
            else:
                conn.reset(stream, Errors.REFUSED_STREAM)
    backend = Backend(serve)
    weir = front(backend)
    answer = weir.ask(extra=["user-agent: again"])
    assert answer.status == 200 and answer.body == ANSWER
    assert len(backend.connections) == 2 and weir.metric("weir_upstream_races_total") == 1
    if how == "goaway":
        until(lambda: backend.connections[0].is_over)


def test_refused_for_good_is_a_502(front):
    def serve(conn, _):
        while stream := conn.next():
            conn.reset(stream, Errors.REFUSED_STREAM)
    backend = Backend(serve)
    weir = front(backend)
    assert weir.ask().status == 502
    assert sum(len(conn.heads) for conn in backend.connections) <= 4


def test_goaway_lets_what_is_under_way_end(front):
    def serve(conn, number):
        while stream := conn.next():
            if number > 1:
                conn.answer(stream)
                continue
            conn.head(stream, SSE)
            conn.data(stream, EVENT)
            conn.raw(frame(GOAWAY, payload=struct.pack(">II", stream, 0)))
            gate.wait(20)
            conn.data(stream, b"data: [DONE]\n\n", end=True)
    gate = threading.Event()
    backend = Backend(serve)
    weir = front(backend)
    sock = connect(weir.port)
    reader = raw.Reader(sock)
    reader.until(b"\r\n\r\n")
    until(lambda: weir.ask().status == 200 and len(backend.connections) == 2)
    gate.set()
    body, is_whole = reader.chunked()
    assert is_whole and body.endswith(b"[DONE]\n\n")


def test_a_reset_within_an_answer_is_a_cut_answer(front):
    def serve(conn, _):
        while stream := conn.next():
            conn.head(stream, SSE)
            conn.data(stream, EVENT + b'data: {"half')
            conn.reset(stream, Errors.INTERNAL_ERROR)
    backend = Backend(serve)
    weir = front(backend)
    answer = weir.ask(STREAM, ["user-agent: cut-1"])
    assert answer.status == 200 and not answer.is_complete
    assert EVENT in answer.body and b"half" not in answer.body and b'"error"' in answer.body and b"[DONE]" not in answer.body
    assert len(backend.connections) == 1


def test_a_connection_that_breaks_cuts_its_answers(front):
    gate = threading.Event()

    def serve(conn, number):
        streams = [conn.next(), conn.next()] if number == 1 else []
        for stream in streams:
            conn.head(stream, SSE)
            conn.data(stream, EVENT)
        if number == 1:
            gate.wait(20)
            return
        answers(conn, number)
    backend = Backend(serve)
    weir = front(backend)
    socks = [connect(weir.port), connect(weir.port)]
    readers = [raw.Reader(sock) for sock in socks]
    for reader in readers:
        reader.until(b"\r\n\r\n")
    gate.set()
    for reader in readers:
        body, is_whole = reader.chunked()
        assert not is_whole and EVENT in body and b'"error"' in body
    assert weir.ask().status == 200


def test_an_answer_shorter_or_longer_than_it_says(front):
    def serve(conn, _):
        while stream := conn.next():
            length = len(ANSWER) + (5 if b"short" in conn.bodies[stream] else -5)
            conn.answer(stream, OK + [("content-length", str(length))])
    weir = front(Backend(serve))
    for word in (b"short", b"long"):
        answer = weir.ask(BODY.replace(b"[]", b'["' + word + b'"]'))
        assert answer.status == 502 or not answer.is_complete or len(answer.body) == len(ANSWER) - 5


def test_first_byte_limit(native_only, front):
    def serve(conn, number):
        while stream := conn.next():
            if number > 1 or b"quick" in conn.bodies[stream]:
                conn.answer(stream)
    backend = Backend(serve)
    weir = front(backend, rule={"timeouts": {"request": "1s", "backendRequest": "500ms"}})
    assert weir.ask().status == 504
    until(lambda: backend.connections[0].resets)
    assert backend.connections[0].resets[0][1] == Errors.CANCEL
    assert weir.ask(BODY.replace(b"[]", b'["quick"]')).status == 200


# ---- keeping and losing connections ---------------------------------------------------------------------------------

def test_idle_connections_end(native_only, front):
    backend = Backend(answers)
    weir = front(backend, "timeout: {http: {connectionIdleTimeout: 1s}}")
    assert weir.ask().status == 200
    until(lambda: backend.connections[0].is_over)
    assert backend.connections[0].goaway and weir.ask().status == 200 and len(backend.connections) == 2


def test_a_reload_keeps_the_connection(native_only, front):
    backend = Backend(answers)
    weir = front(backend)
    assert weir.ask().status == 200
    for index in range(3):
        weir.file.write_text(weir.file.read_text() + f"\n# {index}\n")
        weir.native.process.send_signal(signal.SIGHUP)
        until(lambda: weir.metric("weir_config_generation") >= index + 2)
        assert weir.ask().status == 200
    assert len(backend.connections) == 1


def test_a_dead_connection_is_found_by_ping(native_only, front):
    def serve(conn, number):
        if number > 1:
            answers(conn, number)
            return
        conn.answer(conn.next())
        dead.wait(30)
    dead = threading.Event()
    backend = Backend(serve)
    weir = front(backend, "http2: {connectionKeepalive: {interval: 500ms, timeout: 500ms}}")
    assert weir.ask().status == 200
    until(lambda: weir.metric("weir_open_upstream_connections") == 0)
    assert weir.ask().status == 200 and len(backend.connections) == 2
    dead.set()


# ---- TLS ------------------------------------------------------------------------------------------------------------

TLS = {"insecureSkipVerify": True}


def tls_backend(folder, serve, protocols):
    make.authority(folder, "ca")
    make.leaf(folder, "backend", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "backend.pem", folder / "backend.key")
    if protocols:
        context.set_alpn_protocols(protocols)
    return Backend(serve, context=context)


def old_answers(conn):
    """Of a backend that speaks HTTP/1.1."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = conn.recv(65536)
            if not piece:
                return
            data += piece
        head, data = data.split(b"\r\n\r\n", 1)
        framing = re.search(rb"content-length: (\d+)", head)
        if not framing:
            return  # a preface of HTTP/2
        length = int(framing[1])
        while len(data) < length:
            data += conn.recv(65536)
        data = data[length:]
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))


def old_backend(folder, protocols):
    """As tls_backend, in HTTP/1.1."""
    backend = tls_backend(folder, None, protocols)

    def run(sock):
        try:
            with backend.context.wrap_socket(sock, server_side=True) as tls:
                backend.protocols.append(tls.selected_alpn_protocol())
                old_answers(tls)
        except OSError:
            pass
    backend._run = run
    return backend


def test_alpn_agrees_on_http2(front, tmp_path):
    backend = tls_backend(tmp_path, answers, ["h2", "http/1.1"])
    weir = front(backend, spec={"tls": TLS})
    assert weir.ask().status == 200
    assert all(answer.status == 200 for answer in weir.many(20))
    assert backend.protocols == ["h2"] and len(backend.connections) == 1
    assert next(iter(backend.connections[0].heads.values()))[":scheme"] == "https"


def test_a_large_answer_over_tls(front, tmp_path):
    def serve(conn, _):
        while stream := conn.next():
            conn.head(stream)
            at = 0
            while at < 3 << 20:
                with conn.lock:
                    room = min(conn.h2.local_flow_control_window(stream), 16384, (3 << 20) - at)
                    if room:
                        conn.h2.send_data(stream, b"x" * room)
                        at += room
                conn.flush()
                if not room and not conn.read():
                    return
            conn.data(stream, b"", end=True)
    weir = front(tls_backend(tmp_path, serve, ["h2"]), spec={"tls": TLS})
    answer = weir.ask()
    assert answer.is_complete and len(answer.body) == 3 << 20


@pytest.mark.parametrize("protocols", [["http/1.1"], None])
def test_alpn_falls_back(front, tmp_path, protocols):
    backend = old_backend(tmp_path, protocols)
    weir = front(backend, spec={"tls": TLS})
    assert all(answer.status == 200 for answer in weir.many(5))
    assert set(backend.protocols) == {protocols[0] if protocols else None}


def test_what_is_offered_can_be_chosen(front, tmp_path):
    backend = old_backend(tmp_path, ["h2", "http/1.1"])
    weir = front(backend, spec={"tls": {**TLS, "alpnProtocols": ["http/1.1"]}})
    assert weir.ask().status == 200 and backend.protocols == ["http/1.1"]


def test_nothing_but_http2_is_offered(front, tmp_path):
    weir = front(old_backend(tmp_path, None), spec={"tls": {**TLS, "alpnProtocols": ["h2"]}})
    answer = weir.ask(extra=["user-agent: only-h2"])
    assert answer.status == 502
    line = json.dumps(weir.native.log_line("only-h2"))
    assert "does not agree on HTTP/2" in line or weir.kind is not Native


def test_a_refused_stream_is_tried_again(front):
    """By Envoy too, which uses the same connection for it."""
    refused = []

    def serve(conn, _):
        while stream := conn.next():
            if refused:
                conn.answer(stream)
            else:
                refused.append(stream)
                conn.reset(stream, Errors.REFUSED_STREAM)
    assert front(Backend(serve)).ask().status == 200 and refused


MIXED = """
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: second, namespace: default}
spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: second}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: second, namespace: default}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: %d}}]%s}
"""


class Plain(Backend):
    """Speaks HTTP/1.1 without TLS."""

    def _run(self, sock):
        try:
            with sock:
                self.protocols.append("plain")
                old_answers(sock)
        except OSError:
            pass


def test_backends_with_and_without_tls_in_one_rule(front, tmp_path, kind):
    """What Envoy speaks with all backends of a rule, ALPN offers."""
    if kind is Native:
        pytest.skip("each backend has its own protocol there")
    both, plain = old_backend(tmp_path, ["h2", "http/1.1"]), Plain(None)
    weir = front(both, spec={"tls": TLS}, more=MIXED % (plain.port, ""), rule={"backendRefs": [{"name": "mock"}, {"name": "second"}]})
    until(lambda: weir.ask().status == 200 and both.protocols and plain.protocols)
    assert set(both.protocols) == {"http/1.1"}


@pytest.mark.parametrize("first, second, is_written", [
    ({"appProtocols": ["gateway.envoyproxy.io/h2c"]}, ", appProtocols: [gateway.envoyproxy.io/h2c]", True),
    ({"appProtocols": ["gateway.envoyproxy.io/h2c"]}, "", False),
    ({"appProtocols": ["gateway.envoyproxy.io/h2c"]}, ", tls: {insecureSkipVerify: true}", False),
    ({"appProtocols": ["gateway.envoyproxy.io/h2c"]}, ", tls: {insecureSkipVerify: true, alpnProtocols: [h2]}", True),
    ({"tls": {**TLS, "alpnProtocols": ["h2"]}}, ", tls: {insecureSkipVerify: true, alpnProtocols: [http/1.1]}", True),
    ({"tls": {**TLS, "alpnProtocols": ["h2"]}}, "", False),
])
def test_protocols_that_envoy_can_mix(tmp_path, first, second, is_written):
    class Nobody:
        port = 1976
    file = Front(None, tmp_path, Nobody, spec=first, more=MIXED % (1977, second), rule={"backendRefs": [{"name": "mock"}, {"name": "second"}]}).file
    done = subprocess.run([str(vectors.weir()), "envoy", str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == (0 if is_written else 2), done.stderr
    assert is_written or "weir envoy does not write rules whose backends have no protocol in common" in done.stderr


def test_prior_knowledge_within_tls(front, tmp_path):
    backend = tls_backend(tmp_path, answers, None)
    weir = front(backend, spec={"tls": TLS, "appProtocols": ["gateway.envoyproxy.io/h2c"]})
    assert weir.ask().status == 200 and backend.protocols == [None]


# ---- backends that break the rules ----------------------------------------------------------------------------------

LITERAL = b"\x00"  # HPACK: a literal field that is not indexed


def field(name, value):
    assert len(name) < 127 and len(value) < 127
    return LITERAL + bytes([len(name)]) + name + bytes([len(value)]) + value


STATUS_200 = b"\x88"


def block(payload, flags=4):
    return lambda stream: frame(HEADERS, flags, stream, payload)


HOSTILE = {
    "no status": block(field(b"x", b"y"), 5),
    "status 101": block(field(b":status", b"101"), 5),
    "status of two digits": block(field(b":status", b"20"), 5),
    "status of words": block(field(b":status", b"abc"), 5),
    "two statuses": block(STATUS_200 + field(b":status", b"200"), 5),
    "status behind a field": block(field(b"x", b"y") + STATUS_200, 5),
    "a pseudo-field of requests": block(STATUS_200 + field(b":path", b"/"), 5),
    "upper case": block(STATUS_200 + field(b"X-Upper", b"1"), 5),
    "a connection field": block(STATUS_200 + field(b"connection", b"close"), 5),
    "transfer-encoding": block(STATUS_200 + field(b"transfer-encoding", b"chunked"), 5),
    "line end in a value": block(STATUS_200 + field(b"x", b"a\r\nb: c"), 5),
    "NUL in a value": block(STATUS_200 + field(b"x", b"a\x00b"), 5),
    "blank in a name": block(STATUS_200 + field(b"x y", b"a"), 5),
    "an empty name": block(STATUS_200 + field(b"", b"a"), 5),
    "two lengths": block(STATUS_200 + field(b"content-length", b"1") + field(b"content-length", b"2")),
    "a length of words": block(STATUS_200 + field(b"content-length", b"+5")),
    "a length without content": block(STATUS_200 + field(b"content-length", b"5"), 5),
    "broken HPACK": block(b"\xff\xff\xff\xff\xff\xff", 5),
    "101 fields": block(STATUS_200 + field(b"x", b"y") * 101, 5),
    "60 KiB of fields": lambda s: (frame(HEADERS, 0, s, STATUS_200 + field(b"x", b"y" * 120) * 100)
                                   + b"".join(frame(CONTINUATION, 4 * (i == 4), s, field(b"x", b"y" * 120) * 110) for i in range(5))),
    "33 interim answers": lambda s: frame(HEADERS, 4, s, field(b":status", b"103")) * 33 + frame(HEADERS, 5, s, STATUS_200),
    "an interim answer that ends": block(field(b":status", b"103"), 5),
    "data without a head": lambda s: frame(DATA, 1, s, b"x"),
    "data for nobody": lambda s: frame(DATA, 0, s + 100, b"x"),
    "a head for nobody": lambda s: frame(HEADERS, 5, s + 100, STATUS_200),
    "a pushed request": lambda s: frame(5, 4, s, struct.pack(">I", 2) + STATUS_200),
    "a frame that is too large": lambda s: frame(DATA, 0, s, b"x" * 20000),
    "a window of zero": lambda s: frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 0)),
    "a window that overflows": lambda s: frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)) * 2,
    "an initial window that overflows": lambda s: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x80000000)),
    "settings on a stream": lambda s: frame(SETTINGS, 0, s),
    "a ping of seven bytes": lambda s: frame(PING, 0, 0, b"1234567"),
    "continuation of nothing": lambda s: frame(CONTINUATION, 4, s, b""),
    "ten continuations": lambda s: frame(HEADERS, 0, s, STATUS_200) + frame(CONTINUATION, 0, s, b"") * 10 + frame(CONTINUATION, 4, s, b""),
    "continuations without end": lambda s: frame(HEADERS, 0, s, STATUS_200) + frame(CONTINUATION, 0, s, field(b"x", b"y")) * 5000,
    "a flood of settings": lambda s: frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 20000,
    "a flood of pings": lambda s: frame(PING, 0, 0, b"12345678") * 20000,
    "a flood of empty data": lambda s: frame(HEADERS, 4, s, STATUS_200) + frame(DATA, 0, s, b"") * 20000,
    "a flood of resets": lambda s: frame(RST_STREAM, 0, s, struct.pack(">I", 8)) * 20000,
    "a flood of priorities": lambda s: frame(2, 0, s, struct.pack(">IB", 0, 1)) * 20000,
    "a flood of unknown frames": lambda s: frame(99, 0, s, b"x" * 10) * 80000,
    "a flood of windows": lambda s: frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 1)) * 20000,
    "HTTP/1.1": lambda s: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(front, kind, name):
    if kind is not Native and name in ("33 interim answers", "a flood of unknown frames"):
        pytest.skip("Envoy passes over these")
    def serve(conn, number):
        while stream := conn.next():
            if b"hostile" not in conn.bodies[stream]:
                conn.answer(stream)
                continue
            conn.raw(HOSTILE[name](stream))
    backend = Backend(serve)
    weir = front(backend, rule={"timeouts": {"request": "10s"}})
    assert weir.ask().status == 200
    before = rss_kib(weir.native.process.pid)
    answer = weir.ask(BODY.replace(b"[]", b'["hostile"]'))
    if name in ("a length without content", "a flood of empty data"):
        assert answer.status == 502 or not answer.is_complete
    elif name in ("data for nobody", "a head for nobody"):
        assert answer.status in (502, 504)
    else:
        assert answer.status == 502, answer.body
    assert rss_kib(weir.native.process.pid) - before < 16384
    assert weir.ask().status == 200
