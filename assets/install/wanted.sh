#!/bin/sh
# shellcheck disable=SC2034,SC2317  # much is for other parts, and called by way of each_package
#
# Which packages are to be installed, and getting them, for the scripts that install packages whose names, URLs and
# SHA-256 digests are pinned.

say() {
    echo "pilotlight: $1"
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
