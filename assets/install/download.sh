#!/bin/sh
# Downloads, for the scripts that nodes install themselves with. The head puts it into both.

find_downloader() {
    if command -v curl >/dev/null; then
        DOWNLOADER=curl
    elif WGET=$(program wget); then
        DOWNLOADER=wget
    elif command -v wget >/dev/null; then
        DOWNLOADER=busybox WGET=wget
    elif busybox --list 2>/dev/null | grep -qx wget; then
        DOWNLOADER=busybox WGET='busybox wget'
    else
        fail 'there is neither curl nor wget here'
    fi
}

# None goes by way of a proxy: the head is on the node's own network.

# One try, which goes on where FILE ends.
try_to_download() { # URL FILE
    # shellcheck disable=SC2086  # two words where wget is no program of its own
    case $DOWNLOADER in
    curl) curl --noproxy '*' -fsSL --connect-timeout 20 --speed-limit 1 --speed-time 60 -C - -o "$2" "$1" ;;
    wget) "$WGET" --no-proxy -nv -t 1 -T 60 -c -O "$2" "$1" ;;
    # Without -T, which crashes Debian 12's.
    busybox) $WGET -Y off -q -c -O "$2" "$1" ;;
    esac
}

# The head's own words about what it does not give; busybox does not show them.
reason() { # URL
    case $DOWNLOADER in
    curl) curl --noproxy '*' -sL --max-time 20 "$1" ;;
    wget) "$WGET" --no-proxy -q -t 1 -T 20 --content-on-error -O - "$1" ;;
    esac | head -n 1
}

# Tries again for a minute, unless the head says that it will not do.
download() { # URL FILE [afresh]
    for pause in 1 2 4 8 15 30 none; do
        [ "${3-}" != afresh ] || rm -f "$2"
        if said=$(try_to_download "$1" "$2" 2>&1 </dev/null); then
            return
        fi
        said=$(printf '%s\n' "${said:-the connection broke}" | tail -n 1)
        case $said in
        *'curl: (23)'* | *'No space left'*) fail "cannot write $2: $said" ;;
        # More is here than there; or curl asked for the rest and was sent the whole.
        *'error: 416'* | *'ERROR 416'* | *'HTTP/1.'?' 416'* | 'curl: (33)'*) rm -f "$2" ;;
        *'error: 4'* | *'ERROR 4'* | *'HTTP/1.'?' 4'*)
            reason=$(reason "$1")
            fail "$1: $said${reason:+: $reason}"
            ;;
        esac
        if [ "$pause" != none ]; then
            echo "pilotlight: $1: $said; trying again in $pause s" >&2
            sleep "$pause"
        fi
    done
    fail "cannot download $1: $said"
}
