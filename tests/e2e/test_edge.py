"""What a ClientTrafficPolicy says of who the client is, of heads and of connections, and the log lines of requests that
are refused before anybody looked at them."""
import json

import pytest

from conftest import EXAMPLES
from http2 import DATA, GOAWAY, Http2
from test_h2 import LIST, MALFORMED
from test_http1 import Wire, request
import vectors

QUICKSTART = EXAMPLES / "quickstart.yaml"
OK = {"status": 200, "headers": ["content-type: application/json"], "body": '{"id":"x","usage":{}}'}
HTTP1 = {
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "DPE"),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "DPE"),
    "large head": (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"a" * 70000 + b"\r\n\r\n", 431, "DPE"),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "-"),
    "old version": (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505, "DPE"),
    "unknown coding": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "DPE"),
}


def with_policy(**spec):
    policy = {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy",
              "metadata": {"name": "edge", "namespace": "default"},
              "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway_name()}], **spec}}
    return QUICKSTART.read_text() + "\n---\n" + json.dumps(policy) + "\n"


def gateway_name():
    docs = vectors.yaml.safe_load_all(QUICKSTART.read_text())
    return next(doc["metadata"]["name"] for doc in docs if doc and doc["kind"] == "Gateway")


@pytest.mark.parametrize("name", HTTP1)
def test_a_refused_head_is_logged(gateway, name):
    front = gateway(QUICKSTART)
    bytes_, status, flags = HTTP1[name]
    wire = Wire(front.url)
    answer = wire.send(bytes_).answer()
    assert answer[0] == status
    line = front.native.log_line(f'"response_code":{status}')
    assert line["response_flags"] == flags and line["response_code_details"] and line["method"] is None
    assert b"\r\nx-request-id: %s\r\n" % line["x-request-id"].encode() in answer[1], "what the client was told finds the line"
    assert line["downstream_remote_address"] == "127.0.0.1:%d" % wire.socket.getsockname()[1]
    assert line["bytes_sent"] > 0
    assert len(front.native.lines) == 1, "one line a request"


def test_another_protocol_is_logged_though_not_answered(gateway):
    front = gateway(QUICKSTART)
    wire = Wire(front.url).send(b"PRI * XYZ\r\n\r\n")
    assert not wire.more()
    line = front.native.log_line("DPE")
    assert line["response_code"] == 0


def test_a_head_that_does_not_come_is_logged(gateway):
    front = gateway(with_policy(timeout={"http": {"requestHeadersReceivedTimeout": "1s"}}))
    wire = Wire(front.url, 20).send(b"GET / HTTP/1.1\r\nHost")
    assert wire.answer()[0] == 408
    line = front.native.log_line("408")
    assert line["response_flags"] == "DT" and line["duration"] >= 900


def test_an_unknown_host_is_logged_with_its_request(gateway):
    text = QUICKSTART.read_text().replace("protocol: HTTP", "protocol: HTTP\n      hostname: only.example", 1)
    assert "hostname: only.example" in text
    front = gateway(text)
    assert Wire(front.url).send(b"GET /who HTTP/1.1\r\nHost: other.example\r\n\r\n").answer()[0] == 404
    line = front.native.log_line("/who")
    assert line["authority"] == "other.example" and line["response_flags"] == "NR" and line["method"] == "GET"


@pytest.mark.parametrize("name", ["CR LF in a value", "no :path", "connection", "host against :authority", ":path with a fragment"])
def test_a_refused_head_is_logged_over_http2(gateway, name):
    front = gateway(QUICKSTART)
    client = Http2(front.port)
    client.ask(MALFORMED[name])
    line = front.native.log_line("DPE")
    assert line["protocol"] == "HTTP/2" and line["response_code"] in (0, 400)
    assert client.ask(LIST).status == 200
    assert front.native.log_line("/v1/models") and len(front.native.lines) == 2
    client.close()


def test_who_the_client_is(gateway):
    front = gateway(with_policy(clientIPDetection={"xForwardedFor": {"trustedCIDRs": ["127.0.0.0/8", "10.0.0.0/8"]}}))
    front.script(OK)
    sent = request(extra=b"X-Forwarded-For: 6.6.6.6, 203.0.113.4, 10.1.1.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.4\r\n")
    assert Wire(front.url).send(sent).answer()[0] == 200
    seen = front.attempts[0]
    assert seen.values("x-forwarded-for") == ["6.6.6.6, 203.0.113.4, 10.1.1.1, 127.0.0.1"]
    assert seen.values("x-forwarded-proto") == ["https"]
    assert seen.values("forwarded") == ['for=203.0.113.4, for=127.0.0.1;host="a";proto=http']
    assert front.native.log_line("203.0.113.4:0")["downstream_remote_address"] == "203.0.113.4:0"


def test_no_client_is_believed_unasked(gateway):
    front = gateway(QUICKSTART)
    front.script(OK)
    sent = request(extra=b"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Client-Cert: By=me\r\n")
    assert Wire(front.url).send(sent).answer()[0] == 200
    seen = front.attempts[0]
    assert seen.values("x-forwarded-for") == ["6.6.6.6, 127.0.0.1"] and seen.values("x-forwarded-proto") == ["http"]
    assert seen.values("x-forwarded-client-cert") == [] and seen.values("forwarded") == []


def test_a_connection_ends_after_so_many_requests(gateway):
    front = gateway(with_policy(connection={"connectionLimit": {"maxRequestsPerConnection": 2}}))
    wire = Wire(front.url)
    ask = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
    assert b"connection: close" not in wire.send(ask).answer()[1]
    assert b"connection: close" in wire.send(ask).answer()[1] and not wire.more()
    client = Http2(front.port, 20)
    assert client.ask(LIST).status == 200
    client.request(LIST)
    frames = frames_until_the_end(client.socket)
    assert (GOAWAY, 0) in frames and (DATA, 3) in frames


def frames_until_the_end(wire):
    """(kind, stream) of each; Python's h2 reads nothing behind a GOAWAY."""
    data, frames = b"", []
    while piece := wire.recv(65536):
        data += piece
    while data:
        length = int.from_bytes(data[:3], "big")
        frames.append((data[3], int.from_bytes(data[5:9], "big")))
        data = data[9 + length:]
    return frames


def test_a_connection_ends_at_its_age(gateway):
    front = gateway(with_policy(connection={"connectionLimit": {"maxConnectionDuration": "1s"}}))
    wire, client = Wire(front.url, 20), Http2(front.port, 20)
    assert client.ask(LIST).status == 200
    assert not wire.more()
    client.until(lambda: client.is_closed)
    assert client.goaway == 0


def test_a_health_check_needs_no_route(gateway):
    front = gateway(with_policy(healthCheck={"path": "/healthz"}))
    wire = Wire(front.url)
    for _ in range(2):
        status, head, body = wire.send(b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n").answer()
        assert status == 200 and not body and b"x-request-id" in head
