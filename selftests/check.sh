#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh [TEST...]: run these tests, or all tests in the directory of this script
#
# The driver must be loaded. $TESTBED_VFS lists VFs without a driver, for the tests to
# use. Each test prints its TAP.
cd "$(dirname "$0")" || exit
# shellcheck source=SCRIPTDIR/helpers.sh
. ./helpers.sh
shopt -s nullglob
[ $# -gt 0 ] || set -- *_test.sh *_test

admin_timeout=/sys/module/nvme_core/parameters/admin_timeout
seconds=$(cat $admin_timeout)
failed=0
for t; do
	args=()
	case $t in
	*.sh) ;;
	*)
		for vf in $TESTBED_VFS; do
			bind_vf "$vf" || { echo "Bail out! cannot bind $vf to $driver"; exit 1; }
		done
		# Without cdev in the kernel, the tests of cdev would be skipped one by one.
		[ -d /dev/vfio/devices ] || args=(-V cdev)
		;;
	esac
	began=$SECONDS
	echo "selftest: $t" > /dev/kmsg
	"./$t" "${args[@]}" 2>&1
	case $? in
	0 | 4) ;; # passed, skipped
	*) failed=1 ;;
	esac
	# A test that died may have left a shorter timeout behind.
	echo "$seconds" > $admin_timeout
	tee /sys/class/nvme/*/admin_timeout <<< "${seconds}000" > /dev/null
	echo "# $t took $((SECONDS - began)) s"
done
exit $failed
