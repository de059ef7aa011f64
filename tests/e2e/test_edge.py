"""What a ClientTrafficPolicy says of who the client is, of heads and of connections, and the log lines of requests that
are refused before anybody looked at them."""
import json
import ssl
import time

import certificates as make
import pytest

from conftest import EXAMPLES
from http2 import DATA, GOAWAY, Http2, head
from test_h2 import LIST, MALFORMED
from test_http1 import BODY, Wire, request
from test_tls import secret, trust
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
def test_a_refused_head_is_logged(native_only, gateway, name):
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


def test_another_protocol_is_logged_though_not_answered(native_only, gateway):
    front = gateway(QUICKSTART)
    wire = Wire(front.url).send(b"PRI * XYZ\r\n\r\n")
    assert not wire.more()
    line = front.native.log_line("DPE")
    assert line["response_code"] == 0


def test_a_head_that_does_not_come_is_logged(native_only, gateway):
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
def test_a_refused_head_is_logged_over_http2(native_only, gateway, name):
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


def test_the_client_so_many_hops_away(gateway):
    front = gateway(with_policy(clientIPDetection={"xForwardedFor": {"numTrustedHops": 2}}))
    front.script(OK, OK)
    sent = request(extra=b"X-Forwarded-For: 6.6.6.6, 203.0.113.4\r\nX-Forwarded-For: 10.1.1.1\r\nX-Forwarded-Proto: https\r\n")
    assert Wire(front.url).send(sent).answer()[0] == 200
    seen = [hop.strip() for value in front.attempts[0].values("x-forwarded-for") for hop in value.split(",")]
    assert seen == ["6.6.6.6", "203.0.113.4", "10.1.1.1", "127.0.0.1"]
    assert front.attempts[0].values("x-forwarded-proto") == ["https"]
    assert front.native.log_line("203.0.113.4:0")["downstream_remote_address"] == "203.0.113.4:0"
    wire = Wire(front.url)  # too few hops: the connection's own
    assert wire.send(request(extra=b"X-Forwarded-For: 203.0.113.9\r\n")).answer()[0] == 200
    assert front.native.log_line("127.0.0.1:%d" % wire.socket.getsockname()[1])


def test_the_client_that_a_field_names(gateway):
    front = gateway(with_policy(clientIPDetection={"customHeader": {"name": "X-Client", "failClosed": True}}))
    front.script(OK)
    for extra in (b"", b"X-Client: nobody\r\n", b"X-Client: 203.0.113.4\r\nX-Client: 203.0.113.5\r\n"):
        status, _, body = Wire(front.url).send(request(extra=extra)).answer()
        assert status == 403 and json.loads(body)["error"]["message"]
    assert Wire(front.url).send(request(extra=b"X-Client: 203.0.113.4\r\n")).answer()[0] == 200
    assert front.native.log_line("203.0.113.4:0")["response_code"] == 200
    assert len(front.attempts) == 1 and front.attempts[0].values("x-forwarded-for") == ["127.0.0.1"]


def test_the_client_in_lines_that_envoy_makes(gateway):
    text = with_policy(clientIPDetection={"xForwardedFor": {"numTrustedHops": 1}})
    text = text.replace("spec:\n  gatewayClassName", "spec:\n  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, "
                        "kind: EnvoyProxy, name: logs}}\n  gatewayClassName", 1)
    front = gateway(text + """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: logs, namespace: default}
spec: {telemetry: {accessLog: {settings: [{format: {type: JSON, json: {client: '%DOWNSTREAM_REMOTE_ADDRESS%', spoken: '%UPSTREAM_PROTOCOL%',
  ip: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', direct: '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%'}},
  sinks: [{type: File, file: {path: /dev/stdout}}]}]}}}
""")
    front.script(OK)
    assert Wire(front.url).send(request(extra=b"X-Forwarded-For: 2001:db8::7\r\n")).answer()[0] == 200
    assert front.native.log_line("2001:db8") == {"client": "[2001:db8::7]:0", "ip": "2001:db8::7", "direct": "127.0.0.1",
                                                 "spoken": "HTTP/1.1"}


def test_a_scheme_is_that_of_the_connection(gateway):
    front = gateway(QUICKSTART)
    front.script(OK)
    client = Http2(front.port)
    lie = [(name, "https" if name == ":scheme" else value) for name, value in
           head("POST", "/v1/chat/completions", ("content-type", "application/json"), ("x-forwarded-proto", "https"))]
    assert client.ask(lie, BODY).status == 200
    assert front.attempts[0].values("x-forwarded-proto") == ["http"]
    client.close()


@pytest.mark.parametrize("mode, is_forwarded", [("Sanitize", False), ("ForwardOnly", False), ("AlwaysForwardOnly", True)])
def test_certificates_that_others_have_seen(gateway, mode, is_forwarded):
    front = gateway(with_policy(headers={"xForwardedClientCert": {"mode": mode}}))
    front.script(OK)
    assert Wire(front.url).send(request(extra=b"X-Forwarded-Client-Cert: By=me\r\n")).answer()[0] == 200
    assert front.attempts[0].values("x-forwarded-client-cert") == (["By=me"] if is_forwarded else [])


def test_a_client_with_a_certificate_tells_of_others(gateway, tmp_path):
    for name in ("ca", "clients"):
        make.authority(tmp_path, name)
    make.leaf(tmp_path, "own", "DNS:localhost")
    make.leaf(tmp_path, "proxy", "email:a@b.c", ca="clients", usage="clientAuth")
    text = with_policy(headers={"xForwardedClientCert": {"mode": "ForwardOnly"}},
                       tls={"clientValidation": {"optional": True, "caCertificateRefs": [{"kind": "ConfigMap", "name": "clients", "group": ""}]}})
    tls = "protocol: HTTPS\n      tls: {certificateRefs: [{name: own}]}"
    front = gateway(text.replace("protocol: HTTP", tls, 1) + secret("own", tmp_path, "own") + trust("clients", tmp_path, "clients"))
    front.script(OK, OK)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.set_alpn_protocols(["h2"])
    for is_shown in (False, True):
        if is_shown:
            context.load_cert_chain(tmp_path / "proxy.pem", tmp_path / "proxy.key")
        client = Http2(front.port, 20, context=context)
        fields = head("POST", "/v1/chat/completions", ("content-type", "application/json"), ("x-forwarded-client-cert", "By=me"))
        assert client.ask(fields, BODY).status == 200
        client.close()
        assert front.attempts[-1].values("x-forwarded-client-cert") == (["By=me"] if is_shown else [])
        assert front.attempts[-1].values("x-forwarded-proto") == ["https"]


def test_as_many_connections_as_allowed(gateway):
    front = gateway(with_policy(connection={"connectionLimit": {"value": 2}}))
    ask = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
    inside = [Wire(front.url, 20) for _ in range(2)]
    for wire in inside:
        assert wire.send(ask).answer()[0] == 200
    outside = Wire(front.url, 20)
    try:  # without a word from Envoy
        outside.send(ask)
        assert not outside.more() or outside.answer()[0] == 503
    except OSError:
        pass
    inside.pop().socket.close()
    end = time.monotonic() + 20
    while not is_let_in(front.url, ask):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert inside[0].send(ask).answer()[0] == 200


def is_let_in(url, ask):
    try:
        return Wire(url, 20).send(ask).answer()[0] == 200
    except (OSError, EOFError):
        return False


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
