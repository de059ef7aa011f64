"""The two founding behaviours with the OpenAI SDK, from the examples as they stand."""
import itertools
import json

import openai
import pytest

from conftest import EXAMPLES
import vectors

OK = {"status": 200, "headers": ["content-type: application/json"], "json": {
    "id": "c", "object": "chat.completion", "created": 1, "model": "up", "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}]}}
USED_UP = {"status": 429, "headers": ["content-type: application/json"], "json": {"error": {"message": "used up", "code": "rate_limit"}}}
MESSAGES = [{"role": "user", "content": "Hello"}]


def client_of(url, host=None):
    headers = {"host": host} if host else None
    return openai.OpenAI(base_url=url, api_key="client-key", max_retries=0, default_headers=headers)


def test_dedicated_capacity_goes_over_into_shared(gateway):
    running = gateway(EXAMPLES / "gcp-provisioned-throughput.yaml")
    running.script(USED_UP, USED_UP, OK)
    answer = client_of(running.url).chat.completions.create(model="gemini-2.5-pro", messages=MESSAGES, user="mark-1")
    assert answer.choices[0].message.content == "hi"
    attempts = running.attempts
    assert [attempt.values("x-vertex-ai-llm-request-type") for attempt in attempts] == [["dedicated"], ["dedicated"], ["shared"]]
    assert attempts[0].backend != attempts[1].backend  # both regions' dedicated capacity first
    for attempt in attempts:
        region = attempt.backend.removeprefix("default/vertex-")
        assert attempt.values("authorization") == [f"Bearer {region}-key"]
        assert json.loads(attempt.body)["model"] == "google/gemini-2.5-pro"


def test_all_capacity_used_up_is_the_sdks_own_error(gateway):
    running = gateway(EXAMPLES / "gcp-provisioned-throughput.yaml")
    running.script(USED_UP, USED_UP, USED_UP, USED_UP, OK)
    with pytest.raises(openai.RateLimitError):
        client_of(running.url).chat.completions.create(model="gemini-2.5-pro", messages=MESSAGES)
    kinds = [attempt.values("x-vertex-ai-llm-request-type")[0] for attempt in running.attempts]
    assert kinds == ["dedicated", "dedicated", "shared", "shared"]
    assert len({(attempt.backend, kind) for attempt, kind in zip(running.attempts, kinds)}) == 4


AIMS = {"aim-llama-research": "0b0e52c6-9d0a-4c5e-8a3e-1f6f0c1d2e01", "aim-llama-support": "5f9c1f9e-3b57-4b7e-9f53-8a2f4f1c7b02",
        "aim-qwen": "c2a7d9b4-61f3-4d0c-b6a8-7e5d3c9a4f03"}
LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B"
VARIABLES = {"aim-llama-research": "AIM_RESEARCH_CREATED", "aim-llama-support": "AIM_SUPPORT_CREATED", "aim-qwen": "AIM_QWEN_CREATED"}


@pytest.mark.parametrize("ages", list(itertools.permutations(AIMS)), ids=lambda ages: " ".join(ages))
@pytest.mark.parametrize("form", ["aims", "aims-two-conditions"])
def test_an_id_reaches_its_deployment_whatever_the_ages(gateway, form, ages):
    env = {VARIABLES[name]: f"2026-0{month}-01T00:00:00Z" for month, name in enumerate(ages, 1)}
    running = gateway(vectors.ROOT / f"tests/configs/{form}.yaml", env=env)
    client = client_of(running.url, "aims.example.com")
    for name, uuid in AIMS.items():
        model = QWEN if name == "aim-qwen" else LLAMA
        for by in ({"extra_body": {"backend": uuid}}, {"extra_headers": {"x-ai-eg-backend": uuid}}):
            running.script(OK)
            client.chat.completions.create(model=model, messages=MESSAGES, **by)
            assert [attempt.backend for attempt in running.attempts] == [f"default/{name}"]
            assert "backend" not in json.loads(running.attempts[0].body)
    running.script(OK)
    client.chat.completions.create(model=LLAMA, messages=MESSAGES, extra_headers={"User-Agent": "by-name;"})
    oldest = next(name for name in ages if name != "aim-qwen")
    assert [attempt.backend for attempt in running.attempts] == [f"default/{oldest}"]
    line = running.native.log_line("by-name;")
    assert line["model"] == LLAMA and line["aim_service_id"] is None and line["llm_total_token"] == 3
    assert line["backendCluster"] == f"httproute/default/{oldest}/rule/1" and len(line) == 22


def test_capacity_that_stays_used_up_fails_no_request(mock, tmp_path, kind):
    """The retry budget is spared by beginning at shared capacity while the dedicated one answers 429 to everything."""
    port = vectors.free_port()
    text = (EXAMPLES / "quickstart.yaml").read_text()
    rules = text.index("    # Every other model"), text.index("---", text.index("    # Every other model"))
    text = text[:rules[0]] + """    - backendRefs:
        - name: mock
          headerMutation:
            set: [{name: x-mock-status, value: "429"}]
        - name: mock
          priority: 1
""" + text[rules[1]:]
    (tmp_path / "c.yaml").write_text(text)
    native = kind(tmp_path / "c.yaml", env={"WEIR_PORT": str(port), "MOCK_PORT": str(mock)})
    try:
        client = client_of(f"http://127.0.0.1:{port}/v1")
        for _ in range(300):
            client.chat.completions.create(model="other", messages=MESSAGES)
    finally:
        assert native.stop() == 0
