"""HTTP/2 from clients: what is served, what is refused as over HTTP/1.1, floods, time limits, ends of streams."""
import json
import re
import signal
import socket
import struct
import time
from urllib.parse import urlsplit

import h2.errors
import h2.events
import pytest

from conftest import EXAMPLES, rss_kib
import envoy_differences
from http2 import (CONTINUATION, DATA, GOAWAY, HEADERS, JSON, PING, PREFACE, PRIORITY, SETTINGS, WINDOW_UPDATE, Http2,
                   frame, head)
from native import Native
from test_streams import EVENT, SSE, STREAM, Backend, behind, chunk
import vectors

BODY = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
LIST = head("GET", "/v1/models")
POST = head("POST", "/v1/chat/completions", JSON)
CALM = int(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
PROTOCOL = int(h2.errors.ErrorCodes.PROTOCOL_ERROR)
INTERNAL = int(h2.errors.ErrorCodes.INTERNAL_ERROR)



@pytest.fixture
def port(quickstart):
    return urlsplit(quickstart).port


def admin_metric(native, name):
    import urllib.request
    text = urllib.request.urlopen(f"http://127.0.0.1:{native.admin_port()}/metrics", timeout=5).read().decode()
    return float(re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.M)[1])


# ---- what is served -------------------------------------------------------------------------------------------------

def test_a_completion_and_its_log_line(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    front.script({"status": 200, "headers": ["content-type: application/json"], "body": '{"id":"x","usage":{}}'})
    client = Http2(front.port)
    answer = client.ask(POST + [("X-Mixed".lower(), "1"), ("cookie", "a=1"), ("cookie", "b=2")], BODY)
    assert answer.status == 200 and answer.body == b'{"id":"x","usage":{}}'
    assert answer.value("content-length") == str(len(answer.body))
    assert not {"connection", "transfer-encoding", "keep-alive"} & {name for name, _ in answer.fields}
    seen = front.attempts[0]
    assert seen.values("cookie") in ([], ["a=1; b=2"]) and seen.values("x-mixed") == ["1"]
    line = front.native.log_line('"protocol":"HTTP/2"')
    assert line["response_code"] == 200 and line["bytes_received"] == len(BODY) and line["bytes_sent"] == len(answer.body)
    client.close()


def test_a_stream_of_events(port):
    client = Http2(port)
    answer = client.ask(POST, STREAM)
    assert answer.status == 200 and answer.body.rstrip().endswith(b"data: [DONE]") and answer.is_ended
    client.close()


def test_many_at_once_on_one_connection(port):
    client = Http2(port)
    streams = [client.request(POST, BODY if i % 2 else STREAM) for i in range(100)]
    for stream in streams:
        answer = client.finish(stream)
        assert answer.status == 200 and answer.is_ended
    client.close()


def test_the_preface_at_every_split(native_only, port):
    settings = frame(SETTINGS)
    for at in range(1, 24):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(5)
            sock.sendall(PREFACE[:at])
            time.sleep(0.005)
            sock.sendall(PREFACE[at:] + settings)
            assert sock.recv(9)[3] == SETTINGS


def test_http1_stays_beside_it(port):
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(5)
        for piece in (b"P", b"OST /v1/none HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            sock.sendall(piece)
            time.sleep(0.01)
        assert sock.recv(100).startswith(b"HTTP/1.1 404")


def test_head_has_a_length_and_no_body(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    client = Http2(front.port)
    answer = client.ask(head("HEAD", "/v1/models"))
    assert answer.body == b"" and answer.is_ended and answer.status in (200, 405)
    client.close()


def test_continue_is_sent_when_the_body_is_wanted(port):
    client = Http2(port)
    stream = client.request(POST + [("expect", "100-continue"), ("content-length", str(len(BODY)))], end=False)
    client.until(lambda: client.answer(stream).informational == [100])
    client.h2.send_data(stream, BODY, end_stream=True)
    client.flush()
    assert client.finish(stream).status == 200
    assert client.ask(POST + [("expect", "miracles")], BODY).status == 417
    client.close()


def test_trailers_are_dropped(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    client = Http2(front.port)
    stream = client.request(POST, BODY, end=False)
    client.h2.send_headers(stream, [("x-checksum", "1")], end_stream=True)
    client.flush()
    assert client.finish(stream).status == 200
    assert front.attempts[0].body and not front.attempts[0].values("x-checksum")
    client.close()


# ---- what is refused ------------------------------------------------------------------------------------------------

def without(name):
    return [pair for pair in POST if pair[0] != name]


def changed(name, value):
    return [(key, value if key == name else old) for key, old in POST]


MALFORMED = {
    "upper-case name": POST + [("X-Big", "1")],
    "connection": POST + [("connection", "close")],
    "keep-alive": POST + [("keep-alive", "1")],
    "proxy-connection": POST + [("proxy-connection", "close")],
    "transfer-encoding": POST + [("transfer-encoding", "chunked")],
    "upgrade": POST + [("upgrade", "h2c")],
    "te gzip": POST + [("te", "gzip")],
    "CR LF in a value": POST + [("x-a", "b\r\nx-b: c")],
    "NUL in a value": POST + [("x-a", "b\0c")],
    "LF in a value": POST + [("x-a", "b\nc")],
    "DEL in a value": POST + [("x-a", "b\x7fc")],
    "blank in front of a value": POST + [("x-a", " b")],
    "blank in a name": POST + [("x a", "b")],
    "colon in a name": POST + [("x:a", "b")],
    "CR LF in a name": POST + [("x\r\na", "b")],
    "empty name": POST + [("", "b")],
    "no :path": without(":path"),
    "no :method": without(":method"),
    "no :scheme": without(":scheme"),
    "no :authority, no host": without(":authority"),
    "two :path": [(":path", "/v1/models")] + POST,
    "two :method": [(":method", "GET")] + POST,
    "two :authority": [(":authority", "other")] + POST,
    "empty :path": changed(":path", ""),
    "empty :authority": changed(":authority", ""),
    ":path with a blank": changed(":path", "/v1/chat completions"),
    ":path with CR LF": changed(":path", "/v1/chat/completions HTTP/1.1\r\nhost: b"),
    ":path with a fragment": changed(":path", "/v1/chat/completions#x"),
    ":path in absolute form": changed(":path", "http://localhost/v1/chat/completions"),
    ":path without a slash": changed(":path", "v1/chat/completions"),
    ":path *": changed(":path", "*"),
    ":path with NUL": changed(":path", "/v1/\0"),
    ":method with a blank": changed(":method", "POST /x"),
    ":method unknown": changed(":method", "BREW"),
    ":method in lower case": changed(":method", "post"),
    ":scheme with CR LF": changed(":scheme", "http\r\n"),
    ":authority with user": changed(":authority", "a@localhost"),
    ":authority with a path": changed(":authority", "localhost/x"),
    ":authority with CR LF": changed(":authority", "localhost\r\nx: y"),
    "unknown pseudo-field": POST[:4] + [(":x", "y")] + POST[4:],
    ":status in a request": POST[:4] + [(":status", "200")] + POST[4:],
    ":protocol (extended CONNECT)": [(":method", "CONNECT"), (":protocol", "websocket")] + POST[1:],
    "pseudo-field behind a field": POST[:3] + [("x-a", "b")] + POST[3:],
    "host against :authority": POST + [("host", "other")],
    "two hosts": POST + [("host", "localhost"), ("host", "localhost")],
    "content-length too small": POST + [("content-length", str(len(BODY) - 1))],
    "content-length too large": POST + [("content-length", str(len(BODY) + 1))],
    "content-length +5": POST + [("content-length", "+5")],
    "content-length list": POST + [("content-length", f"{len(BODY)}, {len(BODY)}")],
    "two content-lengths": POST + [("content-length", str(len(BODY)))] * 2,
    "content-length beyond 64 bits": POST + [("content-length", "18446744073709551617")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(gateway, kind, name):
    if kind is not Native and name in envoy_differences.HTTP2:
        pytest.skip("read more kindly by Envoy")
    front = gateway(EXAMPLES / "quickstart.yaml")
    client = Http2(front.port)
    answer = client.ask(MALFORMED[name], BODY)
    seen = (answer.status, answer.reset, client.goaway)  # newer nghttp2 ends the connection, as RFC 9113 section 5.4.1 allows
    assert seen in ((400, None, None), (400, 0, None), (None, PROTOCOL, None)) or (answer.status, client.goaway) == (None, PROTOCOL), seen
    assert not front.attempts
    client.close()
    after = Http2(front.port)
    assert after.ask(POST, BODY).status == 200
    after.close()


REFUSED = {
    "CONNECT": ([(":method", "CONNECT"), (":authority", "a:80")], 405),
    "TRACE": (head("TRACE", "/v1/models"), 405),
    "header of 70 KB": (POST + [("x", "a" * 35000), ("y", "a" * 35000)], 431),
    "110 fields": (POST + [(f"x-{i}", "1") for i in range(110)], 431),
    "110 crumbs of a cookie": (POST + [("cookie", f"a{i}=1") for i in range(110)], 431),
    "target of 9 KB": (head("GET", "/" + "a" * 9000), 414),
    "unknown path": (head("GET", "/none"), 404),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(native_only, port, name):
    fields, status = REFUSED[name]
    client = Http2(port)
    answer = client.ask(fields)
    assert answer.status == status and answer.is_ended and answer.value("x-request-id")
    assert json.loads(answer.body)["error"]["message"]
    assert (answer.value("allow") is not None) == (status == 405)
    assert client.ask(LIST).status == 200, "the connection stays"
    client.close()


def test_a_body_beyond_the_limit_is_a_413(tmp_path, mock):
    policy = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: small, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  connection: {bufferLimit: 32Ki}
"""
    native, port = behind(tmp_path, type("Mock", (), {"port": mock}), policy)
    try:
        client = Http2(port)
        stream = client.request(POST, b" " * 16000, end=False)
        for _ in range(3):
            try:
                client.h2.send_data(stream, b" " * 16000)
                client.flush()
            except h2.exceptions.ProtocolError:
                break
        assert client.finish(stream).status == 413
        assert client.ask(LIST).status == 200
        client.close()
    finally:
        assert native.stop() == 0


# ---- flow -----------------------------------------------------------------------------------------------------------

def test_a_large_body_passes_the_windows(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    client = Http2(front.port)
    text = "x" * 3_000_000
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": text}]}).encode()
    stream = client.request(POST, None, end=False)
    client.upload(stream, body)
    assert client.finish(stream).status == 200
    assert len(front.attempts[0].body) == len(body) + len("-small")
    client.close()


def test_a_body_that_is_whole_gets_no_window_back(native_only, port):
    """A frame, and a system call, that nobody needs. What the kernel hands over in two parts may get one."""
    client, needless = Http2(port), 0
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "x" * 40000}]}).encode()
    for _ in range(20):
        stream = client.request(POST, None, end=False)
        for at in range(0, len(body), 16384):
            client.h2.send_data(stream, body[at:at + 16384], end_stream=at + 16384 >= len(body))
        client.flush()
        assert client.finish(stream).status == 200
        needless += any(isinstance(event, h2.events.WindowUpdated) and event.stream_id == stream for event in client.events)
    assert needless <= 10
    client.close()


def test_a_slow_stream_stops_neither_its_neighbours_nor_grows(tmp_path):
    """A client that reads nothing of a 100 MB stream: its upstream is paused, and other streams go on."""
    sent = [0]

    def serve(connection, data):
        if b"slow" not in data:
            connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            return
        connection.sendall(SSE.encode())
        piece = chunk(EVENT) * 1000
        while sent[0] < 100 << 20:
            connection.sendall(piece)
            sent[0] += len(piece)
    native, port = behind(tmp_path, Backend(serve))
    try:
        client = Http2(port, window=65535)
        slow = client.request(POST, json.dumps({"model": "slow", "stream": True, "messages": []}).encode())
        client.until(lambda: len(client.answer(slow).body) > 60000)
        before = rss_kib(native.process.pid)
        for _ in range(50):
            assert client.ask(POST, BODY).status == 200
        time.sleep(0.5)
        assert rss_kib(native.process.pid) - before < 2048
        assert sent[0] < 16 << 20, "what the upstream could send is what sockets and 64 KiB hold"
        client.h2.reset_stream(slow)
        client.flush()
        assert native.log_line('"response_flags":"DC"')
        client.close()
    finally:
        assert native.stop() == 0


# ---- ends -----------------------------------------------------------------------------------------------------------

def test_a_reset_cancels_the_upstream_within_100_ms(tmp_path):
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
        client = Http2(port)
        stream = client.request(POST, STREAM)
        client.until(lambda: client.answer(stream).body)
        left = time.monotonic()
        client.h2.reset_stream(stream)
        client.flush()
        while not gone and time.monotonic() - left < 3:
            time.sleep(0.002)
        assert gone and gone[0] - left < 0.1
        assert native.log_line('"response_flags":"DC"')
        assert client.ask(LIST).status == 200
        client.close()
    finally:
        assert native.stop() == 0


def test_an_upstream_that_breaks_off_is_told(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    front.script({"status": 200, "headers": ["content-type: text/event-stream"], "stream": [EVENT.decode(), "data: half"],
                  "fault": "cut"})
    client = Http2(front.port)
    answer = client.ask(POST, STREAM)
    assert answer.status == 200 and answer.reset == INTERNAL and not answer.is_ended
    assert b'"error"' in answer.body and b"half" not in answer.body and b"[DONE]" not in answer.body
    client.close()


def test_a_short_answer_is_reset(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    front.script({"status": 200, "headers": ["content-type: application/json"], "body": "{}", "fault": "cut"})
    client = Http2(front.port)
    answer = client.ask(POST, BODY)
    assert answer.reset == INTERNAL or answer.status == 502
    client.close()


def test_the_answer_before_the_request_ends(port):
    """A 404 while the body is still coming: the answer first, the reset (without an error) only after a while."""
    client = Http2(port)
    stream = client.request(head("POST", "/none", JSON), b"x" * 1000, end=False)
    client.until(lambda: client.answer(stream).is_ended)
    assert client.answer(stream).status == 404
    client.until(lambda: client.answer(stream).reset is not None)
    assert client.answer(stream).reset == 0
    client.close()


# ---- floods ---------------------------------------------------------------------------------------------------------

def opened(client, stream=1):
    """A stream that stays open, for floods on it."""
    assert client.request(POST, b"{", end=False) == stream
    return stream


FLOODS = {
    "PING": lambda _: frame(PING, 0, 0, b"12345678"),
    "SETTINGS": lambda _: frame(SETTINGS),
    "PRIORITY": lambda client: frame(PRIORITY, 0, 99, struct.pack(">IB", 0, 1)),
    "empty DATA": lambda _: frame(DATA, 0, 1),
    "DATA of padding": lambda _: frame(DATA, 8, 1, b"\x10" + b"\0" * 16),
    "WINDOW_UPDATE": lambda _: frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)),
    "unknown frames": lambda _: frame(200, 0, 0, b"x" * 1000),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(quickstart, port, kind, name):
    if kind is not Native and name in envoy_differences.FLOODS:
        pytest.skip("let pass by Envoy")
    client = Http2(port)
    opened(client)
    try:
        for _ in range(60):
            client.raw(FLOODS[name](client) * 100)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert client.ends() in (CALM, None)
    other = Http2(port)
    assert other.ask(LIST).status == 200
    other.close()


def test_pings_now_and_then_are_fine(port):
    client = Http2(port)
    for _ in range(300):
        client.raw(frame(PING, 0, 0, b"12345678"))
    assert client.ask(LIST).status == 200
    client.close()


def test_frames_that_cross_our_close_meet_no_reset(native_only, port):
    client = Http2(port)
    client.raw(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0xff)))
    while client.socket.recv(65536):
        pass
    for _ in range(2):
        client.socket.sendall(frame(PING, 0, 0, b"12345678"))
        time.sleep(0.05)
    assert client.socket.recv(65536) == b""
    client.socket.close()


def test_rapid_resets_end_the_connection(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    front.script(*[{"fault": "stall"}] * 400)
    client = Http2(front.port)
    try:
        for _ in range(300):
            stream = client.request(POST, BODY)
            client.h2.reset_stream(stream)
            client.flush()
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert client.ends() in (CALM, None)
    assert len(front.attempts) <= 102
    assert Http2(front.port).ask(LIST).status == 200


def test_resets_that_we_are_made_to_send_end_it_too(port):
    """CVE-2025-8671: the client breaks its own streams so that the server resets them."""
    client = Http2(port)
    try:
        for _ in range(200):
            stream = client.request(POST, b"{", end=False)
            client.raw(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0)))
    except (BrokenPipeError, ConnectionResetError, h2.exceptions.ProtocolError):
        pass
    assert client.ends() is not None or client.is_closed


def test_too_many_continuations(port):
    client = Http2(port)
    client.raw(frame(HEADERS, 0, 1, b"\x82"))
    try:
        for _ in range(20):
            client.raw(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"))
    except (BrokenPipeError, ConnectionResetError):
        pass
    client.ends()
    assert client.is_closed


def test_an_hpack_bomb_is_cut(native_only, quickstart, port):
    """One entry of 4 KB in the table, named thousands of times by one byte each."""
    client = Http2(port)
    block = b"\x82\x86\x84\x41\x01a" + b"\x40\x01x" + b"\x7f\xc1\x1d" + b"a" * 3904 + b"\xbe" * 10000
    client.raw(frame(HEADERS, 5, 1, block))
    try:
        client.until(lambda: client.goaway is not None or client.answer(1).status == 431 or client.answer(1).reset is not None)
    except TimeoutError:
        pytest.fail("nothing came")
    assert Http2(port).ask(LIST).status == 200


def test_streams_beyond_the_limit_are_refused(gateway):
    front = gateway(EXAMPLES / "quickstart.yaml")
    front.script(*[{"fault": "stall"}] * 101)
    client = Http2(front.port)
    client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 100)
    for _ in range(100):
        client.request(POST, BODY)
    client.h2.remote_settings = type(client.h2.remote_settings)(client=False)  # forget what the server said
    client.h2.remote_settings.acknowledge()
    stream = client.request(POST, BODY)
    try:
        client.until(lambda: client.answer(stream).reset is not None or client.goaway is not None or client.is_closed)
    except h2.exceptions.ProtocolError:
        pass
    assert client.answer(stream).reset or client.goaway or client.is_closed
    assert len(front.attempts) <= 100
    client.close()


# ---- time -----------------------------------------------------------------------------------------------------------

TIMES = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: times, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  timeout: {http: {requestHeadersReceivedTimeout: 1s, requestReceivedTimeout: 2s, idleTimeout: 1s}}
  http2: {maxConcurrentStreams: 7, initialStreamWindowSize: 128Ki}
"""


def test_slow_requests_and_idle_connections_end(native_only, tmp_path, mock):
    native, port = behind(tmp_path, type("Mock", (), {"port": mock}), TIMES)
    try:
        idle = Http2(port)
        assert idle.ask(LIST).status == 200
        assert idle.h2.remote_settings.max_concurrent_streams == 7
        assert idle.h2.remote_settings.initial_window_size == 128 << 10
        trickle = Http2(port)
        trickle.raw(frame(HEADERS, 0, 1, b"\x82"))  # and nothing behind it
        slow = Http2(port)
        stream = slow.request(POST, b'{"model":', end=False)
        assert slow.finish(stream).status == 408
        assert idle.ends() == 0
        assert trickle.ends() == CALM
        slow.close()
    finally:
        assert native.stop() == 0


def test_a_stream_that_is_not_read_ends_and_its_connection_stays(tmp_path):
    """Slow read: windows of nothing, or of a byte now and then, end the stream when its time without progress is over."""
    def serve(connection, data):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n" + b" " * 100000)
    policy = TIMES.replace("requestHeadersReceivedTimeout: 1s, requestReceivedTimeout: 2s, idleTimeout: 1s", "streamIdleTimeout: 1s")
    native, port = behind(tmp_path, Backend(serve), policy)
    try:
        client = Http2(port, window=0)
        stalled = client.request(POST, BODY)
        begun = time.monotonic()
        while client.answer(stalled).reset is None and time.monotonic() - begun < 4:
            client.socket.settimeout(0.1)
            try:
                client.read()
            except TimeoutError:
                client.h2.increment_flow_control_window(1, stalled)
                client.flush()
        assert client.answer(stalled).reset == INTERNAL and 0.9 < time.monotonic() - begun < 3
        client.raw(frame(PING, 0, 0, b"12345678"))
        client.until(lambda: any(type(event).__name__ == "PingAckReceived" for event in client.events))
        client.close()
    finally:
        assert native.stop() == 0


def test_a_drain_says_goaway_and_lets_streams_end(native_only, tmp_path):
    go = []

    def serve(connection, _):
        connection.sendall(SSE.encode() + chunk(EVENT))
        while not go:
            time.sleep(0.01)
        connection.sendall(chunk(EVENT + b"data: [DONE]\n\n") + b"0\r\n\r\n")
    native, port = behind(tmp_path, Backend(serve))
    client = Http2(port)
    stream = client.request(POST, STREAM)
    client.until(lambda: client.answer(stream).body)
    native.process.send_signal(signal.SIGTERM)
    client.until(lambda: client.goaway is not None)
    assert client.goaway == 0
    time.sleep(0.4)
    go.append(1)
    answer = client.finish(stream)
    assert answer.is_ended and answer.body.rstrip().endswith(b"data: [DONE]")
    assert native.process.wait(5) == 0
