#!/bin/sh
# Names the parts that the build needs and this machine lacks, in any distribution. Prints nothing when all are there.
set -u
lacks=""

command_or() { # command, what it is
    command -v "$1" >/dev/null 2>&1 || lacks="$lacks\n  $2"
}
library_or() { # pkg-config module, what it is
    pkg-config --exists "$1" 2>/dev/null || lacks="$lacks\n  $2"
}

command_or cmake "cmake (3.22 or newer)"
command_or ninja "ninja"
command_or "${CC:-cc}" "a C compiler (gcc 12 or clang 14, or newer)"
if command -v pkg-config >/dev/null 2>&1; then
    library_or libuv "libuv (event loop)"
    library_or libcares "c-ares (DNS)"
    library_or openssl "OpenSSL 3 (TLS)"
    library_or yaml-0.1 "libyaml (configuration)"
    library_or libpcre2-8 "PCRE2 (regular expressions)"
    library_or libnghttp2 "nghttp2 (HTTP/2)"
else
    lacks="$lacks\n  pkg-config"
fi
if command -v "${CC:-cc}" >/dev/null 2>&1; then
    echo '#include <llhttp.h>' | "${CC:-cc}" -E - >/dev/null 2>&1 || lacks="$lacks\n  llhttp (HTTP/1 parser, with its header)"
fi

[ -z "$lacks" ] && exit 0
printf 'weir: these parts are missing:%b\n' "$lacks" >&2
echo "'make setup' installs them (Debian 12 and 13, Ubuntu 24.04)." >&2
exit 1
