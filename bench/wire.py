#!/usr/bin/env python3
"""Side-by-side benchmark of the wire: TLS on and off, HTTP/1.1 and HTTP/2 to clients, HTTP/1.1 to the backend.

nginx, HAProxy and Weir (everything on: routing by the body, rewriting, usage, access log) by turns, one worker each on one
core, wrk (HTTP/1.1) or h2load (HTTP/2) and the mock provider on the other; the same certificate (ECDSA P-256), the same
cipher (TLS_AES_256_GCM_SHA384), kept connections. What is compared is the CPU time that the kernel accounts to the proxy's
threads, for each request. Writes the first part of bench/WIRE.md.

Usage: bench/wire.py [--seconds S] [--rounds N] [--only SYSTEM,...] [--cells "TEXT;..."] [--quick]
       --cells takes the cells whose title contains one of the texts ("TLS, h2;32 KB"), and writes no report
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

import run
from run import LOAD_CORE, NAMES, OUT
from wire_report import write_section

H2LOAD = OUT / "nghttp2"  # where a copy is unpacked that could not be installed
CIPHER = "TLS_AES_256_GCM_SHA384"
CLIENTS = 64
# (how, connections, streams on each): all have 64 requests under way
SHAPES = [("h1", CLIENTS, 1), ("h2", CLIENTS, 1), ("h2", 8, 8)]

NGINX_TLS = "ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;"
HAPROXY_TLS = " ssl crt {pem} alpn {alpn}"
SECRET = """
apiVersion: v1
kind: Secret
metadata: {{name: bench, namespace: default}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{cert}
  tls.key: |
{key}
---
"""


# ---- tools and certificates --------------------------------------------------------------------------------------

def h2load():
    """The program; where its package can't be installed (Debian 12 with nghttp2 of a newer suite), a copy in bench/out."""
    copy = H2LOAD / "usr/bin/h2load"
    if not shutil.which("h2load") and not copy.exists():
        H2LOAD.mkdir(exist_ok=True)
        subprocess.run("apt-get download nghttp2-client && dpkg -x nghttp2-client_*.deb .", shell=True, cwd=H2LOAD, check=True,
                       stdout=subprocess.DEVNULL)
    return shutil.which("h2load") or copy


def certificate():
    """bench/out/wire.{crt,key,pem}: self-signed, ECDSA P-256."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", OUT / "wire.key", "-out", OUT / "wire.crt"], check=True, stderr=subprocess.DEVNULL)
    (OUT / "wire.pem").write_text((OUT / "wire.crt").read_text() + (OUT / "wire.key").read_text())


# ---- the systems -------------------------------------------------------------------------------------------------

def nginx_config(text, is_tls, how):
    listen = "backlog=4096" + (" ssl" if is_tls else "") + (" http2" if how == "h2" else "")
    tls = NGINX_TLS.format(cert=OUT / "wire.crt", key=OUT / "wire.key") if is_tls else ""
    return text.replace("backlog=4096;", f"{listen}; {tls}")


def haproxy_config(text, is_tls, how):
    more = HAPROXY_TLS.format(pem=OUT / "wire.pem", alpn="h2" if how == "h2" else "http/1.1") if is_tls else ""
    if how == "h2" and not is_tls:
        more = " proto h2"
    return text.replace("backlog 4096", "backlog 4096" + more)


def weir_config(text, is_tls, how):
    def indented(name):
        return "\n".join("    " + line for line in (OUT / name).read_text().splitlines())
    if not is_tls:
        return text
    plain = re.search(r"listeners: \[\{name: http, protocol: HTTP, port: (\d+)\}\]", text)
    tls = f"listeners: [{{name: https, protocol: HTTPS, port: {plain[1]}, tls: {{certificateRefs: [{{name: bench}}]}}}}]"
    return SECRET.format(cert=indented("wire.crt"), key=indented("wire.key")) + text.replace(plain[0], tls)


CONFIGURE = {"nginx": nginx_config, "haproxy": haproxy_config, "weir": weir_config, "weir-floor": weir_config}


def start(names, mock, is_tls, how):
    return [run.System(name, mock, change=lambda text, name=name: CONFIGURE[name](text, is_tls, how))
            for name in names if name not in ("nginx", "haproxy") or run.program(name)]


# ---- load --------------------------------------------------------------------------------------------------------

def load_h1(system, is_tls, connections, streams, label, seconds):
    return run.wrk(system, connections, OUT / f"{label}.lua", seconds, "https" if is_tls else "http")


def load_h2(system, is_tls, connections, streams, label, seconds):
    before = system.cpu_us()
    command = ["taskset", "-c", LOAD_CORE, h2load(), "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", f"--tls13-ciphers={CIPHER}",
               "-d", OUT / f"{label}.json", "-H", "content-type: application/json", "-H", "x-internal: 1", "-H", "x-mock-body-bytes: 1024",
               f"{'https' if is_tls else 'http'}://127.0.0.1:{system.port}/v1/chat/completions"]
    load = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    used = system.cpu_us() - before
    counts = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", load.stdout)
    if not counts or int(counts[1]) == 0:
        sys.exit(f"bench: h2load failed on {system.name}: {load.stdout}{load.stderr}")
    done, succeeded = int(counts[1]), int(counts[2])
    if succeeded < done:
        print(f"  {system.name}: {done - succeeded} errors", file=sys.stderr)
    return {"cpu": used / done, "rate": done / seconds, "errors": done - succeeded}


# ---- what is measured --------------------------------------------------------------------------------------------

def title_of(is_tls, how, streams, label):
    shape = f"{CLIENTS // streams} connections" + (f" of {streams} streams" if streams > 1 else "")
    return f"{'TLS' if is_tls else 'plain'}, {how}, {label}, {shape}"


def cells(texts):
    """(title, is_tls, how, connections, streams, label) of what is asked for."""
    every = [(title_of(is_tls, how, streams, label), is_tls, how, connections, streams, label)
             for is_tls in (False, True) for how, connections, streams in SHAPES for label in ("1 KB", "32 KB")]
    every.append(("TLS, h1, 1 KB, a connection for each request", True, "h1", CLIENTS, 1, "1 KB, closing"))  # the handshake, in full
    return [cell for cell in every if not texts or any(text in cell[0] for text in texts)]


def measure(systems, rounds, seconds, cell):
    title, is_tls, how, connections, streams, label = cell
    load = load_h1 if how == "h1" else load_h2
    return run.rounds_of(systems, rounds, lambda system: load(system, is_tls, connections, streams, label, seconds), title)


def rows(title, results):
    lines = []
    for name, measured in results.items():
        lines.append(f"| {title if name == next(iter(results)) else ''} | {NAMES[name]} | {run.span([m['cpu'] for m in measured])} | "
                     f"{run.ratio(results, name, 'cpu')} | {statistics.median(m['rate'] for m in measured):.0f} | {sum(m['errors'] for m in measured)} |")
    return lines


def verdict(worst, over):
    text = f"Weir's worst cell is {worst[0]:.2f} of nginx ({worst[1]})." if worst else ""
    return text + (f" Over 1.20: {', '.join(over)}." if over else " No cell is over 1.20.")


def measure_all(options, mock):
    table = ["| cell | system | CPU µs a request (min / median / max) | × nginx | requests/s | errors |", "| --- | --- | --- | --- | --- | --- |"]
    worst, over, running, systems = None, [], None, []
    try:
        for cell in cells(options.cells):
            if (cell[1], cell[2]) != running:  # TLS and HTTP/2 are of the configuration
                for system in systems:
                    system.stop()
                running, systems = (cell[1], cell[2]), []
                systems = start(options.only, mock, cell[1], cell[2])
            results = measure(systems, options.rounds, options.seconds, cell)
            table += rows(cell[0], results)
            if "weir" in results and "nginx" in results:
                value = float(run.ratio(results, "weir", "cpu"))
                worst = max(worst or (0, ""), (value, cell[0]))
                over += [f"{cell[0]} ({value:.2f})"] if value > 1.2 else []
    finally:
        for system in systems:
            system.stop()
    return table, verdict(worst, over)


def prepare():
    OUT.mkdir(exist_ok=True)
    certificate()
    h2load()
    for size, label in ((1024, "1 KB"), (32768, "32 KB")):
        (OUT / f"{label}.json").write_text(run.body(size))
        (OUT / f"{label}.lua").write_text(run.WRK % (OUT / f"{label}.json"))
        (OUT / f"{label}, closing.lua").write_text('wrk.headers["Connection"] = "close"\n' + run.WRK % (OUT / f"{label}.json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="nginx,haproxy,weir")
    parser.add_argument("--cells", default="")
    parser.add_argument("--quick", action="store_true", help="one short round, no report file")
    options = parser.parse_args()
    options.only, options.cells = options.only.split(","), [text for text in options.cells.split(";") if text]
    if options.quick:
        options.seconds, options.rounds = 1, 1
    prepare()
    priority = run.raise_priority()
    mock = run.free_port()
    provider = run.spawn(LOAD_CORE, [run.WEIR, "mock", "--port", mock], name="mock")
    run.wait_for(mock, provider)
    begun, load_before = time.monotonic(), os.getloadavg()[0]
    try:
        table, summary = measure_all(options, mock)
    finally:
        provider.terminate()
    lines = [*run.machine(), f"- {run.version([h2load(), '--version'])}",
             f"- {options.rounds} interleaved rounds of {options.seconds} s a cell, 64 requests under way; the proxy alone on one core", "",
             *table, "", summary, "",
             f"The run took {time.monotonic() - begun:.0f} s at {priority}; load average before {load_before:.1f}, after {os.getloadavg()[0]:.1f}."]
    print("\n".join(lines))
    if not options.quick and not options.cells:
        write_section("CPU time of a request, by protocol", lines)


if __name__ == "__main__":
    main()
