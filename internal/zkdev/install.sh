#!/bin/sh
# Makes sure that there is a ZooKeeper to run: does nothing if the tests would find one, else installs it without asking
# anything: by apt-get as root or with a sudo that wants no password, by Homebrew on macOS. If it can't, it prints the
# one command that does it and fails.
set -u
cd "$(dirname "$0")" || exit 1

# Not in the temporary directory, where programs may not be allowed to run.
lookup=../../bin/zookeeper
mkdir -p ../../bin || exit 1
go build -buildvcs=false -o "$lookup" ./cmd/zookeeper || exit 1

# The lookup is the package's own. Its exit code is 1 if it finds nothing; what it says then names the command to type.
find_it() {
	said=$("$lookup" -find 2>&1)
	code=$?
	[ $code -le 1 ] || {
		echo "$said" >&2
		exit 1
	}
	return $code
}

give_up() {
	echo "$said" >&2
	echo >&2
	echo "Chapters 1 to 4 need no ZooKeeper: make begin STEP=1" >&2
	[ ! -d ../../exercise-etcd ] ||
		echo "The demo with etcd needs neither root nor Java: make demo-etcd" >&2
	exit 1
}

find_it && exit 0
# ZOOKEEPER_HOME goes before anything that could be installed now.
[ -z "${ZOOKEEPER_HOME:-}" ] || give_up

have() { command -v "$1" >/dev/null 2>&1; }

root=
[ "$(id -u)" -eq 0 ] || root='sudo -n'

apt() {
	# It may be busy with the machine's own updates.
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# working keeps what an installer says, hundreds of lines, and shows a dot now and then instead.
log=../../bin/install.log
working() {
	count=0
	while IFS= read -r line; do
		echo "$line"
		count=$((count + 1))
		[ $((count % 20)) -ne 0 ] || printf . >&2
	done >"$log"
	echo >&2
}

if [ "$(uname -s)" = Darwin ]; then
	have brew || give_up
	echo "ZooKeeper is missing: installing it with Homebrew. That takes some minutes." >&2
	brew install zookeeper </dev/null 2>&1 | working
else
	have apt-get || give_up
	[ -z "$root" ] || $root true >/dev/null 2>&1 || give_up
	echo "ZooKeeper is missing: installing it with apt-get, with Java and ps. That takes a minute or two." >&2
	# A fresh machine has no package lists, or old ones. If one of several can't be had, the others may do.
	{
		apt update
		apt install --no-install-recommends libzookeeper-java default-jre-headless procps
	} 2>&1 | working
fi

if ! find_it; then
	tail -n 20 "$log" >&2
	give_up
fi
