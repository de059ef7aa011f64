#!/usr/bin/env python3
"""Weir inside Envoy beside Envoy alone: CPU a request, CPU an event, memory with large bodies. Writes bench/ENVOY.md.

Systems: Envoy without anything (plain), the same with the access log of 22 fields (log), that with Weir and everything
on (weir: strict parse of the body, lifting, header mutation on two levels, model override in the body, usage and three
costs off the answer as dynamic metadata, the log), and with a Lua filter that takes the model out of the body by two
patterns (lua), as gateways do without a module. All from the configuration that `weir envoy` writes, so that codecs,
limits, retries and pools are the same. Six minutes as it stands.

All is measured side by side: a system and plain Envoy at once on one core, each with connections of its own, so that
what else the machine does meets both alike; taken in turns, their ratio moved by a tenth from run to run. Both are
started anew each time, as where the loader puts things counts, too.

Usage: bench/envoy.py [--seconds S] [--starts N] [--connections C]
"""
import argparse
import concurrent.futures
import copy
import json
import pathlib
import statistics
import subprocess
import sys
import time

import run
from run import OUT, ROOT, WEIR

sys.path.insert(0, str(ROOT / "tests/hosts"))
import envoy as host  # noqa: E402

LUA = """
function envoy_on_request(handle)
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  local model = string.match(text, '"model"%s*:%s*"([^"]+)"')
  local backend = string.match(text, '"backend"%s*:%s*"([^"]+)"')
  if model then handle:headers():replace("x-ai-eg-model", model) end
  if backend then handle:headers():replace("x-ai-eg-backend", backend) end
  handle:clearRouteCache()
end
"""


def manager(bootstrap):
    listener = bootstrap["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def without_weir(bootstrap, name):
    bootstrap = copy.deepcopy(bootstrap)
    hcm = manager(bootstrap)
    hcm["http_filters"] = hcm["http_filters"][1:]
    if name == "lua":
        hcm["http_filters"].insert(0, {"name": "lua", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string": LUA}}})
    hcm["access_log"] = [log for log in hcm["access_log"] if name != "plain" and "json_format" in log["typed_config"]["log_format"]]
    for log in hcm["access_log"]:  # Envoy's own line for every request
        log.pop("filter", None)
    for virtual_host in hcm["route_config"]["virtual_hosts"]:
        virtual_host.pop("typed_per_filter_config")
        matcher = virtual_host.pop("matcher")
        route = next(iter(matcher["matcher_tree"]["exact_match_map"]["map"].values()))["action"]["typed_config"]
        route.pop("@type")
        virtual_host["routes"] = [route]
    for cluster in bootstrap["static_resources"]["clusters"]:
        for options in cluster["typed_extension_protocol_options"].values():
            options.pop("http_filters", None)
    return bootstrap


class System(run.System):
    def __init__(self, name, mock):
        self.name, self.port, self.process = name, run.free_port(), None
        file = OUT / f"envoy-{name}.yaml"
        file.write_text(run.FULL.format(out=OUT, port=self.port, mock=mock, log=run.log_fields(), access_log=OUT / f"envoy-{name}-access.log"))
        written = subprocess.run([WEIR, "envoy", file, "--address", "127.0.0.1", "--admin-port", "0"], capture_output=True, check=True)
        bootstrap = json.loads(written.stdout)
        if name != "weir":
            bootstrap = without_weir(bootstrap, name)
        file = file.with_suffix(".json")
        file.write_text(json.dumps(bootstrap))
        self.process = run.spawn(run.PROXY_CORE, [host.binary(), "-c", file, "--concurrency", "1", "--disable-hot-restart", "--base-id",
                                                  next(host.base_ids), "-l", "error"], open(OUT / f"envoy-{name}.log", "w"), f"envoy-{name}")
        run.wait_for(self.port, self.process, 60)
        time.sleep(0.5)


def table(unit, results, ratios):
    lines = [f"| system | CPU µs {unit} (min / median / max) | × plain (min / median / max) |", "| --- | --- | --- |"]
    for name, cells in results.items():
        lines.append(f"| {name} | {run.span([cell['cpu'] for cell in cells])} | {run.span(ratios.get(name, [1]), '{:.2f}')} |")
    return lines + [""]


def side_by_side(mock, names, warm_up, measure, starts, title):
    """Cells of each system, and the ratios of those that ran beside plain Envoy's."""
    results, ratios = {"plain": []}, {}
    for name in names * starts:
        systems = [System("plain", mock), System(name, mock)]
        with concurrent.futures.ThreadPoolExecutor(len(systems)) as pool:
            list(pool.map(warm_up, systems))
            plain, cell = pool.map(measure, systems)
        for system in systems:
            system.stop()
            system.empty_log()
        results["plain"].append(plain)
        results.setdefault(name, []).append(cell)
        ratios.setdefault(name, []).append(cell["cpu"] / plain["cpu"])
        print(f"  {title}: plain {plain['cpu']:.1f}, {name} {cell['cpu']:.1f}, {ratios[name][-1]:.2f}", flush=True)
    return results, ratios


def peak_of_body(mock, megabytes):
    """Most resident memory of a fresh Envoy with Weir while one body of this size goes through, and before it."""
    system = System("weir", mock)
    body = OUT / "large.json"
    body.write_text(json.dumps({"model": "bench", "messages": [{"role": "user", "content": "x" * int(megabytes * (1 << 20))}]}))
    before = system.rss_kib()
    load = subprocess.Popen(["curl", "-sf", "-o", "/dev/null", "-H", "content-type: application/json", "-H", "expect:", "--data-binary", f"@{body}",
                             f"http://127.0.0.1:{system.port}/v1/chat/completions"])
    peak = before
    while load.poll() is None:
        peak = max(peak, system.rss_kib())
        time.sleep(0.001)
    system.stop()
    if load.returncode:
        sys.exit("bench: the large body failed")
    return before, peak


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5, help="of a cell of requests")
    parser.add_argument("--starts", type=int, default=7, help="of the systems")
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    subprocess.run(["cc", "-O2", "-o", OUT / "sse_load", ROOT / "bench/sse_load.c"], check=True)
    port = run.free_port()
    mock = run.spawn(run.LOAD_CORE, [WEIR, "mock", "--port", str(port)], name="envoy-mock")
    run.wait_for(port, mock)
    text = ["# Weir inside Envoy, measured", "",
            f"Envoy {subprocess.run([host.binary(), '--version'], capture_output=True, text=True).stdout.split('version: ')[1].split('/')[1]}, one worker on one core, load and provider on "
            f"another; CPU as the kernel accounts it to Envoy. A system runs beside plain Envoy on the one core, each under its own load: {options.connections} "
            f"connections for {options.seconds} s, or 200 streams of 100 events, 50 a second. {options.starts} starts; a ratio is of one start. Written by "
            "bench/envoy.py.", ""]
    for size, title in ((1024, "1 KB"), (32 * 1024, "32 KB")):
        body = OUT / f"envoy-{size}.json"
        body.write_text(run.body(size))
        script = OUT / f"envoy-{size}.lua"
        script.write_text(run.WRK % body)
        results = side_by_side(port, ["log", "weir", "lua"], lambda system: run.wrk(system, options.connections, script, 1),
                               lambda system: run.wrk(system, options.connections, script, options.seconds), options.starts, title)
        text += [f"## Chat, {title}", ""] + table("a request", *results)
    results = side_by_side(port, ["log", "weir"], lambda system: run.sse(system, 200, 20, 50), lambda system: run.sse(system, 200, 100, 50), options.starts, "events")
    text += ["## Streams", ""] + table("an event", *results)
    text += ["## Memory for one body", "", "| body | before KiB | peak KiB | more than before, × body |", "| --- | --- | --- | --- |"]
    for megabytes, title in ((1 / 32, "32 KB"), (10, "10 MB")):
        peaks = [peak_of_body(port, megabytes) for _ in range(3)]
        before, peak = (statistics.median(values) for values in zip(*peaks))
        text.append(f"| {title} | {before:.0f} | {peak:.0f} | {(peak - before) / 1024 / megabytes:.1f} |")
    mock.terminate()
    (ROOT / "bench/ENVOY.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


main()
