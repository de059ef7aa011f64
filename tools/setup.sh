#!/bin/bash
# Installs what Weir needs on Debian 12 and 13 and Ubuntu 24.04, says what it does, and does nothing when all is there.
#
#   tools/setup.sh [build] [test] [check] [bench]     install the groups that are named (default: build)
#   tools/setup.sh --print GROUP...                   print what would be done, change nothing
#
# SETUP_ROOT=DIR writes the apt source and its pin below DIR instead of / (for the test of this script).
set -eu
cd "$(dirname "$0")/.."

is_dry=no
[ "${1:-}" = --print ] && { is_dry=yes; shift; }
[ $# -gt 0 ] || set -- build
etc=${SETUP_ROOT:-}/etc/apt

say() { echo "setup: $*"; }

system() { # -> "debian 12", from os-release
    # shellcheck disable=SC1091
    (. /etc/os-release && echo "$ID ${VERSION_ID:-}")
}
codename() {
    # shellcheck disable=SC1091
    (. /etc/os-release && echo "$VERSION_CODENAME")
}

# ---- what each group needs ---------------------------------------------------------------------------------------

packages_of() { # group
    case $1 in
    build) echo gcc libc6-dev make cmake ninja-build pkg-config curl libuv1-dev libc-ares-dev libssl-dev libyaml-dev \
        libpcre2-dev libllhttp-dev libnghttp2-dev ;;
    test) echo git libcmocka-dev libyyjson-dev python3-venv openssl curl slowhttptest ;;
    check) echo git clang clang-tidy "libclang-rt-$clang_version-dev" cppcheck binutils python3-venv libcmocka-dev ;;
    bench) echo nginx haproxy wrk python3 util-linux openssl libyyjson-dev "$(h2load_packages)" ;;
    *) echo "setup: unknown group '$1' (build, test, check, bench)" >&2; exit 2 ;;
    esac
}

# h2load. On Debian 12 its package wants the nghttp2 that our build replaces: bench/wire.py unpacks a copy of it, which
# needs these.
h2load_packages() {
    case $(system) in
    "debian 12") echo libev4 libjemalloc2 ;;
    *) echo nghttp2-client ;;
    esac
}

# Packages that this release lacks or has too old come from the suite of a later one; both halves must be named, else the
# resolver keeps the old.
later_suite() {
    case $(system) in
    "debian 12") echo trixie ;;
    "ubuntu 24.04") echo resolute ;;
    esac
}
companion_of() { # package
    case $1 in
    libllhttp-dev) [ "$(later_suite)" = resolute ] && echo libllhttp9.3 || echo libllhttp9.2 ;;
    libnghttp2-dev) echo libnghttp2-14 ;;
    libyyjson-dev) echo libyyjson0 ;;
    esac
}

# Whether a package or what it stands for is there. Node may well come from elsewhere.
is_there() { # package
    case $1 in
    nodejs) command -v node >/dev/null 2>&1 && return 0 ;;
    npm) command -v npm >/dev/null 2>&1 && return 0 ;;
    nginx) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] && return 0 ;;
    esac
    case " $installed " in *" $1 "*) return 0 ;; esac
    return 1
}

# ---- the suite of a later release ----------------------------------------------------------------------------

write_file() { # path; text on stdin
    if [ "$is_dry" = yes ]; then
        say "would write $1:"
        sed 's/^/    /'
    else
        say "writing $1"
        as_root mkdir -p "$(dirname "$1")"
        as_root tee "$1" >/dev/null
    fi
}

# The mirror that this machine itself uses for its own release, whichever form its lists are written in.
mirror_of_machine() {
    apt-get indextargets --no-release-info --format '$(RELEASE)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v release="$(codename)" '$1 == release && $2 == "main" { print $3; exit }'
}

add_later_suite() {
    suite=$(later_suite) components="main" keys=/usr/share/keyrings/debian-archive-keyring.gpg
    case $(system) in
    ubuntu*) components="main universe" keys=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
    esac
    [ -f "$etc/sources.list.d/weir-$suite.sources" ] && [ -f "$etc/preferences.d/weir-$suite" ] && return 0
    mirror=$(mirror_of_machine)
    [ -n "$mirror" ] || { say "no mirror of $(codename) main in apt's sources; add the $suite suite by hand"; exit 1; }
    say "$(system) lacks$from_later: adding the suite $suite of this machine's mirror, pinned below everything else"
    # The pin first: at no time may the new suite upgrade anything by itself.
    write_file "$etc/preferences.d/weir-$suite" <<PIN
Package: *
Pin: release n=$suite
Pin-Priority: 90
PIN
    write_file "$etc/sources.list.d/weir-$suite.sources" <<SOURCE
Types: deb
URIs: $mirror
Suites: $suite
Components: $components
Signed-By: $keys
SOURCE
}

# ---- doing it ----------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ] || [ -n "${SETUP_ROOT:-}" ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -- "$@"
    else
        echo "setup: root is needed for: $*" >&2
        echo "setup: run 'tools/setup.sh $groups' as root once, or install the packages by hand" >&2
        exit 1
    fi
}

install_packages() {
    missing="" from_later=""
    for package in $wanted; do
        is_there "$package" && continue
        case $missing" " in *" $package "*) continue ;; esac
        missing="$missing $package"
        [ -n "$(later_suite)" ] && [ -n "$(companion_of "$package")" ] && from_later="$from_later $package"
    done
    [ -z "$missing" ] && return 0
    say "missing:$missing"
    [ -z "$from_later" ] || add_later_suite
    names=""
    for package in $missing; do
        case "$from_later " in
        *" $package "*) names="$names $package/$suite $(companion_of "$package")/$suite" ;;
        *) names="$names $package" ;;
        esac
    done
    if [ "$is_dry" = yes ]; then
        say "would run: apt-get install --no-install-recommends$names"
        return 0
    fi
    say "apt-get update"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    say "apt-get install$names"
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $names >/dev/null
    # What was configured without them, such as a build without tests, is configured anew.
    rm -f build/build.ninja build/*/build.ninja
}

# Python packages live in .venv; the stamp holds the requirements that it was filled from.
install_python() { # requirements file
    stamp=.venv/.$(echo "$1" | tr / _)
    cmp -s "$1" "$stamp" && return 0
    [ "$is_dry" = yes ] && { say "would install $1 into .venv"; return 0; }
    say "installing $1 into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r "$1"
    cp "$1" "$stamp"
}

install_node() {
    cmp -s tests/e2e/node/package.json tests/e2e/node/node_modules/.stamp && return 0
    [ "$is_dry" = yes ] && { say "would install tests/e2e/node/package.json by npm"; return 0; }
    say "installing the OpenAI SDK for Node into tests/e2e/node"
    (cd tests/e2e/node && npm install --silent --no-audit --no-fund --no-package-lock)
    cp tests/e2e/node/package.json tests/e2e/node/node_modules/.stamp
}

groups=$*
command -v dpkg-query >/dev/null 2>&1 || {
    # Not a Debian: the build's parts may well be there all the same.
    tools/missing.sh && exit 0
    exit 1
}
installed=$(dpkg-query -W -f '${db:Status-Abbrev}${binary:Package}\n' | sed -n 's/^ii \([^:]*\).*/\1/p' | tr '\n' ' ')
case $(system) in
"debian 12") clang_version=14 ;;
"debian 13") clang_version=19 ;;
"ubuntu 24.04") clang_version=18 ;;
*)
    say "this system is not Debian 12, Debian 13 or Ubuntu 24.04; checking what the build needs only"
    tools/missing.sh && exit 0
    exit 1
    ;;
esac

wanted=""
for group in "$@"; do
    wanted="$wanted $(packages_of "$group")"
    [ "$group" = test ] && wanted="$wanted nodejs npm"
done
install_packages
for group in "$@"; do
    case $group in
    test)
        install_python tests/requirements.txt
        install_node
        ;;
    check) install_python tools/requirements.txt ;;
    esac
done
