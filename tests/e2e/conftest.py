"""Real clients against a running Weir, with the mock provider or scripted backends behind it."""
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "hosts"))

import vectors  # noqa: E402
from envoy import Envoy  # noqa: E402
from native import Native  # noqa: E402
from upstream import Upstreams  # noqa: E402

EXAMPLES = vectors.ROOT / "examples"


def pytest_addoption(parser):
    parser.addoption("--host", choices=["native", "envoy"], default="native", help="what stands behind the clients")


KINDS = {"native": Native, "envoy": Envoy}
chosen = []


def pytest_configure(config):
    chosen[:] = [KINDS[config.getoption("--host")]]


def host_kind():
    """Native or Envoy: what --host says, for helpers that are no fixtures."""
    return chosen[0]


@pytest.fixture(scope="session")
def kind():
    """Of the host: Native or Envoy."""
    return host_kind()


@pytest.fixture
def native_only(kind):
    """For what is the native host's own: Envoy's codecs, connections and log lines do as Envoy does."""
    if kind is not Native:
        pytest.skip("of the native host")


class Gateway:
    """A running Weir in front of scripted backends: `script(...)` says what they answer, `attempts` what they got."""

    def __init__(self, native, port, upstreams, config):
        self.native, self.port, self.upstreams, self.config = native, port, upstreams, config
        self.url = f"http://127.0.0.1:{port}/v1"

    def script(self, *answers):
        self.upstreams.start([vectors.script_of({"upstream": [answer]})[0] for answer in answers])

    @property
    def attempts(self):
        return self.upstreams.attempts


@pytest.fixture
def gateway(tmp_path, kind):
    """gateway(file or text, *options) -> Gateway; ended when the test is over."""
    running = []

    def start(source, *options, env=None, workers=None):
        text = source.read_text() if isinstance(source, pathlib.Path) else source
        upstreams = Upstreams()
        config = vectors.Moved([doc for doc in vectors.yaml.load_all(vectors.substitute(text, env or {}), vectors.Loader) if doc],
                               upstreams.open)
        file = tmp_path / f"config-{len(running)}.yaml"
        config.write(file)
        native = kind(file, *options, **({"workers": workers} if workers else {}))
        gateway = Gateway(native, config.port(None), upstreams, config)
        running.append(gateway)
        return gateway
    yield start
    for gateway in running:
        gateway.native.stop()
        gateway.upstreams.close()


@pytest.fixture(scope="session")
def mock():
    """The port of a running `weir mock`."""
    port = vectors.free_port()
    process = subprocess.Popen([str(vectors.weir()), "mock", "--port", str(port)], stderr=subprocess.PIPE)
    wait_for(port, process)
    yield port
    process.terminate()
    process.wait(5)


@pytest.fixture(scope="session")
def quickstart(mock, tmp_path_factory, kind):
    """The base URL of examples/quickstart.yaml in front of the mock."""
    port = vectors.free_port()
    file = tmp_path_factory.mktemp("quickstart") / "quickstart.yaml"
    file.write_text((EXAMPLES / "quickstart.yaml").read_text())
    native = kind(file, env={"WEIR_PORT": str(port), "MOCK_PORT": str(mock)})
    yield f"http://127.0.0.1:{port}/v1"
    assert native.stop() == 0


def wait_for(port, process, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).read()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert process.poll() is None, "it ended at once"
            time.sleep(0.02)
    raise TimeoutError(f"nothing answers on port {port}")


def is_sanitized():
    """Whether the weir under test is a build with a sanitizer, whose memory and time are not those of others."""
    return any(name in str(vectors.weir()) for name in ("asan", "tsan"))


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
