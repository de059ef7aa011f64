#!/usr/bin/env python3
"""A thousand reloads, and upgrades of the running program, at a thousand requests a second with 200 open streams.

The tests of tests/e2e are the same in small; here they run in full, each must hold (no error, no cut stream, no refused
connection, memory within 1 % after the reloads), and what they measured goes into the third part of bench/WIRE.md.

Usage: bench/storm.py [--reloads N] [--streams N] [--rate REQUESTS_A_SECOND] [--upgrades N] [--no-report]
"""
import argparse
import os
import subprocess
import sys
import time

import run
from run import ROOT
from wire_report import write_section

TESTS = ["tests/e2e/test_reload.py::test_many_reloads_under_load_lose_nothing_and_keep_nothing",
         "tests/e2e/test_upgrade.py::test_an_upgrade_under_load_refuses_and_cuts_nothing"]


def python():
    own = ROOT / ".venv/bin/python"
    return own if own.exists() else sys.executable


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--upgrades", type=int, default=50)
    parser.add_argument("--no-report", action="store_true")
    options = parser.parse_args()
    settings = {"WEIR_RELOADS": options.reloads, "WEIR_RELOAD_STREAMS": options.streams, "WEIR_RELOAD_RATE": options.rate,
                "WEIR_UPGRADES": options.upgrades}
    begun, load_before = time.monotonic(), os.getloadavg()[0]
    done = subprocess.run([python(), "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *TESTS], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, **{name: str(value) for name, value in settings.items()}})
    told = [line[len("storm: "):] for line in done.stdout.splitlines() if line.startswith("storm: ")]
    if done.returncode != 0 or not told:
        sys.exit(f"bench: a test failed\n{done.stdout}{done.stderr}")
    lines = [*run.machine()[:2], f"- {options.rate} requests a second on 16 connections, {options.streams} open streams", "",
             *[f"- {line}" for line in told], "",
             "None failed, none was cut, none was refused. The load is Python's and shares the processor with Weir: times are its own, too.", "",
             f"The run took {time.monotonic() - begun:.0f} s; load average before {load_before:.1f}, after {os.getloadavg()[0]:.1f}."]
    print("\n".join(lines))
    if not options.no_report:
        write_section("Reloads and upgrades under load", lines)


if __name__ == "__main__":
    main()
