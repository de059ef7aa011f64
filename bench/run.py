#!/usr/bin/env python3
"""Side-by-side benchmark: direct, nginx, HAProxy, Weir with everything on, Weir's floor. Writes bench/RESULTS.md.

The proxy runs on one core, the load and the mock provider on another. Rounds are interleaved: in every cell each system
has its turn before the next round begins, and ratios are taken to nginx of the same round. CPU is what the kernel
accounts to the proxy's processes (/proc/PID/task/*/schedstat), so it counts what it costs and not what wrk reaches. Weir's
access log goes to a real file.

Usage: bench/run.py [--seconds S] [--rounds N] [--only SYSTEM,...] [--cells requests,streams,memory,routes] [--quick]
"""
import argparse
import atexit
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench/out"
WEIR = ROOT / "build/weir"
PROXY_CORE, LOAD_CORE = "0", "1"
NAMES = {"direct": "direct (no proxy)", "nginx": "nginx", "haproxy": "HAProxy", "weir": "Weir, everything on", "weir-floor": "Weir, plain route",
         "weir-10000-routes": "Weir, everything on, 10,000 routes"}
CONNECTIONS = [1, 16, 64, 256]

# ---- configurations ----------------------------------------------------------------------------------------------

NGINX = """
daemon off; master_process off; worker_processes 1; pid {out}/nginx.pid; error_log {out}/nginx.err warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off; keepalive_requests 1000000000; client_body_temp_path {out}/nginx-body; proxy_temp_path {out}/nginx-proxy;
    fastcgi_temp_path {out}/nginx-f; uwsgi_temp_path {out}/nginx-u; scgi_temp_path {out}/nginx-s;
    client_max_body_size 64m; client_body_buffer_size 64k; tcp_nodelay on;
    upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering}; }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8000
defaults
    mode http
    option http-no-delay
    http-reuse always
    timeout connect 5s
    timeout client 300s
    timeout server 300s
frontend front
    bind 127.0.0.1:{port} backlog 4096
    default_backend mock
backend mock
    server mock 127.0.0.1:{mock} pool-max-conn -1
"""

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: weir}}
spec: {{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: bench, namespace: default}}
spec:
  gatewayClassName: weir
  infrastructure: {{parametersRef: {{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: bench}}}}
  listeners: [{{name: http, protocol: HTTP, port: {port}}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {{name: mock, namespace: default}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: {mock}}}}}]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: bench, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: bench}}]
  circuitBreaker: {{maxConnections: 10000, maxPendingRequests: 10000, maxParallelRequests: 10000}}
---
"""

FULL = GATEWAY + """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: bench, namespace: default}}
spec:
  telemetry:
    accessLog:
      settings:
        - format:
            type: JSON
            json:
{log}
          sinks: [{{type: File, file: {{path: {access_log}}}}}]
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIServiceBackend
metadata: {{name: mock, namespace: default}}
spec:
  schema: {{name: OpenAI}}
  backendRef: {{group: gateway.envoyproxy.io, kind: Backend, name: mock}}
  headerMutation: {{remove: [x-internal], set: [{{name: x-tier, value: shared}}]}}
---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {{name: bench, namespace: default}}
spec:
  parentRefs: [{{name: bench}}]
  llmRequestCosts:
    - {{metadataKey: llm_input_token, type: InputToken}}
    - {{metadataKey: llm_output_token, type: OutputToken}}
    - {{metadataKey: llm_total_token, type: TotalToken}}
  rules:
    - matches: [{{headers: [{{name: x-ai-eg-model, value: bench}}]}}]
      backendRefs:
        - name: mock
          modelNameOverride: bench-model-of-the-provider
          headerMutation: {{set: [{{name: x-tier, value: dedicated}}]}}
"""

FLOOR = GATEWAY + """
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: bench, namespace: default}}
spec: {{telemetry: {{accessLog: {{disable: true}}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: bench, namespace: default}}
spec:
  parentRefs: [{{name: bench}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: /}}}}]
      backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: mock}}]
"""

MORE_ROUTE = """---
apiVersion: aigateway.envoyproxy.io/v1beta1
kind: AIGatewayRoute
metadata: {{name: route-{i}, namespace: default}}
spec:
  parentRefs: [{{name: bench}}]
  rules:
    - matches: [{{headers: [{{name: x-ai-eg-model, value: model-{i}}}]}}]
      backendRefs: [{{name: mock}}]
"""


def log_fields():
    """The 22 fields of the example's access log."""
    text = (ROOT / "examples/aim-uuid-routing.yaml").read_text()
    return text.split("            json:\n")[1].split("          sinks:")[0].rstrip("\n")


# ---- processes ---------------------------------------------------------------------------------------------------

def spawn(core, arguments, stdout=subprocess.DEVNULL, name="process"):
    errors = open(OUT / f"{name}.err", "w")
    return subprocess.Popen(["taskset", "-c", core, *map(str, arguments)], stdout=stdout, stderr=errors)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(port, process, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            time.sleep(0.1)
            if process.poll() is None:
                return
            raise OSError
        except OSError:
            if process.poll() is not None:
                sys.exit(f"bench: {process.args} ended at once; see bench/out/")
            time.sleep(0.05)
    sys.exit(f"bench: nothing on port {port}")


class System:
    """One proxy under test. `change` gets the text of its configuration and gives the one that is used."""

    def __init__(self, name, mock, streaming=False, change=lambda text: text):
        self.name, self.port, self.process = name, free_port(), None
        if name == "direct":
            self.port = mock
            return
        file = OUT / f"{name}.conf"
        values = {"out": OUT, "port": self.port, "mock": mock, "buffering": "off" if streaming else "on", "log": log_fields(),
                  "access_log": OUT / f"{name}-access.log"}
        if name == "nginx":
            file.write_text(change(NGINX.format(**values)))
            command = [program("nginx"), "-p", OUT, "-c", file]
        elif name == "haproxy":
            file.write_text(change(HAPROXY.format(**values)))
            command = [program("haproxy"), "-db", "-q", "-f", file]
        else:
            text = change((FLOOR if name == "weir-floor" else FULL).format(**values))
            if name == "weir-10000-routes":
                text += "".join(MORE_ROUTE.format(i=i) for i in range(10000))
            file = file.with_suffix(".yaml")
            file.write_text(text)
            command = [WEIR, "run", file, "--address", "127.0.0.1", "--workers", "1", "--admin-port", "0", "--log-level", "error"]
        self.process = spawn(PROXY_CORE, command, open(OUT / f"{name}.log", "w"), name)
        atexit.register(self.stop)
        wait_for(self.port, self.process)
        time.sleep(0.2)

    def cpu_us(self):
        if not self.process:
            return 0
        total = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1000

    def rss_kib(self):
        """Summed page by page: VmRSS lags behind on recent kernels."""
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Rss:"):
                return int(line.split()[1])

    def empty_log(self):
        """The access log is a real file; it is emptied between cells so that it doesn't fill the disk."""
        log = OUT / f"{self.name}-access.log"
        if log.exists():
            os.truncate(log, 0)

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def program(name):
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")


# ---- load --------------------------------------------------------------------------------------------------------

WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["x-internal"] = "1"
wrk.headers["x-mock-body-bytes"] = "1024"
local file = io.open("%s", "rb")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format('RESULT {"requests": %%d, "us": %%d, "p50": %%.1f, "p99": %%.1f, "errors": %%d}\\n', summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def body(size):
    """A chat request of about this size, its text full of escapes (unfavourable for parsers)."""
    request = {"messages": [{"role": "user", "content": ""}], "temperature": 0.7, "max_tokens": 256, "model": "bench"}
    text = 'He said "build a weir", and\nthe water\'s level rose; see \\docs\\weir. '
    while len(json.dumps(request)) < size:
        request["messages"][0]["content"] += text
    return json.dumps(request)


def wrk(system, connections, script, seconds, scheme="http"):
    before = system.cpu_us()
    run = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script,
                          f"{scheme}://127.0.0.1:{system.port}/v1/chat/completions"], capture_output=True, text=True)
    after = system.cpu_us()
    lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        sys.exit(f"bench: wrk failed on {system.name}: {run.stdout}{run.stderr}")
    result = json.loads(lines[0][7:])
    if result["errors"]:
        print(f"  {system.name}: {result['errors']} errors", file=sys.stderr)
    return {"cpu": (after - before) / max(result["requests"], 1), "rate": result["requests"] * 1e6 / result["us"],
            "p50": result["p50"], "p99": result["p99"], "errors": result["errors"]}


def sse(system, streams, events, rate):
    before, peak = system.cpu_us(), 0
    load = subprocess.Popen(["taskset", "-c", LOAD_CORE, OUT / "sse_load", str(system.port), str(streams), str(events), str(rate)],
                            stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        time.sleep(0.25)
        if system.process:
            peak = max(peak, system.rss_kib())
    result = json.loads(load.stdout.read())
    if result["failed"]:
        print(f"  {system.name}: {result['failed']} of {streams} streams failed", file=sys.stderr)
    return {"cpu": (system.cpu_us() - before) / max(result["events"], 1), "rate": result["events"] / result["seconds"], "p50": result["first_p50_us"],
            "p99": result["first_p99_us"], "gap_p99": result["gap_p99_us"], "reads": result["reads"] / max(result["events"], 1),
            "rss": peak, "errors": result["failed"]}


# ---- what is measured --------------------------------------------------------------------------------------------

def rounds_of(systems, rounds, measure, title):
    """results[system][i] = measure(system) of round i, the systems taking turns."""
    results = {system.name: [] for system in systems}
    for number in range(rounds):
        for system in systems:
            results[system.name].append(measure(system))
            system.empty_log()
        print(f"  {title}, round {number + 1}: " + ", ".join(f"{s.name} {results[s.name][-1]['cpu']:.1f}" for s in systems), flush=True)
    return results


def span(values, form="{:.1f}"):
    return " / ".join(form.format(value) for value in (min(values), statistics.median(values), max(values)))


def ratio(results, name, key, base="nginx"):
    if base not in results or name == "direct":
        return ""
    return f"{statistics.median(a[key] / b[key] for a, b in zip(results[name], results[base]) if b[key]):.2f}"


def added(results, name, key):
    """Time added to direct's of the same round."""
    return [a[key] - b[key] for a, b in zip(results[name], results["direct"])]


def request_table(results):
    lines = ["| system | CPU µs a request (min / median / max) | × nginx | requests/s (min / median / max) | p50 µs | p99 µs | added p50 µs | × nginx |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, cells in results.items():
        more, times = "", ""
        if name != "direct" and "direct" in results:
            median = statistics.median(added(results, name, "p50"))
            more = f"{median:.1f}"
            if "nginx" in results and (base := statistics.median(added(results, "nginx", "p50"))) > 0:
                times = f"{median / base:.2f}"
        cpu = span([c["cpu"] for c in cells]) if name != "direct" else ""
        lines.append(f"| {NAMES[name]} | {cpu} | {ratio(results, name, 'cpu')} | {span([c['rate'] for c in cells], '{:.0f}')} | "
                     f"{statistics.median(c['p50'] for c in cells):.0f} | {statistics.median(c['p99'] for c in cells):.0f} | {more} | {times} |")
    return lines


def stream_table(results, idle, streams):
    lines = ["| system | CPU µs an event (min / median / max) | × nginx | events/s | first event p50 / p99 µs | gap p99 µs | reads an event | RSS KiB a stream |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, cells in results.items():
        cpu = span([c["cpu"] for c in cells], "{:.2f}") if name != "direct" else ""
        memory = f"{(max(c['rss'] for c in cells) - idle[name]) / streams:.1f}" if name in idle else ""
        lines.append(f"| {NAMES[name]} | {cpu} | {ratio(results, name, 'cpu')} | {statistics.median(c['rate'] for c in cells):.0f} | "
                     f"{statistics.median(c['p50'] for c in cells):.0f} / {statistics.median(c['p99'] for c in cells):.0f} | "
                     f"{statistics.median(c['gap_p99'] for c in cells):.0f} | {statistics.median(c['reads'] for c in cells):.2f} | {memory} |")
    return lines


def start(names, mock, streaming=False):
    return [System(name, mock, streaming) for name in names if name in ("direct",) or not name[0] == "h" and not name[0] == "n" or program(name)]


def requests(options, mock, report):
    systems = start(options.only, mock)
    for size, label in ((1024, "1 KB"), (32768, "32 KB")):
        (OUT / f"{label}.json").write_text(body(size))
        script = OUT / f"{label}.lua"
        script.write_text(WRK % (OUT / f"{label}.json"))
        for connections in options.connections:
            results = rounds_of(systems, options.rounds, lambda system: wrk(system, connections, script, options.seconds), f"{label}, {connections} connections")
            report += ["", f"### {label} requests, {connections} connections", "", *request_table(results)]
    for system in systems:
        system.stop()


def streams(options, mock, report):
    for count, rate in ((200, 50), (2000, 10)):
        if options.quick and count > 200:
            continue
        systems = start(options.only, mock, streaming=True)  # fresh ones: what a stream costs is told from the idle size
        idle = {system.name: system.rss_kib() for system in systems if system.process}
        results = rounds_of(systems, options.rounds, lambda system: sse(system, count, 100, rate), f"{count} streams")
        report += ["", f"### {count} streams of 100 events, {rate} events a second each", "", *stream_table(results, idle, count)]
        for system in systems:
            system.stop()


def memory(options, mock, report):
    report += ["", "### Memory, idle", "", "| system | RSS MiB |", "| --- | --- |"]
    for system in start(options.only, mock):
        if system.process:
            report.append(f"| {NAMES[system.name]} | {system.rss_kib() / 1024:.1f} |")
        system.stop()


def routes(options, mock, report):
    """Exact matches are found at the same cost in 10,000 routes as in one."""
    systems = start(["weir", "weir-10000-routes"], mock)
    (OUT / "1 KB.json").write_text(body(1024))
    script = OUT / "1 KB.lua"
    script.write_text(WRK % (OUT / "1 KB.json"))
    results = rounds_of(systems, options.rounds, lambda system: wrk(system, 64, script, options.seconds), "10,000 routes")
    report += ["", "### 10,000 routes, 1 KB requests, 64 connections", "", "| system | CPU µs a request (min / median / max) | × one route |", "| --- | --- | --- |"]
    for name, cells in results.items():
        report.append(f"| {NAMES[name]} | {span([c['cpu'] for c in cells])} | {ratio(results, name, 'cpu', 'weir')} |")
    for system in systems:
        system.stop()


def version(command):
    try:
        run = subprocess.run(command, capture_output=True, text=True)
        return (run.stdout + run.stderr).splitlines()[0]
    except (OSError, IndexError):
        return "not installed"


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return [f"- {model}, {os.cpu_count()} cores, Linux {platform.release()}", f"- {version([WEIR, 'version'])}, commit {commit}",
            f"- {version([program('nginx') or 'nginx', '-v'])}", f"- {version([program('haproxy') or 'haproxy', '-v'])}", f"- {version(['wrk', '-v'])}"]


def raise_priority():
    """So that what else runs on the machine disturbs less; the proxies and the load inherit it."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        if os.path.exists("/proc/self/autogroup"):  # where a session shares the processor as one, its own priority counts
            os.getsid(0) == os.getpid() or os.setsid()
            pathlib.Path("/proc/self/autogroup").write_text("-15")
        return "raised priority"
    except OSError:
        return "ordinary priority"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="direct,nginx,haproxy,weir,weir-floor")
    parser.add_argument("--cells", default="requests,streams,memory,routes")
    parser.add_argument("--quick", action="store_true", help="one short round, few cells, no report file")
    options = parser.parse_args()
    options.only, options.connections = options.only.split(","), CONNECTIONS
    if options.quick:
        options.seconds, options.rounds, options.connections = 1, 1, [64]
    OUT.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", OUT / "sse_load", ROOT / "bench/sse_load.c"], check=True)
    priority = raise_priority()
    mock = free_port()
    provider = spawn(LOAD_CORE, [WEIR, "mock", "--port", mock], name="mock")
    wait_for(mock, provider)
    report = ["# Benchmark results", "", "Written by `make bench`; [docs/performance.md](../docs/performance.md) says how it is measured and what was learned.", "", *machine(),
              f"- {options.rounds} interleaved rounds of {options.seconds} s a cell; the proxy alone on one core, load and mock provider on another"]
    begun, load_before = time.monotonic(), os.getloadavg()[0]
    try:
        for cell in options.cells.split(","):
            {"requests": requests, "streams": streams, "memory": memory, "routes": routes}[cell](options, mock, report)
    finally:
        provider.terminate()
    report += ["", f"The run took {time.monotonic() - begun:.0f} s at {priority}; load average before {load_before:.1f}, after {os.getloadavg()[0]:.1f}."]
    text = "\n".join(report) + "\n"
    if options.quick:
        print(text)
    else:
        (ROOT / "bench/RESULTS.md").write_text(text)
        print("bench: wrote bench/RESULTS.md")


if __name__ == "__main__":
    main()
