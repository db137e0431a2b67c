#!/bin/sh
# What enabling made, and what the agent wrote.
rm -f /etc/systemd/system/multi-user.target.wants/pilotlight-node.service
rm -f /etc/pilotlight/attributes.ini
# A head has its configuration there, too.
rmdir /etc/pilotlight 2>/dev/null || true
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
