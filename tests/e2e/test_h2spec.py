"""h2spec against Weir in front of the mock, plain and over TLS, built as a Go tool from the module proxy; needs Go."""
import os
import re
import shutil
import subprocess
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

import certificates
from http2 import Http2, head
from test_streams import behind
from test_tls import secret
import vectors

MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
TOOLS = vectors.ROOT / "build" / "tools"


@pytest.fixture(scope="session")
def h2spec():
    """The program: of $H2SPEC, or built once into build/tools."""
    given = os.environ.get("H2SPEC")
    if given:
        return given
    program = TOOLS / "h2spec"
    if program.exists():
        return str(program)
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if not go:
        pytest.skip("h2spec needs Go (or $H2SPEC): HTTP/2 conformance was not tested")
    TOOLS.mkdir(parents=True, exist_ok=True)
    built = subprocess.run([go, "install", MODULE], env={**os.environ, "GOBIN": str(TOOLS.resolve()), "GOFLAGS": "-mod=mod"},
                           capture_output=True, text=True, timeout=600)
    if built.returncode:
        pytest.skip("h2spec could not be built: " + built.stderr.strip()[-300:])
    return str(program)


PLAIN = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: plain, namespace: default}
spec:
  parentRefs: [{name: quickstart}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /plain}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v1}}
      backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: mock}]
"""


def run(h2spec, port, path, *options):
    done = subprocess.run([h2spec, "-h", "127.0.0.1", "-p", str(port), "-P", path, "-o", "4", *options],
                          capture_output=True, text=True, timeout=600)
    counted = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert counted, done.stdout[-2000:] + done.stderr[-2000:]
    total, passed, skipped, failed = map(int, counted.groups())
    assert (passed, skipped, failed) == (total, 0, 0), done.stdout[done.stdout.find("Failures"):]
    assert total >= 140


def test_answers_of_our_own(h2spec, quickstart):
    run(h2spec, urlsplit(quickstart).port, "/v1/models")


def test_answers_of_a_backend(h2spec, mock, tmp_path):
    native, port = behind(tmp_path, SimpleNamespace(port=mock), PLAIN)
    try:
        assert Http2(port).ask(head("GET", "/plain/models")).status == 200
        run(h2spec, port, "/plain/models")
        assert native.log_line("/plain/models")["upstream_host"]
    finally:
        assert native.stop() == 0


@pytest.mark.parametrize("path", ["/v1/models", "/plain/models"])
def test_over_tls(h2spec, mock, tmp_path, path):
    certificates.authority(tmp_path, "ca")
    certificates.leaf(tmp_path, "own", "DNS:localhost,IP:127.0.0.1")
    native, port = behind(tmp_path, SimpleNamespace(port=mock), PLAIN + secret("own", tmp_path, "own"), tls="own")
    try:
        run(h2spec, port, path, "-t", "-k")
    finally:
        assert native.stop() == 0
