#!/bin/sh
# Takes away what one machine has and two must not share, and what only the making of the image left. check.sh looks
# whether all of it is gone.
#
# usage: clean.sh   (as root, last)
set -eu

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
find /var/log -type f -exec truncate --size 0 {} +
rm -rf /var/log/journal/* /run/log/journal/*
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/dbus/machine-id
rm -f /var/lib/dhcp/* /var/lib/NetworkManager/*.lease
rm -rf /tmp/* /var/tmp/*
# Empty, not "uninitialized": systemd makes one at the first boot and takes it for one that was always there.
: > /etc/machine-id
: > /etc/hostname
rm -f /etc/ecs/ecs.config
: > /etc/ecs/ecs.config
