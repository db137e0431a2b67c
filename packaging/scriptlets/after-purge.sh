#!/bin/sh
# What enabling made. The data stays: it may be all there is of a cluster.
rm -f /etc/systemd/system/multi-user.target.wants/pilotlight.service
# A node has its configuration there, too.
rmdir /etc/pilotlight 2>/dev/null || true
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
