"""Backends behind a forward proxy: a tunnel by CONNECT, TLS towards the backend inside it, credentials for the proxy alone,
and words for what it refuses."""
import base64
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time

import certificates as make
import pytest
import vectors
from envoy import Envoy
from test_upstream_h2 import Backend as Http2Backend, answers

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default, annotations: {aigateway.envoyproxy.io/gateway-config: egress}}
spec: {gatewayClassName: weir, listeners: [{name: http, protocol: HTTP, port: %(port)d}]}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: GatewayConfig
metadata: {name: egress, namespace: default, annotations: {%(credentials)s}}
spec: {forwardProxy: {address: "localhost:%(proxy)d"}}
---
apiVersion: v1
kind: Secret
metadata: {name: pw, namespace: default}
type: kubernetes.io/basic-auth
stringData: {username: weir, password: "secret:word"}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: r, namespace: default}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: b}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: plain, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /plain}}]
      backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: direct}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {name: b, namespace: default}
spec:
  schema: {name: OpenAI}
  backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: b}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: b, namespace: default}
spec:
  endpoints: [{fqdn: {hostname: backend.example, port: %(backend)d}}]
  %(tls)s
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: direct, namespace: default}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: %(backend)d}}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]
  %(traffic)s
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: default}
data:
  ca.crt: |
%(ca)s
"""
TLS = "tls: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], sni: %s}"
CREDENTIALS = "weir.dev/forward-proxy-credentials: pw"


def read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            return b""
        data += piece
    return data


class Server:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.seen = self.listener.getsockname()[1], []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            threading.Thread(target=self._guard, args=(connection,), daemon=True).start()

    def _guard(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()


class Backend(Server):
    """Answers chat requests; notes the heads."""

    def __init__(self, context=None):
        self.context = context
        super().__init__()

    def serve(self, connection):
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        with connection:
            while head := read_head(connection):
                head, body = head.split(b"\r\n\r\n", 1)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                while len(body) < int(fields.get(b"content-length", 0)):
                    body += connection.recv(4096)
                self.seen.append(head)
                answer = b'{"id":"1","object":"chat.completion","choices":[]}'
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))


class Proxy(Server):
    """A forward proxy that leads every tunnel to one backend; without one, to the port that is asked for."""

    def __init__(self, backend_port, answer=None):
        self.backend_port, self.answer = backend_port, answer
        super().__init__()

    def serve(self, connection):
        self.seen.append(read_head(connection))
        if self.answer is not None:
            connection.sendall(self.answer)
            if b" 100 " in self.answer:
                connection.recv(1)  # nothing follows
            if b" 200 " not in self.answer[:20]:
                return
        else:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        port = self.backend_port or int(self.seen[-1].split()[1].rsplit(b":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as backend:
            threading.Thread(target=self._pump, args=(backend, connection), daemon=True).start()
            self._pump(connection, backend)

    @staticmethod
    def _pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make.authority(folder, "ca")
    make.leaf(folder, "good", "DNS:backend.example")
    return folder


@pytest.fixture
def start(tmp_path, folder, kind):
    running = []

    def begin(with_tls=True, credentials="", answer=None, sni="backend.example", traffic="retry: {numRetries: 0}", text=None, options=()):
        context = None
        if with_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "good.pem", folder / "good.key")
        backend = Backend(context)
        proxy = Proxy(backend.port, answer)
        port = vectors.free_port()
        file = tmp_path / f"weir-{len(running)}.yaml"
        file.write_text(text or CONFIG % {
            "port": port, "proxy": proxy.port, "backend": backend.port, "credentials": credentials, "traffic": traffic,
            "tls": TLS % sni if with_tls else "",
            "ca": "\n".join("    " + line for line in (folder / "ca.pem").read_text().splitlines())})
        native = kind(file, *options, workers=1)
        native.file = file
        running.append((native, backend, proxy))
        native.port = port
        return native, backend, proxy
    yield begin
    for native, backend, proxy in running:
        assert native.stop() == 0
        vectors.stop_accepting(backend.listener)
        vectors.stop_accepting(proxy.listener)


def ask(native, mark="m"):
    connection = http.client.HTTPConnection("127.0.0.1", native.port, timeout=20)
    connection.request("POST", f"/v1/chat/completions?{mark}", json.dumps({"model": "m", "messages": []}),
                       {"content-type": "application/json", "proxy-authorization": "Basic Y2xpZW50OnB3"})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


@pytest.mark.parametrize("with_tls", [True, False])
def test_requests_go_through_one_tunnel(start, with_tls):
    native, backend, proxy = start(with_tls)
    for _ in range(3):
        assert ask(native)[0] == 200
    asked = f"CONNECT backend.example:{backend.port} HTTP/1.1\r\nhost: backend.example:{backend.port}\r\n\r\n"
    assert proxy.seen == [asked.encode()], "one tunnel, and the client's own credentials stay here"
    assert len(backend.seen) == 3 and all(b"host: backend.example" in head.lower() for head in backend.seen)
    assert not any(b"proxy-" in head.lower() for head in backend.seen)


def test_credentials_are_for_the_proxy_alone(start):
    native, backend, proxy = start(credentials=CREDENTIALS)
    assert ask(native)[0] == 200
    value = base64.b64encode(b"weir:secret:word")
    assert b"\r\nproxy-authorization: Basic " + value + b"\r\n" in proxy.seen[0]
    assert value not in backend.seen[0] and b"proxy-auth" not in backend.seen[0].lower()
    assert value.decode() not in "".join(native.lines + native.errors)


@pytest.mark.parametrize("answer, words, envoy_words", [
    (b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "it answered 407 Proxy Authentication Required",
     ": tunnel_response:407 UF"),
    (b"HTTP/1.1 403 Forbidden\r\n\r\nnot you", "it answered 403 Forbidden", ": tunnel_response:403 UF"),
    (b"", "it closed the connection", ": - UF"),
    (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "bytes that nobody asked for", None),
])
def test_what_a_proxy_refuses_is_said(start, kind, answer, words, envoy_words):
    native, backend, proxy = start(answer=answer)
    status, body = ask(native, "refused")
    assert status == 502 and b"error" in body
    line = native.log_line("refused")
    reason = line["upstream_transport_failure_reason"]
    if kind is Envoy:  # in a line of its own
        words = f"weir: no tunnel to backend.example:{backend.port} through forward proxy localhost:{proxy.port}"
        assert "TLS_error" in reason
        assert not envoy_words or native.wait(lambda: any(words in line and envoy_words in line for line in native.errors), 5)
    else:
        assert words in reason and "forward proxy localhost:" in reason
    assert backend.seen == []


@pytest.mark.parametrize("answer, status", [(b"HTTP/1.1 403 Forbidden\r\n\r\n", 502), (b"", 502)])
def test_what_a_proxy_refuses_without_tls(start, answer, status):
    native, backend, _ = start(with_tls=False, answer=answer)
    assert ask(native)[0] == status and backend.seen == []


def test_where_a_request_went(start, kind):
    native, backend, proxy = start()
    assert ask(native, "went")[0] == 200
    host = f"backend.example:{backend.port}" if kind is Envoy else f"127.0.0.1:{proxy.port}"
    assert native.log_line("went")["upstream_host"] == host


def test_the_backend_is_verified_inside_the_tunnel(start):
    native, _, _ = start(sni="other.example")
    status, _ = ask(native, "verify")
    assert status == 502
    reason = native.log_line("verify")["upstream_transport_failure_reason"]
    assert "other.example" in reason or "verify cert failed" in reason


def test_a_proxy_that_is_silent_is_within_the_limit(start):
    native, _, _ = start(answer=b"HTTP/1.1 100 Continue\r\n\r\n", traffic="timeout: {tcp: {connectTimeout: 500ms}}")
    status, _ = ask(native, "silent")
    assert status == 504


def test_http2_goes_through_it(start, folder):
    """With requests at once on one tunnel."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    context.set_alpn_protocols(["h2"])
    backend = Http2Backend(answers, context=context)
    native, _, proxy = start()
    proxy.backend_port = backend.port
    assert ask(native)[0] == 200
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask(native)[0])) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [200] * 10 and len(backend.connections) == 1 and len(proxy.seen) == 1
    vectors.stop_accepting(backend.sock)


def test_plain_routes_are_not_led_through_it(start):
    native, backend, proxy = start(with_tls=False)
    connection = http.client.HTTPConnection("127.0.0.1", native.port, timeout=20)
    connection.request("GET", "/plain")
    assert connection.getresponse().status == 200
    assert proxy.seen == [] and len(backend.seen) == 1


def test_health_checks_go_through_it(native_only, start):
    native, backend, proxy = start(traffic="healthCheck: {active: {type: HTTP, interval: 1s, http: {path: /health}}}")
    assert native.process.poll() is None
    for _ in range(200):
        if any(b"/health" in head for head in backend.seen):
            break
        threading.Event().wait(0.05)
    assert any(head.startswith(b"CONNECT backend.example") for head in proxy.seen)
    assert any(b"GET /health HTTP/1.1" in head for head in backend.seen)
    assert ask(native)[0] == 200


def test_envoy_has_no_health_checks_through_it(start):
    """Its own stop at the edge of a worker's listeners."""
    native, _, _ = start(with_tls=False)
    file = native.file
    file.write_text(file.read_text().replace("retry: {numRetries: 0}", "healthCheck: {active: {type: TCP, tcp: {}}}"))
    done = subprocess.run([str(vectors.weir()), "envoy", str(file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "does not write active health checks of backends behind a forward proxy" in done.stderr


def test_each_gateway_has_its_own(start):
    """Another Gateway, with a proxy of its own, for the same route and backend."""
    native, backend, proxy = start()
    text = native.file.read_text()
    other, port = Proxy(backend.port), vectors.free_port()
    documents = text.split("---\n")
    gateway = next(document for document in documents if "kind: Gateway\n" in document)
    settings = next(document for document in documents if "kind: GatewayConfig\n" in document)
    text = text.replace("parentRefs: [{name: gw}], rules: [{backendRefs: [{name: b}]}]",
                        "parentRefs: [{name: gw}, {name: other}], rules: [{backendRefs: [{name: b}]}]")
    text += "---\n" + gateway.replace("name: gw", "name: other").replace("gateway-config: egress", "gateway-config: second").replace(
        f"port: {native.port}", f"port: {port}")
    text += "---\n" + settings.replace("name: egress", "name: second").replace(f"localhost:{proxy.port}", f"127.0.0.1:{other.port}")
    first_port = vectors.free_port()
    both = start(text=text.replace(f"port: {native.port}", f"port: {first_port}"))[0]
    both.port = port
    assert ask(both)[0] == 200
    assert len(other.seen) == 1 and other.seen[0].startswith(b"CONNECT backend.example:") and proxy.seen == []
    both.port = first_port
    assert ask(both)[0] == 200
    assert len(other.seen) == len(proxy.seen) == 1
    vectors.stop_accepting(other.listener)


def test_tunnels_by_files_that_envoy_follows(start, kind, tmp_path):
    if kind is not Envoy:
        pytest.skip("needs --host envoy")
    folder = tmp_path / "xds"
    folder.mkdir()
    native, backend, proxy = start(credentials=CREDENTIALS, options=("--xds-dir", str(folder)))
    native.wait(lambda: any("all dependencies initialized" in line for line in native.errors), 20)
    end = time.monotonic() + 20
    while True:  # listeners come after the main loop has begun
        try:
            assert ask(native)[0] == 200
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert b"proxy-authorization: Basic" in proxy.seen[0]
    def change(text):
        native.file.write_text(text)
        subprocess.run([str(vectors.weir()), "envoy", str(native.file), "--address", "127.0.0.1", "--admin-port", "0", "--xds-dir", str(folder)],
                       check=True, capture_output=True)

    text, other = native.file.read_text(), Proxy(backend.port)
    text = text.replace(f"localhost:{proxy.port}", f"localhost:{other.port}")
    change(text)
    while not other.seen:
        assert ask(native)[0] == 200 and time.monotonic() < end
        time.sleep(0.05)
    # Another backend behind it, while it is asked for: its tunnel is there before its route.
    more = Backend(backend.context)
    changer = threading.Thread(target=change, args=(text.replace(f"port: {backend.port}", f"port: {more.port}"),))
    other.backend_port = None  # each to its own
    changer.start()
    while not more.seen:
        assert ask(native)[0] == 200 and time.monotonic() < end
    changer.join()
    vectors.stop_accepting(other.listener)
    vectors.stop_accepting(more.listener)
