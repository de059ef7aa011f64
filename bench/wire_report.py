"""bench/WIRE.md: each of its parts is written by a command of its own and replaced alone."""
import re

from run import ROOT

WIRE = ROOT / "bench/WIRE.md"
HEAD = """# Measurements of the wire

Each part is written by the command that it names; [docs/performance.md](../docs/performance.md) says how it is measured.
"""
# The parts in their order, with the commands that write them.
PARTS = {
    "CPU time of a request, by protocol": "make bench-wire",
    "10,000 streams over TLS": "make bench-streams",
    "Reloads and upgrades under load": "make storm",
}


def _parts():
    text = WIRE.read_text() if WIRE.exists() else ""
    return {title: body.strip("\n") for title, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.M)}


def write_section(title, lines):
    parts = _parts()
    parts[title] = "\n".join([f"Written by `{PARTS[title]}`.", "", *lines])
    WIRE.write_text(HEAD + "".join(f"\n## {each}\n\n{parts[each]}\n" for each in PARTS if each in parts))
    print(f"bench: wrote {WIRE.relative_to(ROOT)}: {title}")
