"""What only a running Envoy can show: a configuration that changes under open streams, by file-based xDS."""
import http.client
import http.server
import json
import re
import socket
import subprocess
import threading
import time

import pytest

import vectors
from envoy import Envoy

STREAMS = 100


@pytest.fixture(autouse=True)
def only_envoy(host_name):
    if host_name != "envoy":
        pytest.skip("needs --host envoy")


class Mock:
    def __init__(self, *options):
        self.process = subprocess.Popen([str(vectors.weir()), "mock", "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline() or self.process.stdout.readline()
        self.port = int("".join(c for c in line.split("127.0.0.1:")[1].split()[0] if c.isdigit()))

    def stop(self):
        self.process.terminate()
        self.process.wait(5)


@pytest.fixture
def mock():
    mock = Mock("--tokens", "60", "--rate", "20")
    yield mock
    mock.stop()


def configuration(mock, port, model):
    text = (vectors.ROOT / "examples/quickstart.yaml").read_text()
    text = vectors.substitute(text, {"WEIR_PORT": str(port), "MOCK_PORT": str(mock.port)})
    # Without the catch-all, so that a model that is not configured is a 404.
    text = text.replace("    # Every other model goes to the same provider as it is.\n    - backendRefs:\n        - name: mock\n", "")
    # Another route is another cluster: that of the old one goes while its streams are open.
    text = text.replace("name: quickstart\n  namespace: default\nspec:\n  parentRefs", f"name: {model}\n  namespace: default\nspec:\n  parentRefs")
    return text.replace("value: demo", f"value: {model}")


def ask(port, model, stream=False):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": model, "stream": stream, "max_tokens": 60 if stream else 1,
                                                                   "messages": [{"role": "user", "content": "hi"}]}),
                       {"content-type": "application/json"})
    return connection, connection.getresponse()


def status_of(port, model):
    connection, response = ask(port, model)
    response.read()
    connection.close()
    return response.status


def test_a_change_is_in_effect_within_a_second_and_touches_no_stream(tmp_path, mock):
    port = vectors.free_port()
    file, folder = tmp_path / "weir.yaml", tmp_path / "xds"
    folder.mkdir()
    file.write_text(configuration(mock, port, "old"))
    envoy = Envoy(file, "--xds-dir", str(folder))
    try:
        deadline = time.monotonic() + 5
        while True:  # listeners come after the main loop has begun
            try:
                if status_of(port, "old") == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline, "\n".join(envoy.errors[-20:])
            time.sleep(0.05)
        assert status_of(port, "new") == 404
        streams = [ask(port, "old", stream=True) for _ in range(STREAMS)]
        bodies = []
        readers = [threading.Thread(target=lambda response=response: bodies.append(response.read())) for _, response in streams]
        for reader in readers:
            reader.start()
        file.write_text(configuration(mock, port, "new"))
        before = time.monotonic()
        subprocess.run([str(vectors.weir()), "envoy", str(file), "--address", "127.0.0.1", "--admin-port", "0", "--xds-dir", str(folder)],
                       check=True, capture_output=True)
        while status_of(port, "new") != 200:
            assert time.monotonic() < before + 1, "the change is not in effect after a second"
            time.sleep(0.02)
        assert status_of(port, "old") == 404
        for reader in readers:
            reader.join(20)
        assert len(bodies) == STREAMS
        assert all(body.rstrip().endswith(b"data: [DONE]") for body in bodies)
    finally:
        assert envoy.stop() == 0


def is_answered(port):
    """Whether a new connection gets an answer; it is left open with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/v1/models")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return None
    return connection


def test_limits_of_connections_follow(tmp_path, mock):
    port = vectors.free_port()
    file, folder = tmp_path / "weir.yaml", tmp_path / "xds"
    folder.mkdir()
    limit = """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: limits, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  connection: {connectionLimit: {value: %d}}
"""
    file.write_text(configuration(mock, port, "m") + limit % 1)
    envoy = Envoy(file, "--xds-dir", str(folder))
    kept = []
    try:
        until(lambda: keep(kept, is_answered(port)))
        assert not is_answered(port)
        file.write_text(configuration(mock, port, "m") + limit % 2)
        subprocess.run([str(vectors.weir()), "envoy", str(file), "--address", "127.0.0.1", "--admin-port", "0", "--xds-dir", str(folder)],
                       check=True, capture_output=True)
        until(lambda: keep(kept, is_answered(port)))
        assert len(kept) == 2 and not is_answered(port)
        kept[0].request("GET", "/v1/models")
        assert kept[0].getresponse().status == 200, "the change touched no connection"
    finally:
        assert envoy.stop() == 0


def keep(kept, connection):
    if connection:
        kept.append(connection)
    return connection


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_refused_stays_out(tmp_path, mock):
    """A configuration with errors never reaches Envoy's files."""
    port = vectors.free_port()
    file, folder = tmp_path / "weir.yaml", tmp_path / "xds"
    folder.mkdir()
    file.write_text(configuration(mock, port, "old").replace("kind: AIServiceBackend", "kind: AIServiceBackends"))
    done = subprocess.run([str(vectors.weir()), "envoy", str(file), "--xds-dir", str(folder)], capture_output=True)
    assert done.returncode == 2
    assert not list(folder.iterdir())


def test_listeners_that_share_a_port_share_what_envoy_has_once(tmp_path):
    text = """
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
  listeners:
    - {name: one, protocol: HTTP, port: 1975, hostname: one.example}
    - {name: two, protocol: HTTP, port: 1975, hostname: two.example}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: p, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw, sectionName: two}]
  %s
"""
    file = tmp_path / "weir.yaml"
    for spec, words in (("connection: {bufferLimit: 1Mi}", None),
                        ("connection: {connectionLimit: {maxRequestsPerConnection: 5}}", "connection.connectionLimit differs"),
                        ("timeout: {http: {idleTimeout: 5s}}", "timeout.http differs from that of listener one")):
        file.write_text(text % spec)
        done = subprocess.run([str(vectors.weir()), "envoy", str(file)], capture_output=True, text=True)
        assert done.returncode == (2 if words else 0), done.stderr
        assert not words or words in done.stderr


def test_health_checks_ask_for_the_backend(tmp_path, mock):
    port = vectors.free_port()
    file = tmp_path / "weir.yaml"
    asked = []
    server = socket.create_server(("127.0.0.1", 0))
    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    threading.Thread(target=serve, daemon=True).start()
    text = configuration(mock, port, "m").replace(f"port: {mock.port}", f"port: {server.getsockname()[1]}")
    file.write_text(text + """
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {name: checks, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: quickstart}]
  healthCheck: {active: {type: HTTP, interval: 1s, http: {path: /health}}}
""")
    envoy = Envoy(file)
    try:
        until(lambda: len(asked) > 1)
    finally:
        assert envoy.stop() == 0
    assert all(head.startswith(b"GET /health ") and b"\r\nhost: 127.0.0.1:%d\r\n" % server.getsockname()[1] in head for head in asked)
    vectors.stop_accepting(server)


def by_headers(bootstrap, settings):
    """The configuration as Envoy Gateway would have it: routes of its own, the module in the listener position alone."""
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0]["typed_config"]["filter_config"]["value"] = json.dumps(settings)
    host = manager["route_config"]["virtual_hosts"][0]
    host.pop("typed_per_filter_config")
    host.pop("matcher")
    cluster = bootstrap["static_resources"]["clusters"][0]["name"]

    def route(status, *headers):
        answer = {"direct_response": {"status": status, "body": {"inline_string": "%d" % status}}} if status else {"route": {"cluster": cluster}}
        return {"match": {"prefix": "/", "headers": [{"name": name, "string_match": {"exact": value}} for name, value in headers]}, **answer}
    # The pin's route stands last, as Envoy Gateway may order it.
    host["routes"] = [route(None, ("x-ai-eg-model", "demo"), ("x-plain", "1")), route(201, ("x-ai-eg-model", "demo")), route(202, ("x-ai-eg-backend", "pin")), route(203)]
    for one in bootstrap["static_resources"]["clusters"]:
        for options in one["typed_extension_protocol_options"].values():
            options.pop("http_filters", None)
    return bootstrap


def post(port, body, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", **dict(headers)})
    response = connection.getresponse()
    return response.status, response.read(), response


def quickstart(port, target=1):
    """The documents of the quickstart, its backend at the port `target`."""
    text = vectors.substitute((vectors.ROOT / "examples/quickstart.yaml").read_text(), {"WEIR_PORT": str(port), "MOCK_PORT": str(target)})
    return [doc for doc in vectors.yaml.load_all(text, vectors.Loader) if doc]


def written_for(file, *options):
    """The bootstrap that `weir envoy` writes, as tests change it."""
    written = subprocess.run([str(vectors.weir()), "envoy", str(file), "--address", "127.0.0.1", "--admin-port", "0", *options],
                             capture_output=True, check=True)
    return json.loads(written.stdout)


def switched_on_by_routes(bootstrap):
    """The module's filter as Envoy Gateway writes it: off, and on again for what a virtual host's routes take."""
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0].update(name="envoy.filters.http.dynamic_modules/weir", disabled=True)
    manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = {"envoy.filters.http.dynamic_modules/weir": {
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}}
    return bootstrap


@pytest.mark.parametrize("is_by_route", [False, True], ids=["always on", "on by route"])
@pytest.mark.parametrize("pinned, expected", [("clear", 202), ("keep", 201)])
def test_lifting_alone_for_routes_of_others(tmp_path, mock, pinned, expected, is_by_route):
    port = vectors.free_port()
    text = vectors.substitute((vectors.ROOT / "examples/quickstart.yaml").read_text(), {"WEIR_PORT": str(port), "MOCK_PORT": str(mock.port)})
    file = tmp_path / "weir.yaml"
    file.write_text(text)
    bootstrap = by_headers(written_for(file), {"forward": "headers", "pinned": pinned, "config": text})
    if is_by_route:
        bootstrap = switched_on_by_routes(bootstrap)
    envoy = Envoy(file, bootstrap=json.dumps(bootstrap))
    try:
        assert post(port, {"model": "demo", "messages": []})[0] == 201
        assert post(port, {"model": "demo", "backend": "pin", "messages": []})[0] == expected
        assert post(port, {"model": "other", "messages": []})[0] == 203
        status, body, _ = post(port, {"messages": []})
        assert status == 400 and json.loads(body)["error"]["param"] == "model"
        # A client's own x-ai-eg-model is not believed, and the body goes on as it was sent.
        status, body, _ = post(port, {"model": "demo", "messages": ["x" * 300000]}, {"x-plain": "1", "x-ai-eg-model": "other", "x-mock-echo": "1"})
        seen = json.loads(body)
        assert status == 200 and json.loads(seen["body"])["messages"] == ["x" * 300000]
        assert ["x-ai-eg-model", "demo"] in seen["headers"]
    finally:
        assert envoy.stop() == 0


def certificate(folder, name, curve="prime256v1"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"], check=True, capture_output=True)
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": "default"},
            "stringData": {"tls.crt": (folder / f"{name}.crt").read_text(), "tls.key": (folder / f"{name}.key").read_text()}}


def test_https_listeners_are_chosen_by_sni(tmp_path, mock):
    port, names = vectors.free_port(), ["one.example.com", "two.example.com"]
    docs = quickstart(port, mock.port)
    for doc in docs:
        if doc["kind"] == "Gateway":
            doc["spec"]["listeners"] = [{"name": name.split(".")[0], "protocol": "HTTPS", "port": port, "hostname": name,
                                         "tls": {"certificateRefs": [{"name": name}]}} for name in names]
    docs += [certificate(tmp_path, name) for name in names]
    file = tmp_path / "weir.yaml"
    file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs))
    envoy = Envoy(file)
    try:
        for name in names:
            for version, flag in (("2", "--http2"), ("1.1", "--http1.1")):
                done = subprocess.run(["curl", "-s", flag, "--cacert", f"{tmp_path}/{name}.crt", "--resolve", f"{name}:{port}:127.0.0.1", "-w", "\n%{http_version}",
                                       "-d", '{"model":"demo","messages":[]}', "-H", "content-type: application/json",
                                       f"https://{name}:{port}/v1/chat/completions"], capture_output=True, text=True, timeout=20)
                body, spoken = done.stdout.rsplit("\n", 1)
                assert spoken == version and json.loads(body)["object"] == "chat.completion", done
        # Another listener is not reached by Host behind this one's name.
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", f"{tmp_path}/{names[0]}.crt", "--resolve",
                               f"{names[0]}:{port}:127.0.0.1", "-H", f"host: {names[1]}", "-d", '{"model":"demo","messages":[]}', "-H",
                               "content-type: application/json", f"https://{names[0]}:{port}/v1/chat/completions"], capture_output=True, text=True, timeout=20)
        assert done.stdout == "421", done
    finally:
        assert envoy.stop() == 0


def test_plain_listeners_of_one_port_are_told_apart_by_host(tmp_path, mock):
    """By the client's Host, not by that of the backend, which stands in its place when Envoy looks for a route."""
    port, names = vectors.free_port(), ["one.example.com", "two.example.com"]
    docs = quickstart(port, mock.port)
    for doc in docs:
        if doc["kind"] == "Gateway":
            doc["spec"]["listeners"] = [{"name": name.split(".")[0], "protocol": "HTTP", "port": port, "hostname": name} for name in names]
        if doc["kind"] == "AIGatewayRoute":  # of the second listener alone
            doc["spec"]["parentRefs"] = [{**parent, "sectionName": "two"} for parent in doc["spec"]["parentRefs"]]
    file = tmp_path / "weir.yaml"
    file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs))
    envoy = Envoy(file)
    try:
        for name, status in zip(names, (404, 200)):
            assert post(port, {"model": "demo", "messages": []}, {"host": name})[0] == status
    finally:
        assert envoy.stop() == 0


def over_tls(tmp_path, port, choice, curve="prime256v1", **extra):
    """The quickstart over HTTPS, and TLS to its backend, both with this choice of algorithms."""
    docs = quickstart(port, 1)
    for doc in docs:
        if doc["kind"] == "Gateway":
            doc["spec"]["listeners"] = [{"name": "a", "protocol": "HTTPS", "port": port, "tls": {"certificateRefs": [{"name": "a"}]}}]
            target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": doc["metadata"]["name"]}
        if doc["kind"] == "Backend":
            doc["spec"].update(tls={"sni": "localhost", **choice, **extra})
    docs += [certificate(tmp_path, "a", curve),
             {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "ClientTrafficPolicy", "metadata": {"name": "p", "namespace": "default"},
              "spec": {"targetRefs": [target], "tls": choice}}]
    file = tmp_path / "weir.yaml"
    file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs))
    return file


def test_names_of_algorithms_that_are_written_are_known(tmp_path):
    """Envoy refuses a whole configuration over one that it does not know."""
    source = (vectors.ROOT / "src/host/envoy/bootstrap/algorithms.c").read_text()
    parts = re.split(r"static const struct (?:slice|alias) ", source)[1:4]
    ciphers = re.findall(r'SLICE_INIT\("([^"]+)"\)', parts[0])
    curves, signatures = (dict.fromkeys(re.findall(r'{SLICE_INIT\("([^"]+)"\),\s*SLICE_INIT\("([^"]+)"\)}', part.split(";")[0])) for part in parts[1:])
    assert "AES256-SHA" in ciphers and ("secp521r1", "P-521") in curves and ("RSA+SHA512", "rsa_pkcs1_sha512") in signatures
    for turn in range(3):  # OpenSSL takes nothing twice, so that other names of the same come after one another
        choice = {"ciphers": ciphers, "ecdhCurves": nth_names(curves, turn), "signatureAlgorithms": nth_names(signatures, turn)}
        Envoy(over_tls(tmp_path, vectors.free_port(), choice)).stop()  # it has started


def nth_names(aliases, turn):
    """Of each algorithm the name that stands at this place in the table, but for one that only newer releases of OpenSSL have."""
    names = {}
    for name, own in aliases:
        if "MLKEM" not in own:
            names.setdefault(own, []).append(name)
    return [found[turn] for found in names.values() if len(found) > turn]


@pytest.mark.parametrize("choice, curve, words", [
    ({"ciphers": ["ECDHE-ECDSA-AES128-GCM-SHA256", "DHE-RSA-AES128-GCM-SHA256"]}, "prime256v1", 'ciphers: Envoy.* "DHE-RSA-AES128-GCM-SHA256"'),
    ({"ciphers": ["HIGH"]}, "prime256v1", 'ciphers: Envoy.* "HIGH"'),
    ({"ecdhCurves": ["X448", "P-256"]}, "prime256v1", 'ecdhCurves: Envoy.* "X448"'),
    ({"signatureAlgorithms": ["ed448", "ed25519"]}, "prime256v1", 'signatureAlgorithms: Envoy.* "ed448"'),
    ({}, "brainpoolP256r1", "Secret default/a: Envoy takes keys of RSA"),
])
def test_algorithms_that_envoy_has_not_are_told(tmp_path, choice, curve, words):
    file = over_tls(tmp_path, vectors.free_port(), choice, curve)
    done = subprocess.run([str(vectors.weir()), "envoy", str(file)], capture_output=True, text=True)
    assert done.returncode == 2 and not done.stdout
    told = [line for line in done.stderr.splitlines() if ": error: " in line]
    assert len(told) == (2 if choice else 1), told  # of the listener, and of the backend
    assert all(re.search(words, line) for line in told), told


def test_keys_that_nothing_names_any_more_are_removed(tmp_path):
    file, folder = over_tls(tmp_path, vectors.free_port(), {}, clientCertificateRef={"name": "a"}), tmp_path / "xds"
    folder.mkdir()
    command = [str(vectors.weir()), "envoy", str(file), "--xds-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted(path.name for path in folder.iterdir())
    assert [name[:4] for name in files] == ["cds.", "lds.", "rds-", "rtds", "sds-"]
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.iterdir())
    assert "PRIVATE KEY" not in (folder / "lds.json").read_text() + (folder / "cds.json").read_text()
    (folder / "sds-mine.json").write_text("")
    file.write_text(file.read_text().replace("name: a\n", "name: b\n"))
    subprocess.run(command, check=True, capture_output=True)
    after = sorted(path.name for path in folder.iterdir())
    assert len(after) == 6 and "sds-mine.json" in after and files[-1] not in after


def proxy_with(log):
    return {"apiVersion": "gateway.envoyproxy.io/v1alpha1", "kind": "EnvoyProxy", "metadata": {"name": "log", "namespace": "default"},
            "spec": {"telemetry": {"accessLog": {"settings": [log]}}}}


def with_log(port, target, log):
    docs = quickstart(port, target)
    for doc in docs:
        if doc["kind"] == "Gateway":
            doc["spec"]["infrastructure"] = {"parametersRef": {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "log"}}
    return "---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in [*docs, proxy_with(log)])


FIELDS = {"code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "path": "%REQ(:PATH)%", "model": "%REQ(x-ai-eg-model)%",
          "id": "%REQ(x-request-id)%", "host": "%UPSTREAM_HOST%", "total": "%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_total_token)%"}
JSON_LOG = {"format": {"type": "JSON", "json": FIELDS}, "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}]}


def test_every_request_has_one_line(tmp_path, mock):
    """Whoever answered it: the upstream, the module, or Envoy before the module or behind it."""
    port, dead = vectors.free_port(), vectors.free_port()
    file = tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, JSON_LOG))
    envoy = Envoy(file)
    try:
        assert post(port, {"model": "demo", "messages": []})[0] == 200
        assert post(port, {"messages": []})[0] == 400
        long = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        long.request("POST", "/v1/chat/completions?" + "q" * 5000, b'{"model": "demo", "messages": []}', {"content-type": "application/json"})
        assert long.getresponse().status == 200
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            assert b" 400 " in raw.recv(4096)
        connection, response = ask(port, "demo", stream=True)
        response.read(1)
        response.close()
        connection.close()
        assert envoy.wait(lambda: len(envoy.lines) == 5, 10), envoy.lines
        lines = [json.loads(line) for line in envoy.lines]
        assert [line["path"] for line in lines].count("/v1/chat/completions?" + "q" * 5000) == 1
        good = next(line for line in lines if line["code"] == 200 and line["flags"] == "-")
        refused = next(line for line in lines if line["details"] == "model_missing")
        malformed = next(line for line in lines if "DPE" in line["flags"])
        left = next(line for line in lines if line["flags"] == "DC")
        assert good["details"] == "via_upstream" and good["model"] == "demo" and good["total"] > 0 and good["host"] == f"127.0.0.1:{mock.port}"
        assert refused["code"] == 400 and refused["path"] == "/v1/chat/completions" and refused["host"] is None
        assert malformed["code"] == 400 and malformed["model"] is None
        assert left["code"] == 200
    finally:
        assert envoy.stop() == 0
    file.write_text(with_log(port, dead, JSON_LOG))
    envoy = Envoy(file)
    try:
        assert post(port, {"model": "demo", "messages": []})[0] == 502
        assert envoy.wait(lambda: len(envoy.lines) == 1, 10), envoy.lines
        line = json.loads(envoy.lines[0])
        assert line["flags"].split(",")[0] == "UF" and line["code"] == 502 and line["model"] == "demo" and line["details"].startswith("upstream_reset")
    finally:
        assert envoy.stop() == 0


def test_an_answer_in_front_of_the_module_has_one_line(tmp_path, mock):
    """A good one too, by which Envoy could take it for one that the module has seen."""
    port, file = vectors.free_port(), tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, JSON_LOG))
    bootstrap = written_for(file)
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"].insert(0, {"name": "well", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck", "pass_through_mode": False,
        "headers": [{"name": ":path", "string_match": {"exact": "/well"}}]}})
    envoy = Envoy(file, bootstrap=json.dumps(bootstrap))
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/well")
        assert connection.getresponse().status == 200
        assert post(port, {"model": "demo", "messages": []})[0] == 200
        assert envoy.wait(lambda: len(envoy.lines) == 2, 10), envoy.lines
        assert sorted((json.loads(line)["code"], json.loads(line)["path"]) for line in envoy.lines) == [(200, "/v1/chat/completions"), (200, "/well")]
    finally:
        assert envoy.stop() == 0


def test_lines_go_to_files(tmp_path, mock):
    """Those of the module and those of Envoy to the same one; a file that was rotated is noticed; the last line is not lost."""
    port, file, log = vectors.free_port(), tmp_path / "weir.yaml", tmp_path / "access.log"
    file.write_text(with_log(port, mock.port, {**JSON_LOG, "sinks": [{"type": "File", "file": {"path": str(log)}}]}))

    def codes(path):
        return [json.loads(line)["code"] for line in path.read_text().splitlines()]

    def until(path, wanted):
        end = time.monotonic() + 10
        while (not path.exists() or sorted(codes(path)) != wanted) and time.monotonic() < end:
            time.sleep(0.02)
        assert sorted(codes(path)) == wanted

    envoy = Envoy(file, workers=2)
    try:
        for _ in range(4):  # connections go to either worker
            assert post(port, {"model": "demo", "messages": []})[0] == 200
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            assert b" 400 " in raw.recv(4096)
        until(log, [200, 200, 200, 200, 400])
        log.rename(tmp_path / "access.log.1")
        log.touch()
        time.sleep(1.1)
        assert post(port, {"messages": []})[0] == 400
        until(log, [400])
        assert post(port, {"model": "demo", "messages": []})[0] == 200
    finally:
        assert envoy.stop() == 0
    assert codes(log) == [400, 200] and not envoy.lines


def test_a_log_that_cannot_be_opened_is_refused(tmp_path, mock):
    """By the module, too: Envoy itself opens only the log of what it answers alone."""
    file = tmp_path / "weir.yaml"
    file.write_text(with_log(vectors.free_port(), mock.port, {**JSON_LOG, "sinks": [{"type": "File", "file": {"path": str(tmp_path / "none" / "access.log")}}]}))
    bootstrap = written_for(file)
    bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"].pop("access_log")
    with pytest.raises(RuntimeError, match="can't open the access log .*none/access.log: No such file or directory"):
        Envoy(file, bootstrap=json.dumps(bootstrap))


@pytest.mark.parametrize("log, options", [
    ({**JSON_LOG, "matches": ["request.headers['x-logged'] == '1'"]}, []),
    ({"format": {"type": "Text", "text": "%RESPONSE_CODE% %REQ(x-ai-eg-model)% %USAGE(total)% %REQ(x-logged)%"}, "matches": ["request.headers['x-logged'] == '1'"],
      "sinks": JSON_LOG["sinks"]}, []),
    ({"format": {"type": "Text", "text": "%RESPONSE_CODE% %REQ(x-ai-eg-model)% %USAGE(total)% %REQ(x-logged)%"}, "sinks": JSON_LOG["sinks"]}, ["--publish", "all"]),
])
def test_lines_that_are_wanted(tmp_path, mock, log, options):
    """Made by the module, or by Envoy from what the module has put in place for it."""
    port = vectors.free_port()
    file = tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, log))
    envoy = Envoy(file, *options)
    try:
        for logged in "0", "1":
            assert post(port, {"model": "demo", "messages": []}, {"x-logged": logged})[0] == 200
            assert post(port, {"messages": []}, {"x-logged": logged})[0] == 400
        wanted = 2 if "matches" in log else 4
        assert envoy.wait(lambda: len(envoy.lines) >= wanted, 10)
        time.sleep(0.2)  # one that is not wanted would come by now
        assert len(envoy.lines) == wanted, envoy.lines
        if "json" in log["format"]:
            assert {line["code"]: line["model"] for line in map(json.loads, envoy.lines)} == {200: "demo", 400: None}
        else:
            refused, good = (next(line.split() for line in envoy.lines if line.startswith(code) and line.endswith(" 1")) for code in ("400", "200"))
            assert good[:2] == ["200", "demo"] and int(good[2]) > 0
            assert refused == ["400", "-", "-", "1"]
    finally:
        assert envoy.stop() == 0


@pytest.mark.parametrize("spec", [{"tls": {"insecureSkipVerify": True}},
                                  {"tls": {"insecureSkipVerify": True, "alpnProtocols": ["h2"]}},
                                  {"tls": {"insecureSkipVerify": True, "alpnProtocols": []}},
                                  {"appProtocols": ["gateway.envoyproxy.io/h2c"]}],
                         ids=["by ALPN", "h2 alone", "without ALPN", "h2c"])
def test_what_is_written_for_protocols_of_backends_is_taken(tmp_path, spec):
    docs = quickstart(vectors.free_port())
    for doc in docs:
        if doc["kind"] == "Backend":
            doc["spec"].update(spec, endpoints=[{"fqdn": {"hostname": "localhost", "port": 1}}])
    file = tmp_path / "config.yaml"
    file.write_text("---\n".join(vectors.yaml.safe_dump(doc, sort_keys=False) for doc in docs))
    Envoy(file).stop()  # it has started


class Guard:
    """An ext_authz server over HTTP: refuses the model "secret" without a word, "worded" with one, and notes what it is asked."""

    def __init__(self):
        guard = self
        self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                guard.seen.append(dict(self.headers))
                model = self.headers.get("x-ai-eg-model")
                word = b"the guard says no" if model == "worded" else b""
                self.send_response(403 if model in ("secret", "worded") else 401 if model is None else 200)
                self.send_header("www-authenticate", "Bearer realm=guard")
                self.send_header("content-length", str(len(word)))
                self.end_headers()
                self.wfile.write(word)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def guarded(bootstrap, guard, place):
    """The bootstrap with ext_authz behind the module (1) or in front of it (0)."""
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"].insert(place, {"name": "envoy.filters.http.ext_authz", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "http_service": {"server_uri": {"uri": "http://guard", "cluster": "guard", "timeout": "5s"},
                         "authorization_response": {"allowed_client_headers": {"patterns": [{"exact": "www-authenticate"}]}},
                         "path_prefix": "/check"},
        "allowed_headers": {"patterns": [{"prefix": "x-"}]}}})
    bootstrap["static_resources"]["clusters"].append({"name": "guard", "type": "STATIC", "load_assignment": {"cluster_name": "guard", "endpoints": [
        {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": guard.port}}}}]}]}})
    return bootstrap


@pytest.mark.parametrize("forward", ["weir", "headers"])
def test_a_guard_behind_the_module(tmp_path, mock, forward):
    """It sees what was lifted; its own words pass, and where it has none the client gets the endpoint's."""
    port, guard = vectors.free_port(), Guard()
    file = tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, JSON_LOG).replace("value: demo", "value: secret"))
    bootstrap = written_for(file, "--publish", "all")
    if forward == "headers":
        bootstrap = by_headers(bootstrap, {"forward": "headers", "config": file.read_text()})
    envoy = Envoy(file, bootstrap=json.dumps(guarded(bootstrap, guard, 1)))
    try:
        status, body, response = post(port, {"model": "secret", "messages": []}, {"x-ai-eg-model": "other"})
        assert status == 403 and response.headers["www-authenticate"] == "Bearer realm=guard", (status, body, guard.seen)
        if forward == "weir":
            assert json.loads(body)["error"]["code"] == "forbidden" and response.headers["x-request-id"]
        status, body, response = post(port, {"model": "worded", "messages": []})
        assert (status, body) == (403, b"the guard says no") and response.headers["www-authenticate"] == "Bearer realm=guard"
        assert post(port, {"model": "other", "messages": []})[0] == (200 if forward == "weir" else 203)
        assert [seen.get("x-ai-eg-model", seen.get("X-Ai-Eg-Model")) for seen in guard.seen] == ["secret", "worded", "other"]
        if forward == "weir":
            assert envoy.wait(lambda: len(envoy.lines) == 3, 10), envoy.lines
            lines = [json.loads(line) for line in envoy.lines]
            assert [(line["flags"], line["details"]) for line in lines if line["code"] == 403] == [("UAEX", "ext_authz_denied")] * 2
    finally:
        assert envoy.stop() == 0


@pytest.mark.parametrize("forward", ["weir", "headers"])
def test_a_guard_in_front_of_the_module(tmp_path, mock, forward):
    """It sees what the client sent, and what it answers is not the module's to change."""
    port, guard = vectors.free_port(), Guard()
    file = tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, JSON_LOG))
    bootstrap = written_for(file)
    if forward == "headers":
        bootstrap = by_headers(bootstrap, {"forward": "headers", "config": file.read_text()})
    envoy = Envoy(file, bootstrap=json.dumps(guarded(bootstrap, guard, 0)))
    try:
        status, body, response = post(port, {"model": "demo", "messages": []})
        assert (status, body) == (401, b"") and "x-request-id" not in response.headers
        assert post(port, {"model": "demo", "messages": []}, {"x-ai-eg-model": "worded"})[1] == b"the guard says no"
        assert post(port, {"model": "demo", "messages": []}, {"x-ai-eg-model": "believed by nobody else"})[0] == (200 if forward == "weir" else 201)
    finally:
        assert envoy.stop() == 0


def test_a_held_body_may_pause_for_less_than_a_stream(tmp_path):
    """Thirty seconds for a body, five minutes for an answer (S11), without waiting for them."""
    written = subprocess.run([str(vectors.weir()), "envoy", str(vectors.ROOT / "examples/quickstart.yaml")], capture_output=True, check=True)
    manager = json.loads(written.stdout)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["stream_idle_timeout"] == "30.000s"
    matcher = manager["route_config"]["virtual_hosts"][0]["matcher"]
    for entry in matcher["matcher_tree"]["exact_match_map"]["map"].values():
        assert entry["action"]["typed_config"]["route"]["idle_timeout"] == "300.000s"
    assert all("route" not in route for route in matcher["on_no_match"]["action"]["typed_config"]["routes"])


def test_a_rate_limit_behind_the_module(tmp_path, mock):
    """Its own words and the id of the request reach the client, Envoy's letters the log."""
    port, file = vectors.free_port(), tmp_path / "weir.yaml"
    file.write_text(with_log(port, mock.port, JSON_LOG))
    bootstrap = written_for(file)
    manager = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    everything = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    manager["http_filters"].insert(1, {"name": "envoy.filters.http.local_ratelimit", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "600s"}, "filter_enabled": everything, "filter_enforced": everything}})
    envoy = Envoy(file, bootstrap=json.dumps(bootstrap))
    try:
        assert post(port, {"model": "demo", "messages": []})[0] == 200
        status, body, response = post(port, {"model": "demo", "messages": []})
        assert status == 429 and response.headers["x-request-id"]
        assert body == b"local_rate_limited"
        assert envoy.wait(lambda: len(envoy.lines) == 2, 10), envoy.lines
        lines = [json.loads(line) for line in envoy.lines]
        assert sorted((line["code"], line["flags"], line["model"]) for line in lines) == [(200, "-", "demo"), (429, "RL", "demo")]
    finally:
        assert envoy.stop() == 0
