#!/bin/sh
# Runs a program of pykickstart, the library with which Anaconda itself reads kickstarts,
# at a version that does not change under the tests.
#
#   pykickstart.sh [--cache DIR] PROGRAM [ARGUMENT…]
#
#   pykickstart.sh ksvalidator -v RHEL9 FILE-OR-URL
#   pykickstart.sh ksflatten -v RHEL9 -c FILE-OR-URL -o FILE
#
# It lives in a Python environment under DIR (default target/pykickstart), made at the
# first call; "pykickstart.sh true" only makes it.
#
# Exit codes: those of PROGRAM (ksvalidator: 0 valid, 1 faults on stderr, 2 cannot read),
# 64 wrong usage, 77 cannot be had on this machine (skipped; the reason is on stderr).
set -eu

version=3.78

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../target/pykickstart
if [ $# -ge 2 ] && [ "$1" = --cache ]; then
    cache=$2
    shift 2
fi
[ $# -ge 1 ] || { echo "usage: pykickstart.sh [--cache DIR] PROGRAM [ARGUMENT…]" >&2; exit 64; }

command -v flock >/dev/null || skip "there is no flock here"
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
ready=$cache/ready-$version

make_environment() {
    rm -rf "$cache/venv"
    python3 -m venv "$cache/venv" &&
        "$cache/venv/bin/pip" install --disable-pip-version-check "pykickstart==$version"
}

# Several tests may come at once; the first one makes it.
exec 9>"$cache/lock"
flock 9
if ! [ -e "$ready" ]; then
    make_environment >"$cache/install.log" 2>&1 || {
        tail -n 5 "$cache/install.log" >&2
        skip "cannot make a Python environment with pykickstart $version (Debian: python3-venv)"
    }
    touch "$ready"
fi
exec 9>&-

PATH=$cache/venv/bin:$PATH exec "$@"
