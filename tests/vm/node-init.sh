#!/bin/busybox sh
# shellcheck shell=dash
# The whole operating system of the virtual node: fetches its boot file, as an
# installer would, shows it on the serial console and powers off.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

for module in /lib/modules/*.ko; do
    insmod "$module"
done

argument() { # NAME: its value on the kernel's command line
    tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"
}

ip link set lo up
ip link set eth0 up
ip address add "$(argument node_ip)/24" dev eth0

echo "NODE fetches $(argument boot_file)"
wget -O /tmp/boot-file "$(argument boot_file)"
echo "NODE fetched: $?"
echo "-----BEGIN BOOT FILE-----"
cat /tmp/boot-file
echo "-----END BOOT FILE-----"
echo "NODE sha256 $(sha256sum </tmp/boot-file | cut -d ' ' -f 1)"
poweroff -f
