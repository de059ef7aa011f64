#!/usr/bin/env python3
"""Checks that libweir.a does no input or output: every symbol that it leaves undefined stands in the list below.

Usage: check_purity.py build/libweir.a
"""
import re
import subprocess
import sys

ALLOWED = re.compile("^(" + "|".join([
    # bytes and text
    r"mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)", r"explicit_bzero", r"bcmp", r"str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn|pbrk)",
    r"str(n)?casecmp", r"strto(l|ul|ll|ull|d|ld|f)", r"v?snprintf", r"__isoc(99|23)_strto\w+", r"(iso)?__ctype_\w+",
    # fortified spellings of the same
    r"__(mem(cpy|move|set|pcpy)|v?snprintf|str(ncpy|cpy|cat)|explicit_bzero)_chk", r"__stack_chk_fail",
    # memory (only base calls these; tools/check_style.py sees to that), sorting, arithmetic
    r"malloc", r"calloc", r"realloc", r"free", r"posix_memalign", r"aligned_alloc", r"qsort", r"bsearch",
    r"(floor|ceil|trunc|round|fmod|ldexp|frexp|pow|fabs|isnan|isinf|modf|rint|nearbyint|log2|exp2)l?f?",
    # calendar arithmetic on a given moment, no clock
    r"gmtime_r", r"timegm",
    # a failed assertion
    r"abort", r"__assert_fail",
    # libraries without I/O as we use them
    r"pcre2_\w+", r"yaml_(parser|event|token)_\w+",
    # processor features, sanitizers, position-independent code
    r"__cpu_\w+", r"__tls_get_addr", r"_GLOBAL_OFFSET_TABLE_", r"__(a|ub|t|l)san_\w+", r"__sanitizer_\w+", r"__errno_location",
]) + ")$")


def main():
    listing = subprocess.run(["nm", "-A", sys.argv[1]], capture_output=True, text=True, check=True).stdout
    defined, wanted = set(), {}
    for line in listing.splitlines():
        fields = line.split()
        kind, name = fields[-2], fields[-1]
        if kind in "Uw":
            wanted.setdefault(name, fields[0].split(":")[1])
        else:
            defined.add(name)
    impure = sorted((name, place) for name, place in wanted.items() if name not in defined and not ALLOWED.match(name))
    for name, place in impure:
        print(f"{place}: {name} is not on the list of what the core may call")
    if not impure:
        print(f"  {len(set(wanted) - defined)} symbols from outside, all on the list")
    return 1 if impure else 0


if __name__ == "__main__":
    sys.exit(main())
