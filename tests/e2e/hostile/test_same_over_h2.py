"""The hostile messages of requests_table.py that HTTP/2 can say too: the same verdict, and no backend sees them either."""
import h2.errors
import pytest

from http2 import Http2
from requests_table import BODY, DECLINED, FORWARDED, PATH, REFUSED, SMUGGLED
from test_requests import PATHS, Front

MALFORMED = int(h2.errors.ErrorCodes.PROTOCOL_ERROR)
# What HTTP/2 forbids whatever it says (RFC 9113 section 8.2.2), where HTTP/1.1 has a status of its own or takes it off.
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


def said_in_h2(data):
    """-> (fields, body) of a request that HTTP/1.1 put into `data`, or None where HTTP/2 has no words for it."""
    head, mark, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    parts = lines[0].split(b" ")
    if not mark or len(parts) != 3 or parts[2] != b"HTTP/1.1" or b"://" in parts[1] or len(data) > 400000:
        return None
    method, target, _ = parts
    fields, authority = [], None
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or name[:1] in (b" ", b"\t"):
            return None
        name, value = name.lower(), value.strip(b" \t") if value.strip() else b""
        if name == b"host" and authority is None:
            authority = value
        else:
            fields.append((name, value))
    if any(name == b"host" for name, _ in fields):  # beside an :authority one Host would be right
        fields.append((b"host", authority))
        authority = None
    pseudo = [(b":method", method)] + ([] if method == b"CONNECT" else [(b":scheme", b"http"), (b":path", target)])
    pseudo += [(b":authority", target if method == b"CONNECT" else authority)] if authority is not None else []
    return pseudo + fields, body.removesuffix(SMUGGLED)


def has_hop_by_hop(fields):
    return any(name in HOP_BY_HOP for name, _ in fields)


def sayable(table):
    """Without the cases that are about chunks: their framing does not exist here."""
    return [name for name, case in table.items() if not name.startswith("chunks") and said_in_h2(case[0].replace(PATH, b"/plain/echo"))]


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    front = Front(tmp_path_factory.mktemp("h2"))
    yield front
    status = front.native.stop()
    front.upstream.close()
    assert status == 0, "\n".join(front.native.errors[-40:])


def ask(front, fields, body):
    front.upstream.clear()
    client = Http2(front.port)
    stream = client.request(fields, body or None)
    answer = client.answer(stream)
    client.until(lambda: answer.is_ended or answer.reset is not None or client.goaway is not None)
    return client, answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", sayable(REFUSED) + sayable(DECLINED))
def test_refused(front, name, path):
    data, statuses = {**REFUSED, **DECLINED}[name]
    fields, body = said_in_h2(data.replace(PATH, PATHS[path]))
    allowed = set(statuses if isinstance(statuses, tuple) else (statuses,))
    if has_hop_by_hop(fields):
        allowed.add(400)
    client, answer = ask(front, fields, body)
    if 400 in allowed and (answer.reset == MALFORMED or client.goaway == MALFORMED):
        pass
    else:
        assert answer.status in allowed, (answer.status, answer.reset, client.goaway)
    assert front.upstream.seen == [] and front.upstream.junk == []
    client.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", sayable(FORWARDED))
def test_forwarded_once_in_canonical_form(front, name, path):
    data, wanted = FORWARDED[name]
    fields, body = said_in_h2(data.replace(PATH, PATHS[path]))
    client, answer = ask(front, [field for field in fields if field[0] not in HOP_BY_HOP | {b"te"}],
                         body if b"chunked" not in data.lower() else BODY)
    assert answer.status == 200
    assert [seen.target for seen in front.upstream.seen] == [PATHS[path]]
    seen = front.upstream.seen[0]
    assert seen.faults == [] and seen.body.replace(b" ", b"") == BODY
    for field, value in wanted.items():
        if field not in (b"x-secret", b"http2-settings"):  # that Connection named, which HTTP/2 has not
            assert seen.values(field) == ([] if value is None else [value]), field
    client.close()


def test_size_of_the_corpus():
    assert len(sayable(REFUSED)) + len(sayable(DECLINED)) >= 100
