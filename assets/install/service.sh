#!/bin/sh
# Enables and starts SERVICE, for the scripts that install one. Where there is no systemd, PROGRAM is what to run.

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
        { systemctl daemon-reload && systemctl -q enable "$SERVICE" && systemctl $verb "$SERVICE"; } ||
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
        say "systemd does not run here: $SERVICE starts when it does; without systemd, start $PROGRAM"
}
