"""Idle connections to backends: what comes on them unasked is never an answer, whenever it comes; one that ends in the moment
of its use is replaced once."""
import http.client
import os
import signal
import socket
import ssl
import threading
import time
import urllib.request

import certificates as make
import pytest
import vectors
from native import Native
from test_upgrade import state_of, wait_until

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec: {gatewayClassName: weir, listeners: [{name: http, protocol: HTTP, port: %d}]}
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
spec:
  endpoints: [{ip: {address: 127.0.0.1, port: %d}}]
  %s
"""
POISON = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"


class Backend:
    """Answers each request with its target, on connections that the test may take into its own hands."""

    def __init__(self, context=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.context = self.listener.getsockname()[1], context
        self.connections, self.requests, self.plan = [], [], None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                connection.settimeout(30)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.context:
                    connection = self.context.wrap_socket(connection, server_side=True)
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self.connections) - 1), daemon=True).start()

    def _serve(self, connection, number):
        count = 0
        try:
            while head := self._head(connection):
                self.requests.append(number)
                count += 1
                if self.plan and self.plan(number, count):
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                target = head.split(b" ")[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(target), target))
        except OSError:
            pass

    @staticmethod
    def _head(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(4096)
            if not piece:
                return b""
            data += piece
        return data


class Gateway:
    def __init__(self, file, backend, tls=""):
        self.port, self.admin = vectors.free_port(), vectors.free_port()
        file.write_text(CONFIG % (self.port, backend.port, tls))
        self.native = Native(file, "--admin-port", str(self.admin), workers=1)
        self.client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, target, method="GET"):
        self.client.request(method, target)
        response = self.client.getresponse()
        return response.status, response.read().decode()

    def metric(self, name):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics").read().decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))

    def at_the_same_time(self, target, event):
        """Sends a request, then lets something happen at the backend; both stand there when the worker looks."""
        pid = self.native.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: state_of(pid) == "T")
            self.client.request("GET", target)
            event()
            time.sleep(0.05)  # through loopback
        finally:
            os.kill(pid, signal.SIGCONT)
        response = self.client.getresponse()
        return response.status, response.read().decode()


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make.authority(folder, "ca")
    make.leaf(folder, "good", "DNS:backend.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    return context


@pytest.fixture(params=["plain", "tls"])
def pair(request, tmp_path, context):
    backend = Backend(context if request.param == "tls" else None)
    tls = "tls: {insecureSkipVerify: true, sni: backend.example}" if request.param == "tls" else ""
    gateway = Gateway(tmp_path / "weir.yaml", backend, tls)
    yield gateway, backend
    assert gateway.native.stop() == 0
    vectors.stop_accepting(backend.listener)


def test_a_connection_is_used_again(pair):
    gateway, backend = pair
    for i in range(5):
        assert gateway.ask(f"/{i}") == (200, f"/{i}")
    assert len(backend.connections) == 1 and gateway.metric("weir_upstream_reuses_total") == 4


def test_what_comes_unasked_ends_an_idle_connection(pair):
    gateway, backend = pair
    assert gateway.ask("/1") == (200, "/1")
    backend.connections[0].sendall(POISON)
    wait_until(lambda: gateway.metric("weir_upstream_idle_ends_total") == 1)
    assert gateway.ask("/2") == (200, "/2")
    assert len(backend.connections) == 2 and gateway.metric("weir_upstream_races_total") == 0


def test_what_comes_unasked_with_the_request_is_not_its_answer(pair):
    gateway, backend = pair
    for i in range(3):
        assert gateway.ask(f"/{i}") == (200, f"/{i}")
        answer = gateway.at_the_same_time(f"/x{i}", lambda: backend.connections[-1].sendall(POISON))
        assert answer == (200, f"/x{i}")
    assert len(backend.connections) == 4 and gateway.metric("weir_upstream_races_total") == 0


def test_an_end_that_comes_with_the_request_is_seen(pair):
    gateway, backend = pair
    assert gateway.ask("/1") == (200, "/1")
    assert gateway.at_the_same_time("/2", lambda: backend.connections[0].shutdown(socket.SHUT_WR)) == (200, "/2")
    assert len(backend.connections) == 2 and gateway.metric("weir_upstream_races_total") == 0
    wait_until(lambda: gateway.metric("weir_open_upstream_connections") == 1)


def test_a_connection_that_ends_under_the_request_is_replaced_once(pair):
    """The backend takes a request on a used connection and closes without a byte: it had given that one up already."""
    gateway, backend = pair
    backend.plan = lambda number, count: count == 2
    assert gateway.ask("/1") == (200, "/1")
    assert gateway.ask("/2", "POST") == (200, "/2")
    assert backend.requests == [0, 0, 1] and gateway.metric("weir_upstream_races_total") == 1
    backend.plan = lambda number, count: True  # the fresh one, too: that is no race
    status, _ = gateway.ask("/3")
    assert status == 502 and backend.requests == [0, 0, 1, 1, 2]
    assert gateway.metric("weir_upstream_races_total") == 2


def test_a_close_notify_ends_an_idle_connection(tmp_path, context):
    backend = Backend(context)
    gateway = Gateway(tmp_path / "weir.yaml", backend, "tls: {insecureSkipVerify: true, sni: backend.example}")
    try:
        assert gateway.ask("/1") == (200, "/1")
        backend.connections[0].settimeout(0.2)
        try:
            backend.connections[0].unwrap()  # TCP stays open on this side
        except OSError:
            pass
        wait_until(lambda: gateway.metric("weir_upstream_idle_ends_total") == 1)
        assert gateway.ask("/2") == (200, "/2") and len(backend.connections) == 2
    finally:
        assert gateway.native.stop() == 0
        vectors.stop_accepting(backend.listener)
