#!/bin/sh
# Finds out what this machine is, asks the head for the installer that is made for it, and runs that.
# The head puts before it: arguments.sh, programs.sh, download.sh, and its own URL as BASE.

find_cpu() {
    CPU=$(uname -m)
    case $CPU in
    x86_64 | amd64) CPU=x86_64 ;;
    aarch64 | arm64) CPU=aarch64 ;;
    *) fail "this machine is a $CPU; there are packages for x86_64 and aarch64" ;;
    esac
}

os_release() { # KEY
    for file in "$ROOT/etc/os-release" "$ROOT/usr/lib/os-release"; do
        if [ -e "$file" ]; then
            sed -n "s/^$1=//p" "$file" | tail -n 1 | tr -d "\"'"
            return
        fi
    done
}

# OS becomes one that the head knows, or empty; PKG the packaging system. What nobody knows gets a tar.
find_os() {
    id=$(os_release ID)
    if [ -e "$ROOT/etc/cumulus" ]; then
        id=cumulus-linux
    elif [ -e "$ROOT/etc/sonic/sonic_version.yml" ]; then
        id=sonic
    fi
    OS='' TOOL=unknown PKG=tar
    for word in $id $(os_release ID_LIKE); do
        case $word in
        rhel | centos | rocky | almalinux | fedora | ol | amzn | sles) TOOL=rpm ;;
        suse | opensuse*) TOOL=rpm word=sles ;;
        debian | ubuntu | cumulus-linux | sonic) TOOL=dpkg ;;
        *) continue ;;
        esac
        OS=$word
        break
    done
    if program $TOOL >/dev/null; then
        case $TOOL in
        rpm) PKG=rpm ;;
        dpkg) PKG=deb ;;
        esac
    fi
    # With a version that is a number: nothing that a URL would have to escape.
    if [ -n "$OS" ] && [ "$OS" = "$(os_release ID)" ]; then
        OS=$OS$(os_release VERSION_ID | grep -Ex '[0-9]+(\.[0-9]+)*') || true
    fi
}

main() {
    set -eu
    export LC_ALL=C
    read_arguments "$@"
    find_downloader
    find_cpu
    find_os
    url="$BASE/install/client/installer?cpu=$CPU${OS:+&os=$OS}&pkg=$PKG"
    script=$(mktemp) || fail 'cannot make a temporary file'
    trap 'rm -f "$script"' EXIT
    trap 'exit 1' HUP INT TERM
    download "$url" "$script" afresh
    # It ends as this one does.
    tail -n 1 "$script" | grep -qxF '{ main "$@"; exit; }' || fail "$url: this is not a whole installer"
    sh "$script" "$@" </dev/null
}

# On one line and in braces: cut anywhere, it runs nothing.
{ main "$@"; exit; }
