#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The results of the KUnit tests, which ran when the driver was loaded, as TAP that
# is not nested.
dir=$(dirname "$0")
# shellcheck source=/dev/null
for f in "$dir/ktap_helpers.sh" "$dir/../kselftest/ktap_helpers.sh"; do
	[ ! -f "$f" ] || . "$f"
done

kunit=/sys/kernel/debug/kunit
[ -d $kunit ] || { ktap_print_header; ktap_skip_all "the kernel has no KUnit"; exit "$KSFT_SKIP"; }

failed=0
for suite in nvme_vfio_pci_{cmds,ctrl,load,save}; do
	results=$(sed -n 's/^    //p' $kunit/$suite/results)
	echo "TAP version 13"
	if [ -n "$results" ]; then
		grep -v '^KTAP version' <<< "$results"
	else
		printf '1..1\nnot ok 1 %s did not run\n' $suite
	fi
	! grep -q '^not ok' $kunit/$suite/results || failed=1
	[ -n "$results" ] || failed=1
done
exit $failed
