#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# How a VF comes to the driver, and that no VF comes to it unasked. The VFs given in
# $TESTBED_VFS (default: all of the first NVMe PF) must not be bound; nor are they
# at the end.
dir=$(dirname "$0")
# shellcheck source=/dev/null
for f in "$dir/ktap_helpers.sh" "$dir/../kselftest/ktap_helpers.sh"; do
	[ ! -f "$f" ] || . "$f"
done

pci=/sys/bus/pci
driver=nvme-vfio-pci
us=$pci/drivers/$driver

ktap_print_header
[ -d $us ] || { ktap_skip_all "$driver is not loaded"; exit "$KSFT_SKIP"; }
if [ -z "$TESTBED_VFS" ]; then
	for f in /sys/class/nvme/nvme*/device/virtfn*; do
		[ ! -e "$f" ] || TESTBED_VFS+="$(basename "$(readlink "$f")") "
	done
fi
vf=${TESTBED_VFS%% *}
[ -n "$vf" ] || { ktap_skip_all "there is no NVMe VF"; exit "$KSFT_SKIP"; }
pf=$(readlink -f $pci/devices/"$vf"/physfn)
autoprobe=$(cat "$pf/sriov_drivers_autoprobe")
ids="$(cat $pci/devices/"$vf"/vendor) $(cat $pci/devices/"$vf"/device)"

bound() { [ "$(basename "$(readlink $pci/devices/"$vf"/driver)")" = "${1:-$driver}" ]; }
unbound() { [ ! -e $pci/devices/"$vf"/driver ]; }
group_is_there() { [ -c /dev/vfio/"$(basename "$(readlink $pci/devices/"$vf"/iommu_group)")" ]; }
probe() { echo "$vf" > $pci/drivers_probe; }
override() { echo "$1" > $pci/devices/"$vf"/driver_override; }

unbind() {
	echo "$vf" > $pci/devices/"$vf"/driver/unbind && unbound
}

# The one alias is of the kind that only those read who look for a VFIO driver.
alias_is_for_vfio() {
	local aliases

	aliases=$(modinfo -F alias $driver) || return
	[ "${aliases%%sv*}" = vfio_pci:v00008086d00001457 ] &&
		[ "$(wc -l <<< "$aliases")" = 1 ]
}

# With no word of the administrator a VF belongs to nvme.
not_unasked() {
	probe
	bound nvme && unbind
}

by_override() {
	override $driver && probe && bound && group_is_there
}

unbind_takes_group_away() {
	unbind && ! group_is_there
}

by_bind() {
	override $driver && echo "$vf" > $us/bind && bound && unbind && override ""
}

by_new_id() {
	echo "$ids" > $us/new_id && bound && group_is_there &&
		echo "$ids" > $us/remove_id && bound && unbind
}

by_driverctl() {
	driverctl --nosave set-override "$vf" $driver && bound &&
		driverctl --nosave unset-override "$vf" && ! bound
}

# One line says why there is no migration, and only if there is none.
log_says_why() {
	local byte lines want=1

	byte=$(nvme id-ctrl --raw-binary "/dev/$(basename "$pf"/nvme/nvme*)" |
		od -An -tu1 -j3072 -N1) || return
	[ "$byte" -ne 1 ] || want=0
	echo "selftest of $driver" > /dev/kmsg
	override $driver && probe && bound || return
	lines=$(dmesg | sed -n "/selftest of $driver/h;//!H;\${x;p}" |
		grep -c "$driver $vf: migration off: ")
	ktap_print_msg "Identify says $byte, the log $lines times why not"
	unbind && override "" && [ "$lines" -eq $want ]
}

ktap_set_plan 8
ktap_test_result "alias is for VFIO only" alias_is_for_vfio
echo 1 > "$pf/sriov_drivers_autoprobe"
ktap_test_result "not bound unasked" not_unasked
ktap_test_result "bound by driver_override" by_override
ktap_test_result "unbind takes the group away" unbind_takes_group_away
ktap_test_result "bound by bind" by_bind
ktap_test_result "bound by new_id" by_new_id
for v in $TESTBED_VFS; do # new_id takes all that it fits
	echo "$v" > $us/unbind
done 2>/dev/null
if command -v driverctl > /dev/null; then
	ktap_test_result "bound by driverctl" by_driverctl
	override ""
	unbound || unbind
else
	ktap_test_skip "bound by driverctl"
fi
echo "$autoprobe" > "$pf/sriov_drivers_autoprobe"
ktap_test_result "log says why there is no migration" log_says_why
ktap_finished
