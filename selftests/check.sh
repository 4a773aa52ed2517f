#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh [TEST...]: run these tests, or all tests in the directory of this script
#
# The driver must be loaded. $TESTBED_VFS lists VFs without a driver, for the tests to
# use. Each test prints its TAP. $NVMEVF_SOME_POINTS is for slow kernels: tests skip some
# points of a migration, and run over cdev alone.
cd "$(dirname "$0")" || exit
# shellcheck source=SCRIPTDIR/helpers.sh
. ./helpers.sh
shopt -s nullglob
[ $# -gt 0 ] || set -- *_test.sh *_test
[ $# -gt 0 ] || { echo "Bail out! no tests in $PWD"; exit 1; }

admin_timeout=/sys/module/nvme_core/parameters/admin_timeout
seconds=$(cat $admin_timeout)
failed=0

# left_behind: print what the driver still has although nobody has a VF open: controller
# states in memory, and VFs that it keeps from going to low power
left_behind() {
	local n=0 vf status

	grep -F "[${driver//-/_}]" /proc/vmallocinfo
	for vf in $TESTBED_VFS; do
		status=$pci/devices/$vf/power/runtime_status
		# The kernel suspends the VF after the last process has closed it.
		while is_bound "$vf" && grep -sqx active "$status" && [ $((n++)) -lt 50 ]; do
			sleep 0.1
		done
		! is_bound "$vf" || ! grep -sqx active "$status" || echo "$vf is active"
	done
}

for t; do
	args=()
	case $t in
	*.sh) ;;
	*)
		for vf in $TESTBED_VFS; do
			bind_vf "$vf" || { echo "Bail out! cannot bind $vf to $driver"; exit 1; }
		done
		# Without cdev in the kernel, the tests of cdev would be skipped one by one. The
		# driver's part is the same for groups and cdev, so one is enough if time is short.
		if [ ! -d /dev/vfio/devices ]; then
			args=(-V cdev)
		elif [ -n "${NVMEVF_SOME_POINTS:-}" ]; then
			args=(-V group)
		fi
		;;
	esac
	began=$SECONDS
	echo "selftest: $t" > /dev/kmsg
	"./$t" "${args[@]}" 2>&1
	case $? in
	0 | 4) ;; # passed, skipped
	*) failed=1 ;;
	esac
	left=$(left_behind)
	[ -z "$left" ] || { echo "not ok after $t the driver has: ${left//$'\n'/; }"; failed=1; }
	# A test that died may have left a shorter timeout behind.
	echo "$seconds" > $admin_timeout
	tee /sys/class/nvme/*/admin_timeout <<< "${seconds}000" > /dev/null
	echo "# $t took $((SECONDS - began)) s"
done
exit $failed
