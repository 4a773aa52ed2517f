# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Run commands as tests and print their results as TAP. Source this file after lib.sh.
# The script ends with "exit $tap_failed".

tap_failed=0
tap_log=$(mktemp)
on_exit "rm -f '$tap_log'"

# tap_plan COUNT: print the header of TAP
tap_plan() {
	steps=$1
	printf 'TAP version 13\n1..%s\n' "$1"
}

# check NAME COMMAND...: run COMMAND in this shell, and print one result. If COMMAND
# fails, print the end of its output as comments.
check() {
	step=$((step + 1))
	say "$1"
	if "${@:2}" > "$tap_log" 2>&1; then
		printf 'ok %s %s\n' "$step" "$1"
	else
		tap_failed=1
		tail -n 40 "$tap_log" | tr -d '\r' | sed 's/^/# /'
		printf 'not ok %s %s\n' "$step" "$1"
	fi
}

# check_silent NAME COMMAND...: likewise, and COMMAND must print nothing
check_silent() { check "$1" tap_silent "${@:2}"; }

tap_silent() { "$@" && [ ! -s "$tap_log" ]; }
