#!/bin/sh
# Makes a Debian system a host of Berth: Docker Engine, its settings, and the agent. It runs as root on the machine that
# becomes the image, or in a chroot, and starts nothing. DIRECTORY has what lies beside this folder, and packages/ with the
# packages to install.
#
# usage: provision.sh DIRECTORY
#   DOCKER_VERSION   the version of docker.io to install; without it the newest
set -eu
directory=$1
export DEBIAN_FRONTEND=noninteractive

# Debian's packages ask this before they start a service: nothing runs before the image is booted.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 0755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi

# Settings first: what is installed finds them in place.
cp -R --no-preserve=ownership "$directory/files/." /
chmod 0755 /etc/ecs

missing=
# Docker starts no container where the kernel has AppArmor and what reads profiles is not there.
for package in docker.io apparmor iptables nftables iproute2 cloud-init openssh-server ca-certificates dbus kmod procps; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2> /dev/null | grep -qx installed || missing="$missing $package"
done
if [ -n "${DOCKER_VERSION:-}" ]; then
    missing="$missing docker.io=$DOCKER_VERSION"
fi
if [ -n "$missing" ]; then
    apt-get --quiet update
    # shellcheck disable=SC2086
    apt-get --quiet --yes --no-install-recommends install $missing
fi
# Only whoever makes the next image changes it.
apt-mark hold docker.io containerd runc > /dev/null

dpkg --install --force-confold "$directory"/packages/berth-agent_*.deb
# Names of hosts that an image would share.
systemctl enable docker.service berth-agent.service berth-agent.path berth-agent-drain.service > /dev/null 2>&1
