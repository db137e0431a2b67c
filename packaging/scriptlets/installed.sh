#!/bin/sh
# The user, the data directory, the unit. Whoever has configured the head starts it, and
# nobody else: a restart takes boot files away from nodes for a moment.
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers pilotlight.conf || true
fi
if command -v systemd-tmpfiles >/dev/null; then
    systemd-tmpfiles --create pilotlight.conf || true
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
