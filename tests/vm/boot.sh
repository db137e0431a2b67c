#!/bin/sh
# Boots two virtual machines from a real head, all the way: firmware, iPXE, kernel,
# initrd, a boot file that holds the values of the machine that asked for it, and
# Ignition from the head, which provisions the machine with its config.
#
#   boot.sh PILOTLIGHT [CACHE]
#
# PILOTLIGHT is the program to test. CACHE (default target/vm of this repository) keeps
# what install.sh downloads, and in CACHE/run the logs and serial consoles of the last
# run; one run at a time. Everything happens in a network and process namespace of its
# own, which takes all that was started with it when it ends.
#
# Exit codes: 0 both nodes got what is theirs, 1 one did not (the reason is on stderr),
# 2 wrong usage, 77 cannot run on this machine (skipped; the reason is on stderr).
set -eu

[ $# -eq 1 ] || [ $# -eq 2 ] || { echo "usage: boot.sh PILOTLIGHT [CACHE]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
pilotlight=$(realpath "$1")
[ -x "$pilotlight" ] || { echo "boot.sh: $1 is not a program" >&2; exit 2; }
cache=${2:-$here/../../target/vm}

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || skip "virtual machines on a private network need root"
[ -c /dev/net/tun ] || skip "virtual machines on a private network need /dev/net/tun"
unshare --net --pid --fork --mount-proc true 2>/dev/null || skip "no network and process namespaces here"

"$here/install.sh" "$cache"
cache=$(cd "$cache" && pwd)
exec unshare --net --pid --fork --kill-child --mount-proc "$here/lan.sh" "$pilotlight" "$cache"
