"""The PROXY protocol before HTTP, TLS and passthrough: whose connection it is said to be stands in the log and in
x-forwarded-for; who does not say it properly is not served."""
import http.server
import json
import socket
import ssl
import struct
import threading
import time

import certificates as make
import pytest
from test_passthrough import ENDPOINT, PASS
from test_tls import LISTENER, ROUTES, secret
import vectors
from envoy import Envoy

POLICY = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]
  proxyProtocol: {optional: %s}
  timeout: {http: {requestHeadersReceivedTimeout: 1s}, tcp: {tlsHandshakeTimeout: 1s}}
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r\n"
V2 = SIGNATURE + b"\x21\x21" + struct.pack("!H", 36 + 7) + (socket.inet_pton(socket.AF_INET6, "2001:db8::7") +
                                                            socket.inet_pton(socket.AF_INET6, "2001:db8::9") +
                                                            struct.pack("!HH", 4711, 443) + b"\x02\0\x04name")
LOCAL = SIGNATURE + b"\x20\0\0\0"


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({k.lower(): v for k, v in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def backend():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def serve(backend, tmp_path, kind):
    running = []

    def start(listeners, more=""):
        file = tmp_path / f"{len(running)}.yaml"
        file.write_text(ROUTES % {"backend": backend, "listeners": listeners} + more)
        running.append(kind(file))
        return running[-1]
    yield start
    for native in running:
        assert native.stop() == 0, "\n".join(native.errors)


@pytest.fixture
def plain(serve):
    port = vectors.free_port()
    native = serve(f"[{{name: http, protocol: HTTP, port: {port}}}]", POLICY % "false")
    native.port = port
    return native


def read(wire):
    """What the backend got, by its answer."""
    answer = b""
    while b"}" not in answer:
        piece = wire.recv(65536)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return json.loads(answer[answer.index(b"{"):])


def get(wire, mark, close=True):
    wire.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (mark, b"Connection: close\r\n" if close else b""))
    return read(wire)


def connect(port):
    wire = socket.create_connection(("127.0.0.1", port), timeout=20)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


def ends(wire):
    """Whether it is closed without a word."""
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("header, ip, remote, local", [
    (V1, "192.0.2.7", "192.0.2.7:4711", "198.51.100.9:443"),
    (V2, "2001:db8::7", "[2001:db8::7]:4711", "[2001:db8::9]:443"),
])
def test_said_to_be_somebody(plain, header, ip, remote, local):
    with connect(plain.port) as wire:
        wire.sendall(header)
        assert get(wire, b"said", False)["x-forwarded-for"] == ip
        assert get(wire, b"again")["x-forwarded-for"] == ip
    for mark in ("/said", "/again"):
        line = plain.log_line(mark)
        assert line["downstream_remote_address"] == remote and line["downstream_local_address"] == local


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x21\0\0\0",
                                    SIGNATURE + b"\x21\x31\0\xd8" + b"x" * 216])
def test_nobody_is_named(plain, kind, header):
    with connect(plain.port) as wire:
        wire.sendall(header)
        if kind is Envoy and header.startswith(SIGNATURE + b"\x21"):  # it takes the addresses of IP alone
            assert ends(wire)
            return
        assert get(wire, b"local")["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.parametrize("header", [V1, V2, LOCAL])
def test_byte_by_byte_and_all_at_once(plain, header):
    with connect(plain.port) as wire:
        for byte in header:
            wire.sendall(bytes([byte]))
        get(wire, b"slow")
    body = b"x" * 30000  # more than is read with the header
    request = b"POST /once HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with connect(plain.port) as wire:
        wire.sendall(header + request)
        read(wire)
        get(wire, b"next")
    assert plain.log_line("/once")["bytes_received"] == len(body)


@pytest.mark.parametrize("bytes_", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP5 a b 1 2\r\n",
                                    b"PROXY " + b"A" * 200, SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x33\0\0\0",
                                    V1 + V1 + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_refused(plain, bytes_):
    with connect(plain.port) as wire:
        wire.sendall(bytes_)
        if bytes_.startswith(V1):  # a second header is a request, and a bad one
            assert wire.recv(65536).startswith(b"HTTP/1.1 400")
        else:
            assert ends(wire)
    with connect(plain.port) as wire:
        wire.sendall(V1)
        get(wire, b"fine")


def test_too_slow(plain):
    started = time.monotonic()
    with connect(plain.port) as silent, connect(plain.port) as half:
        half.sendall(V1[:20])
        assert ends(silent) and ends(half)
    assert time.monotonic() - started < 15


def test_optional(serve):
    port = vectors.free_port()
    serve(f"[{{name: http, protocol: HTTP, port: {port}}}]", POLICY % "true")
    with connect(port) as wire:
        assert get(wire, b"without")["x-forwarded-for"] == "127.0.0.1"
    with connect(port) as wire:
        wire.sendall(V1)
        assert get(wire, b"with")["x-forwarded-for"] == "192.0.2.7"
    with connect(port) as wire:
        wire.sendall(b"P")  # like PROXY, like POST
        time.sleep(0.05)
        body = b"abc"
        wire.sendall(b"OST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" + body)
        assert wire.recv(65536).startswith(b"HTTP/1.1 200")
    with connect(port) as wire:
        wire.sendall(b"PROXY nonsense\r\n")
        assert ends(wire)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    make.authority(folder, "ca")
    make.leaf(folder, "own", "DNS:own.example")
    return folder


def test_before_tls(serve, pki):
    port = vectors.free_port()
    listener = LISTENER % {"name": "own", "port": port, "hostname": "hostname: own.example, ", "refs": "{name: own}"}
    native = serve(f"[{listener}]", secret("own", pki, "own") + POLICY % "false")
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    with connect(port) as raw:
        raw.sendall(V1)
        with context.wrap_socket(raw, server_hostname="own.example") as wire:
            wire.sendall(b"GET /tls HTTP/1.1\r\nHost: own.example\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := wire.recv(65536):
                answer += piece
    assert b'"x-forwarded-for": "192.0.2.7"' in answer and b'"x-forwarded-proto": "https"' in answer
    assert native.log_line("/tls")["downstream_remote_address"] == "192.0.2.7:4711"
    with connect(port) as raw, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(raw, server_hostname="own.example")


def test_before_passthrough(serve, backend):
    """The backend gets the ClientHello alone, and the log tells whose it was."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = vectors.free_port()
        native = serve(f"[{{name: pass, protocol: TLS, port: {port}, tls: {{mode: Passthrough}}}}, "
                       f"{{name: http, protocol: HTTP, port: {vectors.free_port()}}}]",
                       PASS % {"name": "one", "host": "one.pass.example", "endpoints": ENDPOINT % server.getsockname()[1]}
                       + POLICY % "false")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="one.pass.example")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        with connect(port) as wire:
            wire.sendall(V2 + hello)
            end, _ = server.accept()
            with end:
                got = b""
                while len(got) < len(hello):
                    got += end.recv(65536)
                assert got == hello
                end.sendall(b"bye")
            assert wire.recv(10) == b"bye"
        line = native.log_line("one.pass.example")
        assert line["downstream_remote_address"] == "[2001:db8::7]:4711" and line["bytes_received"] == len(hello)
        assert line["upstream_host"] == "127.0.0.1:%d" % server.getsockname()[1] and line["bytes_sent"] == 3
        assert line["upstream_cluster"] == "tlsroute/default/one/rule/-1" and line["response_code"] == 0
        assert line["response_flags"] == "-"
