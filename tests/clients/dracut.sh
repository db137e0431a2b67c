#!/bin/sh
# Fetches a boot file as the installer's initramfs does: with the real fetch_url of
# dracut's url-lib (from Debian's packages), including the headers that Anaconda sets.
#
#   dracut.sh [OPTION…] URL
#
#   --from ADDRESS        the address to ask from, say 127.0.0.11
#   --mac "eth0 MAC"      send X-RHN-Provisioning-MAC-0, as inst.ks.sendmac does
#   --cmdline "WORD…"     the kernel's command line, say "rd.noverifyssl proxy=http://p:3128"
#   --cache DIR           where the unpacked packages are kept (default target/dracut)
#
# What was fetched goes to stdout; curl's messages and the line "fetch_url: rc=N" to stderr.
# Nothing outside DIR is touched: it runs in a mount namespace of its own.
#
# Exit codes: 0 fetched, 1 fetch_url failed, 2 wrong usage, 77 cannot run on this machine
# (skipped; the reason is on stderr).
set -eu

usage() {
    echo 'usage: dracut.sh [--from ADDRESS] [--mac "eth0 MAC"] [--cmdline "WORD…"] [--cache DIR] URL' >&2
    exit 2
}

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

here=$(cd "$(dirname "$0")" && pwd)
cache=$here/../../target/dracut
from='' mac='' cmdline=''
while [ $# -gt 1 ]; do
    case $1 in
    --from) from=$2 ;;
    --mac) mac=$2 ;;
    --cmdline) cmdline=$2 ;;
    --cache) cache=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ $# -eq 1 ] || usage
case $1 in -*) usage ;; esac
url=$1

# dracut's packages are unpacked, not installed: they would replace initramfs-tools.
download() {
    (cd "$cache/debs" && apt-get download dracut-core dracut-network)
}

unpack() {
    rm -rf "$cache/debs" "$cache/root"
    mkdir -p "$cache/debs"
    if ! download >"$cache/download.log" 2>&1; then
        apt-get update >>"$cache/download.log" 2>&1 || true
        download >>"$cache/download.log" 2>&1 || { tail -n 5 "$cache/download.log" >&2; skip "cannot download dracut-core and dracut-network"; }
    fi
    for deb in "$cache"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$cache/root"
    done
    mkdir -p "$cache/bin"
    ln -sf ../root/usr/lib/dracut/dracut-util "$cache/bin/dracut-getarg"
    ln -sf ../root/usr/lib/dracut/dracut-util "$cache/bin/dracut-getargs"
    touch "$cache/unpacked"
}

for tool in apt-get dpkg-deb curl flock unshare; do
    command -v $tool >/dev/null || skip "there is no $tool here"
done
namespace='unshare --mount'
[ "$(id -u)" = 0 ] || namespace="$namespace --map-root-user"
$namespace true 2>/dev/null || skip "no mount namespaces here"

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
# Several tests may come at once; the first one unpacks.
exec 9>"$cache/lock"
flock 9
[ -e "$cache/unpacked" ] || unpack
exec 9>&-

export url from mac cmdline
export modules="$cache/root/usr/lib/dracut/modules.d" PATH="$cache/bin:$PATH"
# shellcheck disable=SC2016,SC2086  # expanded inside; two words
exec $namespace bash -c '
    # The places where the initramfs libraries keep what they know: the first is private,
    # and with the second in place they do not link /var/log to it.
    mount -t tmpfs tmpfs /run && mkdir /run/initramfs || { echo "SKIPPED: cannot mount in a namespace of its own" >&2; exit 77; }
    echo "$cmdline" >/run/cmdline && mount --bind /run/cmdline /proc/cmdline || { echo "SKIPPED: cannot mount in a namespace of its own" >&2; exit 77; }

    . "$modules/99base/dracut-dev-lib.sh"
    . "$modules/99base/dracut-lib.sh"
    . "$modules/45url-lib/url-lib.sh"

    set_http_header X-Anaconda-Architecture "$(uname -m)"
    set_http_header X-Anaconda-System-Release "Red Hat Enterprise Linux"
    [ -z "$mac" ] || set_http_header X-RHN-Provisioning-MAC-0 "$mac"
    [ -z "$from" ] || echo "interface = \"$from\"" >>"$CURL_HOME/.curlrc"

    fetch_url "$url" /run/fetched </dev/null
    rc=$?
    echo "fetch_url: rc=$rc" >&2
    [ "$rc" = 0 ] || exit 1
    cat /run/fetched
'
