#!/bin/sh
# Takes away what one machine has and two must not share, and what only the making of the image left. check.sh looks
# whether all of it is gone.
#
# usage: clean.sh   (as root, last)
set -eu

# A Docker that was there before writes to its files until it ends. In a chroot there is nothing to stop.
systemctl stop docker.socket docker.service containerd.service > /dev/null 2>&1 || true
if command -v cloud-init > /dev/null; then
    cloud-init clean --logs --seed > /dev/null 2>&1 || true
fi
rm -rf /var/lib/cloud/* /var/log/cloud-init*
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/log/bootstrap.log
rm -f /etc/ssh/ssh_host_*
for home in /root /home/*; do
    rm -rf "$home"/.ssh "$home"/.*_history "$home"/.cache "$home"/.lesshst "$home"/.docker
done
rm -rf /var/lib/berth-agent /var/lib/private/berth-agent
rm -rf /var/lib/docker /var/lib/containerd
# From here on the journal is kept in memory: journald would begin another file in place of one that is gone.
journalctl --relinquish-var > /dev/null 2>&1 || true
find /var/log -type f -exec truncate --size 0 {} +
rm -rf /var/log/journal/*
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/dbus/machine-id
rm -f /var/lib/dhcp/* /var/lib/NetworkManager/*.lease
# The network as cloud-init found it, with the address of this machine's card; it is written anew.
rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init /etc/systemd/network/10-cloud-init-*.network
# Also what begins with a dot, such as the directories of sockets that each boot makes.
find /tmp /var/tmp -xdev -mindepth 1 -delete
# Empty, not "uninitialized": systemd makes one at the first boot and takes it for one that was always there.
: > /etc/machine-id
: > /etc/hostname
rm -f /etc/ecs/ecs.config
: > /etc/ecs/ecs.config
