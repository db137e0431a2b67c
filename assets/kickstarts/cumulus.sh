#!/bin/bash
# cumulus.sh: first configuration of a switch with Cumulus Linux 5 (NVUE).
#
# The switch asks for it by zero touch provisioning when DHCP gives it
#
#     option 239 (cumulus-provision-url) = http://HEAD/api/v1/ztp/script
#
# and the head answers with the script that the switch's attributes name:
#
#     pilotlight node set leaf01 _boot_config=ztp:cumulus.sh
#
# What a switch needs
#   rootpw       hash of the password of the account "cumulus", made by
#                openssl passwd -6. No default on purpose: without it the switch
#                gets no script, rather than keeping its factory password.
# What it may have
#   ssh_key      public key that may log in as "cumulus"
#   nvue_config  boot file with the NVUE configuration (YAML) of the switch, say
#                switches/leaf.yaml; forms in it are filled in too
#
# Run again (ztp -r URL), it leads to the same end. The switch executes what it
# received only if the marker is in it: as the last line it also proves that the
# script arrived whole.

set -Eeuo pipefail

readonly BASE_URL='<base_url()>'
readonly NVUE_CONFIG='<a[nvue_config]|>'
readonly SSH_KEY='<a[ssh_key]|>'

trap 'echo "provisioning failed at line $LINENO" >&2' ERR

fetch() { # FILE URL
    curl --fail --silent --show-error --retry 5 --retry-connrefused --max-time 60 --output "$1" "$2"
}

set_password() {
    chpasswd --encrypted <<'END'
cumulus:<a[rootpw]>
END
    # The factory makes everyone change the password at the first login.
    chage --lastday "$(date +%F)" cumulus
}

allow_ssh_key() {
    [ -n "$SSH_KEY" ] || return 0
    install -d -m 0700 -o cumulus -g cumulus /home/cumulus/.ssh
    echo "$SSH_KEY" >/home/cumulus/.ssh/authorized_keys
    chown cumulus:cumulus /home/cumulus/.ssh/authorized_keys
    chmod 0600 /home/cumulus/.ssh/authorized_keys
}

configure() {
    local downloaded
    if [ -n "$NVUE_CONFIG" ]; then
        downloaded=$(mktemp --suffix=.yaml)
        fetch "$downloaded" "$BASE_URL/kickstart/$NVUE_CONFIG"
        nv config replace "$downloaded"
        rm -f "$downloaded"
    fi
    nv set system hostname '<n[hostname]>'
    nv set system timezone '<head[timezone]>'
    if [ -n "$(nv config diff)" ]; then
        nv config apply --assume-yes
        nv config save
    fi
}

report() {
    local release
    release=$(sed -n 's/^VERSION_ID=//p' /etc/os-release | tr -d '"')
    curl --fail --silent --show-error --retry 5 --max-time 60 \
        --request POST --header 'Content-Type: application/json' \
        --data "{\"status\": {\"ztp\": \"done\", \"os\": \"cumulus $release\"}}" \
        "$BASE_URL/node/<n[uid]>/status" ||
        echo 'the head was not told of this provisioning' >&2
}

set_password
allow_ssh_key
configure
report
exit 0
# CUMULUS-AUTOPROVISIONING
