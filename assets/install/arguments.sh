#!/bin/sh
# What the scripts that nodes install themselves with can be told. The head puts it into both.

usage() {
    cat <<END
Installs the client packages that the head at $BASE
has for this machine. Running it again changes nothing unless the head has others.

Options:
  --dry-run    say what would be done, and do nothing
  --root DIR   install into the system whose root directory is DIR: by this machine's
               dnf or rpm, dpkg or tar, and without starting anything
  --help       print this
END
}

fail() { # WHY: the one line that says it, and the end
    echo "pilotlight: $1" >&2
    exit 1
}

# ROOT becomes empty for the running system, else an absolute path without a slash at its end.
# shellcheck disable=SC2034  # for the script that follows
read_arguments() {
    DRY_RUN=no ROOT=''
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run) DRY_RUN=yes ;;
        --root)
            [ $# -gt 1 ] || fail '--root needs a directory'
            ROOT=$2
            shift
            ;;
        --root=*) ROOT=${1#--root=} ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument $1; --help tells which there are" ;;
        esac
        shift
    done
    [ -n "$ROOT" ] || return 0
    directory=$(cd -- "$ROOT" 2>/dev/null && pwd) || fail "there is no directory $ROOT"
    ROOT=${directory%/}
}
