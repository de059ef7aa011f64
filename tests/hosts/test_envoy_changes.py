"""Backends that change under requests, by file-based xDS: each request ends on the configuration that it began with."""
import http.server
import json
import socket
import subprocess
import threading
import time

import pytest

import vectors
from envoy import Envoy

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec: {{gatewayClassName: weir, listeners: [{{name: http, protocol: HTTP, port: {port}}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {{name: route}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: {name}}}]}}]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {backend}}}}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {{name: {name}}}
spec: {{schema: {{name: OpenAI}}, backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: {name}}}}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: BackendSecurityPolicy
metadata: {{name: policy}}
spec:
  targetRefs: [{{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: {name}}}]
  type: APIKey
  apiKey: {{secretRef: {{name: secret}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: secret}}
stringData: {{apiKey: key-of-{key}}}
"""
BODY = b'{"model":"m","messages":[]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with its name and the key that it was shown."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"name": self.server.name, "key": self.headers["authorization"]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Setup:
    def __init__(self, folder, is_renamed):
        self.port, self.file, self.xds, self.is_renamed = vectors.free_port(), folder / "weir.yaml", folder / "xds", is_renamed
        self.xds.mkdir()
        self.servers = {name: http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend) for name in ("one", "two")}
        for name, server in self.servers.items():
            server.name = name
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def write(self, name):
        self.file.write_text(CONFIG.format(port=self.port, name=name if self.is_renamed else "same", key=name,
                                           backend=self.servers[name].server_address[1]))

    def change(self, name):
        self.write(name)
        subprocess.run([str(vectors.weir()), "envoy", str(self.file), "--address", "127.0.0.1", "--admin-port", "0", "--xds-dir", str(self.xds)],
                       check=True, capture_output=True)

    def send_half(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(HEAD + BODY[:9])
        return connection

    @staticmethod
    def finish(connection):
        """-> status, who answered, whose key it was shown."""
        with connection:
            connection.sendall(BODY[9:])
            text = b""
            while more := connection.recv(65536):
                text += more
        status, body = int(text.split(b" ", 2)[1]), text.split(b"\r\n\r\n", 1)[1]
        if status != 200:
            return status, body.decode(), ""
        seen = json.loads(body)
        return status, seen["name"], (seen["key"] or "").removeprefix("Bearer key-of-")

    def answers(self):
        try:
            return self.finish(self.send_half())[0] == 200
        except OSError:
            return False

    def close(self):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def setup(tmp_path, request, host_name):
    if host_name != "envoy":
        pytest.skip("needs --host envoy")
    setup = Setup(tmp_path, request.param)
    yield setup
    setup.close()


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("setup", [False, True], indirect=True, ids=["the same name", "another name"])
def test_a_key_goes_to_its_own_backend_alone(setup):
    """Changes in quick succession, under requests that are quick, and some whose body takes longer than a change."""
    setup.write("one")
    envoy = Envoy(setup.file, "--xds-dir", str(setup.xds), workers=2)
    seen, over = [], threading.Event()

    def client():
        while not over.is_set():
            seen.append(setup.finish(setup.send_half()))
    try:
        until(setup.answers)
        clients = [threading.Thread(target=client) for _ in range(3)]
        for thread in clients:
            thread.start()
        for turn in range(12):
            slow = setup.send_half()
            setup.change("one" if turn % 2 else "two")
            time.sleep(0.1)
            seen.append(setup.finish(slow))
        over.set()
        for thread in clients:
            thread.join(30)
        # An Envoy that is kept from running may see routes a moment before their clusters: then there is no answer, not a wrong one.
        refused = [answer for answer in seen if answer[0] != 200]
        assert len(refused) * 50 <= len(seen), refused
        assert {name == key for status, name, key in seen if status == 200} == {True}, seen
        until(lambda: setup.finish(setup.send_half())[1] == "one")
    finally:
        over.set()
        assert envoy.stop() == 0


def names(file):
    document = json.loads(file.read_text())
    return document["version_info"].split(), [cluster["name"] for cluster in document["resources"]]


@pytest.mark.parametrize("setup", [True], indirect=True)
def test_clusters_that_are_dropped_stay_for_a_while(setup):
    file = setup.xds / "cds.json"
    setup.change("one")
    version, [one] = names(file)
    assert version[1:] == ["1"] and one.startswith("httproute/default/route/rule/0@")
    setup.change("two")
    version, [two, kept] = names(file)
    assert kept == one != two and version[1] == "1" and version[3] == "1"
    setup.change("one")  # back in use
    version, listed = names(file)
    assert listed == [one, two] and version[1::2] == ["1", "1"]
    setup.change("one")
    assert names(file)[1] == [one, two]
    # Minutes later the next change lets it go.
    document = json.loads(file.read_text())
    document["version_info"] = " ".join([version[0], "1", str(int(version[2]) - 301), "1"])
    file.write_text(json.dumps(document))
    setup.change("one")
    assert names(file)[1] == [one]
    # What names another module is not kept.
    document = json.loads(file.read_text())
    document["resources"][0]["dynamic_module_config"] = {"module": {"local": {"filename": "/elsewhere/libweir_envoy.so"}}}
    file.write_text(json.dumps(document, separators=(",", ":")))
    setup.change("two")
    assert names(file)[1] == [two]
    setup.change("one")
    assert names(file)[1] == [one, two]
    for strange in ("", "{", "[]", '{"version_info":"1 5","resources":[{"name":1}]}', '{"version_info":"x","resources":[{"name":"a"}]}'):
        file.write_text(strange)
        setup.change("one")
        assert names(file)[1] == [one]
