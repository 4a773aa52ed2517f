#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Print the results of the KUnit tests, which ran when the driver was loaded, as TAP
# without nesting.
# shellcheck source=SCRIPTDIR/helpers.sh
. "$(dirname "$0")/helpers.sh"

kunit=/sys/kernel/debug/kunit
[ -d $kunit ] || { ktap_print_header; ktap_skip_all "the kernel has no KUnit"; exit "$KSFT_SKIP"; }

failed=0
for suite in nvme_vfio_pci_{cmds,vendor,std,track,ctrl,dirty,load,save}; do
	results=$(sed -n 's/^    //p' $kunit/$suite/results)
	echo "TAP version 13"
	if [ -n "$results" ]; then
		grep -v '^KTAP version' <<< "$results"
	else
		printf '1..1\nnot ok 1 %s did not run\n' $suite
	fi
	if [ -z "$results" ] || grep -q '^not ok' $kunit/$suite/results; then
		failed=1
	fi
done
exit $failed
