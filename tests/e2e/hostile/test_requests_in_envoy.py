"""The hostile requests of requests_table.py through Envoy, many at once: each gets its verdict in Weir's own shape, but for what Envoy
reads more kindly (envoy_differences.py), and no backend ever sees what is not well formed."""
from concurrent.futures import ThreadPoolExecutor
import json

import pytest

import envoy_differences
from requests_table import DECLINED, FORWARDED, PATH, REFUSED
from test_requests import GOOD, PATHS, SMUGGLED, Front
from wire import Client

KIND = {name for names in envoy_differences.HOSTILE.values() for name in names}
AT_ONCE = 64


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    front = Front(tmp_path_factory.mktemp("envoy"))
    yield front
    assert front.native.stop() == 0, "\n".join(front.native.errors[-40:])
    front.upstream.close()


@pytest.fixture(autouse=True)
def only_envoy(request):
    if request.config.getoption("--host") != "envoy":
        pytest.skip("needs --host envoy")


def ask(port, name, data, path):
    """-> (status, fields, body), or why there is no answer."""
    client = Client(port, 5)
    try:
        return client.send(data.replace(PATH, PATHS[path])).answer()
    except (EOFError, TimeoutError) as error:
        return type(error).__name__, {}, b""
    finally:
        client.close()


def all_at_once(front, table):
    cases = [(name, path) for name in table for path in PATHS]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = pool.map(lambda case: ask(front.port, case[0], table[case[0]][0], case[1]), cases)
    return zip(cases, answers)


def faults_of(statuses, answer):
    status, fields, body = answer
    allowed = set(statuses if isinstance(statuses, tuple) else (statuses,))
    faults = [f"status {status}"] if status not in allowed else []
    if isinstance(status, int) and status >= 400:
        if fields.get("content-type") != ["application/json"] or not json.loads(body)["error"]["message"]:
            faults.append(f"shape {body[:60]!r}")
        if len(fields.get("x-request-id", [])) != 1:
            faults.append("no x-request-id")
    return faults


def test_refused(front):
    front.upstream.clear()
    faults = []
    for (name, path), answer in all_at_once(front, {**REFUSED, **DECLINED}):
        statuses = {**REFUSED, **DECLINED}[name][1]
        found = faults_of(statuses, answer)
        if name in KIND:
            found = [fault for fault in found if not fault.startswith("status")]
        faults += [f"{name} ({path}): {fault}" for fault in found]
    assert not faults, "\n".join(faults)
    ill_formed = [seen.head[:300] for seen in front.upstream.seen if seen.faults]
    assert not ill_formed


def test_envoys_kindness_is_what_is_listed(front):
    """A name that is listed and refused after all is taken off the list."""
    refused = {name: True for name in KIND}
    for (name, path), answer in all_at_once(front, {name: REFUSED[name] for name in KIND}):
        refused[name] &= not faults_of(REFUSED[name][1], answer)
    assert [name for name in KIND if refused[name]] == []


@pytest.mark.parametrize("path", PATHS)
def test_forwarded_in_canonical_form(front, path):
    for name, (data, wanted) in FORWARDED.items():
        front.upstream.clear()
        client = Client(front.port, 5).send(data.replace(PATH, PATHS[path])[:-len(SMUGGLED)] + GOOD)
        if name in envoy_differences.STRICTER:
            assert client.answer()[0] == 400 and not front.upstream.seen
            continue
        assert client.answer()[0] == 200, name
        status, fields, _ = client.answer()
        assert status == 200 and fields["x-target"] == ["/plain/after"], name
        assert [seen.target for seen in front.upstream.seen] == [PATHS[path], b"/plain/after"], name
        seen = front.upstream.seen[0]
        assert seen.faults == [], name
        for field, value in wanted.items():
            assert seen.values(field) == ([] if value is None else [value]), (name, field)
        client.close()
