#!/bin/sh
# Packages that are tars, for installer.sh: unpacked over the root, with a record of what each put there.
#
# The record of a package has its tar's digest in the first line, then "- PATH" for all that is in it and
# "SHA256 PATH" for its configuration files as it has them.

RECORDS=/var/lib/pilotlight/installed

find_tools() {
    if TAR=$(program tar); then
        :
    elif command -v tar >/dev/null; then
        TAR=tar
    elif busybox --list 2>/dev/null | grep -qx tar; then
        TAR='busybox tar'
    else
        fail 'there is no tar here'
    fi
    case $($TAR --version 2>/dev/null) in
    *'GNU tar'*)
        # Replaces no link to a directory by a directory, and keeps capabilities.
        UNPACK='--keep-directory-symlink --xattrs --xattrs-include=security.capability'
        LIST='--quoting-style=literal --absolute-names'
        ;;
    *) UNPACK='' LIST='' ;;
    esac
}

record() { # NAME
    echo "$ROOT$RECORDS/$1.list"
}

is_there() { # PATH: also what links to nowhere
    [ -e "$1" ] || [ -L "$1" ]
}

is_installed() { # NAME VERSION SHA256
    record=$(record "$1")
    [ "$(head -n 1 "$record" 2>/dev/null)" = "$3" ] || return 1
    while IFS= read -r line; do
        case $line in
        '- '*) is_there "$ROOT/${line#- }" || return 1 ;;
        esac
    done <"$record"
}

install_wanted() {
    # All of them first: a bad one keeps the good ones out.
    each_package look_into
    each_package unpack
}

# What busybox tar has to be told.
compression() { # FILE
    case $(od -An -tx1 -N4 "$1" | tr -d ' ') in
    1f8b*) echo -z ;;
    425a68*) echo -j ;;
    fd377a58) echo -J ;;
    28b52ffd) echo --zstd ;;
    esac
}

# NAME.names becomes the list of what is in the tar, as it is spelled there; NAME.paths the same as paths below the root.
look_into() { # NAME
    is_wanted "$1" || return 0
    # shellcheck disable=SC2046,SC2086  # options, or none
    $TAR $LIST $(compression "$1.tar") -tf "$1.tar" >"$1.names" 2>"$1.said" ||
        fail "$1: tar cannot read it: $(tail -n 1 "$1.said")"
    [ -s "$1.names" ] || fail "$1: this is no tar"
    # busybox does not list them, but says that it takes them away.
    if grep -Eq '^/|(^|/)\.\.(/|$)' "$1.names" || grep -q '^tar: removing leading' "$1.said"; then
        fail "$1: it holds a name that leads out of the root; nothing was installed"
    fi
    set -- "$1" -e 's|^\(\./\)*||' -e '/^$/d'
    for directory in bin sbin lib lib64; do
        # It is a link into usr here, and the same file has two names.
        [ ! -L "$ROOT/$directory" ] || set -- "$@" -e "s|^$directory/|usr/&|"
    done
    name=$1
    shift
    sed "$@" "$name.names" >"$name.paths"
}

unpack() { # NAME VERSION SHA256
    is_wanted "$1" || return 0
    { echo "$3" && sed 's/^/- /' "$1.paths"; } >"$1.list"

    mkdir "$1.configuration"
    extract "$1" "$1.configuration" -x
    keep_what_was_changed "$1"
    extract "$1" "$ROOT/" -vx
    put_configuration "$1"
    remove_what_vanished "$1"
    record=$(record "$1")
    { mkdir -p "$ROOT$RECORDS" && cp "$1.list" "$record.tmp" && mv "$record.tmp" "$record"; } ||
        fail "cannot write $record"
}

# shellcheck disable=SC2046,SC2086  # options, or none
unpack_members() { # NAME DIRECTORY MEMBER...
    archive=$1 into=$2
    shift 2
    [ $# -gt 0 ] || return 0
    $TAR $UNPACK $(compression "$archive.tar") -xpf "$archive.tar" -C "$into" -- "$@" ||
        fail "$archive: tar cannot unpack it"
}

# Unpacks what is in /etc (-x) or all but that (-vx).
extract() { # NAME DIRECTORY -x|-vx
    name=$1 directory=$2
    sed -E 's|^((\./)*[^/]+).*|\1|' "$1.names" | sort -u | grep -vxF . | grep "$3"E '(\./)*etc' >"$1.top" || true
    set --
    while IFS= read -r top; do
        if grep -qxF -e "$top" -e "$top/" "$name.names"; then
            set -- "$@" "$top"
            continue
        fi
        # Names that are only implied mean nothing to busybox; and a directory stands for all that is in it.
        grep -F -e "$top/" "$name.names" | sort >"$name.members"
        # No name begins so.
        covering=//
        while IFS= read -r member; do
            case $member in
            "$covering"*) ;;
            "$top/"*)
                set -- "$@" "$member"
                case $member in */) covering=$member ;; esac
                # A longer list takes ever longer to add to, and in the end is more than a command can be given.
                [ $# -lt 500 ] || { unpack_members "$name" "$directory" "$@" && set --; }
                ;;
            esac
        done <"$name.members"
    done <"$name.top"
    unpack_members "$name" "$directory" "$@"
}

recorded() { # NAME PATH: the digest of the configuration file that was installed last
    [ -e "$(record "$1")" ] || return 0
    while IFS= read -r line; do
        if [ "${line#* }" = "$2" ] && [ "${line%% *}" != - ]; then
            echo "${line%% *}"
        fi
    done <"$(record "$1")"
}

# Takes out of the configuration what must not replace files that were changed here.
keep_what_was_changed() { # NAME
    find "$1.configuration" -type f >"$1.files"
    while IFS= read -r file; do
        path=${file#"$1.configuration/"}
        here=$ROOT/$path
        offered=$(digest "$file")
        installed=$(recorded "$1" "$path")
        echo "$offered $path" >>"$1.list"
        [ -f "$here" ] || continue
        case $(digest "$here") in
        "$offered" | "$installed") ;;
        *)
            if [ "$offered" = "$installed" ]; then
                rm "$file"
            else
                mv "$file" "$file.new"
                say "kept $here, which was changed here; the package's is $here.new"
            fi
            ;;
        esac
    done <"$1.files"
}

# By another tar, of nothing but what the first one has: directories that it only implies stay as they are here.
# shellcheck disable=SC2086  # two words where tar is no program of its own
put_configuration() { # NAME
    name=$1
    set --
    while IFS= read -r path; do
        for path in "$path" "$path.new"; do
            case $path in etc/*) ! is_there "$name.configuration/$path" || set -- "$@" "$path" ;; esac
        done
    done <"$name.paths"
    [ $# -gt 0 ] || return 0
    { $TAR -cf "$name.etc" --no-recursion -C "$name.configuration" -- "$@" && $TAR -xpf "$name.etc" -C "$ROOT/"; } ||
        fail "$name: tar cannot unpack its configuration"
}

remove_what_vanished() { # NAME
    record=$(record "$1")
    [ -e "$record" ] || return 0
    # What is in a directory comes before the directory.
    grep -vxF -f "$1.list" "$record" | sed -n 's/^- //p' | sort -r >"$1.vanished"
    while IFS= read -r path; do
        ! is_of_another "$record" "$path" || continue
        case $path in
        */) rmdir "$ROOT/$path" 2>/dev/null || true ;;
        etc/*)
            if [ -f "$ROOT/$path" ] && [ "$(digest "$ROOT/$path")" != "$(recorded "$1" "$path")" ]; then
                say "kept $ROOT/$path, which was changed here; the package has it no more"
            else
                rm -f "$ROOT/$path"
            fi
            ;;
        *) rm -f "$ROOT/$path" 2>/dev/null || true ;;
        esac
    done <"$1.vanished"
}

is_of_another() { # RECORD PATH
    for other in "$ROOT$RECORDS"/*.list; do
        if [ "$other" != "$1" ] && grep -qxF -e "- $2" "$other"; then
            return
        fi
    done
    return 1
}
