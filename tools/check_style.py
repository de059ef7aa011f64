#!/usr/bin/env python3
"""Checks lengths and banned functions. Waivers, each with its reason, stand in tools/style_waivers.txt."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUNCTION_LINES = 60   # a waiver may raise it ...
FUNCTION_HARD = 100   # ... up to here
FILE_LINES = 1000
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|scanf|sscanf|alloca)\s*\(")
RAW_MEMORY = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\s*\(")
NOT_CORE = {"base", "host", "cli"}
NAME = re.compile(r"(\w+)\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*$")


def code_only(text):
    """Blanks out comments and literals, keeping the lines."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def functions(lines):
    """Yields (name, first line, length); our format puts a function's braces, and only those, alone in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            head = ""
            for back in range(start - 2, max(start - 12, -1), -1):
                head = lines[back] + " " + head
                found = NAME.search(head)
                if found and not lines[back].startswith(" "):
                    break
            found = NAME.search(head)
            yield (found.group(1) if found else "?"), start, number - start - 1
            start = None


def waivers():
    path = ROOT / "tools/style_waivers.txt"
    table = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            place, reason = line.split(maxsplit=1)
            table[place] = reason
    return table


def main():
    waived, used, faults, lengths = waivers(), set(), [], []
    for path in sorted(list((ROOT / "src").rglob("*.[ch]")) + list((ROOT / "bench").rglob("*.[ch]")) +
                       list((ROOT / "tests").rglob("*.[ch]"))):
        name = str(path.relative_to(ROOT))
        lines = code_only(path.read_text()).splitlines()
        is_source = name.startswith("src/")
        room = name.split("/")[1]

        def fault(number, what, key):
            if key in waived:
                used.add(key)
            else:
                faults.append(f"{name}:{number}: {what}")

        if len(lines) > FILE_LINES and is_source:
            fault(1, f"{len(lines)} lines (at most {FILE_LINES})", name)
        for function, number, length in functions(lines):
            if is_source:
                lengths.append(length)
                if length > FUNCTION_HARD:
                    faults.append(f"{name}:{number}: {function} has {length} lines (never over {FUNCTION_HARD})")
                elif length > FUNCTION_LINES:
                    fault(number, f"{function} has {length} lines (at most {FUNCTION_LINES})", f"{name}:{function}")
        for number, line in enumerate(lines, 1):
            for found in BANNED.finditer(line):
                fault(number, f"{found.group(1)} is banned", f"{name}:{found.group(1)}")
            if is_source and room not in NOT_CORE:
                for found in RAW_MEMORY.finditer(line):
                    fault(number, f"raw {found.group(1)} in the core", f"{name}:{found.group(1)}")
    for key in waived:
        if key not in used:
            faults.append(f"tools/style_waivers.txt: {key} is waived, but nothing is wrong with it")
    lengths.sort()
    if faults:
        print("\n".join(faults))
        return 1
    if lengths:
        print(f"  {len(lengths)} functions, median {lengths[len(lengths) // 2]} lines, longest {lengths[-1]}; {len(used)} waivers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
