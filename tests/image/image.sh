#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The container image: the same bytes whenever it is made, a layout that others read, what the
# programs need in it and nothing else; and the programs run with nothing but that, as nobody in
# particular. At full size also for arm64, cross-built and run in an emulator.
[ -z "${SAN:-}" ] || { echo 'programs with sanitizers go into no image'; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}
# shellcheck source=tests/cli/lib.sh
. "$here/../cli/lib.sh"
[ "$(id -u)" = 0 ] || { echo 'not root'; exit 77; }
export SOURCE_DATE_EPOCH=1795305600 PYTHONDONTWRITEBYTECODE=1
arch=$(dpkg --print-architecture)
version=$(cat "$SRC/VERSION")

# make_image FOLDER [OPTION]...
make_image() { "$SRC/scripts/image" --bin "$BIN" --out "$1" --arch "$arch" "${@:2}"; }
unpack() { mkdir -p "$2" && "$PYTHON" "$here/lib_unpack.py" "$1" "$2" "$3"; }

t 'the same programs make the same image, whenever and by whomever'
run 0 make_image "$work/a"
mkdir "$work/elsewhere" && cp "$BIN"/aksdr-* "$work/elsewhere"
again() (umask 077 && cd / && export TZ=Asia/Tokyo LC_ALL=C &&
	"$SRC/scripts/image" --bin "$work/elsewhere" --out "$work/b" --arch "$arch")
run 0 again
image=$work/a/aksdr-$version-$arch.oci.tar bill=$work/a/aksdr-$version-$arch.spdx.json
ok cmp "$image" "$work/b/aksdr-$version-$arch.oci.tar"
ok cmp "$bill" "$work/b/aksdr-$version-$arch.spdx.json"
rm -rf "$work/elsewhere" "$work/b"

t 'its layout holds: digests, sizes, platform, labels; it is small'
root=$work/root
run 0 unpack "$image" "$root" "$arch"
ok test "$(cat "$work/.out")" -lt 40000000
if command -v skopeo >/dev/null; then
	run 0 skopeo --tmpdir "$work" copy --quiet "oci-archive:$image" "dir:$work/copied"
	run 0 skopeo --tmpdir "$work" inspect "docker-archive:$image"
	out '"org.opencontainers.image.version": "'"$version"'"'
	rm -rf "$work/copied"
fi

t 'what the programs need is in it, and nothing else'
# Without versions of libraries, time zones, what there is of each package, and the locale's parts.
list() {
	(cd "$root" && find . ! -type d -printf '%P\n') |
		grep -vE '^usr/share/(zoneinfo|doc)/|^var/lib/dpkg/status.d/|^usr/lib/locale/C.utf8/' |
		sed -E 's|(\.so)\.[0-9.]+$|\1|; s|-[0-9.]+(\.so)$|\1|; s|^usr/lib/[a-z0-9_]*-linux-gnu/|LIB/|' | sort -u
}
cat >"$work/expected" <<'LIST'
LIB/ld-linux-ARCH.so
LIB/libacl.so
LIB/libarchive.so
LIB/libbrotlicommon.so
LIB/libbrotlidec.so
LIB/libbz2.so
LIB/libc.so
LIB/libcom_err.so
LIB/libcrypto.so
LIB/libcurl.so
LIB/libexpat.so
LIB/libffi.so
LIB/libfuse3.so
LIB/libgcc_s.so
LIB/libgmp.so
LIB/libgnutls.so
LIB/libgssapi_krb5.so
LIB/libhogweed.so
LIB/libicudata.so
LIB/libicuuc.so
LIB/libidn2.so
LIB/libjansson.so
LIB/libk5crypto.so
LIB/libkeyutils.so
LIB/libkrb5.so
LIB/libkrb5support.so
LIB/liblber.so
LIB/libldap.so
LIB/liblz4.so
LIB/liblzma.so
LIB/libm.so
LIB/libnettle.so
LIB/libnghttp2.so
LIB/libp11-kit.so
LIB/libpsl.so
LIB/libresolv.so
LIB/librtmp.so
LIB/libsasl2.so
LIB/libsmartcols.so
LIB/libsodium.so
LIB/libsqlite3.so
LIB/libssh2.so
LIB/libssl.so
LIB/libstdc++.so
LIB/libtasn1.so
LIB/libunistring.so
LIB/libwslay.so
LIB/libxml2.so
LIB/libyaml.so
LIB/libz.so
LIB/libzstd.so
etc/group
etc/nsswitch.conf
etc/os-release
etc/passwd
etc/ssl/certs/ca-certificates.crt
lib
usr/bin/aksdr-agent
usr/bin/aksdr-catalog
usr/bin/aksdr-freezer
usr/bin/aksdr-restore
usr/lib/os-release
LIST
# The loader's own name and place differ by architecture; libmicrohttpd comes with the program that serves.
listed() {
	list | sed -E 's|ld-linux-[a-z0-9_-]+\.so|ld-linux-ARCH.so|' |
		grep -vxE 'lib64|usr/lib(64)?/ld-.*|LIB/libmicrohttpd.so' >"$work/listed"
}
listed
ok diff "$work/expected" "$work/listed"
ok test -z "$(find "$root" -perm /6000)"
ok test "$(find "$root" ! -type l -perm /022 -printf '%P ')" = 'tmp '
ok test "$(find "$root" ! -uid 0 -printf '%P %U %m\n' | sort | tr '\n' ' ')" = \
	'home/nonroot 65532 700 var/cache/aksdr 65532 700 var/lib/aksdr 65532 700 '
ok test -z "$(find "$root" \( -name '*sh' -o -name 'apt*' -o -name 'dpkg*' -o -name 'busybox*' \) ! -type d)"
ok grep -q '^nonroot:x:65532:65532:' "$root/etc/passwd"
ok test "$(grep -c '^-----BEGIN CERTIFICATE-----$' "$root/etc/ssl/certs/ca-certificates.crt")" -gt 100
ok test "$(head -c 4 "$root/usr/share/zoneinfo/Europe/Berlin")" = TZif

t 'every library that a program or a library names is in it'
unresolved() {
	local triplet
	triplet=$(cd "$root/usr/lib" && echo *-linux-gnu)
	find "$root/usr/bin" "$root/usr/lib" -type f | while read -r f; do
		readelf -d "$f" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
			[ -e "$root/usr/lib/$triplet/$name" ] || echo "$f: $name"
		done
	done
}
ok test -z "$(unresolved)"
# The loader by the name that is in the program, as the kernel looks for it: below this root.
loader=$(readelf -l "$root/usr/bin/aksdr-agent" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
run 0 chroot "$root" "$loader" --version

t 'its bill of materials is valid SPDX, and true'
run 0 "$PYTHON" "$here/lib_unpack.py" --bill "$bill" "$root"
if "$PYTHON" -c 'import spdx_tools' 2>/dev/null; then
	run 0 "$PYTHON" -m spdx_tools.spdx.clitools.pyspdxtools --infile "$bill" --version SPDX-2.3
fi

# inside COMMAND...: with the image as all there is, as its user, with what a runtime gives: proc and dev
inside() {
	mkdir -p "$root/proc" "$root/dev"
	# shellcheck disable=SC2016 # for the shell inside
	unshare --mount --pid --fork "$BASH" -c 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" &&
		exec env -i PATH=/usr/bin LANG=C.UTF-8 HOME=/home/nonroot \
		/usr/sbin/chroot --userspec=65532:65532 --groups= "$0" "$@"' \
		"$root" "$@"
}
# story RUNNER HOME: a backup and a restore by the programs of an image
story() {
	local r=$1 home=$2
	for p in agent catalog freezer restore; do
		run 0 "$r" "/usr/bin/aksdr-$p" --version
		out "^aksdr-$p $version"
	done
	run 0 "$r" /usr/bin/aksdr-agent init --store "file://$home/store" --keys "$home/keys" --quiet
	run 0 "$r" /usr/bin/aksdr-agent backup --store "file://$home/store" --state "$home/state" \
		--key "$home/keys/agent.key" --quiet "data=$home/data"
	run 0 "$r" /usr/bin/aksdr-restore volume --store "file://$home/store" \
		--key "$home/keys/recovery.key" --quiet data --target "$home/out"
	run 0 "$r" /usr/bin/aksdr-catalog sync --store "file://$home/store" --state "$home/state" \
		--key "$home/keys/audit.key" --quiet
	run 0 "$r" /usr/bin/aksdr-catalog check --level 3 --store "file://$home/store" --state "$home/state" \
		--key "$home/keys/audit.key"
}
new_data() {
	mkdir -p "$1/dir" && echo content >"$1/dir/file" && ln -s file "$1/dir/link"
	noise 200000 >"$1/noise" && : >"$1/ümläut"
}

t 'with nothing else a backup and a restore run as nonroot'
new_data "$root/home/nonroot/data"
chown -R 65532:65532 "$root/home/nonroot"
story inside /home/nonroot
ok diff -r --no-dereference "$root/home/nonroot/data" "$root/home/nonroot/out"
run 1 inside /usr/bin/aksdr-agent doctor --quick --store azure://account/container
run 127 inside /bin/sh -c true

if [ "${TEST_SIZE:-small}" = full ] && [ "$arch" = amd64 ]; then
	t 'for arm64: cross-built, the same rules, and it runs'
	if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64-static >/dev/null ||
		! XDG_CACHE_HOME=$cache "$SRC/scripts/sysroot" arm64 >/dev/null 2>&1; then
		echo 'arm64: no cross compiler, no emulator or no libraries'
		ok true
		finish
		exit
	fi
	cross() { XDG_CACHE_HOME=$cache make -C "$SRC" --no-print-directory -j2 image ARCH=arm64; }
	run 0 cross
	out ' MB compressed'
	image=$SRC/build/aarch64-linux-gnu-gcc/image/aksdr-$version-arm64.oci.tar
	root=$work/arm64
	run 0 unpack "$image" "$root" arm64
	ok test "$(cat "$work/.out")" -lt 40000000
	listed
	ok diff "$work/expected" "$work/listed"
	ok test -z "$(unresolved)"
	run 0 "$PYTHON" "$here/lib_unpack.py" --bill "${image%.oci.tar}.spdx.json" "$root"
	new_data "$work/emulated/data"
	emulated() { qemu-aarch64-static -L "$root" "$root$1" "${@:2}"; }
	story emulated "$work/emulated"
	ok diff -r --no-dereference "$work/emulated/data" "$work/emulated/out"
fi
finish
