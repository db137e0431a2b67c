#!/bin/sh
# shellcheck disable=SC2034,SC2153,SC2317  # much is of and for other parts, and called by way of each_package
#
# Makes a head of this machine: one that joins a cluster, or the first of a new one.
# The head puts before it: programs.sh, download.sh, wanted.sh, service.sh, the packaging systems as functions that
# choose one (use_rpm, use_deb, use_tar), and what is to be worked on:
#   BASE          its own URL
#   VERSION       the version that it runs
#   ARCHITECTURE  x86_64 or aarch64
#   each_package  a function that calls its argument with NAME VERSION SHA256 URL of its package of this KIND

SERVICE=pilotlight.service
CONFIG=/etc/pilotlight/pilotlight.toml
LAST_LINE='{ main "$@"; exit; }'

usage() {
    cat <<END
Installs pilotlight $VERSION from $BASE and makes a head of this machine: one that
joins the cluster of another head or, without --join, the first of a new cluster.
Running it again changes nothing; after an interruption, it goes on.

Options:
  --join HEAD                  join the cluster of this head: HOST[:PORT] or its URL
  --database-passwd-file FILE  the cluster's database password is this file's first line
  --database-passwd PASSWORD   the password itself; other users of this machine may see it
                               in the list of processes, so a file is better
                               Without either, you are asked. A new cluster makes one up.
  --data DIR                   the data directory [default: /var/lib/pilotlight]
  --listen HOST:PORT           address to listen on [default: 0.0.0.0:80]; may be repeated
                               What $CONFIG says goes before these defaults
  --root DIR                   install the program below DIR, and start nothing; --data and
                               --listen are of this machine all the same
  --no-service                 neither configure nor start the service
  --clear                      first delete what is in the data directory: boot files and
                               packages too. Asks, unless --yes is given
  --yes                        do not ask: clear, and let a cluster that has its state in an
                               embedded database move it to etcd, as it must for a second head
  --dry-run                    say what would be done, and do nothing
  --help                       print this
END
}

fail() { # WHY: the one line that says it, and the end
    echo "pilotlight: $1" >&2
    exit 1
}

read_arguments() {
    JOIN='' PASSWORD='' PASSWORD_FILE='' DATA='' LISTEN='' ROOT='' WITH_SERVICE=yes CLEAR=no YES=no DRY_RUN=no
    while [ $# -gt 0 ]; do
        option=$1
        case $option in
        --join | --database-passwd | --database-passwd-file | --data | --listen | --root)
            [ $# -gt 1 ] || fail "$option needs a value; --help tells which"
            value=$2
            shift
            ;;
        --join=* | --database-passwd=* | --database-passwd-file=* | --data=* | --listen=* | --root=*)
            value=${option#*=}
            option=${option%%=*}
            ;;
        esac
        case $option in
        --join) JOIN=$value ;;
        --database-passwd) PASSWORD=$value ;;
        --database-passwd-file) PASSWORD_FILE=$value ;;
        --data) DATA=$value ;;
        --listen) add_address "$value" ;;
        --root) ROOT=$value ;;
        --no-service) WITH_SERVICE=no ;;
        --clear) CLEAR=yes ;;
        --yes | -y) YES=yes ;;
        --dry-run) DRY_RUN=yes ;;
        --help | -h)
            usage
            exit
            ;;
        *) fail "unknown argument $1; --help tells which there are" ;;
        esac
        shift
    done
    [ -z "$JOIN" ] || HEAD=$(head_url "$JOIN")
    if [ -n "$ROOT" ]; then
        directory=$(cd -- "$ROOT" 2>/dev/null && pwd) || fail "there is no directory $ROOT"
        ROOT=${directory%/}
    fi
    case $DATA in
    '' | /*) DATA=${DATA%/} ;;
    *) DATA=$PWD/${DATA%/} ;;
    esac
    case $DATA in *[\"\\]*) fail "--data $DATA: $CONFIG can hold no name with a quotation mark or a backslash" ;; esac
    [ "$WITH_SERVICE" = no ] || read_config
    DATA=${DATA:-$ROOT/var/lib/pilotlight}
    LISTEN=${LISTEN:-0.0.0.0:80}
}

# The service runs with what its configuration says, whatever this script is told.
read_config() {
    data=$(setting data | texts | head -n 1)
    listen=$(setting listen | texts | tr '\n' ' ')
    data=${data%/} listen=${listen% }
    [ "${DATA:-$data}" = "${data:-$DATA}" ] || fail "--data $DATA: $ROOT$CONFIG says $data; change it there first"
    [ "${LISTEN:-$listen}" = "${listen:-$LISTEN}" ] ||
        fail "--listen $LISTEN: $ROOT$CONFIG says $listen; change it there first"
    DATA=${DATA:-$data} LISTEN=${LISTEN:-$listen}
}

# The line of the configuration that sets this: behind the first table, it would be of that table.
setting() { # KEY
    sed -n "/^[[:space:]]*\[/q; /^[[:space:]]*\"\{0,1\}$1\"\{0,1\}[[:space:]]*=/p" "$ROOT$CONFIG" 2>/dev/null
}

# The texts in a line, without their quotation marks.
texts() {
    sed 's/^[^=]*=//' | grep -o "[\"'][^\"']*[\"']" | tr -d "\"'"
}

# What is no address could become options of a program, or lines of a configuration file.
add_address() { # HOST:PORT
    case $1 in
    *[!]0-9A-Za-z.:[-]* | -* | *: | :*) fail "--listen $1: not HOST:PORT, such as 0.0.0.0:80" ;;
    *:*) LISTEN="$LISTEN${LISTEN:+ }$1" ;;
    *) fail "--listen $1: not HOST:PORT, such as 0.0.0.0:80" ;;
    esac
}

head_url() { # HEAD
    case $1 in
    http://* | https://*) url=${1%/} ;;
    *) url=http://${1%/} ;;
    esac
    url=${url%/api/v1}
    case ${url#http*://} in
    '' | -* | *[!]0-9A-Za-z.:_[-]*) fail "--join $1: not a head's address, such as 10.0.0.1 or http://head.example:8080" ;;
    esac
    echo "$url/api/v1"
}

# A password among the arguments is seen by whoever lists processes: starts this script again without it.
hide_password() { # ARGUMENTS
    { [ -f "$0" ] && [ "$(tail -n 1 "$0")" = "$LAST_LINE" ] && [ -e /proc/self/fd/0 ]; } || return 0
    password='' skip=no
    for argument; do
        shift
        case $skip$argument in
        yes*) password=$argument skip=no ;;
        no--database-passwd) skip=yes ;;
        no--database-passwd=*) password=${argument#*=} ;;
        *) set -- "$@" "$argument" ;;
        esac
    done
    [ -n "$password" ] || return 0
    exec sh "$0" "$@" --database-passwd-file /proc/self/fd/3 3<<END
$password
END
}

has_terminal() {
    (: </dev/tty) 2>/dev/null
}

ask_password() { # PROMPT
    has_terminal || fail "no password: give --database-passwd-file FILE; there is no terminal to ask on"
    ECHO=$(stty -g </dev/tty 2>/dev/null) || fail 'no password: give --database-passwd-file FILE; there is no stty to hide it with'
    stty -echo </dev/tty
    printf '%s' "$1" >/dev/tty
    IFS= read -r PASSWORD </dev/tty || true
    echo >/dev/tty
    show_what_is_typed
}

show_what_is_typed() {
    [ -z "$ECHO" ] || stty "$ECHO" </dev/tty
    ECHO=''
}

find_password() {
    if [ -n "$PASSWORD_FILE" ]; then
        [ -r "$PASSWORD_FILE" ] || fail "cannot read the password file $PASSWORD_FILE"
        # A line that lacks its end is a line, too.
        IFS= read -r PASSWORD <"$PASSWORD_FILE" || [ -n "$PASSWORD" ] || fail "the password file $PASSWORD_FILE is empty"
        PASSWORD=${PASSWORD%"$(printf '\r')"}
    elif [ -z "$PASSWORD" ] && [ -n "$JOIN" ]; then
        ask_password "Database password of the cluster of $JOIN: "
    fi
    [ -n "$PASSWORD" ] || [ -z "$JOIN" ] || fail 'the password is empty'
}

confirm() { # QUESTION WITHOUT
    [ "$YES" = no ] || return 0
    has_terminal || fail "$2, and there is no terminal to ask on: --yes agrees"
    printf '%s [y/N] ' "$1" >/dev/tty
    IFS= read -r answer </dev/tty || answer=''
    case $answer in
    [yY]*) ;;
    *) fail "$2; nothing was changed" ;;
    esac
}

check_machine() {
    cpu=$(uname -m)
    [ "$cpu" = "$ARCHITECTURE" ] || fail "the head at $BASE has pilotlight for $ARCHITECTURE, and this machine is a $cpu"
    KIND=tar
    if [ -n "$ROOT" ]; then
        :
    elif [ -s /var/lib/dpkg/status ] && program apt-get >/dev/null; then
        KIND=deb
    elif { program dnf || program yum; } >/dev/null; then
        KIND=rpm
    fi
    use_$KIND
    find_tools
    find_downloader
    find_digester
    [ -n "$ROOT" ] || [ "$DRY_RUN" = yes ] || [ "$(id -u)" = 0 ] || fail 'only root can install a head; --root installs below another directory'
}

# The status of an answer, from what a downloader says about it.
status() { # SAID
    printf '%s\n' "$1" | sed -nE 's/.*(error:|ERROR|HTTP\/1\.[01]) ([0-9]{3}).*/\2/p' | tail -n 1
}

# Sends FILE; what comes back is then in ./answer.
try_to_post() { # URL FILE
    type='Content-Type: application/json'
    # shellcheck disable=SC2086  # two words where wget is no program of its own
    case $DOWNLOADER in
    curl) curl --noproxy '*' -fsS --connect-timeout 20 --max-time 60 -H "$type" --data-binary "@$2" -o answer "$1" ;;
    wget) "$WGET" --no-proxy -nv -t 1 -T 60 --header "$type" --post-file="$2" -O answer "$1" ;;
    busybox) $WGET -Y off -q --header "$type" --post-file "$2" -O answer "$1" ;;
    esac
}

check_password() {
    tab=$(printf '\t')
    # By commands of the shell and by files: arguments of a program can be seen.
    printf '%s' "$PASSWORD" | sed "s/[\\\\\"]/\\\\&/g; s/$tab/\\\\t/g" | tr -d '\n' >escaped
    { printf '{"admin_pass": "' && cat escaped && printf '"}'; } >try
    rm escaped
    said=$(try_to_post "$HEAD/install/password" ./try 2>&1 </dev/null) && status=200 || status=$(status "$said")
    rm try
    case $status in
    200) grep -q '"success": *true' answer || fail "$JOIN is no head of pilotlight" ;;
    400) fail 'the password holds characters that no password has' ;;
    403) fail "wrong password: it is not the database password of the cluster of $JOIN" ;;
    429) fail "$JOIN was asked with too many passwords; wait a minute, and run this again" ;;
    40?) fail "$JOIN is no head of pilotlight that can be joined: it answered $status" ;;
    *) fail "cannot reach the head $JOIN: $(printf '%s\n' "${said:-the connection broke}" | tail -n 1)" ;;
    esac
}

check_version() {
    try_to_download "$HEAD/install/head/join" challenge 2>/dev/null </dev/null || true
    version=$(sed -nE 's/.*"version": *"([^"]*)".*/\1/p' challenge 2>/dev/null) || true
    [ -n "$version" ] || fail "$JOIN is no head of pilotlight that can be joined"
    [ "$version" = "$VERSION" ] ||
        fail "$JOIN runs pilotlight $version, and this script installs $VERSION: get the script from $JOIN"
}

# Only what a head leaves there is deleted, and all or nothing.
clear_data() {
    set --
    for entry in "$DATA"/* "$DATA"/.[!.]*; do
        { [ -e "$entry" ] || [ -L "$entry" ]; } || continue
        case ${entry##*/} in
        # Which packages are installed is not the head's state; and a file system has what it has.
        installed | lost+found) continue ;;
        lock | admin_pass | admin_pass.new | pilotlight.db* | restored.db* | ledger.db* | audit.log | status.json | packages.json | api.sock) ;;
        kickstarts | clientpkgs | ignition | repo | upstream | gnupg) ;;
        head | etcd | bin | conflicts | replication.json* | headpkgs) ;;
        *) fail "$DATA holds ${entry##*/}, which is nothing of pilotlight: nothing was deleted" ;;
        esac
        set -- "$@" "$entry"
    done
    [ $# -gt 0 ] || return 0
    [ -e "$DATA/lock" ] || fail "$DATA does not look like a data directory of pilotlight: nothing was deleted"
    if command -v flock >/dev/null && ! flock -n "$DATA/lock" true; then
        fail "a head runs on $DATA: stop it before it is cleared"
    fi
    if [ "$DRY_RUN" = yes ]; then
        say "would delete what is in $DATA"
        return
    fi
    [ ! -e "$DATA/admin_pass" ] ||
        say "$DATA/admin_pass goes too: it holds the password to join its cluster with, maybe the only copy"
    confirm "Delete all that is in $DATA, boot files and packages too?" "$DATA was to be cleared"
    rm -rf -- "$@" || fail "cannot delete what is in $DATA"
    say "cleared $DATA"
}

install_package() {
    WANTED='' FILES='' CHANGED=no
    each_package want
    { [ -n "$WANTED" ] && [ "$DRY_RUN" = no ]; } || return 0
    each_package fetch
    install_wanted
    CHANGED=yes
    say "installed$WANTED"
}

# What a head is told by the command line.
# shellcheck disable=SC2046,SC2086  # words
run_pilotlight() { # COMMAND OPTION...
    "$ROOT/usr/bin/pilotlight" "$@" --data "$DATA" $(printf ' --listen %s' $LISTEN)
}

make_head() {
    if [ "$DRY_RUN" = yes ]; then
        if [ -n "$JOIN" ]; then
            say "would join the cluster of $JOIN with the data directory $DATA"
        else
            say "would make a new cluster in $DATA, unless there is one"
        fi
        return
    fi
    said=$("$ROOT/usr/bin/pilotlight" --version 2>&1) ||
        fail "$ROOT/usr/bin/pilotlight does not run here: $(printf '%s\n' "$said" | head -n 1)"
    if [ -n "$JOIN" ]; then
        [ "$YES" = no ] || set -- --yes
        printf '%s\n' "$PASSWORD" | run_pilotlight join --head "$HEAD" --password-file - "$@" || exit 1
    elif [ -n "$PASSWORD" ]; then
        printf '%s\n' "$PASSWORD" | run_pilotlight init --password-file - || exit 1
    else
        run_pilotlight init || exit 1
    fi
}

settings_to_add() {
    [ -n "$(setting data)" ] || printf 'data = "%s"\n' "$DATA"
    # shellcheck disable=SC2086  # words
    [ -n "$(setting listen)" ] || printf 'listen = [%s]\n' "$(printf '"%s", ' $LISTEN | sed 's/, $//')"
}

# Settings that somebody made are kept.
configure() {
    config=$ROOT$CONFIG
    lines=$(settings_to_add)
    [ -n "$lines" ] || return 0
    if [ "$DRY_RUN" = yes ]; then
        say "would write the data directory and the addresses to $config"
        return
    fi
    # Before the first table: a key behind it would be of that table.
    { mkdir -p "${config%/*}" && { echo "$lines" && cat "$config" 2>/dev/null || true; } >"$config.tmp" &&
        chmod 644 "$config.tmp" && mv "$config.tmp" "$config"; } || fail "cannot write $config"
    CHANGED=yes
    say "wrote the data directory and the addresses to $config"
}

# What was made by root is for whom the service runs as.
give_to_service() {
    [ -z "$ROOT" ] && [ "$DRY_RUN" = no ] || return 0
    find_unit
    user=$([ -z "$UNIT" ] || sed -n 's/^User=//p' "$UNIT")
    { [ -n "$user" ] && id "$user" >/dev/null 2>&1; } || return 0
    chown -hR "$user:" "$DATA" || fail "cannot give $DATA to the user $user"
}

wait_until_ready() {
    { [ -z "$ROOT" ] && [ -d /run/systemd/system ] && [ "$DRY_RUN" = no ]; } || return 0
    address=$(echo "${LISTEN%% *}" | sed 's/^0\.0\.0\.0:/127.0.0.1:/; s/^\[::\]:/[::1]:/')
    seconds=0
    until try_to_download "http://$address/readyz" readyz >/dev/null 2>&1 </dev/null; do
        seconds=$((seconds + 1))
        [ $seconds -lt 300 ] ||
            fail "the head is not ready after 5 minutes: $(reason "http://$address/readyz"); journalctl -u $SERVICE says more"
        rm -f readyz
        sleep 1
    done
    say "the head at http://$address is ready"
}

main() {
    set -eu
    export LC_ALL=C
    # What is made here is for the user of the service, too.
    umask 022
    hide_password "$@"
    ECHO=''
    read_arguments "$@"
    check_machine
    PROGRAM="$ROOT/usr/bin/pilotlight serve"
    # The configuration says it otherwise, and --listen would add to that.
    # shellcheck disable=SC2086  # words
    [ "$WITH_SERVICE" = yes ] || PROGRAM="$PROGRAM --data $DATA$(printf ' --listen %s' $LISTEN)"
    WORK=$(mktemp -d) || fail 'cannot make a temporary directory'
    trap 'show_what_is_typed; rm -rf "$WORK"' EXIT
    trap 'exit 1' HUP INT TERM
    find_password
    cd "$WORK"
    if [ -n "$JOIN" ]; then
        check_password
        check_version
    fi
    [ "$CLEAR" = no ] || clear_data
    install_package
    make_head
    if [ "$WITH_SERVICE" = yes ]; then
        configure
        give_to_service
        start
        wait_until_ready
    else
        say "to start the head: $PROGRAM"
    fi
}

# On one line and in braces: cut anywhere, it runs nothing.
{ main "$@"; exit; }
