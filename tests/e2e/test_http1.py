"""HTTP/1.1 by raw sockets: what is refused (reliability-security.md 1.3), and how connections are used."""
import json
import re
import socket
import time
import urllib.request
from urllib.parse import urlsplit

import pytest

from conftest import EXAMPLES
from native import Native
import vectors

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
STREAM = b'{"model":"demo","stream":true,"messages":[{"role":"user","content":"hi"}]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def request(body=BODY, extra=b""):
    return HEAD + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Wire:
    """A client's socket that reads answers one by one."""

    def __init__(self, url, seconds=5):
        self.socket = socket.create_connection(("127.0.0.1", urlsplit(url).port))
        self.socket.settimeout(seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def send(self, data):
        self.socket.sendall(data)
        return self

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.data += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.data:
            if not self.more():
                raise EOFError(self.data[-300:])
        at = self.data.index(mark) + len(mark)
        found, self.data = self.data[:at], self.data[at:]
        return found

    def answer(self):
        head = self.until(b"\r\n\r\n").lower()
        status = int(head.split()[1])
        length = re.search(rb"content-length: (\d+)", head)
        if status == 100:
            return status, head, b""
        if length:
            while len(self.data) < int(length[1]):
                assert self.more()
            body, self.data = self.data[:int(length[1])], self.data[int(length[1]):]
            return status, head, body
        body = b""
        while b"chunked" in head:
            size = int(self.until(b"\r\n"), 16)
            body += self.until(b"\r\n") if size == 0 else self.exactly(size + 2)[:-2]
            if size == 0:
                break
        return status, head, body

    def exactly(self, count):
        while len(self.data) < count:
            if not self.more():
                raise EOFError(self.data[-300:])
        found, self.data = self.data[:count], self.data[count:]
        return found

    def ends(self):
        while self.more():
            pass
        return True


REFUSED = {
    "content-length and chunked": (HEAD + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 400),
    "chunked and content-length": (HEAD + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n" + chunk(BODY) + b"0\r\n\r\n", 400),
    "content-length 5 and 10": (HEAD + b"Content-Length: 5\r\nContent-Length: 10\r\n\r\nabcde", 400),
    "content-length 5 and 5": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "content-length list": (HEAD + b"Content-Length: 5, 5\r\n\r\nabcde", 400),
    "content-length +5": (HEAD + b"Content-Length: +5\r\n\r\nabcde", 400),
    "content-length 0x5": (HEAD + b"Content-Length: 0x5\r\n\r\nabcde", 400),
    "blank before colon": (HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunked, identity": (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501),
    "vertical tab before chunked": (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "obs-fold": (HEAD + LENGTH + b"X: a\r\n b\r\n\r\n" + BODY, 400),
    "bare line feeds": ((HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY, 400),
    "bare carriage return": (HEAD + LENGTH + b"X: a\rb\r\n\r\n" + BODY, 400),
    "NUL in value": (HEAD + LENGTH + b"X: a\0b\r\n\r\n" + BODY, 400),
    "no host": ((HEAD + LENGTH + b"\r\n").replace(b"Host: a\r\n", b"") + BODY, 400),
    "two hosts": (HEAD + b"Host: a\r\n" + LENGTH + b"\r\n" + BODY, 400),
    "chunk size ended by line feed": (CHUNKED + b"%x\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), 400),
    "line feed in chunk extension": (CHUNKED + b"%x;a\nb\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), 400),
    "chunk 0x5": (CHUNKED + b"0x5\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk size of 17 digits": (CHUNKED + b"11111111111111111\r\nabcde\r\n0\r\n\r\n", 400),
    "chunk extension of 400 bytes": (CHUNKED + b"%x;%s\r\n%s\r\n0\r\n\r\n" % (len(BODY), b"a" * 400, BODY), 400),
    "chunked on HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    "header of 70 KB": (HEAD + b"X: " + b"a" * 70000 + b"\r\n\r\n", 431),
    "110 fields": (HEAD + b"".join(b"X-%d: 1\r\n" % i for i in range(110)) + b"\r\n", 431),
    "target of 9 KB": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "HTTP/2.0": ((HEAD + LENGTH + b"\r\n").replace(b"1.1", b"2.0") + BODY, 505),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    "TLS to the plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(quickstart, name):
    data, expected = REFUSED[name]
    wire = Wire(quickstart)
    status, head, body = wire.send(data).answer()
    assert status == expected
    assert b"connection: close" in head and b"x-request-id: " in head
    assert json.loads(body)["error"]["message"]
    assert wire.ends()


def test_refused_byte_by_byte(quickstart):
    wire = Wire(quickstart)
    for byte in REFUSED["bare line feeds"][0][:40]:
        try:
            wire.send(bytes([byte]))
        except OSError:
            break
        time.sleep(0.001)
    assert wire.answer()[0] == 400


ACCEPTED = {
    "content-length": request(),
    "chunked": CHUNKED + chunk(BODY[:9]) + chunk(BODY[9:]) + b"0\r\n\r\n",
    "chunked with extension and trailer": CHUNKED + b"%x;a=b\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (len(BODY), BODY),
    "absolute target": request().replace(b"POST /", b"POST http://b:80/"),
    "empty line first": b"\r\n" + request(),
    "offer of h2c": request(extra=b"Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\n"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_whole_and_byte_by_byte(quickstart, name):
    wire = Wire(quickstart)
    assert wire.send(ACCEPTED[name]).answer()[0] == 200
    for byte in ACCEPTED[name]: # on the same connection
        wire.send(bytes([byte]))
    assert wire.answer()[0] == 200


def test_pipelined_requests_are_answered_in_order(quickstart):
    wire = Wire(quickstart)
    names = [b"one", b"two", b"three", b"four"]
    wire.send(b"".join(request((STREAM if i % 2 else BODY).replace(b"demo", name)) for i, name in enumerate(names)))
    for name in names:
        status, head, _ = wire.answer()
        assert status == 200 and b"x-mock-model: " + name in head


def test_continue_is_sent_when_the_body_is_wanted(quickstart):
    wire = Wire(quickstart)
    whole = request(extra=b"Expect: 100-continue\r\n")
    assert wire.send(whole[:-len(BODY)]).answer()[0] == 100
    assert wire.send(BODY).answer()[0] == 200
    status, head, _ = Wire(quickstart).send(HEAD + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n").answer()
    assert status == 413 and b"connection: close" in head
    assert Wire(quickstart).send(request(extra=b"Expect: a-pony\r\n")).answer()[0] == 417


def test_http_1_0(quickstart):
    old = request(STREAM).replace(b"HTTP/1.1", b"HTTP/1.0")
    wire = Wire(quickstart).send(old)
    assert wire.ends() and b"[DONE]" in wire.data and b"chunked" not in wire.data.lower()
    wire = Wire(quickstart)
    for _ in range(2):
        status, head, _ = wire.send(request(extra=b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0")).answer()
        assert status == 200 and b"connection: keep-alive" in head


def test_connection_close(quickstart):
    wire = Wire(quickstart)
    status, head, _ = wire.send(request(extra=b"Connection: close\r\n")).answer()
    assert status == 200 and b"connection: close" in head and wire.ends()


def test_head_has_the_length_and_no_body(quickstart):
    wire = Wire(quickstart).send(b"HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
    head = wire.until(b"\r\n\r\n")
    length = len(urllib.request.urlopen(quickstart + "/models").read())
    assert b"content-length: %d\r\n" % length in head
    assert wire.send(request()).answer()[0] == 200


def upstream_connections(mock):
    with urllib.request.urlopen(f"http://127.0.0.1:{mock}/mock/stats") as answer:
        return json.load(answer)["connections"]


@pytest.mark.parametrize("fault", [b"x-mock-stall: 3\r\n", b"x-mock-stall: \r\n", b"x-mock-delay: 20s\r\n"])
def test_a_client_that_leaves_ends_its_upstream_within_100_ms(quickstart, mock, fault):
    wire = Wire(quickstart).send(request(STREAM, fault))
    time.sleep(0.2)
    during = upstream_connections(mock)
    wire.socket.close()
    left = time.monotonic()
    while upstream_connections(mock) >= during:
        assert time.monotonic() - left < 0.1
        time.sleep(0.002)


def test_answer_to_a_body_that_is_not_read_is_not_lost(quickstart):
    wire = Wire(quickstart)
    wire.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n")
    try:
        wire.send(b"x" * 500000)
    except OSError:
        pass
    status, head, _ = wire.answer()
    assert status == 404 and b"connection: close" in head


SCOPED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: g}
spec: {gatewayClassName: c, listeners: [{name: l, protocol: HTTP, port: 80, hostname: "*.example.com"}]}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: r}
spec:
  parentRefs: [{name: g}]
  rules:
    - matches: [{headers: [{name: x-ai-eg-model, value: demo}, {name: x-who, value: "${WHO}"}]}]
      backendRefs: [{name: b, headerMutation: {set: [{name: x-mine, value: "${WHO}"}]}}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: b}
spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: b}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: b}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9}}]}
"""


def test_a_host_that_no_listener_serves(tmp_path):
    file = tmp_path / "scoped.yaml"
    file.write_text(SCOPED)
    port, admin = vectors.free_port(), vectors.free_port()
    weir = Native(file, "--port-offset", str(port - 80), "--admin-port", str(admin), env={"WHO": "hushed"})
    try:
        status, _, body = Wire(f"http://127.0.0.1:{port}").send(request()).answer()
        error = json.loads(body)["error"]
        assert status == 404 and error["code"] == "model_not_found"
        assert error["message"].startswith("No matching route found.") and error["message"].endswith("No listener serves this host.")
        # What the environment says is not shown on the admin port.
        for page in "config", "routes":
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/{page}") as answer:
                text = answer.read().decode()
                assert "hushed" not in text and text.count("***") == 2 and "demo" in text
    finally:
        weir.stop()


# ---- long bodies -------------------------------------------------------------------------------------------------------


def long_body(size, model="gemini-2.5-pro"):
    text = "".join(f"{i:08x}" for i in range(size // 8))  # no two places alike
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [20000, 33000, 50000, 65000, 70000, 140000])
def test_a_long_body_reaches_every_attempt_whole(gateway, size, framing):
    """Bodies that are kept in the buffer they were read into (32 to 64 KiB, whole in one read), and those that are not; with a
    request behind them on the same connection, read in the same or in the next turn."""
    front = gateway(EXAMPLES / "gcp-provisioned-throughput.yaml", workers=1)
    body = long_body(size)
    head = HEAD + (b"Content-Length: %d\r\n\r\n" % len(body) if framing == "length" else b"Transfer-Encoding: chunked\r\n\r\n")
    message = head + (body if framing == "length" else chunk(body[:1000]) + chunk(body[1000:]) + b"0\r\n\r\n")
    fine = {"status": 200, "headers": ["content-type: application/json"], "body": '{"id":"1","usage":{}}'}
    for behind in (b"", message):
        busy = {"status": 429, "body": "{}"}
        front.script(busy, busy, fine, *([busy, busy, fine] if behind else []))
        wire = Wire(front.url).send(message + behind)
        for _ in range(2 if behind else 1):
            assert wire.answer()[0] == 200
        assert len(front.attempts) == (6 if behind else 3)
        assert {attempt.body for attempt in front.attempts} == {body.replace(b'"gemini-2.5-pro"', b'"google/gemini-2.5-pro"')}


def test_a_long_body_that_is_refused_leaves_the_connection_usable(quickstart):
    wire = Wire(quickstart)
    for _ in range(3):
        assert wire.send(request(long_body(40000, "demo")[:-1] + b"]")).answer()[0] == 400
        assert wire.send(request(long_body(40000, "demo"))).answer()[0] == 200
