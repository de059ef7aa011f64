"""Hostile requests over HTTP/1.1: every one gets its verdict, and no backend ever sees a second request."""
import pytest

import vectors
from conftest import EXAMPLES, host_kind
from requests_table import BODY, DECLINED, FORWARDED, PATH, REFUSED, SMUGGLED
from wire import Client, Upstream

PLAIN = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: plain, namespace: default}
spec:
  parentRefs: [{name: quickstart}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /plain}}]
    backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: mock}]
"""
PATHS = {"plain": b"/plain/echo", "model": b"/v1/chat/completions"}
GOOD = b"GET /plain/after HTTP/1.1\r\nHost: a\r\n\r\n"


class Front:
    def __init__(self, folder):
        self.upstream = Upstream()
        self.port = vectors.free_port()
        text = (EXAMPLES / "quickstart.yaml").read_text() + PLAIN
        file = folder / "config.yaml"
        file.write_text(vectors.substitute(text, {"WEIR_PORT": str(self.port), "MOCK_PORT": str(self.upstream.port)}))
        self.native = host_kind()(file, workers=1)  # one pool, so that it is known which connection is used again


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    front = Front(tmp_path_factory.mktemp("hostile"))
    yield front
    status = front.native.stop()
    front.upstream.close()
    assert status == 0, "\n".join(front.native.errors[-40:])


def exchange(front, data, piece=None):
    front.upstream.clear()
    client = Client(front.port)
    client.send_in_pieces(data, piece) if piece else client.send(data)
    return client


def check_refused(front, name, data, statuses, piece=None):
    client = exchange(front, data, piece)
    status, fields, _ = client.answer(is_head=False)
    assert status in (statuses if isinstance(statuses, tuple) else (statuses,))
    assert fields.get("connection") == ["close"], "it does not say that it closes"
    assert client.ends(), f"it goes on: {client.data[:200]!r}"
    assert front.upstream.seen == [], "a backend saw it"
    assert not any(b"smuggled" in junk for junk in front.upstream.junk)
    client.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", REFUSED)
def test_refused(front, name, path):
    data, statuses = REFUSED[name]
    check_refused(front, name, data.replace(PATH, PATHS[path]), statuses)


@pytest.mark.parametrize("name", [name for name in REFUSED if len(REFUSED[name][0]) < 500])
def test_refused_in_pieces(front, name):
    """Where the bytes are cut into segments changes no verdict."""
    data, statuses = REFUSED[name]
    check_refused(front, name, data.replace(PATH, PATHS["model"]), statuses, piece=7)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", DECLINED)
def test_declined(front, name, path):
    data, statuses = DECLINED[name]
    client = exchange(front, data.replace(PATH, PATHS[path]))
    assert client.answer()[0] in (statuses if isinstance(statuses, tuple) else (statuses,))
    status, fields, _ = client.answer()
    assert status == 200 and fields["x-target"] == ["/plain/smuggled"]
    assert [seen.target for seen in front.upstream.seen] == [b"/plain/smuggled"]
    client.close()


def check_forwarded(front, data, path, wanted, piece=None):
    data = data.replace(PATH, PATHS[path])
    client = exchange(front, data[:-len(SMUGGLED)] + GOOD, piece)
    assert client.answer()[0] == 200
    status, fields, _ = client.answer()
    assert status == 200 and fields["x-target"] == ["/plain/after"], "what follows was read as something else"
    assert [seen.target for seen in front.upstream.seen] == [PATHS[path], b"/plain/after"]
    seen = front.upstream.seen[0]
    assert seen.faults == []
    assert seen.body.replace(b" ", b"") == BODY
    for name, value in wanted.items():
        assert seen.values(name) == ([] if value is None else [value]), name
    client.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", FORWARDED)
def test_forwarded_once_in_canonical_form(front, name, path):
    data, wanted = FORWARDED[name]
    check_forwarded(front, data, path, wanted)
    check_forwarded(front, data, path, wanted, piece=5)


def test_gateway_still_serves(front):
    client = exchange(front, GOOD)
    assert client.answer()[0] == 200 and len(front.upstream.seen) == 1


def test_size_of_the_corpus():
    assert len(REFUSED) + len(DECLINED) + len(FORWARDED) >= 120 + 22
