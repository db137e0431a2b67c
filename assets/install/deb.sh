#!/bin/sh
# Packages by apt-get or dpkg, for installer.sh.

find_tools() {
    DPKG=$(program dpkg) || fail 'there is no dpkg here; ask the head for an installer with pkg=tar'
}

is_installed() { # NAME VERSION
    dpkg-query --admindir="$ROOT/var/lib/dpkg" -W -f '${db:Status-Abbrev}${Version}\n' "$1" 2>/dev/null |
        grep -qxF -e "ii $2"
}

apt_get_install() { # OPTION|FILE...
    apt-get -y --allow-downgrades -o DPkg::Lock::Timeout=300 -o DPkg::Options::=--force-confdef \
        -o DPkg::Options::=--force-confold install "$@"
}

# What an administrator changed in configuration files is kept: nobody is there to be asked.
# shellcheck disable=SC2086  # file names without spaces
install_wanted() {
    export DEBIAN_FRONTEND=noninteractive
    if [ -z "$ROOT" ] && command -v apt-get >/dev/null; then
        apt_get_install $FILES || {
            # Mostly, repositories that this machine cannot reach.
            say 'apt-get cannot install them; trying without what they recommend'
            apt_get_install --no-install-recommends $FILES
        } || fail "apt-get cannot install$WANTED; it says above why"
    else
        "$DPKG" --root="$ROOT/" --force-confdef --force-confold -i $FILES ||
            fail "dpkg cannot install$WANTED; it says above why"
    fi
}
