#!/usr/bin/env python3
"""clang-tidy on every source of src/, as .clang-tidy says; files that passed are not looked at again until they, a header or
the list of checks change (stamps in build/tidy). Usage: tidy.py [FILE]..."""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAMPS = ROOT / "build/tidy"


def newest_header():
    shared = [ROOT / ".clang-tidy", *(ROOT / "src").rglob("*.h"), *(ROOT / "src").rglob("*.def")]
    return max(path.stat().st_mtime for path in shared)


def stamp_of(path):
    return STAMPS / str(path.relative_to(ROOT)).replace("/", "_")


def check(path):
    run = subprocess.run(["clang-tidy", "--quiet", "-p", str(ROOT / "build/check-clang"), str(path)], capture_output=True, text=True, cwd=ROOT)
    if run.returncode == 0:
        stamp_of(path).touch()
        return ""
    return run.stdout


def main():
    STAMPS.mkdir(parents=True, exist_ok=True)
    header = newest_header()
    paths = [pathlib.Path(name).resolve() for name in sys.argv[1:]] or sorted((ROOT / "src").rglob("*.c"))
    stale = [path for path in paths if not stamp_of(path).exists() or stamp_of(path).stat().st_mtime < max(path.stat().st_mtime, header)]
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", os.cpu_count() or 1))) as pool:
        faults = [text for text in pool.map(check, stale) if text]
    print("\n".join(faults) if faults else f"  {len(paths)} files, {len(stale)} of them looked at now")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
