#!/bin/sh
# Makes ready what a virtual node needs to boot: QEMU, the iPXE ROM, a kernel, an
# initrd, dnsmasq for the network it boots from, and Ignition.
#
#   install.sh CACHE
#
# Debian packages are unpacked under CACHE, not installed: qemu-system-x86 from the
# ordinary sources cannot be installed beside a qemu-utils from backports, and a test
# has no business in removing packages. A CACHE that is ready is left as it is.
#
# Afterwards CACHE holds
#   root/                          the unpacked packages
#   http/vmlinuz, http/initrd.img  what the node boots
#
# Exit codes: 0 ready, 2 wrong usage, 77 cannot be had on this machine (skipped).
set -eu

[ $# -eq 1 ] || { echo "usage: install.sh CACHE" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)
packages="qemu-system-x86 ipxe-qemu busybox-static dnsmasq-base iproute2 ignition"
ignition=usr/lib/dracut/modules.d/30ignition/ignition

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

# The packages named and what they need that is not installed, as name=version.
closure() {
    # shellcheck disable=SC2086  # a list of words
    apt-get install --simulate --reinstall --no-install-recommends $packages |
        sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\{0,1\}(\([^ ]*\) .*/\1=\3/p'
}

# The current cloud kernel, which has the virtio drivers and little else.
kernel() {
    apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

download() {
    list=$(closure) && image=$(kernel) && [ -n "$list" ] && [ -n "$image" ] || return 1
    # shellcheck disable=SC2086  # a list of words
    (cd "$cache/debs" && apt-get download $list "$image")
}

unpack() {
    rm -rf "$cache/root"
    for deb in "$cache"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$cache/root"
    done
}

# The libraries that Ignition needs, which it is fetched without.
copy_libraries() {
    mkdir -p "$initrd/lib64" "$initrd/lib/x86_64-linux-gnu"
    LD_LIBRARY_PATH=$cache/root/usr/lib/x86_64-linux-gnu:$cache/root/lib/x86_64-linux-gnu ldd "$cache/root/$ignition" |
        grep -o '/[^ ]*' >"$cache/libraries"
    while read -r library; do
        case $library in
        /lib64/*) cp "$library" "$initrd/lib64/" ;;
        *) cp "$library" "$initrd/lib/x86_64-linux-gnu/" ;;
        esac
    done <"$cache/libraries"
}

# An initrd of busybox, the network driver, libraries and node-init.sh.
build_initrd() {
    initrd=$cache/initrd
    rm -rf "$initrd"
    mkdir -p "$initrd/bin" "$initrd/lib/modules" "$initrd/proc" "$initrd/sys" "$initrd/dev" \
        "$initrd/tmp" "$initrd/run" "$initrd/sysroot"
    cp "$cache/root/bin/busybox" "$initrd/bin/"
    cp "$here/node-init.sh" "$initrd/init"
    chmod 755 "$initrd/init"
    # node-init.sh loads them in the order of their names.
    order=10
    for module in failover net_failover virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_net; do
        find "$cache/root/lib/modules" -name "$module.ko" -exec cp {} "$initrd/lib/modules/$order-$module.ko" \;
        order=$((order + 1))
    done
    [ -e "$initrd/lib/modules/17-virtio_net.ko" ] || skip "the kernel package has no virtio_net.ko"
    copy_libraries
    (cd "$initrd" && find . | "$cache/root/bin/busybox" cpio -o -H newc) | gzip -1 >"$cache/http/initrd.img"
}

for tool in apt-get apt-cache dpkg-deb; do
    command -v $tool >/dev/null || skip "the virtual node comes from Debian packages, and there is no $tool here"
done
[ "$(dpkg --print-architecture)" = amd64 ] || skip "the virtual node is an amd64 machine"

if ! [ "$(cat "$cache/unpacked" 2>/dev/null)" = "$packages" ]; then
    rm -rf "$cache/debs"
    mkdir -p "$cache/debs"
    if ! download >"$cache/download.log" 2>&1; then
        # Package lists that are missing or older than the archive.
        apt-get update >>"$cache/download.log" 2>&1 || true
        download >>"$cache/download.log" 2>&1 || { tail -n 5 "$cache/download.log" >&2; skip "cannot download: $packages and a kernel"; }
    fi
    unpack
    rm -rf "$cache/debs"
    for program in usr/bin/qemu-system-x86_64 usr/sbin/dnsmasq bin/busybox bin/ip $ignition; do
        [ -x "$cache/root/$program" ] || skip "the packages of this machine's sources have no /$program"
    done
    echo "$packages" >"$cache/unpacked"
fi

mkdir -p "$cache/http"
cp "$cache"/root/boot/vmlinuz-* "$cache/http/vmlinuz"
build_initrd
