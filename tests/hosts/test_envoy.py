"""What only a running Envoy can show: a configuration that changes under open streams, by file-based xDS."""
import http.client
import json
import subprocess
import threading
import time

import pytest

import vectors
from envoy import Envoy

STREAMS = 100


@pytest.fixture(autouse=True)
def only_envoy(host_name):
    if host_name != "envoy":
        pytest.skip("needs --host envoy")


class Mock:
    def __init__(self, *options):
        self.process = subprocess.Popen([str(vectors.weir()), "mock", "--port", "0", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline() or self.process.stdout.readline()
        self.port = int("".join(c for c in line.split("127.0.0.1:")[1].split()[0] if c.isdigit()))

    def stop(self):
        self.process.terminate()
        self.process.wait(5)


@pytest.fixture
def mock():
    mock = Mock("--tokens", "60", "--rate", "20")
    yield mock
    mock.stop()


def configuration(mock, port, model):
    text = (vectors.ROOT / "examples/quickstart.yaml").read_text()
    text = vectors.substitute(text, {"WEIR_PORT": str(port), "MOCK_PORT": str(mock.port)})
    # Without the catch-all, so that a model that is not configured is a 404.
    text = text.replace("    # Every other model goes to the same provider as it is.\n    - backendRefs:\n        - name: mock\n", "")
    # Another route is another cluster: that of the old one goes while its streams are open.
    text = text.replace("name: quickstart\n  namespace: default\nspec:\n  parentRefs", f"name: {model}\n  namespace: default\nspec:\n  parentRefs")
    return text.replace("value: demo", f"value: {model}")


def ask(port, model, stream=False):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": model, "stream": stream, "max_tokens": 60 if stream else 1,
                                                                   "messages": [{"role": "user", "content": "hi"}]}),
                       {"content-type": "application/json"})
    return connection, connection.getresponse()


def status_of(port, model):
    connection, response = ask(port, model)
    response.read()
    connection.close()
    return response.status


def test_a_change_is_in_effect_within_a_second_and_touches_no_stream(tmp_path, mock):
    port = vectors.free_port()
    file, folder = tmp_path / "weir.yaml", tmp_path / "xds"
    folder.mkdir()
    file.write_text(configuration(mock, port, "old"))
    envoy = Envoy(file, "--xds-dir", str(folder))
    try:
        deadline = time.monotonic() + 5
        while True:  # listeners come after the main loop has begun
            try:
                if status_of(port, "old") == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline, "\n".join(envoy.errors[-20:])
            time.sleep(0.05)
        assert status_of(port, "new") == 404
        streams = [ask(port, "old", stream=True) for _ in range(STREAMS)]
        bodies = []
        readers = [threading.Thread(target=lambda response=response: bodies.append(response.read())) for _, response in streams]
        for reader in readers:
            reader.start()
        file.write_text(configuration(mock, port, "new"))
        before = time.monotonic()
        subprocess.run([str(vectors.weir()), "envoy", str(file), "--address", "127.0.0.1", "--admin-port", "0", "--xds-dir", str(folder)],
                       check=True, capture_output=True)
        while status_of(port, "new") != 200:
            assert time.monotonic() < before + 1, "the change is not in effect after a second"
            time.sleep(0.02)
        assert status_of(port, "old") == 404
        for reader in readers:
            reader.join(20)
        assert len(bodies) == STREAMS
        assert all(body.rstrip().endswith(b"data: [DONE]") for body in bodies)
    finally:
        assert envoy.stop() == 0


def test_what_is_refused_stays_out(tmp_path, mock):
    """A configuration with errors never reaches Envoy's files."""
    port = vectors.free_port()
    file, folder = tmp_path / "weir.yaml", tmp_path / "xds"
    folder.mkdir()
    file.write_text(configuration(mock, port, "old").replace("kind: AIServiceBackend", "kind: AIServiceBackends"))
    done = subprocess.run([str(vectors.weir()), "envoy", str(file), "--xds-dir", str(folder)], capture_output=True)
    assert done.returncode == 2
    assert not list(folder.iterdir())
