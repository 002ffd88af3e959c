#!/bin/sh
# Tries the set-up on machines that have next to nothing: minimal Debians with
# make, git, certificates and this machine's Go. The last commit is cloned into
# each, and used as a newcomer would: in one as root, in the other as a user
# without sudo, whose /tmp lets no program run.
#
# It needs Linux, root and debootstrap, and the network for Debian's packages. Go
# modules come from this machine's cache, as far as they are there.
#
# Usage: bare.sh RELEASE, such as bookworm. It exits with 0 if all went well, and
# leaves nothing behind, however it ends.
set -eu

main() {
	need "$@"
	repository=$(cd "$(dirname "$0")/../.." && pwd)
	work=$(mktemp -d "${TMPDIR:-/tmp}/bare-XXXXXX")
	inside=
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM

	# Namespaces of its own: their end is the end of every process and of every
	# mount. It runs in the background, so that this shell hears signals
	# meanwhile; but a shell has its background jobs ignore Ctrl-C, which the
	# tests must not inherit.
	unshare --mount --pid --fork --kill-child \
		env --default-signal=INT,QUIT sh "$0" --inside "$1" "$work" "$repository" &
	inside=$!
	code=0
	wait "$inside" || code=$?
	inside=
	exit "$code"
}

# need says all that is missing, and what to type.
need() {
	missing=
	[ $# -eq 1 ] || missing="a release of Debian, as in make bare RELEASE=bookworm"
	[ "$(uname -s)" = Linux ] || missing="Linux: it makes small Debian systems, and runs the tests there"
	[ -n "$missing" ] || [ "$(id -u)" -eq 0 ] || missing="root, to make small Debian systems: type it as root, or with sudo"
	for program in debootstrap unshare git; do
		[ -n "$missing" ] || command -v "$program" >/dev/null ||
			missing="$program. On Debian and Ubuntu: apt-get install debootstrap util-linux git"
	done
	[ -n "$missing" ] || unshare --mount --pid --fork --kill-child true 2>/dev/null ||
		missing="namespaces, which not even root can make here: is this a container?"
	[ -n "$missing" ] || return 0
	echo "make bare needs $missing" >&2
	exit 1
}

clean_up() {
	[ -z "$inside" ] || kill -s KILL "$inside" || :
	wait
	# The last of its processes may still be writing.
	for try in 1 2 3 4 5; do
		rm -rf "$work" 2>/dev/null && break
		sleep 1
	done
}

# inside is the first process of the namespaces.
inside() {
	release=$1 work=$2 repository=$3
	# The first process of a namespace is deaf to what it has no trap for.
	trap 'exit 130' INT

	say "a minimal Debian, $release"
	git -C "$repository" bundle create -q "$work/workbook.bundle" HEAD
	# Mirror and proxy are those that this machine's apt has, if it has some.
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' 2>/dev/null | head -n 1)
	[ -n "${http_proxy:-}" ] || eval "$(apt-config shell http_proxy Acquire::http::Proxy 2>/dev/null)"
	export http_proxy="${http_proxy:-}"
	debootstrap --variant=minbase --include=make,git,ca-certificates "$release" "$work/base" $mirror >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		exit 1
	}
	# As in the image of a container, apt knows no package yet.
	rm -rf "$work"/base/var/lib/apt/lists/* "$work"/base/var/cache/apt/archives/*.deb

	try_as_root
	try_as_user
	say "$release: all is well"
}

try_as_root() {
	say "$release, root"
	new_system root
	as root 'git -c advice.detachedHead=false clone -q /workbook.bundle workbook'
	as root 'cd workbook && make demo'
	as root 'cd workbook && make test'
}

# Who can't install anything gets as far as possible, and then shows root what
# was printed.
try_as_user() {
	say "$release, a user without sudo"
	new_system user
	mount -t tmpfs -o noexec,mode=1777 tmpfs "$system/tmp"
	chroot "$system" useradd --create-home --shell /bin/bash user
	as user 'git -c advice.detachedHead=false clone -q /workbook.bundle workbook'

	# What it says without Go, and where Go can't run its tests, is in the page
	# on troubles.
	as user 'cd workbook && ! PATH=/usr/bin:/bin make demo 2>~/said'
	as user 'cat said; grep -qF "$(head -n 1 said)" workbook/docs/troubleshooting.md'
	as user 'cd workbook && ! go test ./internal/freeport >~/said 2>&1'
	as user 'cat said; grep -q "^fork/exec /tmp/.*: permission denied" said'

	as user 'cd workbook && make begin STEP=1'
	as user 'cd workbook && ! make try STEP=1 >~/said'
	as user 'cat said; grep -q "main.go" said'
	as user 'cd workbook && make demo-etcd'
	as user 'cd workbook && ! make demo 2>~/said'
	as user 'cat said; grep -q "make demo-etcd" said'
	as root "$(sed -n 's/^    //p' "$system/home/user/said")"
	as user 'cd workbook && make demo'
	as user 'mkdir "tmp dir"; cd workbook && TMPDIR="$HOME/tmp dir" make test'
}

# new_system makes a machine: a copy of the minimal Debian, with this Go.
new_system() {
	system=$work/$1
	cp -a "$work/base" "$system"
	cp "$work/workbook.bundle" "$system/"
	chmod a+r "$system/workbook.bundle"

	mount --bind "$system" "$system" # see as
	mkdir -p "$system/usr/local/go" "$system/modules"
	mount --bind -o ro "$(go env GOROOT)" "$system/usr/local/go"
	modules=$(go env GOMODCACHE)/cache/download
	[ ! -d "$modules" ] || mount --bind -o ro "$modules" "$system/modules"
	# A proxy between here and the network may have an authority of its own.
	cat /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/ca-certificates.crt" >"$system/authorities" || :

	mount -t proc proc "$system/proc"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$system/dev/pts"
	mount -t tmpfs tmpfs "$system/dev/shm"
}

# as has somebody type a command on that machine, at home. The machine's root is
# made the root of the namespace: who is in a chroot can make no namespaces, as
# some tests do.
as() {
	home=/root
	[ "$1" = root ] || home=/home/$1
	printf '%s$ %s\n' "$1" "$2"
	unshare --mount sh -ec 'cd "$1"; shift; pivot_root . mnt; umount -l /mnt; exec chroot "$@"' sh "$system" \
		--userspec="$1" / env -i HOME="$home" USER="$1" LANG=C.UTF-8 TERM=dumb \
		PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		GOTOOLCHAIN=local GOPROXY="file:///modules,$(go env GOPROXY)" GOSUMDB="$(go env GOSUMDB)" \
		SSL_CERT_FILE=/authorities http_proxy="$http_proxy" https_proxy="${https_proxy:-}" \
		bash -eo pipefail -c "cd && $2"
}

say() { printf '\n=== %s\n' "$1"; }

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
else
	main "$@"
fi
