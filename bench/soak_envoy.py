#!/usr/bin/env python3
"""A soak of Weir inside Envoy: mixed traffic with faults, then nothing may be left. Writes a table to bench/SOAK.md.

Clients come and go for the whole time: chat of 1 KB and 64 KB, streams, streams that their client leaves, bodies of 4 MB,
malformed bodies, unknown models, requests that are aborted half way, and models whose backend answers 503 (retried on
another), refuses connections, never answers or cuts its streams. Every few seconds the configuration changes through
file-based xDS. Resident memory and Envoy's own counters are sampled; at the end no request, stream or connection may be
open, and memory must not have grown by more than a tenth after the first third.

With --sanitized the module is that of the preset asan: every access of it is checked, and what it has not given back when
Envoy ends is a leak. Its memory is not judged by its size, since freed memory is kept back to find late accesses.

Usage: bench/soak_envoy.py [--seconds S] [--clients N] [--workers N] [--sanitized]
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench/out"
WEIR = ROOT / "build/weir"
sys.path.insert(0, str(ROOT / "tests/hosts"))
import envoy as host  # noqa: E402

CONFIG = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: soak}}
spec:
  gatewayClassName: weir
  infrastructure: {{parametersRef: {{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: soak}}}}
  listeners: [{{name: http, protocol: HTTP, port: {port}}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: soak}}
spec:
  telemetry: {{accessLog: {{settings: [{{format: {{type: JSON, json: {{code: "%RESPONSE_CODE%", flags: "%RESPONSE_FLAGS%"}}}}, sinks: [{{type: File, file: {{path: {log}}}}}]}}]}}}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {{name: soak}}
spec:
  parentRefs: [{{name: soak}}]
  llmRequestCosts: [{{metadataKey: llm_total_token, type: TotalToken}}]
  rules:
{rules}
{backends}
"""

RULE = """    - matches: [{{headers: [{{name: x-ai-eg-model, value: {model}}}]}}]
      backendRefs: [{refs}]
"""

BACKEND = """---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {{name: {name}}}
spec:
  schema: {{name: OpenAI}}
  backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: {name}}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Fault(socketserver.BaseRequestHandler):
    """A backend that fails: 503 at once, a stream that is cut after its first event, or no answer at all."""

    def handle(self):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                more = self.request.recv(65536)
                if not more:
                    return
                head += more
            if self.server.kind == "503":
                self.request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            elif self.server.kind == "silent":
                while self.request.recv(65536):
                    pass
            else:
                self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                                     b"14\r\ndata: {\"choices\":[]}\n\r\n")
        except OSError:
            pass


class Faults(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 256

    def __init__(self, kind):
        self.kind = kind
        super().__init__(("127.0.0.1", 0), Fault)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


def configuration(port, ports, generation):
    rules = [("good", ["good"]), ("retried", ["bad", "good"]), ("cut", ["cut"]), ("refused", ["refused"]), ("silent", ["bad", "silent"]),
             (f"new-{generation}", ["good"])]
    def refs(names):  # with another weight a rule's cluster is another one
        return ", ".join(f"{{name: {name}, priority: {i}, weight: {1 + generation % 4}}}" for i, name in enumerate(names))
    return CONFIG.format(port=port, log=OUT / "soak-access.log", rules="".join(RULE.format(model=model, refs=refs(names)) for model, names in rules),
                         backends="".join(BACKEND.format(name=name, port=at) for name, at in ports.items()))


class Soak:
    def __init__(self, options):
        OUT.mkdir(exist_ok=True)
        self.options, self.port, self.admin, self.generation = options, free_port(), free_port(), 0
        self.mock = subprocess.Popen([WEIR, "mock", "--port", "0", "--tokens", "40", "--rate", "100"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.mock.stderr.readline() or self.mock.stdout.readline()
        self.ports = {"good": int("".join(c for c in line.split("127.0.0.1:")[1].split()[0] if c.isdigit())), "bad": Faults("503").port, "cut": Faults("cut").port,
                      "silent": Faults("silent").port}
        self.deaf = socket.socket()  # bound, so that nobody else gets the port, and never listening
        self.deaf.bind(("127.0.0.1", 0))
        self.ports["refused"] = self.deaf.getsockname()[1]
        self.build = ROOT / ("build/asan" if options.sanitized else "build")
        self.xds, self.file = OUT / "soak-xds", OUT / "soak.yaml"
        shutil.rmtree(self.xds, ignore_errors=True)
        self.xds.mkdir()
        bootstrap = self.change()
        (OUT / "soak.json").write_bytes(bootstrap)
        self.envoy = subprocess.Popen([host.binary(), "-c", OUT / "soak.json", "--concurrency", str(options.workers), "--disable-hot-restart", "--base-id",
                                       str(next(host.base_ids)), "-l", "error"], stderr=open(OUT / "soak.err", "w"), stdout=subprocess.DEVNULL,
                                      env={**os.environ, **host.memory_checks(self.build)})
        self.counts, self.lock, self.over = {}, threading.Lock(), threading.Event()
        self.wait(lambda: self.post({"model": "good", "messages": []}) == 200, 30)

    def change(self):
        self.generation += 1
        self.file.write_text(configuration(self.port, self.ports, self.generation))
        return subprocess.run([WEIR, "envoy", self.file, "--address", "127.0.0.1", "--admin-port", str(self.admin), "--xds-dir", self.xds,
                               "--module", self.build / "libweir_envoy.so"],
                              check=True, capture_output=True).stdout

    @staticmethod
    def wait(condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return True
            except OSError:
                pass
            time.sleep(0.1)
        return False

    # ---- what clients do ------------------------------------------------------------------------------------------

    def open(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/v1/chat/completions", body if isinstance(body, bytes) else json.dumps(body), {"content-type": "application/json"})
        return connection, connection.getresponse()

    def post(self, body):
        connection, response = self.open(body)
        try:
            response.read()
        except http.client.HTTPException:
            return "cut"
        finally:
            connection.close()
        return response.status

    def leave(self):
        connection, response = self.open({"model": "good", "stream": True, "messages": []})
        response.read(20)
        response.close()
        connection.close()
        return "left"

    def abort(self):
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{\"model\":\"good\",")
        return "aborted"

    def quit(self):
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            body = b'{"model":"silent","messages":[]}'
            raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            time.sleep(random.random() / 5)  # anywhere before, between and in its tries
        return "quit"

    def act(self, kind):
        message = [{"role": "user", "content": "x" * {"chat": 1000, "large": 64 << 10, "huge": 4 << 20}.get(kind, 100)}]
        if kind in ("chat", "large", "huge"):
            return self.post({"model": "good", "messages": message})
        if kind == "stream":
            return self.post({"model": "good", "stream": True, "messages": message})
        if kind in ("retried", "cut", "refused"):
            return self.post({"model": kind, "stream": kind == "cut", "messages": message})
        if kind == "malformed":
            return self.post(b'{"model":"good","model":"good"}')
        if kind == "unknown":
            return self.post({"model": "none", "messages": []})
        return {"leave": self.leave, "quit": self.quit, "abort": self.abort}[kind]()

    EXPECTED = {"chat": {200}, "large": {200}, "huge": {200}, "stream": {200}, "retried": {200}, "cut": {"cut"}, "refused": {502}, "malformed": {400},
                "unknown": {404}, "leave": {"left"}, "quit": {"quit"}, "abort": {"aborted"}}

    def client(self, seed):
        chance = random.Random(seed)
        while not self.over.is_set():
            kind = chance.choices(list(self.EXPECTED), [30, 10, 2, 15, 10, 5, 5, 5, 5, 8, 5, 5])[0]
            try:
                outcome = self.act(kind)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
            with self.lock:
                key = kind, outcome, outcome in self.EXPECTED[kind]
                self.counts[key] = self.counts.get(key, 0) + 1

    # ---- what is watched ------------------------------------------------------------------------------------------

    def rss_kib(self):
        for line in open(f"/proc/{self.envoy.pid}/smaps_rollup"):
            if line.startswith("Rss:"):
                return int(line.split()[1])

    def gauges(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/stats?filter=(downstream_cx_active|downstream_rq_active|upstream_rq_active|upstream_rq_pending_active)$",
                                      timeout=10).read().decode()
        gauges = {}
        for line in text.splitlines():
            name, value = line.rsplit(": ", 1)
            if not name.startswith(("http.admin", "listener.admin")):
                gauges[name.rsplit(".", 1)[1]] = gauges.get(name.rsplit(".", 1)[1], 0) + int(value)
        return gauges

    def run(self):
        samples, begun = [], time.monotonic()
        clients = [threading.Thread(target=self.client, args=(seed,), daemon=True) for seed in range(self.options.clients)]
        for client in clients:
            client.start()
        next_change = 0.0
        while (at := time.monotonic() - begun) < self.options.seconds:
            if self.envoy.poll() is not None:
                sys.exit("soak: Envoy ended; see bench/out/soak.err")
            samples.append((at, self.rss_kib()))
            if at >= next_change:
                self.change()
                next_change = at + 5
            time.sleep(1)
        self.over.set()
        for client in clients:
            client.join(60)
        is_empty = self.wait(lambda: not any(self.gauges().values()), 90)
        left = self.gauges()
        samples.append((time.monotonic() - begun, self.rss_kib()))
        return samples, is_empty, left

    def stop(self):
        for process in (self.envoy, self.mock):
            process.terminate()
        return self.envoy.wait(30)


def put_section(title, lines):
    """Replaces one section of bench/SOAK.md, or adds it."""
    file = ROOT / "bench/SOAK.md"
    head, *sections = file.read_text().split("\n## ")
    texts = {section.split("\n", 1)[0]: section.rstrip("\n") for section in sections}
    texts[title] = "\n".join([title, "", *lines])
    file.write_text("\n\n## ".join([head.rstrip("\n"), *(texts[title] for title in sorted(texts))]) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sanitized", action="store_true", help="the module of the preset asan")
    options = parser.parse_args()
    if options.sanitized and not host.memory_checks(ROOT / "build/asan"):
        sys.exit("soak: build/asan has no module with the address sanitizer (tools/build.sh asan, on x86-64)")
    soak = Soak(options)
    try:
        samples, is_empty, left = soak.run()
    finally:
        status = soak.stop()
    third = samples[len(samples) // 3:]
    early, late = (max(rss for _, rss in part) for part in (third[:len(third) // 3], third[-len(third) // 3:]))
    wrong = {key[:2]: count for key, count in soak.counts.items() if not key[2]}
    total = sum(soak.counts.values())
    report = host.sanitizer_report((OUT / "soak.err").read_text(errors="replace").splitlines())
    text = [f"{options.seconds} s, {options.clients} clients, {options.workers} workers, {soak.generation} configurations through xDS, {total} requests.", "",
            "| what | requests | outcome |", "| --- | --- | --- |"]
    for kind, outcome, is_expected in sorted(soak.counts, key=str):
        text.append(f"| {kind} | {soak.counts[kind, outcome, is_expected]} | {outcome}{'' if is_expected else ', unexpected'} |")
    text += ["", "| | |", "| --- | --- |", f"| resident KiB: at first | {samples[0][1]} |", f"| most, after the first third, for two ninths of the time | {early} |",
             f"| most, of the last two ninths | {late} |", f"| afterwards | {samples[-1][1]} |", f"| open afterwards by Envoy's counters | {sum(left.values())} |",
             f"| Envoy's exit status | {status} |"]
    if options.sanitized:
        text.append(f"| reports of the sanitizers, leaks at the end included | {'see bench/out/soak.err' if report else 'none'} |")
    put_section("Module with the address and undefined-behaviour sanitizers" if options.sanitized else "Module as released", text)
    print("\n".join(text))
    faults = [f"{sum(wrong.values())} unexpected outcomes"] if wrong else []
    faults += ["something is still open"] if not is_empty else []
    faults += [f"memory grew from {early} to {late} KiB"] if late > early * 1.1 and not options.sanitized else []
    faults += [f"exit status {status}"] if status else []
    faults += [report] if report else []
    sys.exit("soak: " + ", ".join(faults) if faults else 0)


main()
