#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run all tests that lie beside this script, each of which prints its TAP, on a
# machine that has the driver loaded and VFs to spare: $TESTBED_VFS, not bound.
# Arguments: only these tests.
cd "$(dirname "$0")" || exit
driver=nvme-vfio-pci
shopt -s nullglob
[ $# -gt 0 ] || set -- *_test.sh *_test

bind_vfs() {
	local vf

	for vf in $TESTBED_VFS; do
		[ ! -e /sys/bus/pci/drivers/$driver/"$vf" ] || continue
		echo $driver > /sys/bus/pci/devices/"$vf"/driver_override
		echo "$vf" > /sys/bus/pci/drivers_probe
		[ -e /sys/bus/pci/drivers/$driver/"$vf" ] || return
	done
}

admin_timeout=/sys/module/nvme_core/parameters/admin_timeout
seconds=$(cat $admin_timeout)
failed=0
for t; do
	args=()
	case $t in
	*.sh) ;;
	*)
		bind_vfs || { echo "Bail out! cannot bind the VFs"; exit 1; }
		# not to be told 40 times what this kernel does not have
		[ -d /dev/vfio/devices ] || args=(-V cdev)
		;;
	esac
	began=$SECONDS
	echo "selftest: $t" > /dev/kmsg
	"./$t" "${args[@]}" 2>&1
	case $? in
	0 | 4) ;;
	*) failed=1 ;;
	esac
	# one that died may have left the PF less time for its commands
	echo "$seconds" > $admin_timeout
	tee /sys/class/nvme/*/admin_timeout <<< "${seconds}000" > /dev/null
	echo "# $t took $((SECONDS - began)) s"
done
exit $failed
