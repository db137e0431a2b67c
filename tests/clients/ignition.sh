#!/bin/sh
# Provisions a directory as a machine is provisioned on its first boot: with the real
# Ignition (Debian package ignition) and the config's URL on the kernel's command line.
#
#   ignition.sh [--timeout TIME] URL ROOT
#
#   --timeout TIME   how long Ignition asks again for a config it cannot get (default 20s)
#
# Runs the stages fetch-offline, fetch and files on ROOT, until one fails. Ignition's log
# goes to stdout. /proc/cmdline is another in a mount namespace of its own.
#
# Exit codes: 0 provisioned, 1 a stage failed, 2 wrong usage, 77 cannot run on this
# machine (skipped; the reason is on stderr).
set -eu

usage() {
    echo 'usage: ignition.sh [--timeout TIME] URL ROOT' >&2
    exit 2
}

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

timeout=20s
if [ "${1-}" = --timeout ]; then
    [ $# -gt 2 ] || usage
    timeout=$2
    shift 2
fi
[ $# -eq 2 ] || usage
url=$1 root=$2
ignition=/usr/lib/dracut/modules.d/30ignition/ignition

[ -x $ignition ] || skip "there is no $ignition (Debian package ignition)"
[ "$(id -u)" = 0 ] || skip "Ignition gives files their owners, and only root can"
unshare --mount true 2>/dev/null || skip "no mount namespaces here"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "ignition.firstboot ignition.platform.id=metal ignition.config.url=$url" >"$scratch/cmdline"

# What the files stage looks for in an installed system: units, and SELinux with a
# program that labels files.
mkdir -p "$root/usr/lib/systemd/system" "$root/etc/selinux/targeted/contexts/files" "$scratch/bin"
printf 'SELINUX=disabled\nSELINUXTYPE=targeted\n' >"$root/etc/selinux/config"
printf '#!/bin/sh\n' >"$scratch/bin/setfiles"
chmod 755 "$scratch/bin/setfiles"

export ignition scratch root timeout PATH="$scratch/bin:$PATH"
# No config of this machine's own.
export IGNITION_SYSTEM_CONFIG_DIR="$scratch/none"
# shellcheck disable=SC2016  # expanded inside
unshare --mount sh -c '
    mount --bind "$scratch/cmdline" /proc/cmdline || { echo "SKIPPED: cannot mount in a namespace of its own" >&2; exit 77; }
    for stage in fetch-offline fetch files; do
        echo "stage $stage"
        "$ignition" -platform=metal -stage="$stage" -root="$root" -config-cache="$scratch/config" \
            -state-file="$scratch/state" -neednet="$scratch/neednet" -fetch-timeout="$timeout" -log-to-stdout || exit 1
    done
'
