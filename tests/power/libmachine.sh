# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# An emulated machine with Debian's kernel, for what this machine's own cannot do or must not
# suffer. Sourced, with the array `modules`: what the kernel needs beyond what is built in. The kernel
# lies in the cache, not installed; nothing but emulation is needed.
#
#   get_kernel              sets kernel to the directory of one; 1: why says what hinders
#   into FILE [DIR]         a program and the libraries that it loads go into $root
#   start_machine ...       runs it with the initramfs $initrd
: "${modules:?modules is an array of names}"
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/aksdr
metapackage=linux-image-cloud-amd64
why=
kernel=

cannot() {
	echo "$*"
	exit 77
}

# ---- the kernel -------------------------------------------------------------------------------

module_file() { find "$1" -name "${2//[-_]/[-_]}.ko" | head -n 1; }

# module_with_needs DIR NAME: names of files, what it needs before it; nothing where it is built in
module_with_needs() {
	local file need
	file=$(module_file "$1" "$2")
	[ -n "$file" ] || return 0
	for need in $(tr '\0' '\n' <"$file" | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' '); do
		module_with_needs "$1" "$need"
	done
	echo "$file"
}

# fetch_kernel: downloads Debian's kernel and takes out what is needed. It is not installed.
fetch_kernel() {
	local package version file from=$1
	package=$(apt-cache depends --important "$metapackage" 2>/dev/null |
		sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$package" ] || { why="apt knows no $metapackage: run 'apt-get update'" && return 1; }
	(cd "$from" && apt-get download -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 "$package") \
		>"$from/log" 2>&1 || { why="downloading $package failed: $(tail -n 1 "$from/log")" && return 1; }
	dpkg-deb -x "$from"/*.deb "$from/root" || { why="unpacking $package failed" && return 1; }
	version=$(dpkg-deb -f "$from"/*.deb Version)
	mkdir -p "$from/kernel/modules"
	cp "$from"/root/boot/vmlinuz-* "$from/kernel/vmlinuz" || { why="$package has no kernel" && return 1; }
	for file in "${modules[@]}"; do module_with_needs "$from/root" "$file"; done | awk '!seen[$0]++' |
		while read -r file; do
			cp "$file" "$from/kernel/modules/" && basename "$file" >>"$from/kernel/modules/order"
		done
	for file in "${modules[@]}"; do
		[ -n "$(module_file "$from/root" "$file")" ] || grep -q "/${file//[-_]/[-_]}\.ko" \
			"$from/root/lib/modules"/*/modules.builtin ||
			{ why="$package has no module $file" && return 1; }
	done
	echo "${modules[*]}" >"$from/kernel/wanted"
	# One for each set of modules.
	file=$cache/kernel-$version-$(sha256sum <"$from/kernel/wanted" | cut -c 1-8)
	rm -rf "$file"
	mv -T "$from/kernel" "$file" || why="'$file' cannot be made"
}

# find_kernel: sets kernel to the directory of one with all modules; 1: there is none
find_kernel() {
	local k
	for k in "$cache"/kernel-*; do
		[ "$(cat "$k/wanted" 2>/dev/null)" != "${modules[*]}" ] || kernel=$k
	done
	[ -n "$kernel" ]
}

# get_kernel: the same, and fetches one; 1: why says what hinders
get_kernel() {
	local from
	find_kernel && return
	if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
		why="no kernel in '$cache', and this is no Debian system that could fetch one"
		return 1
	fi
	if ! mkdir -p "$cache" || ! from=$(mktemp -d "$cache/.kernel.XXXXXX"); then
		why="'$cache' cannot be written"
		return 1
	fi
	fetch_kernel "$from"
	rm -rf "$from"
	[ -z "$why" ] && find_kernel
}

# ---- the machine ------------------------------------------------------------------------------

# shellcheck disable=SC2154 # root and initrd are the caller's
# into FILE [DIR]: a program and the libraries that it loads go into the machine
into() {
	local f
	for f in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$f")"
		[ -e "$root$f" ] || cp -L "$f" "$root$f"
	done
	cp -L "$1" "$root/${2:-usr/bin}/"
}

# shellcheck disable=SC2154
# start_machine SECONDS DIR APPEND OPTION...: runs $kernel with the initramfs $initrd, at most so long; what it
# says is in DIR/console, what the emulator says in DIR/qemu
start_machine() {
	local seconds=$1 d=$2 append=$3
	shift 3
	# Only emulation: /dev/kvm may be there and not work. On a busy machine its clocks do not keep time.
	timeout "$seconds" setpriv --pdeathsig KILL -- qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 \
		-nodefaults -no-user-config -display none -no-reboot -serial "file:$d/console" \
		-kernel "$kernel/vmlinuz" -initrd "$initrd" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check $append" "$@" </dev/null >"$d/qemu" 2>&1
}
