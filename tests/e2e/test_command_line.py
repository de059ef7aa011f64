"""The program as a user sees it: check, explain, version, install, and what README says."""
import json
import os
import re
import shlex
import signal
import subprocess

import pytest

from conftest import EXAMPLES, HERE
import vectors

ROOT = vectors.ROOT


def weir(*arguments, **options):
    return subprocess.run([str(vectors.weir()), *map(str, arguments)], capture_output=True, text=True, timeout=30, **options)


def test_ten_mistakes_are_ten_findings():
    file = HERE / "ten_mistakes.yaml"
    lines = [number for number, line in enumerate(file.read_text().splitlines(), 1) if re.search(r"# \d+: ", line)]
    run = weir("check", file)
    assert run.returncode == 2
    errors = re.findall(r"^(\S+):(\d+):(\d+): error: (.+)$", run.stdout, re.M)
    found = sorted({int(line) for _, line, _, _ in errors})
    near = [line for line in lines if any(abs(line - other) <= 1 for other in found)]
    assert near == lines, run.stdout
    assert len(errors) == 10, run.stdout


def test_an_unset_variable_is_one_finding(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text((EXAMPLES / "quickstart.yaml").read_text().replace("${MOCK_API_KEY:=not-a-real-key}", "${WEIR_NO_SUCH_VARIABLE}"))
    run = weir("check", file)
    assert run.returncode == 2
    assert len(re.findall(r": error: ", run.stdout)) == 1 and "${WEIR_NO_SUCH_VARIABLE}" in run.stdout, run.stdout


def test_folders_within_folders_are_named(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbf" + (EXAMPLES / "quickstart.yaml").read_bytes().replace(b"\n", b"\r\n"))
    run = weir("check", tmp_path)
    assert run.returncode == 0, run.stdout
    assert f"{tmp_path}/in: note: a folder within a folder is not read" in run.stdout
    assert ".git" not in run.stdout


def test_check_for_machines():
    run = weir("check", "--json", HERE / "ten_mistakes.yaml")
    assert run.returncode == 2
    assert json.loads(run.stdout)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_examples_are_valid(example):
    run = weir("check", example)
    assert run.returncode == 0, run.stdout
    assert " error: " not in run.stdout


def test_wrong_usage():
    assert weir("no-such-command").returncode == 2
    assert weir("check").returncode == 2
    assert weir("run", "/no/such/file.yaml").returncode == 2


def test_version():
    run = weir("version")
    assert run.returncode == 0 and re.search(r"\d+\.\d+\.\d+", run.stdout)


def test_man_page_and_completion_are_up_to_date():
    assert weir("help", "--man").stdout == (ROOT / "docs/man/weir.1").read_text()
    assert weir("help", "--completion", "bash").stdout == (ROOT / "docs/completion/weir.bash").read_text()


def test_explain_names_the_winner_and_masks_secrets():
    run = weir("explain", EXAMPLES / "gcp-provisioned-throughput.yaml", "--path", "/v1/chat/completions",
               "-H", "content-type: application/json", "-d", '{"model":"gemini-2.5-pro"}')
    assert run.returncode == 0, run.stderr
    assert "default/gemini" in run.stdout and "dedicated" in run.stdout and "google/gemini-2.5-pro" in run.stdout
    assert "us-central1-key" not in run.stdout


def test_explain_shows_the_log_with_tokens():
    ran = weir("explain", EXAMPLES / "aim-uuid-routing.yaml", "-H", "host: aims.example.com", "--path", "/v1/chat/completions",
               "-d", '{"model": "Qwen/Qwen3-32B"}')
    assert '"llm_input_token":12' in ran.stdout and '"llm_output_token":34' in ran.stdout


def test_explain_names_the_losing_reason():
    run = weir("explain", EXAMPLES / "aim-uuid-routing.yaml", "--path", "/v1/chat/completions", "-H", "host: aims.example.com",
               "-H", "content-type: application/json",
               "-d", '{"backend":"5f9c1f9e-3b57-4b7e-9f53-8a2f4f1c7b02","model":"meta-llama/Llama-3.1-8B-Instruct"}')
    assert run.returncode == 0, run.stderr
    assert "aim-llama-support" in run.stdout and "aim-llama-research" in run.stdout


def test_vectors_pass_from_any_folder(tmp_path):
    run = weir("test", ROOT / "tests/vectors/endpoints.yaml", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_failing_vector_says_so(tmp_path):
    text = (ROOT / "tests/vectors/endpoints.yaml").read_text().replace("status: 200", "status: 299")
    (tmp_path / "v.yaml").write_text(text)
    run = weir("test", tmp_path / "v.yaml")
    assert run.returncode == 1 and "299" in run.stdout + run.stderr


def printed_command(text):
    """The curl command of a text, its lines joined."""
    return re.search(r"^ *(curl -N (?:.*\\\n)*.*)", text, re.M).group(1).replace("\\\n", " ")


def test_make_run_and_the_line_it_prints():
    port, mock = vectors.free_port(), vectors.free_port()
    env = {**os.environ, "WEIR_PORT": str(port), "MOCK_PORT": str(mock), "WEIR_OPTIONS": "--admin-port 0"}
    process = subprocess.Popen([str(ROOT / "tools/run.sh")], stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    try:
        text = ""
        for line in process.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        command = printed_command(text)
        answer = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=20).stdout
        assert answer.count("data: ") > 2 and "data: [DONE]" in answer
        readme = printed_command((ROOT / "README.md").read_text())
        assert shlex.split(readme) == shlex.split(command.replace(str(port), "1975"))
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(15) == 0


def test_readme_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for name in ("README.md", "CONTRIBUTING.md"):
        for command in re.findall(r"\bmake ([a-z-]+)", (ROOT / name).read_text()):
            assert command in targets, f"{name} names make {command}"


def test_documents_name_files_that_exist():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_install(tmp_path):
    run = subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert weir("version").stdout == subprocess.run([tmp_path / "usr/bin/weir", "version"], capture_output=True, text=True).stdout
    for name in ("share/man/man1/weir.1", "share/bash-completion/completions/weir", "lib/systemd/system/weir.service"):
        assert (tmp_path / "usr" / name).exists()
    pc = next((tmp_path / "usr/lib").rglob("weir.pc"))
    flags = subprocess.run(["pkg-config", "--static", "--cflags", "--libs", "weir"], capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(tmp_path)})
    assert flags.returncode == 0, flags.stderr
    (tmp_path / "x.c").write_text('#include "base/slice.h"\n#include "exchange/exchange.h"\n'
                                  'int main(void) { exchange_free((void *)0); return slice_eq(SLICE("a"), SLICE("b")); }\n')
    build = subprocess.run(["cc", "-std=gnu17", "x.c", "-o", "x", *flags.stdout.replace(str(tmp_path) * 2, str(tmp_path)).split()],
                           cwd=tmp_path, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    assert subprocess.run([tmp_path / "x"]).returncode == 0
