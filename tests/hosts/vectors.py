"""Vector files (docs/vectors.md): reading them, and moving their configuration to the ports of this run."""
import base64
import json
import os
import pathlib
import re
import socket

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Loader(yaml.SafeLoader):
    """YAML without dates: a timestamp stays the text that it is."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text):
    return yaml.load(text, Loader)


def files():
    return sorted((ROOT / "tests/vectors").glob("*.yaml"))


def substitute(text, env):
    def value(found):
        name, default = found.group(1), found.group(3)
        return env.get(name) or (default or "")
    return re.sub(r"\$\{(\w+)(:?=([^}]*))?\}", value, text)


def resources(path, vector):
    """The documents of a vector file's configuration, environment filled in."""
    texts = [vector["config"]] if "config" in vector else []
    texts += [(path.parent / name).read_text() for name in vector.get("configFiles", [])]
    env = vector.get("env", {})
    return [doc for text in texts for doc in yaml.load_all(substitute(text, env), Loader) if doc]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def stop_accepting(listener):
    """Ends a listener that a thread accepts from. It is that thread's to close: with its descriptor taken by another socket in
    the middle of accept(), it would answer for that one."""
    listener.shutdown(socket.SHUT_RDWR)


def place(doc):
    return f"{doc['metadata'].get('namespace', 'default')}/{doc['metadata']['name']}"


class Moved:
    """A configuration whose listeners and backends are at ports of this run; `is_http2`: its backends speak HTTP/2."""

    def __init__(self, docs, open_backend, is_http2=os.environ.get("WEIR_UPSTREAM_HTTP") == "2"):
        self.docs, self.ports, self.listeners = docs, {}, {}
        self.names = {}        # Backend -> every name that a case may call it by
        self.authorities = {}  # authority in the file -> authority here
        for doc in docs:
            if doc["kind"] == "Gateway":
                self._move_listeners(doc)
            elif doc["kind"] == "Backend":
                self._move_endpoints(doc, open_backend(place(doc)))
                if is_http2:
                    doc["spec"]["appProtocols"] = ["gateway.envoyproxy.io/h2c"]
        for doc in docs:
            if doc["kind"] == "AIServiceBackend":
                ref = doc["spec"]["backendRef"]
                key = f"{ref.get('namespace', doc['metadata'].get('namespace', 'default'))}/{ref['name']}"
                self.names.setdefault(key, set()).add(place(doc))

    def _move_listeners(self, doc):
        for listener in doc["spec"]["listeners"]:
            port = self.ports.setdefault(int(listener["port"]), free_port())
            listener["port"] = port
            self.listeners[f"{place(doc)}/{listener['name']}"] = port

    def _move_endpoints(self, doc, port):
        self.names.setdefault(place(doc), set()).add(place(doc))
        for endpoint in doc["spec"]["endpoints"]:
            if "ip" in endpoint:
                self.authorities[f"{endpoint['ip']['address']}:{endpoint['ip']['port']}"] = f"127.0.0.1:{port}"
                endpoint["ip"] = {"address": "127.0.0.1", "port": port}
            else:
                self.authorities[endpoint["fqdn"]["hostname"]] = "localhost"
                endpoint["fqdn"] = {"hostname": "localhost", "port": port}

    def here(self, text):
        """An expected text with the ports of its listeners as they are in this run."""
        for port, moved in self.ports.items():
            text = re.sub(rf":{port}(?=/|$)", f":{moved}", text)
        return text

    def port(self, listener):
        return self.listeners[listener] if listener else next(iter(self.listeners.values()))

    def write(self, path):
        path.write_text("---\n".join(yaml.safe_dump(doc, sort_keys=False, allow_unicode=True) for doc in self.docs))


def body_of(part):
    """The bytes of a request or an answer, or None when it has none."""
    if "json" in part:
        return json.dumps(part["json"], ensure_ascii=False).encode()
    if "bodyBase64" in part:
        return base64.b64decode(part["bodyBase64"])
    if "body" in part:
        return part["body"].encode()
    return None


def script_of(case):
    """The answers of a case, bodies as bytes."""
    script = []
    for answer in case.get("upstream") or []:
        answer = dict(answer)
        if "stream" in answer:
            answer["pieces"] = [piece.encode() for piece in answer["stream"]]
        elif body_of(answer) is not None:
            answer["bytes"] = body_of(answer)
        elif answer.get("status") is not None:
            answer["bytes"] = b""
        script.append(answer)
    return script


def compare_message(expected, actual, what, differences, here=str):
    """Headers and body of an attempt or the response; `here` moves an expected value to this run's ports."""
    for name, value in (expected.get("headers") or {}).items():
        values = actual.values(name)
        if value is None:
            wanted = []
        elif isinstance(value, list):
            wanted = [here(str(item)) for item in value]
        else:
            wanted = [here(str(value))]
        if values != [item.encode().decode("latin-1") for item in wanted]:
            differences.append(f"{what}: header {name} is {values}, expected {wanted}")
    if "body" in expected and actual.body != expected["body"].encode():
        differences.append(f"{what}: body is {actual.body!r}, expected {expected['body'].encode()!r}")
    if "json" in expected:
        try:
            found = json.loads(actual.body)
        except ValueError:
            found = actual.body
        if found != expected["json"]:
            differences.append(f"{what}: body is {found}, expected {expected['json']}")
    for text in expected.get("bodyContains", []):
        if text.encode() not in actual.body:
            differences.append(f"{what}: {text!r} is not in the body {actual.body!r}")
    for text in expected.get("bodyAbsent", []):
        if text.encode() in actual.body:
            differences.append(f"{what}: {text!r} is in the body {actual.body!r}")


def weir():
    path = pathlib.Path(os.environ.get("WEIR", ROOT / "build/weir"))
    return path if path.is_absolute() else ROOT / path
