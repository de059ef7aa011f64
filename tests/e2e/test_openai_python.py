"""The OpenAI Python SDK through Weir: what it sends arrives, what comes back is typed as the SDK types it."""
import json

import openai
import pytest

from conftest import EXAMPLES

MESSAGES = [{"role": "user", "content": "Hello"}]
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "demo-small"}


def client_of(url, **options):
    return openai.OpenAI(base_url=url, api_key="client-key", max_retries=0, **options)


@pytest.fixture
def client(quickstart):
    return client_of(quickstart)


@pytest.fixture
def scripted(gateway):
    """quickstart.yaml in front of a scripted backend -> (client, gateway)."""
    running = gateway(EXAMPLES / "quickstart.yaml")
    return client_of(running.url), running


def test_chat(client):
    answer = client.chat.completions.create(model="demo", messages=MESSAGES)
    assert answer.choices[0].message.content
    assert answer.model == "demo-small"  # the provider's name for it
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_chat_stream(client):
    chunks = list(client.chat.completions.create(model="demo", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert all(chunk.usage is None for chunk in chunks)  # asked for by Weir, not by this client
    assert all(chunk.choices for chunk in chunks)


def test_chat_stream_with_usage(client):
    chunks = list(client.chat.completions.create(model="demo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens > 0


def test_embeddings(client):
    answer = client.embeddings.create(model="any-embedding", input=["a", "b"])
    assert len(answer.data) >= 1 and len(answer.data[0].embedding) > 0


def test_responses(client):
    answer = client.responses.create(model="demo", input="Hello")
    assert answer.output_text
    assert answer.usage.total_tokens > 0


def test_responses_stream(client):
    events = list(client.responses.create(model="demo", input="Hello", stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


def test_models(client):
    assert "demo" in [model.id for model in client.models.list()]


def test_tools(scripted):
    client, gateway = scripted
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
    gateway.script({"status": 200, "headers": ["content-type: application/json"], "json": {**COMPLETION, "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": [call]}}]}})
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"model": {"type": "string"}}}}}]
    answer = client.chat.completions.create(model="demo", messages=MESSAGES, tools=tools)
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"city": "Zürich"}
    sent = json.loads(gateway.attempts[0].body)
    assert sent["tools"] == tools and sent["model"] == "demo-small"


def test_tools_stream(scripted):
    client, gateway = scripted
    parts = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}},
             {"index": 0, "function": {"arguments": '{"city":'}}, {"index": 0, "function": {"arguments": ' "Bern"}'}}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = ["data: " + json.dumps({**chunk, "choices": [{"index": 0, "delta": {"tool_calls": [part]}}]}) + "\n\n" for part in parts]
    gateway.script({"status": 200, "headers": ["content-type: text/event-stream"], "stream": events + ["data: [DONE]\n\n"]})
    arguments = ""
    for piece in client.chat.completions.create(model="demo", messages=MESSAGES, stream=True):
        arguments += piece.choices[0].delta.tool_calls[0].function.arguments or ""
    assert json.loads(arguments) == {"city": "Bern"}


def test_transcription(scripted):
    client, gateway = scripted
    gateway.script({"status": 200, "headers": ["content-type: application/json"], "json": {"text": "hello"}})
    audio = bytes(range(256)) * 400
    answer = client.audio.transcriptions.create(model="demo", file=("speech.wav", audio, "audio/wav"), language="de")
    assert answer.text == "hello"
    attempt = gateway.attempts[0]
    assert attempt.path == "/v1/audio/transcriptions"
    assert audio in attempt.body and b"\r\n\r\ndemo-small\r\n" in attempt.body
    assert attempt.values("authorization") == ["Bearer not-a-real-key"]


def test_speech(scripted):
    client, gateway = scripted
    audio = bytes(range(256)) * 1000
    gateway.upstreams.start([{"status": 200, "headers": ["content-type: audio/mpeg"], "bytes": audio}])
    assert client.audio.speech.create(model="demo", voice="alloy", input="hello").content == audio


def test_image(scripted):
    client, gateway = scripted
    gateway.script({"status": 200, "headers": ["content-type: application/json"], "json": {"created": 1, "data": [{"b64_json": "aGk="}]}})
    assert client.images.generate(model="demo", prompt="a weir").data[0].b64_json == "aGk="


@pytest.mark.parametrize("status, error", [
    (400, openai.BadRequestError), (401, openai.AuthenticationError), (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError), (409, openai.ConflictError), (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)])
def test_errors_of_the_provider(scripted, status, error):
    client, gateway = scripted
    body = {"error": {"message": "the provider's words", "type": "t", "param": None, "code": "c"}}
    gateway.script({"status": status, "headers": ["content-type: application/json"], "json": body})
    with pytest.raises(error) as raised:
        client.chat.completions.create(model="demo", messages=MESSAGES)
    assert "the provider's words" in str(raised.value) and raised.value.code == "c"


def test_an_unknown_model_is_a_typed_error(gateway):
    running = gateway(EXAMPLES / "gcp-provisioned-throughput.yaml")
    with pytest.raises(openai.NotFoundError) as raised:
        client_of(running.url).chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert raised.value.code == "model_not_found" and "gpt-9" in raised.value.message
    assert raised.value.request_id


def test_an_empty_model_is_a_typed_error(client):
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="", messages=MESSAGES)
    assert raised.value.type == "invalid_request_error"


def test_a_cut_stream_is_an_error_not_an_end(scripted):
    client, gateway = scripted
    gateway.script({"status": 200, "headers": ["content-type: text/event-stream"], "fault": "cut", "stream": [
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n']})
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="demo", messages=MESSAGES, stream=True))


def test_a_backend_that_is_gone_is_a_typed_error(scripted):
    client, gateway = scripted
    gateway.upstreams.refuse("default/mock")
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="demo", messages=MESSAGES)
    assert raised.value.status_code == 502
