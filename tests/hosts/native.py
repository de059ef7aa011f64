"""`weir run` as a child process: started with a configuration, ready when it says so, its access log read as it comes."""
import json
import os
import re
import signal
import subprocess
import threading
import time

from vectors import weir


class Native:
    def __init__(self, config, *options, workers=None, env=None, follows=True):
        del follows  # it always does
        workers = workers or os.environ.get("WEIR_WORKERS", "1")
        self.process = subprocess.Popen(
            [str(weir()), "run", str(config), "--address", "127.0.0.1", "--admin-port", "0", "--workers", str(workers), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
        self.lines, self.errors = [], []
        self.news = threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors), daemon=True)]
        for reader in self.readers:
            reader.start()
        if not self.wait(lambda: any("listening on" in line for line in self.errors), 15):
            self.stop()
            raise RuntimeError("weir did not start:\n" + "\n".join(self.errors))

    def _read(self, stream, lines):
        for line in stream:
            with self.news:
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.news.notify_all()

    def wait(self, condition, seconds):
        end = time.monotonic() + seconds
        with self.news:
            while not condition():
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not any(r.is_alive() for r in self.readers)):
                    return condition()
                self.news.wait(min(left, 0.1))
        return True

    def reload(self):
        """Reads the configuration again; it is served when this returns."""
        def served():
            return sum("is served" in line for line in self.errors)
        before = served()
        self.process.send_signal(signal.SIGHUP)
        assert self.wait(lambda: served() > before, 5), "\n".join(self.errors)

    def log_line(self, mark, seconds=5):
        """The access-log line that has `mark` in it, as a dict, or None."""
        found = []

        def look():
            found[:] = [line for line in self.lines if mark in line]
            return bool(found)
        self.wait(look, seconds)
        return json.loads(found[0]) if found else None

    def admin_port(self):
        for line in self.errors:
            if found := re.search(r"admin http://[^:/]+:(\d+)", line):
                return int(found.group(1))
        return None

    def stop(self):
        """Ends the process and gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)  # a second one ends at once
                self.process.wait(5)
        for reader in self.readers:
            reader.join(5)
        return self.process.returncode
