"""Hot upgrades by SIGUSR2, sockets from systemd, and what a service manager is told.

WEIR_UPGRADES, WEIR_RELOAD_STREAMS and WEIR_RELOAD_RATE make the first test longer: `make storm` runs it in full."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from native import Native
from test_reload import BODY, LISTENER, Load, Models, Running, Slow, configuration
import vectors


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return state_of(pid) != "Z"


def state_of(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def upgrade(native, pid):
    """Asks the process for an upgrade and gives the pid of the one that serves then."""
    seen = len(native.errors)
    os.kill(pid, signal.SIGUSR2)

    def answer():
        return next((line for line in native.errors[seen:] if "serves now" in line or "upgrade failed" in line), None)
    assert native.wait(answer, 15), "\n".join(native.errors)
    found = re.search(r"process (\d+) serves now", answer())
    return int(found.group(1)) if found else None


def end(native, pid):
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid))
    native.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_upgrade_under_load_refuses_and_cuts_nothing(tmp_path, workers):
    backend, port, path = Slow(), vectors.free_port(), tmp_path / "weir.yaml"
    streams, rate = int(os.environ.get("WEIR_RELOAD_STREAMS", 40)), int(os.environ.get("WEIR_RELOAD_RATE", 300))
    upgrades = int(os.environ.get("WEIR_UPGRADES", 2))
    path.write_text(configuration(port, backend.port))
    weir = Running(path, port, backend, "--workers", str(workers), "--drain-time", "5m")
    load = Load(port, rate, streams, fresh=4).start()
    fresh, pid = [], weir.native.process.pid
    try:
        wait_until(lambda: load.open_streams == streams and load.done >= 32)
        for _ in range(upgrades):
            next_pid = upgrade(weir.native, pid)
            assert next_pid and next_pid != pid
            for _ in range(50):  # each on a connection of its own
                fresh.append(weir.ask().status)
            pid = next_pid
        time.sleep(1)
        assert weir.native.process.poll() is None  # its streams go on
        assert weir.metric("weir_open_connections") is not None
        backend.released.set()
        load.finish()
        print(f"\nstorm: {upgrades} upgrades, {workers} worker(s): {load.told()}")
        assert load.failures == []
        assert load.ended == streams and set(fresh) == {200}
        assert load.goodbyes > 0
        wait_until(lambda: weir.native.process.poll() is not None)
        assert weir.native.process.returncode == 0
        assert weir.ask().status == 200
    finally:
        backend.released.set()
        end(weir.native, pid)


def test_an_upgrade_that_fails_changes_nothing(tmp_path):
    binary, path, backend, port = tmp_path / "weir", tmp_path / "weir.yaml", Models(), vectors.free_port()
    shutil.copy(vectors.weir(), binary)
    path.write_text(configuration(port, backend.port))
    before = os.environ.get("WEIR")
    os.environ["WEIR"] = str(binary)
    try:
        weir = Running(path, port, backend)
    finally:
        os.environ.pop("WEIR") if before is None else os.environ.update(WEIR=before)
    pid = weir.native.process.pid

    def replace(write):
        write(tmp_path / "new")
        (tmp_path / "new").chmod(0o755)
        (tmp_path / "new").rename(binary)
    try:
        replace(lambda new: new.write_text("#!/bin/sh\nexit 3\n"))
        assert upgrade(weir.native, pid) is None
        assert any("ended with status 3" in line for line in weir.native.errors)
        replace(lambda new: new.write_text("no program"))
        assert upgrade(weir.native, pid) is None
        assert weir.ask().status == 200
        assert weir.metric("weir_upgrades_failed_total") == 2
        replace(lambda new: shutil.copy(vectors.weir(), new))
        path.write_text("kind: Nonsense\n")
        assert upgrade(weir.native, pid) is None
        assert weir.ask().status == 200
        path.write_text(configuration(port, backend.port, "two"))
        pid = upgrade(weir.native, pid)
        weir.native.process.wait(10)
        assert pid and weir.ask().status == 200 and backend.models[-1] == "two"
        assert weir.metric("weir_upgrades_failed_total") == 0
    finally:
        backend.release.set()
        end(weir.native, pid)


# ---- weir run --upgrade ----------------------------------------------------------------------------------------------


class Successor:
    """A second process, started by hand, that takes over from the first one."""

    def __init__(self, weir, path=None, *options):
        self.native = Native(path or weir.path, "--generation-header", "--admin-port", str(weir.admin), *options, "--upgrade",
                             workers=2)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_process_started_with_upgrade_takes_over_under_load(tmp_path, workers):
    backend, port, path = Slow(), vectors.free_port(), tmp_path / "weir.yaml"
    upgrades = int(os.environ.get("WEIR_UPGRADES", 2))
    path.write_text(configuration(port, backend.port))
    weir = Running(path, port, backend, "--workers", str(workers))
    load = Load(port, 300, 40).start()
    chain = [weir.native]
    try:
        wait_until(lambda: load.open_streams == 40 and load.done >= 32)
        for _ in range(2):
            pid = chain[-1].process.pid
            chain.append(Successor(weir).native)
            assert any(f"taking over from process {pid}" in line for line in chain[-1].errors)
            assert chain[-2].wait(lambda: any("serves now" in line for line in chain[-2].errors), 15)
            assert {weir.ask().status for _ in range(50)} == {200}
        assert weir.metric("weir_open_connections") is not None
        assert weir.native.process.poll() is None  # its streams go on
        backend.released.set()
        load.finish()
        assert load.failures == [] and load.ended == 40
        wait_until(lambda: chain[0].process.poll() is not None and chain[1].process.poll() is not None, 30)
        assert [each.process.returncode for each in chain[:2]] == [0, 0]
        assert weir.ask().status == 200
        pid = upgrade(chain[-1], chain[-1].process.pid)  # and from within, though its arguments say --upgrade
        assert pid and weir.ask().status == 200
        end(chain[-1], pid)
    finally:
        backend.released.set()
        for each in chain:
            each.stop()


def fails_to_start(*options):
    """Runs `weir run` to its end and gives what it says."""
    done = subprocess.run([str(vectors.weir()), "run", "--address", "127.0.0.1", "--admin-port", "0", *options],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode in (1, 2), done.stderr
    return done.stderr


def test_upgrade_with_nobody_there_is_an_error(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(configuration(vectors.free_port(), vectors.free_port()))
    assert "no weir of this user serves a port of this configuration" in fails_to_start(str(path), "--upgrade")


def test_a_successor_that_does_not_come_to_serve_changes_nothing(tmp_path):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    weir = Running(path, port, backend)
    try:
        broken = tmp_path / "broken.yaml"
        broken.write_text("kind: Nonsense\n")
        fails_to_start(str(broken), "--upgrade")  # sockets were not asked for yet
        assert weir.metric("weir_upgrades_failed_total") == 0
        taken = socket.create_server(("127.0.0.1", 0))  # a port that it can't have, beside the one that it takes over
        more = tmp_path / "more.yaml"
        more.write_text(LISTENER % taken.getsockname()[1] + configuration(port, backend.port))
        assert f"port {taken.getsockname()[1]} is in use" in fails_to_start(str(more), "--upgrade")
        wait_until(lambda: weir.metric("weir_upgrades_failed_total") == 1)
        assert weir.native.wait(lambda: any("ended before it served" in line for line in weir.native.errors), 10)
        assert weir.ask().status == 200 and weir.native.process.poll() is None
        taken.close()
        successor = Successor(weir, more).native  # and then it does
        try:
            assert weir.native.process.wait(20) == 0
            assert weir.ask().status == 200
        finally:
            assert successor.stop() == 0
    finally:
        backend.release.set()
        weir.native.stop()


def test_a_successor_may_have_its_admin_port_elsewhere(tmp_path):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    weir = Running(path, port, backend)
    other = Native(path, "--admin-port", "0", "--upgrade", workers=1)
    try:
        assert weir.native.process.wait(20) == 0
        assert weir.ask().status == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", weir.admin), timeout=5)
    finally:
        backend.release.set()
        assert other.stop() == 0
        weir.native.stop()


# ---- systemd ---------------------------------------------------------------------------------------------------------


def activated(path, sockets, names, *options, workers=1):
    """Weir as systemd starts it: sockets from descriptor 3 on, told of in the environment."""
    copies = [each.dup() for each in sockets]
    for each in copies:
        each.set_inheritable(True)

    def place():
        high = [os.dup(each.fileno()) for each in copies]
        high = [each if each > 20 else os.dup2(each, 40 + at) for at, each in enumerate(high)]
        for at, each in enumerate(high):
            os.dup2(each, 3 + at)
    command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", str(vectors.weir()), "run", str(path), "--address", "127.0.0.1",
               "--workers", str(workers), "--admin-port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, close_fds=False, preexec_fn=place,
                               env={**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names)})
    lines = []
    for line in process.stderr:
        lines.append(line.decode())
        if "listening on" in lines[-1]:
            return process, lines
    raise AssertionError("".join(lines))


@pytest.mark.parametrize("workers", [1, 3])
def test_sockets_of_systemd_are_served(tmp_path, workers):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    own, named, admin = (socket.create_server(("127.0.0.1", at)) for at in (port, 0, 0))
    waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=10)  # connected before Weir is there
    waiting.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json"})
    process, lines = activated(path, [own, named, admin], ["http.socket", str(port), "admin"], workers=workers)
    try:
        assert waiting.getresponse().status == 200
        for at in (port, named.getsockname()[1]):
            for _ in range(10):
                each = http.client.HTTPConnection("127.0.0.1", at, timeout=10)
                each.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json"})
                assert each.getresponse().status == 200
        each = http.client.HTTPConnection("127.0.0.1", admin.getsockname()[1], timeout=10)
        each.request("GET", "/ready")
        assert each.getresponse().status == 200
        assert not any("handed down" in line for line in lines)
    finally:
        process.terminate()
        assert process.wait(10) == 0
    for each in (own, named, admin):
        each.close()


def test_variables_meant_for_another_process_are_not_used(tmp_path):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    native = Native(path, env={"LISTEN_PID": "1", "LISTEN_FDS": "4", "WEIR_UPGRADE_FROM": "1", "WEIR_UPGRADE_FDS": "4"})
    try:
        assert Running.ask(type("at", (), {"port": port})()).status == 200
    finally:
        assert native.stop() == 0


def test_a_service_manager_is_told(tmp_path):
    backend, port, path = Models(), vectors.free_port(), tmp_path / "weir.yaml"
    path.write_text(configuration(port, backend.port))
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(5)
    native = Native(path, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    pid = native.process.pid
    ready = f"READY=1\nMAINPID={pid}"
    try:
        assert told.recv(200).decode() == ready
        native.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told.recv(200).decode())
        assert told.recv(200).decode() == ready
        new_pid = upgrade(native, pid)
        assert {told.recv(200).decode(), told.recv(200).decode()} == {f"READY=1\nMAINPID={new_pid}", f"MAINPID={new_pid}"}
        native.process.wait(10)
        os.kill(new_pid, signal.SIGTERM)
        assert told.recv(200).decode() == "STOPPING=1"
        wait_until(lambda: not is_alive(new_pid))
    finally:
        native.stop()
