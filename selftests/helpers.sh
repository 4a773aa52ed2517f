# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the shell scripts of the selftests share: the functions of ktap_helpers.sh, and
# functions to bind VFs. Source it from the directory of the scripts.
pci=/sys/bus/pci
driver=nvme-vfio-pci

here=$(dirname "${BASH_SOURCE[0]}")
# in the same directory on a test machine, else in a kernel tree
for file in "$here/ktap_helpers.sh" "$here/../kselftest/ktap_helpers.sh"; do
	# shellcheck source=/dev/null
	[ ! -f "$file" ] || . "$file"
done

# is_bound VF [DRIVER]: test whether VF is bound to DRIVER (default: ours)
is_bound() {
	[ "$(basename "$(readlink "$pci/devices/$1/driver")")" = "${2:-$driver}" ]
}

is_unbound() { [ ! -e "$pci/devices/$1/driver" ]; }

# override VF DRIVER: only DRIVER may take VF; '' removes the restriction
override() { echo "$2" > "$pci/devices/$1/driver_override"; }

probe() { echo "$1" > $pci/drivers_probe; }

# bind_vf VF: bind VF to our driver, unless it is already
bind_vf() {
	is_bound "$1" || { override "$1" $driver && probe "$1" && is_bound "$1"; }
}

unbind_vf() { echo "$1" > "$pci/devices/$1/driver/unbind" && is_unbound "$1"; }
