#!/bin/sh
# Packages by dnf, yum or rpm, for installer.sh. The digests of the files were checked against those that the head
# pinned: a signature adds nothing, and not every package has one.

find_tools() {
    RPM=$(program rpm) || fail 'there is no rpm here; ask the head for an installer with pkg=tar'
}

is_installed() { # NAME VERSION
    # Where there is no database, asking would make one.
    [ -d "$ROOT$("$RPM" --eval '%{_dbpath}')" ] || return 1
    "$RPM" ${ROOT:+--root "$ROOT"} -q --qf '%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n' "$1" 2>/dev/null |
        sed 's/^0://' | grep -qxF -e "$2"
}

install_wanted() {
    # shellcheck disable=SC2086  # names without spaces
    set -- $FILES
    for tool in dnf yum; do
        command -v "$tool" >/dev/null || continue
        if $tool -y --nogpgcheck ${ROOT:+--installroot="$ROOT"} install "$@"; then
            return
        fi
        # Mostly, repositories that this machine cannot reach.
        say "$tool cannot install them; trying rpm"
        break
    done
    "$RPM" ${ROOT:+--root "$ROOT"} -U --nosignature --oldpackage --replacepkgs "$@" ||
        fail "rpm cannot install$WANTED; it says above why"
}
