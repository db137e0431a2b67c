#!/bin/sh
# Runs a command as root on a throw-away view of this machine: it sees all files, and what it
# changes is gone when it ends.
#
#   throwaway.sh DIR COMMAND…
#
#   DIR   stays what it is: what the command writes there is kept
#
# /run/changed holds what the command changed, and nothing else. Mounts and processes are its
# own, the network is the machine's, and systemd does not seem to run.
#
# Exit codes: those of the command; 2 wrong usage, 77 cannot run on this machine (skipped; the
# reason is on stderr).
set -eu

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

[ $# -gt 1 ] || { echo 'usage: throwaway.sh DIR COMMAND…' >&2; exit 2; }
kept=$(cd "$1" && pwd)
shift
[ "$(id -u)" = 0 ] || skip "only root can make a throw-away view of this machine"
unshare --mount --pid --fork true 2>/dev/null || skip "no namespaces here"

# Where the view is mounted; the mounts vanish with their namespace.
view=$(mktemp -d)
trap 'rmdir "$view"' EXIT
export kept view
# shellcheck disable=SC2016  # expanded inside
unshare --mount --pid --fork sh -c '
    mount --make-rprivate / &&
        mount -t tmpfs tmpfs "$view" &&
        mkdir "$view/upper" "$view/work" "$view/root" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$view/upper,workdir=$view/work" "$view/root" &&
        cd "$view/root" &&
        mount -t proc proc proc &&
        mount --rbind /dev dev &&
        mount -t tmpfs tmpfs run &&
        mkdir run/changed &&
        mount --bind "$view/upper" run/changed &&
        mkdir -p "./$kept" &&
        mount --bind "$kept" "./$kept" ||
        { echo "SKIPPED: cannot mount a view of this machine" >&2; exit 77; }
    exec chroot . "$@"
' sh "$@"
