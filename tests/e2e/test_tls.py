"""TLS towards clients, through both hosts: which certificate is shown to whom, versions, ALPN, resumption, certificates of clients, renewal
under way, and what is refused. Python's ssl and openssl s_client are the clients."""
import http.client
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import certificates as make
import pytest
from http2 import Http2
import vectors
from envoy import Envoy
from native import Native

ROUTES = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weir}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: b, namespace: default}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: %(backend)d}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weir
  listeners: %(listeners)s
"""
LISTENER = ("{name: %(name)s, protocol: HTTPS, port: %(port)d, %(hostname)stls: {certificateRefs: [%(refs)s]}}")


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what came in; /stream sends a piece whenever the test says so."""
    protocol_version = "HTTP/1.1"
    go = threading.Semaphore(0)

    def do_GET(self):
        if self.path == "/stream":
            return self.stream()
        body = json.dumps({"headers": {k.lower(): v for k, v in self.headers.items()}, "pad": "x" * 100000}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (b"5\r\none..\r\n", b"5\r\ntwo..\r\n", b"0\r\n\r\n"):
            self.wfile.write(piece)
            self.wfile.flush()
            Handler.go.acquire(timeout=20)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def backend():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ca", "clients", "strangers"):
        make.authority(folder, name)
    make.leaf(folder, "exact", "DNS:api.example")
    make.leaf(folder, "wild", "DNS:*.wild.example")
    make.leaf(folder, "default", "DNS:other.test,DNS:localhost")
    make.leaf(folder, "rsa", "DNS:other.test,DNS:localhost", rsa=True)
    make.leaf(folder, "renewed", "DNS:other.test,DNS:localhost")
    make.leaf(folder, "expired", "DNS:other.test", days=0)
    make.leaf(folder, "good", "email:a@b.c", ca="clients", usage="clientAuth")
    make.leaf(folder, "late", "email:a@b.c", ca="clients", days=0, usage="clientAuth")
    make.leaf(folder, "revoked", "email:a@b.c", ca="clients", usage="clientAuth")
    make.leaf(folder, "stranger", "email:a@b.c", ca="strangers", usage="clientAuth")
    make.leaf(folder, "other", "email:a@b.c", ca="clients", usage="clientAuth")
    make.revoke(folder, "revoked", ca="clients")
    make.intermediate(folder, "middle", ca="clients")
    for name in ("below", "below-revoked"):
        make.leaf(folder, name, "email:a@b.c", ca="middle", usage="clientAuth")
    make.revoke(folder, "below-revoked", ca="middle")
    for name in ("below", "below-revoked"):
        with (folder / f"{name}.pem").open("a") as chain:
            chain.write((folder / "middle.pem").read_text())
    make.staple(folder, "exact")
    return folder


def secret(name, folder, pair, staple=False):
    note = f"\n    substitution.aigw.run/file/tls.ocsp-staple: {folder}/{pair}.ocsp" if staple else ""
    return f"""---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: default
  annotations:
    substitution.aigw.run/file/tls.crt: {folder}/{pair}.pem
    substitution.aigw.run/file/tls.key: {folder}/{pair}.key{note}
type: kubernetes.io/tls
"""


def policy(name, tls, section=None):
    target = "{group: gateway.networking.k8s.io, kind: Gateway, name: gw%s}" % (f", sectionName: {section}" if section else "")
    return f"""---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {{name: {name}, namespace: default}}
spec: {{targetRefs: [{target}], tls: {tls}}}
"""


def trust(name, folder, ca, crl=False):
    text = lambda path: "".join("    " + line + "\n" for line in path.read_text().splitlines())  # noqa: E731
    lists = "  ca.crl: |\n" + text(folder / f"{ca}.crl") if crl else ""
    return f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata:\n" \
           f"  ca.crt: |\n{text(folder / f'{ca}.pem')}{lists}"


class Server:
    def __init__(self, tmp_path, pki, backend, listeners, more, kind):
        self.port, self.pki, self.file = vectors.free_port(), pki, tmp_path / "config.yaml"
        entries = [LISTENER % {"name": name, "port": self.port, "hostname": f"hostname: '{host}', " if host else "",
                               "refs": ", ".join("{name: %s}" % ref for ref in refs)} for name, host, refs in listeners]
        text = ROUTES % {"backend": backend, "listeners": "[" + ", ".join(entries) + "]"} + more
        self.file.write_text(text)
        self.native = kind(self.file, env={"NO_COLOR": "1"}, follows=True)

    def context(self, certificate=None, **settings):
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        if certificate:
            context.load_cert_chain(self.pki / f"{certificate}.pem", self.pki / f"{certificate}.key")
        for name, value in settings.items():
            setattr(context, name, value)
        return context

    def connect(self, name, context=None, session=None, alpn=None):
        context = context or self.context()
        if alpn is not None:
            context.set_alpn_protocols(alpn)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        try:
            return context.wrap_socket(raw, server_hostname=name, session=session)
        except BaseException:
            raw.close()
            raise

    def ask(self, connection, host, path="/"):
        """Status, headers and body of a request over this connection."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        answer = http.client.HTTPResponse(connection, method="GET")
        answer.begin()
        return answer.status, dict(answer.getheaders()), answer.read()

    def shown(self, name):
        """The CN of the certificate that is shown for this name."""
        context = ssl.create_default_context(cafile=str(self.pki / "ca.pem"))
        context.check_hostname = False
        with self.connect(name, context) as connection:
            return dict(pair[0] for pair in connection.getpeercert()["subject"])["commonName"]

    def s_client(self, *options, text=b""):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile",
                               str(self.pki / "ca.pem"), *options], input=text, capture_output=True, timeout=20)


@pytest.fixture
def serve(tmp_path, pki, backend, kind):
    servers = []

    def start(listeners=(("https", None, ["default"]),), more=None):
        servers.append(Server(tmp_path, pki, backend, listeners, secret("default", pki, "default") if more is None else more, kind))
        return servers[-1]
    yield start
    for server in servers:
        assert server.native.stop() == 0, "\n".join(server.native.errors)


def fails(connect, *arguments, **named):
    """Whether a connection, or the first use of it, fails (TLS 1.3 tells of a refused certificate late)."""
    try:
        with connect(*arguments, **named) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            return connection.recv(1) == b""
    except (ssl.SSLError, ConnectionError) as error:
        return str(error) or True


# ---- the connection ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests(serve, version):
    server = serve()
    with server.connect("localhost", server.context(maximum_version=version, minimum_version=version)) as connection:
        for _ in range(3):
            status, _, body = server.ask(connection, "localhost")
            got = json.loads(body)
            assert status == 200 and len(got["pad"]) == 100000
            assert got["headers"]["x-forwarded-proto"] == "https"
        upload = os.urandom(300000)
        connection.sendall(b"POST /up HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(upload) + upload)
        answer = http.client.HTTPResponse(connection, method="POST")
        answer.begin()
        assert answer.read() == upload


def test_clean_end(serve):
    server = serve()
    with server.connect("localhost") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        connection.suppress_ragged_eofs = False
        while connection.recv(65536):
            pass  # ended by close_notify: no error


def test_old_versions_are_refused(serve):
    server = serve()
    for version in ("-tls1", "-tls1_1"):
        result = server.s_client(version, "-cipher", "ALL:@SECLEVEL=0")
        assert b"Cipher is (NONE)" in result.stdout
    assert server.s_client("-no_tls1_3", "-cipher", "AES128-SHA:AES256-GCM-SHA384").stdout.count(b"Cipher is (NONE)") == 1


def test_alpn(serve, kind):
    server = serve()
    for offer in (["h2", "http/1.1"], ["http/1.1", "h2"], ["h2"]):
        with server.connect("localhost", alpn=offer) as connection:
            assert connection.selected_alpn_protocol() == "h2"
    with server.connect("localhost", alpn=["http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    with server.connect("localhost") as connection:
        assert connection.selected_alpn_protocol() is None
        assert server.ask(connection, "localhost")[0] == 200
    with server.connect("localhost", alpn=["http/1.1", "h2"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
    if kind is Native:  # Envoy goes on without one
        assert "NO APPLICATION PROTOCOL" in fails(server.connect, "localhost", alpn=["acme-tls/1"]).upper()


def test_chosen_alpn(serve, pki):
    server = serve(more=secret("default", pki, "default") + policy("p", "{alpnProtocols: [http/1.1]}"))
    with server.connect("localhost", alpn=["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_chosen_versions(serve, pki):
    server = serve(more=secret("default", pki, "default") + policy("p", "{minVersion: '1.3', ecdhCurves: [P-256]}"))
    assert b"Cipher is (NONE)" in server.s_client("-tls1_2").stdout
    assert re.search(rb"Temp Key: ECDH, (prime256v1|P-256)", server.s_client("-tls1_3").stdout)


ALGORITHMS = [
    ("{maxVersion: '1.2', ciphers: [ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-ECDSA-AES128-SHA]}",
     ["-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], ["-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("{ecdhCurves: [secp384r1, X25519]}", ["-groups", "P-384"], ["-groups", "P-256"]),
    ("{}", ["-groups", "P-384"], ["-groups", "P-521"]),
    ("{signatureAlgorithms: [ECDSA+SHA256]}", ["-sigalgs", "ECDSA+SHA256"], ["-sigalgs", "RSA-PSS+SHA256"]),
    ("{signatureAlgorithms: [rsa_pss_rsae_sha256, rsa_pss_rsae_sha384]}", ["-sigalgs", "RSA-PSS+SHA384"], ["-sigalgs", "ECDSA+SHA256"]),
]


@pytest.mark.parametrize("tls, good, bad", ALGORITHMS, ids=[tls for tls, _, _ in ALGORITHMS])
def test_chosen_algorithms(serve, pki, tls, good, bad):
    server = serve([("https", None, ["default", "rsa"])],
                   more=secret("default", pki, "default") + secret("rsa", pki, "rsa") + policy("p", tls))
    assert b"Cipher is (NONE)" not in server.s_client("-servername", "localhost", *good).stdout
    assert b"Cipher is (NONE)" in server.s_client("-servername", "localhost", *bad).stdout


def test_http2(serve):
    server = serve()
    context = server.context()
    context.set_alpn_protocols(["h2"])
    client = Http2(server.port, context=context)
    for _ in range(3):
        answer = client.ask([(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")])
        got = json.loads(answer.body)
        assert answer.status == 200 and len(got["pad"]) == 100000 and got["headers"]["x-forwarded-proto"] == "https"
    client.close()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(serve, version, tmp_path):
    server = serve()
    kept = str(tmp_path / "session.pem")
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    first = server.s_client("-servername", "localhost", version, "-sess_out", kept, "-ign_eof", text=request)
    assert b"New, TLS" in first.stdout
    second = server.s_client("-servername", "localhost", version, "-sess_in", kept, "-ign_eof", text=request)
    assert b"Reused, TLS" in second.stdout and b"200 OK" in second.stdout


def test_no_renegotiation(serve):
    server = serve()
    result = server.s_client("-tls1_2", "-servername", "localhost", text=b"R\n")
    assert b"no renegotiation" in result.stderr


def test_both_kinds_of_keys(serve, pki):
    server = serve([("https", None, ["default", "rsa"])],
                   more=secret("default", pki, "default") + secret("rsa", pki, "rsa"))
    for name, algorithm in (("default", "ECDSA+SHA256"), ("rsa", "RSA-PSS+SHA256")):
        result = server.s_client("-servername", "localhost", "-sigalgs", algorithm)
        assert re.search(rf"subject=CN ?= ?{name}\n".encode(), result.stdout)


def test_staple(serve, pki):
    server = serve([("https", None, ["exact"])], more=secret("exact", pki, "exact", staple=True))
    result = server.s_client("-servername", "api.example", "-status")
    assert b"OCSP Response Status: successful" in result.stdout and b"Cert Status: good" in result.stdout


# ---- names ---------------------------------------------------------------------------------------------------------

NAMES = (("exact", "api.example", ["exact"]), ("wild", "*.wild.example", ["wild"]), ("rest", None, ["default"]))


def secrets(pki):
    return "".join(secret(name, pki, name) for name in ("exact", "wild", "default"))


def test_names(serve, pki):
    server = serve(NAMES, more=secrets(pki))
    assert server.shown("api.example") == "exact"
    assert server.shown("API.Example") == "exact"
    assert server.shown("chat.wild.example") == "wild"
    assert server.shown("wild.example") == "default"
    assert server.shown("other.test") == "default"
    assert server.shown(None) == "default"


def test_unknown_name(serve, pki, kind):
    server = serve(NAMES[:2], more=secrets(pki))
    assert server.shown("api.example") == "exact"
    for name in ("other.test", None):
        context = ssl.create_default_context()
        context.check_hostname = False
        refusal = fails(server.connect, name, context)
        assert refusal and (kind is not Native or "UNRECOGNIZED_NAME" in refusal.upper()), "Envoy just closes"


def test_misdirected(serve, pki, kind):
    server = serve(NAMES, more=secrets(pki))
    with server.connect("chat.wild.example") as connection:
        assert server.ask(connection, "chat.wild.example")[0] == 200
        assert server.ask(connection, "more.wild.example")[0] == 200
        status, headers, body = server.ask(connection, "api.example")
        assert status == 421 and json.loads(body)["error"]["code"] == "misdirected_request"
        assert kind is Envoy or headers["connection"] == "close"


def test_one_certificate_for_several_listeners(serve, pki, kind):
    """A connection for one serves the other, too, where it shows the same certificates and makes the same demands; with
    Envoy the client has to make another."""
    server = serve((("a", "other.test", ["default"]), ("b", "localhost", ["default"])))
    for name in ("other.test", "localhost"):
        with server.connect(name) as connection:
            for host in ("other.test", "localhost"):
                assert server.ask(connection, host)[0] == (200 if host == name or kind is Native else 421)
            assert server.ask(connection, "nobody.example")[0] == 404


def test_server_name_in_the_log(serve, pki):
    proxy = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {name: logs, namespace: default}
spec: {telemetry: {accessLog: {settings: [{format: {type: JSON, json: {sni: '%REQUESTED_SERVER_NAME%', path: '%REQ(:PATH)%',
  scheme: '%REQ(:SCHEME)%'}}, sinks: [{type: File, file: {path: /dev/stdout}}]}]}}}
"""
    server = serve(more=secret("default", pki, "default") + proxy)
    text = server.file.read_text().replace("gatewayClassName: weir",
                                           "gatewayClassName: weir\n  infrastructure: {parametersRef: {group: "
                                           "gateway.envoyproxy.io, kind: EnvoyProxy, name: logs}}")
    server.file.write_text(text)
    server.native.reload()

    def is_logged():
        with server.connect("localhost") as connection:
            server.ask(connection, "other.test", "/named")
        return server.native.log_line('"sni"', 0.1)
    assert wait_for(is_logged, 5)
    line = server.native.log_line('"sni"')
    assert line["sni"] == "localhost" and line["scheme"] == "https"


# ---- certificates of clients ---------------------------------------------------------------------------------------

def validation(optional="false", more=""):
    return ("{clientValidation: {optional: %s, caCertificateRefs: [{kind: ConfigMap, name: clients, group: ''}]%s}}"
            % (optional, more))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(serve, pki, version):
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients", crl=True) +
                   policy("p", validation()))
    limits = {"maximum_version": version}
    with server.connect("localhost", server.context("good", **limits)) as connection:
        assert server.ask(connection, "localhost")[0] == 200
    for certificate in (None, "late", "revoked", "stranger"):
        assert fails(server.connect, "localhost", server.context(certificate, **limits)), certificate


def test_optional_client_certificates(serve, pki):
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients") +
                   policy("p", validation("true")))
    for certificate in (None, "good"):
        with server.connect("localhost", server.context(certificate)) as connection:
            assert server.ask(connection, "localhost")[0] == 200
    assert fails(server.connect, "localhost", server.context("stranger"))


def test_pinned_client_certificates(serve, pki):
    pin = hash_of(pki, "good")
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients") +
                   policy("p", validation("false", f", certificateHashes: ['{pin}']")))
    with server.connect("localhost", server.context("good")) as connection:
        assert server.ask(connection, "localhost")[0] == 200
    assert fails(server.connect, "localhost", server.context("revoked"))


def hash_of(pki, name):
    return subprocess.run(f"openssl x509 -in {pki}/{name}.pem -outform DER | sha256sum", shell=True, capture_output=True,
                          text=True).stdout.split()[0]


def key_hash_of(pki, name):
    return subprocess.run(f"openssl x509 -in {pki}/{name}.pem -noout -pubkey | openssl pkey -pubin -outform DER | "
                          "openssl dgst -sha256 -binary | base64", shell=True, capture_output=True, text=True).stdout.strip()


def test_pinned_client_keys(serve, pki):
    """One of either list is enough; a good hash alone is not."""
    colons = ":".join(re.findall("..", hash_of(pki, "other").upper()))
    pins = f", spkiHashes: ['{key_hash_of(pki, 'good')}', '{key_hash_of(pki, 'stranger')}'], certificateHashes: ['{colons}']"
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients") + policy("p", validation("false", pins)))
    for certificate in ("good", "other"):
        with server.connect("localhost", server.context(certificate)) as connection:
            assert server.ask(connection, "localhost")[0] == 200
    for certificate in ("revoked", "stranger", None):
        assert fails(server.connect, "localhost", server.context(certificate))


@pytest.mark.parametrize("leaf_only", ["true", "false"])
def test_lists_of_the_whole_chain(serve, pki, leaf_only):
    """The list of the issuer alone is enough where only leaves are looked up, else none is let in without the other lists."""
    crl = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: crl, namespace: default}\ndata:\n  ca.crl: |\n"
    crl += "".join("    " + line + "\n" for line in (pki / "middle.crl").read_text().splitlines())
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients") + crl +
                   policy("p", validation("false", ", crl: {onlyVerifyLeafCertificate: %s, refs: [{kind: ConfigMap, name: crl, "
                                                   "group: ''}]}" % leaf_only)))
    assert fails(server.connect, "localhost", server.context("below-revoked"))
    if leaf_only == "true":
        with server.connect("localhost", server.context("below")) as connection:
            assert server.ask(connection, "localhost")[0] == 200
    else:
        assert fails(server.connect, "localhost", server.context("below"))


NAMED = {
    "dnsNames": [("Exact", "Worker.clients.example", True), ("Exact", "clients.example", False), ("Prefix", "worker.", True),
                 ("Suffix", ".clients.EXAMPLE", True), ("Suffix", "x.clients.example", False), ("Prefix", "named", False),
                 ("Exact", "a.wild.example", True), ("Exact", "a.b.wild.example", False), ("Exact", "wild.example", False)],
    "uris": [("Exact", "spiffe://cluster/ns/a/sa/b", True), ("Exact", "SPIFFE://cluster/ns/a/sa/b", False),
             ("Prefix", "spiffe://cluster/", True), ("Suffix", "/sa/c", False)],
    "emailAddresses": [("Exact", "ops@example.org", True), ("Suffix", "@example.org", True),
                       ("Exact", "spiffe://cluster/ns/a/sa/b", False)],
    "ipAddresses": [("Exact", "192.0.2.5", True), ("Exact", "2001:DB8:0::5", True), ("Exact", "192.0.2.6", False),
                    ("Prefix", "192.0.2.", True)],
}


@pytest.fixture(scope="module")
def named(pki):
    make.leaf(pki, "named", "DNS:worker.clients.example,DNS:*.wild.example,URI:spiffe://cluster/ns/a/sa/b,"
                            "email:ops@example.org,IP:192.0.2.5,IP:2001:db8::5", ca="clients")


@pytest.mark.parametrize("sort, how, value, is_let_in", [(sort, *case) for sort, cases in NAMED.items() for case in cases])
def test_named_client_certificates(serve, pki, named, sort, how, value, is_let_in):
    """Who has one of the names is let in; who has none is not."""
    names = ", subjectAltNames: {%s: [{value: '%s', type: %s}], dnsNames: [{value: none.example}]}" % (sort, value, how)
    if sort == "dnsNames":
        names = ", subjectAltNames: {dnsNames: [{value: none.example}, {value: '%s', type: %s}]}" % (value, how)
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients") +
                   policy("p", validation("false", names)))
    if is_let_in:
        with server.connect("localhost", server.context("named")) as connection:
            assert server.ask(connection, "localhost")[0] == 200
    else:
        assert fails(server.connect, "localhost", server.context("named"))
    assert fails(server.connect, "localhost", server.context("good"))


def test_demand_of_one_listener(serve, pki):
    """Neither the Host header nor a session of another listener gets around it."""
    server = serve(NAMES, more=secrets(pki) + trust("clients", pki, "clients") + policy("p", validation(), "exact"))
    with server.connect("chat.wild.example") as connection:
        session = connection.session
        assert server.ask(connection, "api.example")[0] == 421
    context = server.context()
    with server.connect("chat.wild.example", context) as connection:
        server.ask(connection, "chat.wild.example")
        session = connection.session
    assert fails(server.connect, "api.example", context, session=session)
    with server.connect("api.example", server.context("good")) as connection:
        assert server.ask(connection, "api.example")[0] == 200


# ---- reloads -------------------------------------------------------------------------------------------------------

def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("by", ["signal", "file"])
def test_renewal(serve, pki, kind, by):
    """A stream that is open goes on; who comes afterwards sees the new certificate."""
    if by == "file" and kind is Envoy:
        pytest.skip("weir envoy is called when something has changed")
    for name in ("pem", "key"):
        (pki / f"turn.{name}").write_bytes((pki / f"default.{name}").read_bytes())
    server = serve(more=secret("default", pki, "turn"))
    assert server.shown("localhost") == "default"
    connection = server.connect("localhost")
    connection.sendall(b"GET /stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection, method="GET")
    answer.begin()
    assert answer.read(5) == b"one.."
    took = []
    for shown in ("renewed", "default", "renewed", "default", "renewed"):  # until one is quick: the machine may be busy
        for name in ("key", "pem"):
            (pki / f"turn.{name}.new").write_bytes((pki / f"{shown}.{name}").read_bytes())
        for name in ("key", "pem"):
            os.rename(pki / f"turn.{name}.new", pki / f"turn.{name}")
        begin = time.monotonic()
        if by == "signal":
            server.native.reload()
        assert wait_for(lambda: server.shown("localhost") == shown, 15)
        took.append(time.monotonic() - begin)
        if took[-1] < 1:
            break
    assert min(took) < 1
    if kind is Envoy:
        time.sleep(1.5)  # a listener that was replaced would have drained by now
        assert sum("add/update listener" in line for line in server.native.errors) == 1
    Handler.go.release(3)
    assert answer.read() == b"two.."
    assert server.ask(connection, "localhost")[0] == 200, "the old connection serves on"
    connection.close()
    assert server.native.wait(lambda: server.native.process.poll() is not None, 0.1) is False


def test_new_demands_hold_for_old_connections(serve, pki):
    server = serve(more=secret("default", pki, "default") + trust("clients", pki, "clients"))
    with server.connect("localhost") as connection:
        assert server.ask(connection, "localhost")[0] == 200
        with server.file.open("a") as file:
            file.write(policy("p", validation()))
        server.native.reload()
        assert wait_for(lambda: fails(server.connect, "localhost"), 2)
        connection.settimeout(5)
        assert connection.recv(1) == b""


def test_bad_renewal_keeps_the_old(serve, pki, kind):
    for name in ("pem", "key"):
        (pki / f"bad.{name}").write_bytes((pki / f"default.{name}").read_bytes())
    server = serve(more=secret("default", pki, "bad"))
    (pki / "bad.pem").write_bytes((pki / "renewed.pem").read_bytes())
    if kind is Envoy:
        with pytest.raises(RuntimeError, match="tls.key is not the key of the certificate"):
            server.native.reload()
    else:
        server.native.process.send_signal(signal.SIGHUP)
        assert server.native.wait(lambda: any("the old one stays" in line for line in server.native.errors), 5)
        assert any("tls.key is not the key of the certificate" in line for line in server.native.errors)
    assert server.shown("localhost") == "default"


# ---- hostile clients -----------------------------------------------------------------------------------------------

def test_hostile_beginnings(serve, kind):
    if kind is Envoy:
        pytest.skip("Envoy answers them")
    server = serve()

    def answer(*pieces):
        with socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw:
            for piece in pieces:
                raw.sendall(piece)
                time.sleep(0.02)
            got = b""
            while more := raw.recv(65536):
                got += more
            raw.sendall(b"late")  # meets no reset
            return got
    assert answer(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert answer(b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00")[:1] == b"\x15"
    assert answer(b"\x16\x03\x01\x40\x00\x01\x00\x80\x00" + b"x" * 16380)[:1] == b"\x15", "too long"
    assert answer(b"\x80\x2e\x01\x03\x01")[:1] == b"\x15", "SSLv2"
    assert answer(b"\x16\x03\x01\x00\x01\x01" * 3 + b"\x16\x03\x01\x00\x00")[:1] == b"\x15", "empty record"
    with server.connect("localhost") as connection:
        assert server.ask(connection, "localhost")[0] == 200


def test_slow_beginning(serve, pki, kind):
    slow = policy("p", "{}").replace("spec: {", "spec: {timeout: {tcp: {tlsHandshakeTimeout: 1s}}, ")
    server = serve(more=secret("default", pki, "default") + slow)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw:
        raw.sendall(b"\x16\x03\x01")
        try:
            assert raw.recv(1) == b""
        except ConnectionResetError:
            assert kind is Envoy
    assert 0.8 < time.monotonic() - begun < 3


def test_hello_in_pieces(serve):
    """A ClientHello that comes byte by byte, and in two records."""
    server = serve()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    split = 5 + 70
    records = (b"\x16\x03\x01" + (split - 5).to_bytes(2, "big") + hello[5:split] +
               b"\x16\x03\x01" + (len(hello) - split).to_bytes(2, "big") + hello[split:])
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in records:
            raw.sendall(bytes([byte]))
        while True:
            incoming.write(raw.recv(65536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        raw.sendall(outgoing.read())
        assert raw.recv(1)


def test_half_a_record_costs_nothing(serve):
    """The rest of a record that does not come is waited for, not asked for."""
    server = serve()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        client.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        raw.sendall(outgoing.read()[:-10])
        time.sleep(0.2)
        used = cpu_seconds(server.native.process.pid)
        time.sleep(1)
        assert cpu_seconds(server.native.process.pid) - used < 0.2


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- what is told before anything is served ------------------------------------------------------------------------

@pytest.mark.parametrize("pair, words", [
    (("default.pem", "rsa.key"), "tls.key is not the key of the certificate in tls.crt"),
    (("default.key", "default.key"), "tls.crt holds no certificate in PEM"),
    (("default.pem", "default.pem"), "tls.key holds no private key in PEM"),
    (("expired.pem", "expired.key"), "warning: Secret default/cert: the certificate expired"),
])
def test_check(pki, backend, tmp_path, pair, words):
    text = secret("cert", pki, "x").replace(f"{pki}/x.pem", f"{pki}/{pair[0]}").replace(f"{pki}/x.key", f"{pki}/{pair[1]}")
    listener = LISTENER % {"name": "a", "port": 443, "hostname": "", "refs": "{name: cert}"}
    file = tmp_path / "config.yaml"
    file.write_text(ROUTES % {"backend": backend, "listeners": f"[{listener}]"} + text)
    result = subprocess.run([str(vectors.weir()), "check", str(file)], capture_output=True, text=True)
    line = next(line for line in result.stdout.splitlines() if words in line)
    assert line.startswith(f"{file}:") and "PRIVATE" not in result.stdout
    assert result.returncode == (0 if "warning" in words else 2)
