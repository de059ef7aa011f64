"""TLS towards backends: good certificates work, bad ones are refused with words an operator understands, sessions are
taken up again. The server is Python's own, the certificates are made by the openssl command."""
import http.server
import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
import vectors
from native import Native

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weir
  listeners: [{name: http, protocol: HTTP, port: %(port)d}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: r, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: b}]}]
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
  endpoints: [{fqdn: {hostname: localhost, port: %(backend)d}}]
  tls: %(tls)s
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca, namespace: default}
data:
  ca.crt: |
%(ca)s
"""
TRUSTED = "{caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], sni: backend.example}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [], "pad": "x" * 100000}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(folder, command):
    subprocess.run(command, shell=True, cwd=folder, check=True, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    run(folder, f"openssl req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca")
    for name, host, days in (("good", "backend.example", 2), ("expired", "backend.example", -1), ("other", "other.example", 2)):
        run(folder, f"openssl req {key} -keyout {name}.key -out {name}.csr -subj /CN=x && echo subjectAltName=DNS:{host} >ext && "
                    f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ext -days {days} "
                    f"-out {name}.pem")
    run(folder, f"openssl req -x509 {key} -keyout self.key -out self.pem -days 2 -subj /CN=backend.example "
                "-addext subjectAltName=DNS:backend.example")
    return folder


def ask(port):
    """Status and body of one chat request."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", method="POST",
                                     data=b'{"model":"m","messages":[]}', headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def serve(certificates, tmp_path):
    ended = []

    def start(certificate, tls=TRUSTED, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{certificate}.pem", certificates / f"{certificate}.key")
        if version:
            context.maximum_version = version
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ca = "\n".join("    " + line for line in (certificates / "ca.pem").read_text().splitlines())
        port = vectors.free_port()
        file = tmp_path / "config.yaml"
        file.write_text(CONFIG % {"port": port, "backend": server.server_port, "tls": tls, "ca": ca})
        native = Native(file)
        ended.append((native, server))
        return native, port, context
    yield start
    for native, server in ended:
        native.stop()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_good_certificate(serve, version):
    _, port, context = serve("good", version=version)
    for _ in range(3):
        status, body = ask(port)
        assert (status, len(body["pad"])) == (200, 100000)
    assert context.session_stats()["accept_good"] == 1, "the connection is used again"


@pytest.mark.parametrize("certificate, tls, reason", [
    ("expired", TRUSTED, "a certificate of backend.example has expired"),
    ("other", TRUSTED, "the certificate is not for backend.example but for other.example"),
    ("self", TRUSTED, "the certificate of backend.example is self-signed and not trusted"),
    ("good", "{wellKnownCACertificates: System, sni: backend.example}", "comes from a CA that is not trusted"),
])
def test_bad_certificate(serve, certificate, tls, reason):
    native, port, _ = serve(certificate, tls)
    status, body = ask(port)
    assert status == 502 and body["error"]["code"] == "upstream_tls_failed"
    line = native.log_line("/v1/chat/completions")
    assert reason in line["upstream_transport_failure_reason"]
    assert "UF" in line["response_flags"].split(",")


def test_unverified_by_wish(serve):
    _, port, _ = serve("self", "{insecureSkipVerify: true}")
    assert ask(port)[0] == 200
