#!/bin/sh
# Makes sure that there is a ZooKeeper to run: does nothing if the tests would find one, else installs it without asking
# anything: by apt-get as root or with a sudo that wants no password, by Homebrew on macOS. If it can't, it prints the
# one command that does it and fails.
set -u
cd "$(dirname "$0")" || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
go build -buildvcs=false -o "$work/zookeeper" ./cmd/zookeeper || exit 1

# The lookup is the package's own. What it says when it finds nothing names the command to type.
find_it() { advice=$("$work/zookeeper" -find 2>&1); }
give_up() {
	echo "$advice" >&2
	exit 1
}

find_it && exit 0
# ZOOKEEPER_HOME goes before anything that could be installed now.
[ -z "${ZOOKEEPER_HOME:-}" ] || give_up

# quietly runs a command and keeps what it prints for the case that all was in vain.
quietly() { "$@" </dev/null >>"$work/log" 2>&1; }

have() { command -v "$1" >/dev/null 2>&1; }

root=
[ "$(id -u)" -eq 0 ] || root='sudo -n'

apt() {
	# It may be busy with the machine's own updates.
	quietly $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}
apt_install() { apt install --no-install-recommends libzookeeper-java default-jre-headless; }

if [ "$(uname -s)" = Darwin ]; then
	have brew || give_up
	echo "ZooKeeper is missing: installing it with Homebrew." >&2
	quietly brew install zookeeper
else
	have apt-get || give_up
	[ -z "$root" ] || quietly $root true || give_up
	echo "ZooKeeper is missing: installing libzookeeper-java and default-jre-headless with apt-get." >&2
	# A fresh machine has no package lists, or old ones.
	apt_install || { apt update && apt_install; }
fi

if ! find_it; then
	tail -n 20 "$work/log" >&2
	give_up
fi
