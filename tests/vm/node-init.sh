#!/bin/busybox sh
# shellcheck shell=dash
# The whole operating system of the virtual node: fetches its boot file, as an
# installer would, and shows it on the serial console; fetches Ignition, too, and
# has it provision /sysroot, as an initramfs would; and powers off.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t tmpfs sysroot /sysroot

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

wget -O /bin/ignition "$(argument ignition)?arch=$(uname -m)"
echo "NODE fetched ignition: $?"
echo "NODE ignition sha256 $(sha256sum </bin/ignition | cut -d ' ' -f 1)"
chmod 755 /bin/ignition
echo "NODE runs $(ignition -version)"

# What the files stage looks for in an installed system.
mkdir -p /sysroot/usr/lib/systemd/system /sysroot/etc/selinux/targeted/contexts/files
printf 'SELINUX=disabled\nSELINUXTYPE=targeted\n' >/sysroot/etc/selinux/config
printf '#!/bin/sh\n' >/bin/setfiles
chmod 755 /bin/setfiles
for stage in fetch-offline fetch files; do
    ignition -platform=metal -stage=$stage -root=/sysroot -log-to-stdout
    echo "NODE stage $stage: $?"
done
cd /sysroot/etc || exit
for file in shadow systemd/system/provisioned.service systemd/system-preset/20-ignition.preset; do
    echo "NODE provisioned $file"
    sed 's/^/NODE | /' $file
done
poweroff -f
