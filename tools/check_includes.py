#!/usr/bin/env python3
"""Checks the include directions between the rooms of src/ (docs/architecture.md has the picture)."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"

CORE = ["base", "json", "http", "config", "route", "mutate", "schema", "credential", "usage", "observe", "exchange"]

# What a room may include besides itself and the C library.
MAY = {
    "base": [],
    "json": ["base"],
    "http": ["base"],
    "config": ["base", "json"],
    "route": ["base", "http", "config"],
    "mutate": ["base", "json", "http"],
    "schema": ["base", "json", "http"],
    "credential": ["base", "json", "http"],
    "usage": ["base", "json", "http"],  # http for SSE framing: usage is read off streams
    "observe": ["base", "http"],
    "exchange": [room for room in CORE if room != "exchange"],
    "host": ["base", "http", "config", "observe", "exchange"],
    "cli": CORE + ["host"],
}

# Single headers that a room may include beyond that, each with its reason. Vocabulary (plain structs), no functions.
EXCEPTIONS = {
    # config/model.h says what the user configured; whoever compiles a part of it reads that part's structs.
    ("mutate", "config/model.h"),
    ("schema", "config/model.h"),
    ("credential", "config/model.h"),
    ("usage", "config/model.h"),
    ("observe", "config/model.h"),
    # An endpoint's table line names the shape of its usage.
    ("schema", "usage/reader.h"),
    ("schema", "usage/usage.h"),
    # A finished request's record holds the tokens that it used.
    ("observe", "usage/usage.h"),
    # Access-log lines are JSON; their CEL conditions run on the engine of the cost expressions.
    ("observe", "json/json.h"),
    ("observe", "usage/cost.h"),
    # The admin port shows the configuration as JSON.
    ("host", "json/json.h"),
}

# System headers that no room of the core may include: it opens no socket, reads no clock, file or environment.
IMPURE = re.compile(r"^(sys/socket|sys/types|sys/stat|netinet/|arpa/|netdb|unistd|fcntl|time|sys/time|pthread|poll|signal|"
                    r"dirent|uv|llhttp|ares|openssl/|sys/epoll|sys/mman)")
# base may: it wraps what the core needs from the C library (explicit_bzero, atomic counters).
IMPURE_ALLOWED = {}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def check(path):
    room = path.relative_to(SRC).parts[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        kind, name = found.groups()
        where = f"src/{path.relative_to(SRC)}:{number}"
        if kind == "<":
            if room in CORE and IMPURE.match(name) and (room, name) not in IMPURE_ALLOWED:
                yield f"{where}: the core includes <{name}>"
            continue
        target = name.split("/")[0]
        if "/" not in name:
            yield f"{where}: \"{name}\" does not say its room"
        elif target != room and target not in MAY[room] and (room, name) not in EXCEPTIONS:
            yield f"{where}: {room} may not include {name}"


def main():
    faults = []
    for path in sorted(SRC.rglob("*.[ch]")) + sorted(SRC.rglob("*.def")):
        if path.relative_to(SRC).parts[0] not in MAY:
            faults.append(f"src/{path.relative_to(SRC)}: unknown room")
            continue
        faults += check(path)
    print("\n".join(faults) if faults else f"  {len(MAY)} rooms, all includes point up")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
