#!/bin/sh
# Makes sure that there is a Chromium for the test of the page: does nothing if there is one, else installs it without
# asking anything, by apt-get as root or with a sudo that wants no password. If it can't, it says what to type and fails.
set -u
cd "$(dirname "$0")" || exit 1

find_it() {
	for name in chromium chromium-browser google-chrome; do
		command -v "$name" >/dev/null 2>&1 && return 0
	done
	return 1
}

give_up() {
	echo 'There is no Chromium here, and the test of the page needs one. On Debian, type:' >&2
	echo '    sudo apt-get install chromium' >&2
	exit 1
}

find_it && exit 0

root=
[ "$(id -u)" -eq 0 ] || root='sudo -n'
command -v apt-get >/dev/null 2>&1 || give_up
[ -z "$root" ] || $root true >/dev/null 2>&1 || give_up

apt() {
	# It may be busy with the machine's own updates.
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

echo 'Chromium is missing: installing it with apt-get. That takes a minute or two.' >&2
mkdir -p ../../bin
log=../../bin/install.log
{
	apt update
	apt install --no-install-recommends chromium
} >"$log" 2>&1
find_it || {
	tail -n 20 "$log" >&2
	give_up
}
