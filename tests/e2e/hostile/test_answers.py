"""Hostile answers of a backend: what is doubtful becomes a 502 or a message that is plainly cut, and the connection that it came on is
never used for another request."""
import itertools
import time

import pytest

from answers_table import CUT, OK, POISON, REFUSED, REUSED, SPOILT
from conftest import host_kind
import envoy_differences
from native import Native
from requests_table import BODY
from test_requests import Front
from wire import Client

KINDS = {"plain": b"GET /plain/%d HTTP/1.1\r\nHost: a\r\n\r\n",
         "model": b"POST /v1/chat/completions?%%d HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                  % (len(BODY), BODY)}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    front = Front(tmp_path_factory.mktemp("answers"))
    yield front
    status = front.native.stop()
    front.upstream.close()
    assert status == 0, "\n".join(front.native.errors[-40:])


@pytest.fixture(autouse=True)
def as_weir_reads_it(request):
    """Skips what Envoy reads otherwise."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if host_kind() is not Native and name in envoy_differences.ANSWERS:
        pytest.skip("read otherwise by Envoy")


class Talk:
    """A client that asks for something hostile, and then for something good."""

    def __init__(self, front, answer, kind):
        self.front, self.answer = front, answer
        self.request = KINDS[kind]
        front.upstream.clear(self._answer)
        self.bad = b"%d" % next(numbers)
        self.client = Client(front.port)
        self.client.send(self.request.replace(b"%d", self.bad))

    def _answer(self, seen):
        return self.answer if seen.target.endswith(self.bad) else self.front.upstream.echo(seen)

    def check_next(self, is_reused, tries=1):
        """Another request is answered with its own answer, on another connection unless the last was beyond doubt."""
        good = b"%d" % next(numbers)
        client = Client(self.front.port).send(self.request.replace(b"%d", good))
        status, fields, body = client.answer()
        assert status == 200 and body == b"ok" and fields["x-target"][0].endswith(good.decode())
        seen = self.front.upstream.seen
        bad = [each for each in seen if each.target.endswith(self.bad)]
        after = [each for each in seen if each.target.endswith(good)]
        assert 1 <= len(bad) <= tries, "it was tried again"
        assert len(after) == 1
        assert (after[0].connection == bad[0].connection) == is_reused
        client.close()
        self.client.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_refused(front, name, kind):
    talk = Talk(front, REFUSED[name], kind)
    status, fields, body = talk.client.answer()
    assert status == 502 and b'"error"' in body
    assert b"poison" not in body and fields["content-type"] == ["application/json"]
    # Not a byte on a connection of the pool: the backend may have closed it as idle, which one fresh one finds out (S7).
    talk.check_next(is_reused=False, tries=2 if name in ("nothing", "a reset") else 1)


@pytest.mark.parametrize("name", CUT)
def test_cut(front, name):
    talk = Talk(front, CUT[name], "plain")
    try:
        status, _, _ = talk.client.answer()
    except EOFError:
        pass  # its head, a part of its body, and no end
    else:
        assert status == 502
    assert talk.client.is_closed or status == 502
    talk.check_next(is_reused=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPOILT)
def test_spoilt(front, name, kind):
    talk = Talk(front, SPOILT[name], kind)
    status, _, body = talk.client.answer()
    assert status in (200, 204, 304)
    assert body in (b"ok", b"") or "looks like" in name
    if not isinstance(SPOILT[name], bytes):
        time.sleep(0.05)  # what is said while the connection is idle
    talk.client.send(b"GET /plain/own HTTP/1.1\r\nHost: a\r\n\r\n")  # on the same connection
    status, fields, _ = talk.client.answer()
    assert fields["x-target"] == ["/plain/own"]
    talk.check_next(is_reused=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REUSED)
def test_reused(front, name, kind):
    talk = Talk(front, REUSED[name], kind)
    status, fields, body = talk.client.answer()
    assert status in (200, 299, 599) and body == b"ok"
    assert not {"x-hop", "keep-alive", "proxy-connection", "upgrade", "connection", "x-t"} & fields.keys()
    talk.check_next(is_reused=True)


def test_head_with_a_body(front):
    """The answer to HEAD has no body, whatever its length says and whatever follows."""
    for answer in (OK + b"Content-Length: 50\r\n\r\n", OK + b"Content-Length: 50\r\n\r\n" + POISON, OK + b"Transfer-Encoding: chunked\r\n\r\n" + POISON):
        front.upstream.clear(lambda seen: answer if seen.method == b"HEAD" else front.upstream.echo(seen))
        client = Client(front.port).send(b"HEAD /plain/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer(is_head=True)[0] == 200
        client.send(b"GET /plain/2 HTTP/1.1\r\nHost: a\r\n\r\n")
        status, fields, body = client.answer()
        assert (status, body, fields["x-target"]) == (200, b"ok", ["/plain/2"])
        client.close()


def test_answer_before_the_request_is_whole(front):
    """The backend answers and stops reading; the client still gets it, and the connection is not used again."""
    front.upstream.clear()
    client = Client(front.port)
    client.send(b"POST /plain/early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    client.send(b"x" * 999000)
    assert client.answer()[0] == 200
    client.close()
