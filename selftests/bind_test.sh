#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Test each way to bind a VF to the driver, and that no VF is bound without a request. The
# VFs in $TESTBED_VFS (default: those of the first NVMe PF) must be unbound. They are
# unbound at the end, too.
# shellcheck source=SCRIPTDIR/helpers.sh
. "$(dirname "$0")/helpers.sh"
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

has_group() { [ -c /dev/vfio/"$(basename "$(readlink $pci/devices/"$vf"/iommu_group)")" ]; }

# The driver has one alias, which only programs that look for a VFIO driver use.
alias_is_for_vfio() {
	local aliases

	aliases=$(modinfo -F alias $driver) || return
	[ "${aliases%%sv*}" = vfio_pci:v00008086d00001457 ] &&
		[ "$(wc -l <<< "$aliases")" = 1 ]
}

# By default nvme takes a VF.
not_bound_by_default() {
	probe "$vf"
	is_bound "$vf" nvme && unbind_vf "$vf"
}

bind_by_override() {
	override "$vf" $driver && probe "$vf" && is_bound "$vf" && has_group
}

unbind_removes_group() {
	unbind_vf "$vf" && ! has_group
}

bind_by_bind() {
	override "$vf" $driver && echo "$vf" > $us/bind && is_bound "$vf" && unbind_vf "$vf" &&
		override "$vf" ""
}

bind_by_new_id() {
	echo "$ids" > $us/new_id && is_bound "$vf" && has_group &&
		echo "$ids" > $us/remove_id && is_bound "$vf" && unbind_vf "$vf"
}

bind_by_driverctl() {
	driverctl --nosave set-override "$vf" $driver && is_bound "$vf" &&
		driverctl --nosave unset-override "$vf" && ! is_bound "$vf"
}

# migrates: test whether the PF says that its VFs can migrate, in byte 3072 of Identify
# Controller and in the Commands Supported and Effects log
migrates() {
	local controller opcode byte

	controller=/dev/$(basename "$pf"/nvme/nvme*)
	byte=$(nvme id-ctrl --raw-binary "$controller" | od -An -tu1 -j3072 -N1)
	ktap_print_msg "byte 3072 of Identify Controller: $byte"
	[ "${byte:-0}" -eq 1 ] || return
	for opcode in 0xc4 0xc8 0xcc 0xd2 0xd5; do
		byte=$(nvme get-log "$controller" --log-id=5 --log-len=4096 --raw-binary |
			od -An -tu1 -j$((4 * opcode)) -N1)
		[ $((${byte:-0} & 1)) -eq 1 ] || {
			ktap_print_msg "the log does not list command $opcode"
			return 1
		}
	done
}

# One line of the log gives the reason if there is no migration.
log_gives_reason() {
	local lines expected=1

	! migrates || expected=0
	echo "selftest of $driver" > /dev/kmsg
	override "$vf" $driver && probe "$vf" && is_bound "$vf" || return
	lines=$(dmesg | sed -n "/selftest of $driver/h;//!H;\${x;p}" |
		grep -c "$driver $vf: migration off: ")
	ktap_print_msg "lines with a reason: $lines, expected $expected"
	unbind_vf "$vf" && override "$vf" "" && [ "$lines" -eq $expected ]
}

ktap_set_plan 8
ktap_test_result "alias is for VFIO only" alias_is_for_vfio
echo 1 > "$pf/sriov_drivers_autoprobe"
ktap_test_result "not bound by default" not_bound_by_default
ktap_test_result "bound by driver_override" bind_by_override
ktap_test_result "unbind removes the group" unbind_removes_group
ktap_test_result "bound by bind" bind_by_bind
ktap_test_result "bound by new_id" bind_by_new_id
for v in $us/????:??:??.?; do # new_id binds all VFs with these IDs
	echo "${v##*/}" > $us/unbind
done 2>/dev/null
if command -v driverctl > /dev/null; then
	ktap_test_result "bound by driverctl" bind_by_driverctl
	override "$vf" ""
	is_unbound "$vf" || unbind_vf "$vf"
else
	ktap_test_skip "bound by driverctl"
fi
echo "$autoprobe" > "$pf/sriov_drivers_autoprobe"
ktap_test_result "log gives the reason if there is no migration" log_gives_reason
ktap_finished
