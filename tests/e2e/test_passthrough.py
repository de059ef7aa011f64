"""TLSRoute: connections are passed on unread, by the name that they ask for, beside HTTPS listeners on the same port."""
import hashlib
import os
import socket
import socketserver
import ssl
import threading
import time

import certificates as make
import pytest
from test_tls import ROUTES, secret, wait_for
import vectors
from native import Native

PASS = """---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: %(name)s, namespace: default}
spec:
  parentRefs: [{name: gw, sectionName: pass}]
  hostnames: ['%(host)s']
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: %(name)s}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: %(name)s, namespace: default}
spec: {endpoints: [%(endpoints)s]}
"""
LOGS = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: logs, namespace: default}
spec: {telemetry: {accessLog: {settings: [{format: {type: JSON, json: {sni: '%REQUESTED_SERVER_NAME%', cluster: '%UPSTREAM_CLUSTER%',
  host: '%UPSTREAM_HOST%', in: '%BYTES_RECEIVED%', out: '%BYTES_SENT%', code: '%RESPONSE_CODE%', flags: '%RESPONSE_FLAGS%'}},
  sinks: [{type: File, file: {path: /dev/stdout}}]}]}}}
"""
ENDPOINT = "{ip: {address: 127.0.0.1, port: %d}}"


class Upper(socketserver.ThreadingTCPServer):
    """A TLS server that answers what it got in upper case, and ends when the client does."""
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, folder, name):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        self.hold = threading.Event()
        self.hold.set()
        super().__init__(("127.0.0.1", 0), None)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        try:
            with self.context.wrap_socket(request, server_side=True) as connection:
                while self.hold.wait(20) and (got := connection.recv(65536)):
                    connection.sendall(got.upper())
        except (OSError, ssl.SSLError):
            pass


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets, and "end" when that has ended."""
    allow_reuse_address, daemon_threads = True, True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        while got := request.recv(65536):
            request.sendall(got)
        request.sendall(b"end")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    make.authority(folder, "ca")
    for name, host in (("one", "one.pass.example"), ("two", "*.pass.example"), ("own", "own.example")):
        make.leaf(folder, name, f"DNS:{host},DNS:many.pass.example")
    return folder


@pytest.fixture
def serve(pki, tmp_path, kind):
    one, two, raw, port = Upper(pki, "one"), Upper(pki, "two"), Echo(), vectors.free_port()
    dead = vectors.free_port()
    listeners = (f"[{{name: pass, protocol: TLS, port: {port}, hostname: '*.pass.example', tls: {{mode: Passthrough}}}}, "
                 f"{{name: bare, protocol: TLS, port: {port}, hostname: '*.bare.pass.example', tls: {{mode: Passthrough}}}}, "
                 f"{{name: own, protocol: HTTPS, port: {port}, hostname: own.example, tls: {{certificateRefs: [{{name: own}}]}}}}]")
    text = ROUTES % {"backend": dead, "listeners": listeners}
    text = text.replace("parentRefs: [{name: gw}]", "parentRefs: [{name: gw, sectionName: own}]") + secret("own", pki, "own")
    text += PASS % {"name": "one", "host": "one.pass.example", "endpoints": ENDPOINT % one.server_address[1]}
    text += PASS % {"name": "two", "host": "*.pass.example",
                    "endpoints": ENDPOINT % dead + ", " + ENDPOINT % two.server_address[1]}
    text += PASS % {"name": "dead", "host": "dead.pass.example", "endpoints": ENDPOINT % dead}
    text += PASS % {"name": "raw", "host": "raw.pass.example", "endpoints": ENDPOINT % raw.server_address[1]}
    many = [("one", 1), ("two", 3), ("dead", 0)]
    text += (PASS % {"name": "many", "host": "many.pass.example", "endpoints": ENDPOINT % dead}).split("---\napiVersion: gateway.envoyproxy")[0].replace(
        "{group: gateway.envoyproxy.io, kind: Backend, name: many}",
        ", ".join("{group: gateway.envoyproxy.io, kind: Backend, name: %s, weight: %d}" % pair for pair in many))
    text = text.replace("gatewayClassName: weir", "gatewayClassName: weir\n  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, "
                                                  "kind: EnvoyProxy, name: logs}}") + LOGS
    file = tmp_path / "config.yaml"
    file.write_text(text)
    native = kind(file, follows=True)

    def connect(name, verifies=True):
        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        context.check_hostname = verifies
        raw = socket.create_connection(("127.0.0.1", port), timeout=20)
        return context.wrap_socket(raw, server_hostname=name)

    def shown_for(name, verifies=True):
        with connect(name, verifies) as connection:
            return shown(connection)
    connect.one, connect.two, connect.native, connect.file, connect.port, connect.shown = one, two, native, file, port, shown_for
    yield connect
    assert native.stop() == 0, "\n".join(native.errors)
    for server in (one, two, raw):
        server.shutdown()
        server.server_close()


def shown(connection):
    return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]


def test_by_name(serve):
    for name, certificate in (("one.pass.example", "one"), ("other.pass.example", "two"), ("own.example", "own")):
        for _ in range(4):  # an endpoint that is dead is passed over
            with serve(name) as connection:
                assert shown(connection) == certificate
                if certificate != "own":
                    connection.sendall(b"abc")
                    assert connection.recv(10) == b"ABC"


def test_nobody_there(serve, kind):
    with pytest.raises((ssl.SSLError, ConnectionError)) as refusal:
        serve("nobody.example")
    assert kind is not Native or "UNRECOGNIZED_NAME" in str(refusal.value).upper(), "Envoy just closes"
    for name in ("dead.pass.example", "x.bare.pass.example"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            serve(name)


def hello(name):
    """The bytes of a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_much_both_ways(serve):
    """Byte for byte, the ClientHello first; the ends of both sides are passed on one by one."""
    sent = hello("raw.pass.example") + os.urandom(40 << 20)
    got = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", serve.port), timeout=20) as raw:
        sender = threading.Thread(target=lambda: (raw.sendall(sent), raw.shutdown(socket.SHUT_WR)))
        sender.start()
        time.sleep(0.3)  # both ways are full
        total = 0
        while piece := raw.recv(1 << 20):
            got.update(piece)
            total += len(piece)
        sender.join()
    assert total == len(sent) + 3 and got.digest() == hashlib.sha256(sent + b"end").digest()


def test_slow_backend_holds_the_client(serve):
    """What the backend does not read is not taken from the client either."""
    with serve("one.pass.example") as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"A"
        serve.one.hold.clear()
        connection.settimeout(1)
        taken = 0
        with pytest.raises(TimeoutError):
            while taken < 200 << 20:
                taken += connection.send(b"x" * 65536)
        assert taken < 64 << 20
        serve.one.hold.set()


def test_log(serve):
    with serve("one.pass.example") as connection:
        connection.sendall(b"abc")
        assert connection.recv(10) == b"ABC"
    line = serve.native.log_line("one.pass.example")
    assert line["sni"] == "one.pass.example" and line["cluster"] == "tlsroute/default/one/rule/-1"
    assert line["host"] == "127.0.0.1:%d" % serve.one.server_address[1]
    assert line["in"] > 200 and line["out"] > 500 and line["code"] == 0 and line["flags"] == "-"
    for name in ("dead.pass.example", "x.bare.pass.example"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            serve(name)
        assert serve.native.log_line(name)["flags"] != "-"


def test_weights(serve):
    """By weight within a rule; what has none gets none."""
    shares = [serve.shown("many.pass.example") for _ in range(60)]
    assert set(shares) == {"one", "two"} and 3 <= shares.count("one") <= 30, shares


def test_backends_change_under_a_connection(serve):
    with serve("one.pass.example") as connection:
        one, two = ("name: one, namespace: default}\nspec: {endpoints: [%s" % (ENDPOINT % server.server_address[1])
                    for server in (serve.one, serve.two))
        serve.file.write_text(serve.file.read_text().replace(one, two))
        serve.native.reload()
        assert wait_for(lambda: serve.shown("one.pass.example", verifies=False) == "two", 5)
        connection.sendall(b"still")
        assert connection.recv(10) == b"STILL"


def test_names_change_beside_a_connection(serve):
    """Connections for other names of the port stay, passed on or not."""
    with serve("other.pass.example") as passed, serve("own.example") as own:
        passed.sendall(b"abc")
        assert passed.recv(10) == b"ABC"
        own.sendall(b"GET / HTTP/1.1\r\nhost: own.example\r\n\r\n")
        assert own.recv(65536).startswith(b"HTTP/1.1 50")
        serve.file.write_text(serve.file.read_text().replace("one.pass.example", "gone.pass.example"))
        serve.native.reload()
        assert wait_for(lambda: serve.shown("one.pass.example") == "two", 5)
        time.sleep(2)  # longer than Envoy drains here
        passed.sendall(b"still")
        assert passed.recv(10) == b"STILL"
        own.sendall(b"GET / HTTP/1.1\r\nhost: own.example\r\n\r\n")
        assert own.recv(65536).startswith(b"HTTP/1.1 50")


def test_reload_leaves_it_alone(serve, kind):
    if kind is not Native:
        pytest.skip("a chain of filters whose names change is another one: Envoy drains its connections")
    with serve("one.pass.example") as connection:
        serve.file.write_text(serve.file.read_text().replace("one.pass.example", "gone.pass.example"))
        serve.native.reload()
        assert wait_for(lambda: serve.shown("one.pass.example") == "two", 5), "the wildcard's route has it now"
        connection.sendall(b"still")
        assert connection.recv(10) == b"STILL"
