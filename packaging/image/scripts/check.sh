#!/bin/sh
# Says what an image has that it must not have, or lacks that it must have, and fails then. Nothing is changed.
#
# usage: check.sh [ROOT]
set -u
root=${1:-}
bad=0

wrong() {
    echo "check: $*" >&2
    bad=1
}

empty() { # a directory without anything in it, or none
    if [ -n "$(find "$root$1" -mindepth 1 -print -quit 2> /dev/null)" ]; then
        wrong "$1 is not empty: $(find "$root$1" -mindepth 1 -print -quit)"
    fi
}

blank() { # a file without a line in it, or none
    if [ -s "$root$1" ]; then
        wrong "$1 is not empty"
    fi
}

none() { # no file of that name below the directory
    found=$(find "$root$1" -xdev -name "$2" -print -quit 2> /dev/null)
    if [ -n "$found" ]; then
        wrong "$found is left"
    fi
}

# Identities and keys.
blank /etc/machine-id
blank /etc/hostname
[ -e "$root/etc/machine-id" ] || wrong "/etc/machine-id is missing: systemd could not keep the one it makes"
none /etc/ssh 'ssh_host_*'
none /root authorized_keys
none /home authorized_keys
none /root 'id_*'
none /home 'id_*'
none /etc/netplan 50-cloud-init.yaml
none /etc/network 50-cloud-init
none /etc/systemd/network '10-cloud-init-*'
none /var/lib/systemd random-seed
none /var/lib/systemd credential.secret
empty /var/lib/berth-agent
empty /var/lib/docker
empty /var/lib/cloud
empty /etc/berth/secrets
empty /etc/credstore
blank /etc/ecs/ecs.config
if grep -qsE '^[[:space:]]*[^#[:space:]]' "$root/etc/berth/agent.toml"; then
    wrong "/etc/berth/agent.toml has a setting: every machine would have it"
fi

# What was done and written.
none /root '.*_history'
none /home '.*_history'
for log in $(find "$root/var/log" -type f -size +0 2> /dev/null); do
    wrong "${log#"$root"} has lines in it"
done
empty /var/log/journal
empty /tmp
empty /var/tmp
none /var/cache/apt/archives '*.deb'

# What must be there.
for file in /usr/bin/berth-agent /usr/lib/systemd/system/berth-agent.service /etc/docker/daemon.json /etc/sysctl.d/90-berth.conf \
    /sbin/apparmor_parser /etc/modules-load.d/berth.conf /etc/systemd/journald.conf.d/berth.conf /etc/cloud/cloud.cfg.d/90-berth.cfg; do
    [ -s "$root$file" ] || wrong "$file is missing"
done
for unit in docker.service berth-agent.service berth-agent.path berth-agent-drain.service; do
    [ -L "$root/etc/systemd/system/multi-user.target.wants/$unit" ] || wrong "$unit is not enabled"
done
[ ! -e "$root/usr/sbin/policy-rc.d" ] || wrong "/usr/sbin/policy-rc.d is left: no service would start"
grep -q '"live-restore": true' "$root/etc/docker/daemon.json" || wrong "/etc/docker/daemon.json does not say live-restore"

exit "$bad"
