# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of the test bed share. Source this file after "set -euo pipefail".

# The lines below and all scripts need Debian's tools. On another system, the first line of
# output says so.
# shellcheck source=/dev/null
system=$(. /etc/os-release 2> /dev/null && echo "${PRETTY_NAME:-unknown}") || system=$(uname -s)
# Debian's testing and unstable have no number.
# shellcheck source=/dev/null
debian=$(. /etc/os-release 2> /dev/null && [ "${ID:-}" = debian ] && echo "${VERSION_ID:-}") || debian=
machine=$(dpkg --print-architecture 2> /dev/null) || machine=$(uname -m)
if [ "$machine" != amd64 ] || ! command -v apt-get > /dev/null || [ "${debian:-12}" -lt 12 ]; then
	echo "${0##*/}: this needs Debian 12 or later on amd64 (x86-64), found $system on $machine" >&2
	exit 1
fi

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
top=$(cd "$testbed/../.." && pwd)
# The path is absolute, because the scripts change their directory.
NVMEVF_CACHE=$(realpath -m -- "${NVMEVF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}}")
export NVMEVF_CACHE
cache=$NVMEVF_CACHE/nvme-vfio-pci
# The order of sort and the ranges of grep must not depend on the caller's locale.
export LC_ALL=C.UTF-8

# With these, a makefile of the kernel takes itself for a part of this project's make, and some
# then write their results elsewhere.
unset MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS

# A script and those that it calls show the time since the same moment.
export TESTBED_BEGAN=${TESTBED_BEGAN:-$EPOCHSECONDS}
step=0
steps=0

# say TEXT...: print a line of progress to stderr; stdout is for results
say() {
	local at=''

	[ "$steps" -eq 0 ] || at=" $step/$steps"
	printf '[%3ds%s] %s\n' $((EPOCHSECONDS - TESTBED_BEGAN)) "$at" "$*" >&2
}

# die TEXT...: print an error message and exit
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# on_exit COMMAND: run COMMAND when the script ends. Several commands run in reverse order.
# The trap evaluates COMMAND as text: quote what is to be expanded at the end.
cleanup=:
on_exit() {
	cleanup="$1; $cleanup"
	# shellcheck disable=SC2064 # expand $cleanup now, so that the trap has this text
	trap "set +e; $cleanup" EXIT
}
# Bash runs no EXIT trap when a signal kills the shell. These traps exit instead.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# need_root WHAT: end unless the caller is root. WHAT is the reason.
need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root, to $1"
}

# need_packages PACKAGE...: install the Debian packages that are missing
need_packages() {
	local p miss=()

	for p in "$@"; do
		dpkg-query -Wf '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || miss+=("$p")
	done
	[ ${#miss[@]} -gt 0 ] || return 0
	need_root "install ${miss[*]}"
	say "installing ${miss[*]}"
	# The lock is for other scripts. The timeout is for apt of a machine that just booted.
	(
		flock 9
		apt-get update || echo "apt-get update failed; trying the lists that are there"
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y \
			--no-install-recommends "${miss[@]}"
	) > "$cache/log/packages.log" 2>&1 < /dev/null 9> "$cache/packages.lock" || {
		tail -n 20 "$cache/log/packages.log" >&2
		die "cannot install ${miss[*]}: apt-get failed; log: $cache/log/packages.log"
	}
}

# hash_of TEXT PATH...: print the hash of TEXT and of all files under the PATHs, which
# are relative to $top
hash_of() {
	local text=$1

	shift
	(
		cd "$top" || exit
		printf '%s\n' "$text"
		find "$@" -type f ! -name '*~' ! -name '*.o' -print0 |
			sort -z | xargs -0 sha256sum
	) | sha256sum | cut -c1-16
}

# enter_root ROOT COMMAND...: run COMMAND in chroot ROOT, which has /proc for that time
enter_root() {
	need_packages mount
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$@"
}
