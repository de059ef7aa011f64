#!/usr/bin/env python3
"""Ten thousand event streams over TLS at once through one worker on one core, the load and the mock provider on the other.

First HTTP/2 (90 streams a connection), then HTTP/1.1 with a connection for each stream, as many as the limit of descriptors
allows (a stream holds one to the client and one to the backend). When all are open, the time between the events of each is
measured, alone and then with slow readers (they ask for events as fast as they come, and read none) and stalled upstreams
(silent after an event) among them. Writes the second part of bench/WIRE.md.

Usage: bench/streams.py [--streams N] [--rate EVENTS_A_SECOND] [--seconds S] [--hostile N] [--shapes h2,h1] [--no-report]
"""
import argparse
import json
import os
import resource
import subprocess
import time

import run
import wire
from run import LOAD_CORE, OUT, ROOT
from wire_report import write_section


def build():
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libssl", "libcrypto", "libnghttp2"], capture_output=True, text=True, check=True).stdout
    subprocess.run(["cc", "-O2", "-o", OUT / "tls_streams", ROOT / "bench/tls_streams.c", *flags.split()], check=True)


def configure(text, how):
    """For so many streams the circuit breakers must let so many connections through."""
    return wire.weir_config(text.replace(": 10000", ": 1000000"), True, how)


def connections_allowed():
    """Weir takes 45 % of its descriptors for clients."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 45 // 100 - 16


def measure(how, count, options):
    """[{phase..., rss, cpu}] of one shape."""
    mock, phases = run.free_port(), []
    provider = run.spawn(LOAD_CORE, [run.WEIR, "mock", "--port", mock], name="mock")
    run.wait_for(mock, provider)
    system = run.System("weir", mock, change=lambda text: configure(text, how))
    idle, cpu = system.rss_kib(), system.cpu_us()
    load = subprocess.Popen(list(map(str, ["taskset", "-c", LOAD_CORE, OUT / "tls_streams", system.port, how, count, options.rate, options.seconds,
                                           options.hostile])), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        for line in load.stdout:
            used, cpu = system.cpu_us() - cpu, system.cpu_us()
            phases.append({**json.loads(line), "how": how, "rss": system.rss_kib(), "idle": idle, "cpu": used})
            print("  " + json.dumps(phases[-1]), flush=True)
            system.empty_log()
            cpu = system.cpu_us()
            load.stdin.write("\n")
    finally:
        load.kill()
        load.wait()
        system.stop()
        provider.terminate()
        provider.wait()
    return phases


def rows(phases, hostile):
    lines = []
    for phase in phases[1:]:
        streams = phase["streams"] + (2 * hostile if phase["phase"] != "alone" else 0)
        lines.append(f"| {phase['how']} | {phase['connections']} | {phase['streams']} | {phase['phase']} | {phase['failed']} | "
                     f"{phase['events'] / phase['seconds']:.0f} | {phase['gap_p50_us'] / 1000:.1f} / {phase['gap_p99_us'] / 1000:.1f} / {phase['gap_max_us'] / 1000:.1f} | "
                     f"{phase['cpu'] / max(phase['events'], 1):.1f} | {phase['rss'] / 1024:.0f} | {(phase['rss'] - phase['idle']) / streams:.1f} |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10000)
    parser.add_argument("--rate", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--hostile", type=int, default=100)
    parser.add_argument("--shapes", default="h2,h1")
    parser.add_argument("--no-report", action="store_true")
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    wire.certificate()
    build()
    priority, load_before = run.raise_priority(), os.getloadavg()[0]
    begun, table = time.monotonic(), []
    for how in options.shapes.split(","):
        count = options.streams if how == "h2" else min(options.streams, connections_allowed() - 2 * options.hostile)
        table += rows(measure(how, count, options), options.hostile)
    lines = [*run.machine(), f"- {options.rate} event a second of each stream, {options.seconds} s a measurement; among hostile ones: with {options.hostile} "
             f"slow readers and {options.hostile} stalled upstreams more, over HTTP/2 on the same connections", "",
             "| clients speak | connections | streams | | failed | events/s | ms between events p50 / p99 / max | CPU µs an event | RSS MiB | RSS KiB a stream |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", *table, "",
             f"The run took {time.monotonic() - begun:.0f} s at {priority}; load average before {load_before:.1f}, after {os.getloadavg()[0]:.1f}."]
    print("\n".join(lines))
    if not options.no_report:
        write_section("10,000 streams over TLS", lines)


if __name__ == "__main__":
    main()
