#!/bin/sh
# shellcheck disable=SC2034,SC2317  # much is for other parts, and called by way of each_package
#
# Installs packages whose names, URLs and SHA-256 digests are pinned: all that are not installed yet, or none.
# The head puts before it: arguments.sh, programs.sh, download.sh, wanted.sh, service.sh, the file of the packaging
# system, and what is to be worked on:
#   BASE          its own URL
#   KIND          rpm, deb or tar
#   ARCHITECTURE  x86_64 or aarch64
#   each_package  a function that calls its argument with NAME VERSION SHA256 URL of each package

SERVICE=pilotlight-node.service
PROGRAM=/usr/lib/pilotlight-node/agent
CONFIG=/etc/pilotlight/node.conf

check_machine() {
    cpu=$(uname -m)
    if [ -z "$ROOT" ] && [ "$cpu" != "$ARCHITECTURE" ]; then
        fail "this installer is for $ARCHITECTURE, and this machine is a $cpu"
    fi
    find_tools
    find_downloader
    find_digester
    if [ "$DRY_RUN" = no ] && [ "$(id -u)" != 0 ]; then
        fail 'only root can install packages'
    fi
}

# Tells the agent its head, unless somebody did.
configure() {
    config=$ROOT$CONFIG
    ! grep -q '^HEAD=.*[^[:space:]]' "$config" 2>/dev/null || return 0
    if [ "$DRY_RUN" = yes ]; then
        say "would write HEAD=$BASE to $config"
        return
    fi
    CHANGED=yes
    mkdir -p "${config%/*}" || fail "cannot make ${config%/*}"
    grep -v '^HEAD=' "$config" 2>/dev/null >"$config.tmp" || true
    { echo "HEAD=$BASE" >>"$config.tmp" && chmod 644 "$config.tmp" && mv "$config.tmp" "$config"; } ||
        fail "cannot write $config"
    say "wrote HEAD=$BASE to $config"
}

main() {
    set -eu
    export LC_ALL=C
    read_arguments "$@"
    check_machine
    WANTED='' FILES='' CHANGED=no
    each_package want
    if [ -n "$WANTED" ] && [ "$DRY_RUN" = no ]; then
        WORK=$(mktemp -d) || fail 'cannot make a temporary directory'
        trap 'rm -rf "$WORK"' EXIT
        trap 'exit 1' HUP INT TERM
        cd "$WORK"
        each_package fetch
        CHANGED=yes
        install_wanted
        cd /
        say "installed$WANTED"
    fi
    configure
    start
}

# On one line and in braces: cut anywhere, it runs nothing.
{ main "$@"; exit; }
