#!/bin/sh
# The new agent takes over, unless an administrator has stopped the old one.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    systemctl --no-block try-restart pilotlight-node.service || true
fi
