# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of the test bed have in common. Source it after "set -euo
# pipefail".

testbed=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
top=$(cd "$testbed/../.." && pwd)
# absolute, for scripts that are called from elsewhere
NVMEVF_CACHE=$(realpath -m -- "${NVMEVF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}}")
export NVMEVF_CACHE
cache=$NVMEVF_CACHE/nvme-vfio-pci
# what is sorted or looked for shall not depend on who calls
export LC_ALL=C.UTF-8

# one clock for a script and those that it calls
export TESTBED_BEGAN=${TESTBED_BEGAN:-$EPOCHSECONDS}
step=0
steps=0

# say TEXT...: a line of progress; results own stdout, so it goes to stderr
say() {
	local at=''

	[ "$steps" -eq 0 ] || at=" $step/$steps"
	printf '[%3ds%s] %s\n' $((EPOCHSECONDS - TESTBED_BEGAN)) "$at" "$*" >&2
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# on_exit COMMAND: run it when the script ends, the last one given first
cleanup=:
on_exit() {
	cleanup="$1; $cleanup"
	# shellcheck disable=SC2064 # what is known now is what is to be run
	trap "set +e; $cleanup" EXIT
}
# an EXIT trap does not run when a signal kills the shell, so exit instead
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# need_packages PACKAGE...: install those Debian packages that are absent
need_packages() {
	local p miss=()

	for p in "$@"; do
		dpkg-query -Wf '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || miss+=("$p")
	done
	[ ${#miss[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || die "these packages are missing: ${miss[*]}"
	say "installing ${miss[*]}"
	# not two at a time; and a machine that has just come up may be at it by itself
	(
		flock 9
		apt-get update || echo "the lists stay as they are"
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y \
			--no-install-recommends "${miss[@]}"
	) > "$cache/log/packages.log" 2>&1 < /dev/null 9> "$cache/packages.lock" || {
		tail -n 20 "$cache/log/packages.log" >&2
		die "apt-get failed; log: $cache/log/packages.log"
	}
}

# hash_of TEXT PATH...: of TEXT, and of all files under these paths below $top
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

# enter_root ROOT COMMAND...: chroot, with a /proc that is gone with the command
enter_root() {
	need_packages mount
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$@"
}
