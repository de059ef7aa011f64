"""The OpenAI SDK for Node through Weir (node/client.mjs)."""
import json
import subprocess

from conftest import HERE


def test_node(quickstart):
    run = subprocess.run(["node", str(HERE / "node/client.mjs"), quickstart], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    assert seen["chat"] and seen["model"] == "demo-small" and seen["tokens"] > 0
    assert seen["stream"] and seen["emptyChunks"] == 0
    assert seen["embedding"] > 0 and seen["response"]
    assert "demo" in seen["models"]
    assert seen["error"] == {"name": "BadRequestError", "status": 400, "type": "invalid_request_error"}
    assert seen["formError"] == {"name": "BadRequestError", "status": 400}
