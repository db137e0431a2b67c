#!/bin/sh
# shellcheck disable=SC2317  # much is called by way of each_package
#
# Installs packages whose names, URLs and SHA-256 digests are pinned: all that are not installed yet, or none.
# The head puts before it: arguments.sh, programs.sh, download.sh, the file of the packaging system, and what is to be worked on:
#   BASE          its own URL
#   KIND          rpm, deb or tar
#   ARCHITECTURE  x86_64 or aarch64
#   each_package  a function that calls its argument with NAME VERSION SHA256 URL of each package

SERVICE=pilotlight-node.service
CONFIG=/etc/pilotlight/node.conf

say() {
    echo "pilotlight: $1"
}

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

find_digester() {
    for DIGESTER in 'sha256sum' 'shasum -a 256' 'busybox sha256sum' 'openssl dgst -sha256 -r'; do
        case $($DIGESTER </dev/null 2>/dev/null) in
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855*) return ;;
        esac
    done
    fail 'there is nothing here to check SHA-256 digests with: sha256sum, shasum, busybox or openssl'
}

digest() { # FILE
    $DIGESTER <"$1" | cut -c 1-64
}

want() { # NAME VERSION SHA256 URL
    if is_installed "$@"; then
        say "$1 $2 is installed"
        return
    fi
    WANTED="$WANTED $1"
    FILES="$FILES ./$1.$KIND"
    [ "$DRY_RUN" = no ] || say "would install $1 $2 from $4"
}

is_wanted() { # NAME
    case "$WANTED " in
    *" $1 "*) ;;
    *) return 1 ;;
    esac
}

fetch() { # NAME VERSION SHA256 URL
    is_wanted "$1" || return 0
    say "downloading $1 $2"
    download "$4" "./$1.$KIND"
    [ "$(digest "./$1.$KIND")" = "$3" ] ||
        fail "$4: not the package that the head offered, whose SHA-256 is $3; nothing was installed"
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

find_unit() {
    for UNIT in "/usr/lib/systemd/system/$SERVICE" "/lib/systemd/system/$SERVICE"; do
        [ ! -e "$ROOT$UNIT" ] || return 0
    done
    UNIT=''
}

start() {
    if [ -z "$ROOT" ] && [ -d /run/systemd/system ]; then
        if [ "$DRY_RUN" = yes ]; then
            say "would enable and start $SERVICE"
            return
        fi
        verb=start
        [ "$CHANGED" = no ] || verb=restart
        { systemctl daemon-reload && systemctl -q enable $SERVICE && systemctl $verb $SERVICE; } ||
            fail "systemd does not start $SERVICE: systemctl status $SERVICE"
        return
    fi
    if [ "$DRY_RUN" = yes ]; then
        say "would enable $SERVICE"
        return
    fi
    find_unit
    [ -n "$UNIT" ] || return 0
    wanted_by=$(sed -n 's/^WantedBy=//p' "$ROOT$UNIT")
    for target in $wanted_by; do
        wants=$ROOT/etc/systemd/system/$target.wants
        [ ! -L "$wants/$SERVICE" ] || continue
        { mkdir -p "$wants" && ln -s "$UNIT" "$wants/$SERVICE"; } || fail "cannot enable $SERVICE in $wants"
    done
    [ -n "$ROOT" ] ||
        say "systemd does not run here: $SERVICE starts when it does; without systemd, start /usr/lib/pilotlight-node/agent"
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
