#!/bin/sh
# The machine room of boot.sh, on a network of its own: a head at 10.77.0.1, dnsmasq
# that hands out addresses, and two nodes that boot at the same time.
#
#   n1, 10.77.0.11   a server: asks for /kickstart/basic.ks
#   n2, 10.77.0.12   a switch: asks for /ztp/script, which is cumulus.sh for it
#
# Both ask for /ignition/bin and, with it, for their config, which is made from node.bu.
#
#   lan.sh PILOTLIGHT CACHE     (called by boot.sh; exit codes as there)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
samples=$here/../../assets/kickstarts
pilotlight=$1
cache=$2
root=$cache/root
run=$cache/run

# shellcheck disable=SC2016  # hashes, not variables
hash_of_n1='$6$pilotlight$hash.of.n1' hash_of_n2='$6$pilotlight$hash.of.n2'

fail() {
    echo "FAILED: $*" >&2
    for log in head.log dnsmasq.log n1.qemu n2.qemu; do
        [ ! -s "$run/$log" ] || { echo "--- end of $run/$log"; tail -n 20 "$run/$log"; } >&2
    done
    exit 1
}

# Waits for the head until COMMAND succeeds: WHAT COMMAND…
await() {
    what=$1
    shift
    deadline=$(($(date +%s) + 20))
    until "$@"; do
        kill -0 "$head" 2>/dev/null || fail "$what: the head has ended"
        [ "$(date +%s)" -lt "$deadline" ] || fail "$what: not within 20 seconds"
        sleep 0.2
    done
}

# Runs a program of the unpacked packages, with their libraries: PROGRAM ARGUMENT…
unpacked() {
    program=$1
    shift
    LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu timeout 150 "$root/$program" "$@"
}

# An administrator's command, on the head's local socket.
admin() {
    "$pilotlight" --socket "$run/data/api.sock" "$@" >>"$run/admin.log" 2>&1 ||
        fail "pilotlight $*: $(tail -n 1 "$run/admin.log")"
}

build_network() {
    unpacked bin/ip link set lo up
    unpacked bin/ip link add br0 type bridge
    unpacked bin/ip address add 10.77.0.1/24 dev br0
    unpacked bin/ip link set br0 up
    for node in n1 n2; do
        unpacked bin/ip tuntap add "$node" mode tap
        unpacked bin/ip link set "$node" master br0 up
    done
}

start_head() {
    mkdir -p "$run/data/ignition/x86_64"
    cp "$root/usr/lib/dracut/modules.d/30ignition/ignition" "$run/data/ignition/x86_64/"
    "$pilotlight" serve --data "$run/data" --listen 10.77.0.1:80 >"$run/head.log" 2>&1 &
    head=$!
    await "the head's line 'listening on'" grep -q 'listening on http://10.77.0.1:80' "$run/head.log"

    admin file put boot.ipxe "$here/boot.ipxe"
    admin file put basic.ks "$samples/basic.ks"
    admin file put cumulus.sh "$samples/cumulus.sh"
    admin file put node.bu "$here/node.bu"
    admin group set DefaultAttribs _ignition=node.bu
    admin bootconfig create rocky9 repo=http://10.77.0.1:8080/rocky9/

    admin node create n1 mac=52:54:00:aa:00:01 ip=10.77.0.11
    admin node set n1 _boot_config=rocky9 boot_file=kickstart/basic.ks rootpw="$hash_of_n1"
    admin node create n2 mac=52:54:00:aa:00:02 ip=10.77.0.12
    admin node set n2 _boot_config=ztp:cumulus.sh boot_file=ztp/script rootpw="$hash_of_n2"
}

# The kernel and the initrd come from an ordinary web server.
start_web_server() {
    unpacked bin/busybox httpd -f -p 10.77.0.1:8080 -h "$cache/http" &
}

start_dhcp() {
    cat >"$run/dnsmasq.conf" <<END
port=0
interface=br0
bind-interfaces
keep-in-foreground
user=root
log-facility=$run/dnsmasq.log
pid-file=$run/dnsmasq.pid
dhcp-leasefile=$run/dnsmasq.leases
dhcp-range=10.77.0.0,static,255.255.255.0,1h
dhcp-host=52:54:00:aa:00:01,10.77.0.11
dhcp-host=52:54:00:aa:00:02,10.77.0.12
dhcp-boot=http://10.77.0.1/api/v1/kickstart/boot.ipxe
END
    unpacked usr/sbin/dnsmasq --conf-file="$run/dnsmasq.conf" &
}

# Runs a machine until it powers itself off: NODE MAC
boot() {
    unpacked usr/bin/qemu-system-x86_64 \
        -L "$root/usr/share/seabios" -L "$root/usr/share/qemu" -L "$root/usr/lib/ipxe/qemu" \
        -accel tcg -m 512 -boot n -no-reboot -nographic -monitor none -serial "file:$run/$1.serial" \
        -netdev "tap,id=net,ifname=$1,script=no,downscript=no" -device "virtio-net-pci,netdev=net,mac=$2" \
        </dev/null >"$run/$1.qemu" 2>&1
}

# The boot file as the node's console showed it: NODE
shown() {
    tr -d '\r' <"$run/$1.serial" |
        sed -n '/^-----BEGIN BOOT FILE-----$/,/^-----END BOOT FILE-----$/p' | sed '1d;$d' >"$run/$1.boot-file"
}

# The digest of what the node received, as the node computed it: NODE
digest() {
    tr -d '\r' <"$run/$1.serial" | sed -n 's/^NODE sha256 //p'
}

expect() { # NODE LINE: the node's boot file has this line
    grep -qxF -e "$2" "$run/$1.boot-file" || fail "$1's boot file has no line: $2 (see $run/$1.serial)"
}

refuse() { # NODE TEXT: the node's boot file does not have this text
    ! grep -qF -e "$2" "$run/$1.boot-file" || fail "$1's boot file contains: $2"
}

provisioned() { # NODE PASSWORD-HASH: Ignition came from the head, and did for this node what node.bu says
    head_has=$(sha256sum <"$run/data/ignition/x86_64/ignition" | cut -d ' ' -f 1)
    for line in "NODE ignition sha256 $head_has" "NODE stage fetch-offline: 0" "NODE stage fetch: 0" "NODE stage files: 0" \
        "NODE | root:$2:19000::::::" "NODE | Description=This is $1" "NODE | enable provisioned.service"; do
        tr -d '\r' <"$run/$1.serial" | grep -qxF -e "$line" || fail "$1 did not show: $line (see $run/$1.serial)"
    done
    grep -q '^NODE runs Ignition ' "$run/$1.serial" || fail "$1 cannot run Ignition (see $run/$1.serial)"
}

in_ledger() { # NODE: the head has recorded that it sent this node just these bytes
    "$pilotlight" --json --socket "$run/data/api.sock" ledger --node "$1" 2>>"$run/admin.log" | grep -q "$(digest "$1")"
}

check() { # NODE: what holds for either
    [ -s "$run/$1.boot-file" ] || fail "$1 showed no boot file: $(tail -n 3 "$run/$1.serial")"
    [ "$(digest "$1")" = "$(sha256sum <"$run/$1.boot-file" | cut -d ' ' -f 1)" ] ||
        fail "$1 showed something else than it received (see $run/$1.serial)"
    for form in '<a[' '<n[' '<head[' 'url()>'; do
        refuse "$1" "$form"
    done
}

rm -rf "$run"
mkdir -p "$run"
build_network
start_head
start_web_server
start_dhcp

boot n1 52:54:00:aa:00:01 & n1=$!
boot n2 52:54:00:aa:00:02 & n2=$!
wait "$n1" || fail "n1 did not power itself off: $(tail -n 3 "$run/n1.serial")"
wait "$n2" || fail "n2 did not power itself off: $(tail -n 3 "$run/n2.serial")"
shown n1
shown n2

check n1
expect n1 "network --bootproto=dhcp --device=52:54:00:aa:00:01 --hostname=n1 --onboot=yes --activate"
expect n1 "rootpw --iscrypted $hash_of_n1"
expect n1 'url --url "http://10.77.0.1:8080/rocky9/"'
expect n1 "HEAD=http://10.77.0.1/api/v1"
refuse n1 "$hash_of_n2"
provisioned n1 "$hash_of_n1"

check n2
expect n2 "cumulus:$hash_of_n2"
expect n2 "    nv set system hostname 'n2'"
expect n2 "# CUMULUS-AUTOPROVISIONING"
refuse n2 "$hash_of_n1"
provisioned n2 "$hash_of_n2"

await "n1's fetch in the ledger" in_ledger n1
await "n2's fetch in the ledger" in_ledger n2

echo "n1 and n2 booted, each with its own boot file, and were provisioned ($run)"
