"""TLS towards backends: good certificates work, bad ones are refused with words an operator understands, sessions are
taken up again. The server is Python's own, the certificates are made by the openssl command."""
import http.server
import json
import re
import ssl
import threading
import urllib.error
import urllib.request

import certificates as make
import pytest
from test_tls import wait_for
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
%(more)s
"""
POLICY = """---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]
  validation:
    caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]
    hostname: backend.example
    subjectAltNames: [%s]
"""
CLIENT = """---
apiVersion: v1
kind: Secret
metadata:
  name: client
  namespace: default
  annotations:
    substitution.aigw.run/file/tls.crt: %(folder)s/client.pem
    substitution.aigw.run/file/tls.key: %(folder)s/client.key
type: kubernetes.io/tls
"""
TRUSTED = "{caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], sni: backend.example}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [], "pad": "x" * 100000,
                           "client": self.connection.getpeercert(True).hex() if self.server.asks else None}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if self.server.asks:
            self.send_header("connection", "close")  # the next one shows its certificate again
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for ca in ("ca", "strangers"):
        make.authority(folder, ca)
    for name, host, days in (("good", "backend.example", 2), ("expired", "backend.example", 0), ("other", "other.example", 2),
                             ("revoked", "backend.example", 2)):
        make.leaf(folder, name, f"DNS:{host}", days=days)
    make.leaf(folder, "stranger", "DNS:backend.example", ca="strangers")
    make.leaf(folder, "spiffe", "URI:spiffe://cluster/backend,DNS:elsewhere.example")
    make.leaf(folder, "localhost", "DNS:localhost")
    make.leaf(folder, "renewed", "email:a@b.c", usage="clientAuth")
    make.leaf(folder, "client", "email:a@b.c", usage="clientAuth")
    make.run(folder, f"openssl req -x509 {make.KEY} -keyout self.key -out self.pem -days 2 -subj /CN=backend.example "
                     "-addext subjectAltName=DNS:backend.example")
    make.revoke(folder, "revoked")
    return folder


def indent(text):
    return "\n".join("    " + line for line in text.splitlines())


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
def serve(certificates, tmp_path, kind):
    ended = []

    def start(certificate, tls=TRUSTED, version=None, more="", with_list=False, asks=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{certificate}.pem", certificates / f"{certificate}.key")
        if version:
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates / "ca.pem")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        server.asks = asks
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ca = indent((certificates / "ca.pem").read_text())
        if with_list:
            ca += "\n  ca.crl: |\n" + indent((certificates / "ca.crl").read_text())
        port = vectors.free_port()
        file = tmp_path / f"config-{len(ended)}.yaml"  # each its own: a running one takes up what is written
        file.write_text(CONFIG % {"port": port, "backend": server.server_port, "tls": tls, "ca": ca, "more": more})
        native = kind(file, workers=1, follows=True)
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
    ("stranger", TRUSTED, "comes from a CA that is not trusted (/CN=strangers)"),
    ("good", "{wellKnownCACertificates: System, sni: backend.example}", "comes from a CA that is not trusted"),
])
def test_bad_certificate(serve, kind, certificate, tls, reason):
    native, port, _ = serve(certificate, tls)
    status, body = ask(port)
    assert status == 502 and body["error"]["code"] == "upstream_tls_failed"
    line = native.log_line("/v1/chat/completions")
    assert (reason if kind is Native else "CERTIFICATE_VERIFY_FAILED") in line["upstream_transport_failure_reason"]
    assert "UF" in line["response_flags"].split(",")


def test_unverified_by_wish(serve):
    _, port, _ = serve("self", "{insecureSkipVerify: true}")
    assert ask(port)[0] == 200


def refused(native, port, words, of_envoy="CERTIFICATE_VERIFY_FAILED"):
    """Whether it is, and the access log says why: in our words, or in those of Envoy's library."""
    status, body = ask(port)
    assert status == 502 and body["error"]["code"] == "upstream_tls_failed"
    reason = native.log_line("/v1/chat/completions")["upstream_transport_failure_reason"]
    assert (words if type(native) is Native else of_envoy) in reason
    return True


def test_revoked_certificate(serve):
    native, port, _ = serve("revoked", with_list=True)
    assert refused(native, port, "the certificate of backend.example was revoked by its CA", "revocation")
    assert ask(serve("good", with_list=True)[1])[0] == 200


def test_old_version(serve):
    native, port, _ = serve("good", version=ssl.TLSVersion.TLSv1_1)
    assert refused(native, port, "have no TLS version in common", "PROTOCOL_VERSION")


def test_plain_backend(serve, tmp_path, kind):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asks = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    native, port, _ = serve("good")
    file = tmp_path / "config-0.yaml"
    file.write_text(re.sub(r"localhost, port: \d+", f"localhost, port: {server.server_port}", file.read_text()))
    native.reload()
    if kind is not Native:
        assert wait_for(lambda: (native.lines.clear(), ask(port)[0])[1] == 502, 5)
        native.lines.clear()
    assert refused(native, port, "does not speak TLS on this port", "WRONG_VERSION_NUMBER")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("names, certificate, words", [
    ("{type: URI, uri: 'spiffe://cluster/backend'}", "spiffe", None),
    ("{type: Hostname, hostname: nowhere.example}, {type: Hostname, hostname: elsewhere.example}", "spiffe", None),
    ("{type: Hostname, hostname: nowhere.example}", "good", "is not for nowhere.example but for backend.example"),
    ("{type: URI, uri: 'spiffe://cluster/other'}", "spiffe", "is not for spiffe://cluster/other"),
])
def test_alternative_names(serve, names, certificate, words):
    native, port, _ = serve(certificate, "{}", more=POLICY % names)
    if words:
        assert refused(native, port, words)
    else:
        assert ask(port)[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate(serve, certificates, version):
    tls = TRUSTED[:-1] + ", clientCertificateRef: {name: client}}"
    assert ask(serve("good", tls, version, more=CLIENT % {"folder": certificates}, asks=True)[1])[0] == 200
    native, port, _ = serve("good", version=version, asks=True)
    status, body = ask(port)
    assert status == 502
    reason = native.log_line("/v1/chat/completions")["upstream_transport_failure_reason"]
    assert "asks for a client certificate" in reason if type(native) is Native else reason != ""


def test_renewed_client_certificate(serve, certificates):
    """It is shown on the next connection."""
    for end in ("pem", "key"):
        (certificates / f"turn.{end}").write_bytes((certificates / f"client.{end}").read_bytes())
    more = CLIENT.replace("%(folder)s/client", "%(folder)s/turn") % {"folder": certificates}
    native, port, _ = serve("good", TRUSTED[:-1] + ", clientCertificateRef: {name: client}}", more=more, asks=True)
    before = ask(port)[1]["client"]
    for end in ("pem", "key"):
        (certificates / f"turn.{end}").write_bytes((certificates / f"renewed.{end}").read_bytes())
    native.reload()
    renewed = ssl.PEM_cert_to_DER_cert((certificates / "renewed.pem").read_text()).hex()
    assert before != renewed and wait_for(lambda: ask(port)[1]["client"] == renewed, 5)


@pytest.mark.parametrize("choice, takes, refuses", [
    ("maxVersion: '1.2', ciphers: [ECDHE-ECDSA-AES256-GCM-SHA384]", lambda c: c.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384"),
     lambda c: c.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")),
    ("ecdhCurves: [secp384r1]", lambda c: c.set_ecdh_curve("secp384r1"), lambda c: c.set_ecdh_curve("prime256v1")),
], ids=["ciphers", "curves"])
def test_chosen_algorithms(serve, choice, takes, refuses):
    tls = TRUSTED[:-1] + f", {choice}}}"
    _, port, context = serve("good", tls)
    takes(context)
    assert ask(port)[0] == 200
    _, port, context = serve("good", tls)
    refuses(context)
    assert ask(port)[0] == 502


@pytest.mark.parametrize("algorithms, status", [("[rsa_pss_rsae_sha256, ECDSA+SHA256]", 200), ("[rsa_pss_rsae_sha256]", 502)])
def test_chosen_signatures(serve, algorithms, status):
    """The backend's key is of ECDSA."""
    _, port, _ = serve("good", TRUSTED[:-1] + f", signatureAlgorithms: {algorithms}}}")
    assert ask(port)[0] == status


def test_name_of_each_endpoint(serve, certificates):
    """Without a TLS name each endpoint is asked for, and verified, by its own."""
    _, port, _ = serve("localhost", TRUSTED.replace(", sni: backend.example", ""))
    assert ask(port)[0] == 200


def test_client_certificate_of_all_backends(serve, certificates):
    """EnvoyProxy.spec.backendTLS: for the backends that name no certificate of their own."""
    proxy = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: px, namespace: default}
spec: {backendTLS: {clientCertificateRef: {name: client}, minVersion: "1.3"}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: default}
spec:
  gatewayClassName: weir
  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: px}}
  listeners: [{name: http, protocol: HTTP, port: %d}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {name: other, namespace: default}
spec: {parentRefs: [{name: other}], rules: [{backendRefs: [{name: b}]}]}
"""
    with_it = vectors.free_port()
    more = CLIENT % {"folder": certificates} + proxy % with_it
    _, without, _ = serve("good", more=more, asks=True)
    assert ask(with_it)[0] == 200
    assert ask(without)[0] == 502
    assert ask(with_it)[0] == 200
