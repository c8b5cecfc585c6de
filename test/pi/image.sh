#!/usr/bin/env bash
# Prints the folder of the emulated Raspberry Pi's image, and makes the image first where it is not there: Debian 12
# for arm64 with its kernel, about a minute with a fast network. Everything comes from the Debian mirrors that this
# machine uses itself. What a person may want to change lies in image/: the guest's own files (guest/), the first
# program of the boot (init) and what is changed about QEMU's "virt" board (virt.dtsi).
#
# The folder holds:  card.img  the SD card: root file system, then room for large files (see put in guest_test.go)
#                    kernel, initrd, pi3b.dtb, virt.dtb
#                    key, key.pub: of the guest's users, root and pi
#                    card.env: where what is on the card
#
# It is kept under the hash of this script and of image/, so that a change of either makes another image, in
# LATCHD_PI_CACHE, or latchd/pi in the user's cache folder. Remove the folder to get Debian's newest packages.
# Making an image needs root: it runs maintainer scripts in a chroot. Using it does not.
#
# Exit status: 0; 69 if only this machine's administrator can give what is missing, which it names; 1 if it failed.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # of which a user's has none
cd "$(dirname "${BASH_SOURCE[0]}")"

suite=bookworm
cache=${LATCHD_PI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/latchd/pi}
unused_days=14 # an older image that nobody asked for so long is removed

# A card must have a power of two of bytes, or QEMU refuses it.
card_mb=2048 filesystem_mb=1792

# Beside everything that Debian calls essential or required. usr-is-merged keeps usrmerge and all of perl out.
# What latchd's package depends on is here, so that installing it needs no network.
packages=(usr-is-merged systemd-sysv libpam-systemd dbus udev kmod polkitd openssh-server systemd-timesyncd
	ca-certificates tzdata iproute2 nftables netbase procps e2fsprogs)
# The disks of both boards, the file system, and the Pi's watchdog, which is what restarts a Pi.
initrd_modules=(bcm2835 bcm2835_wdt virtio_mmio virtio_pci virtio_blk virtio_net crc32c_generic ext4)
# Of the kernel's modules a small server's: no graphics, sound or wireless.
guest_modules=(kernel/{arch,crypto,lib,mm,block} kernel/fs/{ext4,jbd2,fat,nls,fuse,overlayfs,configfs,autofs,mbcache.ko}
	kernel/net/{core,ipv4,ipv6,netfilter,packet,unix}
	kernel/drivers/{usb,net/usb,net/phy,net/virtio_net.ko,net/net_failover.ko,net/dummy.ko,net/mii.ko,mmc,watchdog,hwmon,thermal}
	kernel/drivers/{char,i2c,spi,leds,gpio,pinctrl,virtio,block,rtc,regulator,firmware,cpufreq})

say() { printf 'image: %4d s  %s\n' "$SECONDS" "$*" >&2; }
die() {
	printf 'image: %s\n' "$@" >&2
	exit 1
}
cannot() {
	printf 'image: %s\n' "$@" >&2
	exit 69
}

# What is needed to make an image, and to run one: a program, and the Debian package that has it.
tools=(qemu-system-aarch64=qemu-system-arm qemu-aarch64-static=qemu-user-static ssh=openssh-client ssh-keygen=openssh-client
	modprobe=kmod cpio=cpio mke2fs=e2fsprogs dtc=device-tree-compiler xz=xz-utils dpkg-deb=dpkg unshare=util-linux flock=util-linux systemctl=systemd)
get_tools() {
	local tool missing=()
	for tool in "${tools[@]}"; do
		command -v "${tool%%=*}" >/dev/null || missing+=("${tool#*=}")
	done
	# The network card of the virt board has its boot program in a package of its own; QEMU stops without it.
	[[ -e /usr/lib/ipxe/qemu/efi-virtio.rom ]] || missing+=(ipxe-qemu)
	[[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
	((${#missing[@]})) || return 0
	command -v apt-get >/dev/null || cannot "missing: ${missing[*]} (as Debian names them)"
	((EUID == 0)) || cannot "missing programs; get them with" "  sudo apt-get install --no-install-recommends ${missing[*]}"
	say "installing ${missing[*]}"
	apt-get update -qq >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

hash_of_recipe() {
	{ find image.sh image -type f -exec sha256sum {} + && find image -type f -perm -u+x; } | LC_ALL=C sort | sha256sum | cut -c1-16
}

# mirror_of SUITE LABEL: the mirror that this machine gets a suite from, or if it does not, others of that label.
mirror_of() {
	# shellcheck disable=SC2016 # apt fills these in
	apt-get indextargets --format '$(CODENAME) $(SITE) $(LABEL)' |
		awk -v suite="$1" -v label="$2" 'NF == 3 && $3 == label && (!site || $1 == suite) { site = $2 } END { print site }'
}

# download WORK: all packages into WORK/apt/archives; WORK/list names those that go on the card.
download() {
	local work=$1 main security key=/usr/share/keyrings/debian-archive-keyring.gpg
	main=$(mirror_of $suite Debian)
	[[ -n $main ]] || { apt-get update -qq >&2 && main=$(mirror_of $suite Debian); }
	[[ -n $main ]] || cannot "apt on this machine knows no mirror of Debian; add one to /etc/apt/sources.list, then: apt-get update"
	security=$(mirror_of $suite-security Debian-Security)
	mkdir -p "$work"/apt/{lists/partial,archives/partial,none}
	echo "deb [signed-by=$key] $main $suite main" >"$work/apt/sources.list"
	[[ -z $security ]] || echo "deb [signed-by=$key] $security $suite-security main" >>"$work/apt/sources.list"
	: >"$work/apt/status"
	local options=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false -o APT::Sandbox::User=root
		-o Dir::State::status="$work/apt/status" -o Dir::State::lists="$work/apt/lists"
		-o Dir::Cache="$work/apt" -o Dir::Cache::archives="$work/apt/archives"
		-o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts="$work/apt/none" -o Dir::Etc::preferencesparts="$work/apt/none"
		-o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
	apt-get "${options[@]}" -qq update >&2
	local base kernel
	mapfile -t base < <(apt-cache "${options[@]}" dumpavail |
		awk -v RS= '(/\nEssential: yes/ || /\nPriority: required/) && $2 != "usrmerge" { print $2 }' | sort -u)
	apt-get "${options[@]}" -y -qq --download-only install "${base[@]}" apt "${packages[@]}" >"$work/apt.log" 2>&1 || {
		tail "$work/apt.log" >&2
		die "the packages could not be downloaded"
	}
	kernel=$(apt-cache "${options[@]}" depends linux-image-arm64 | awk '$1 == "Depends:" { print $2; exit }')
	mkdir "$work/kernel" "$work/busybox"
	(cd "$work" && apt-get "${options[@]}" -qq download "$kernel" busybox-static >&2)
	dpkg-deb -x "$work/$kernel"_*.deb "$work/kernel"
	dpkg-deb -x "$work"/busybox-static_*.deb "$work/busybox"
}

# arm64 COMMAND...: runs it where programs for arm64 run, through qemu-user. Which program runs what is a matter of the
# user namespace since Linux 6.7: a private one leaves the machine as it is. A machine that knows already how to run
# them needs none.
arm64() {
	if [[ $(uname -m) == aarch64 || -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]]; then
		"$@"
		return
	fi
	local gate child
	gate=$(mktemp -d)
	mkfifo "$gate/open"
	# shellcheck disable=SC2016 # for the shell inside
	# The child waits at the gate until all users are mapped into its namespace, which only a process outside may do.
	unshare --user --mount bash -c 'read -r _ <"$0/open"; exec unshare --mount --pid --fork --kill-child --mount-proc "$@"' \
		"$gate" "$PWD/image.sh" in-namespace "$@" &
	child=$!
	until [[ $(readlink /proc/$child/ns/user) != "$(readlink /proc/self/ns/user)" ]]; do sleep 0.02; done
	echo '0 0 65536' >/proc/$child/uid_map
	echo '0 0 65536' >/proc/$child/gid_map
	echo go >"$gate/open"
	rm -r "$gate"
	wait $child
}
in_namespace() {
	mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
	cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
	exec "$@"
}

# unpack WORK: WORK/tree with all packages unpacked by hand, so that the first maintainer scripts find their tools, and
# with what a package manager expects to be there before the first package.
unpack() {
	local tree=$1/tree archives=$1/apt/archives dir deb kind
	mkdir -p "$tree"/usr/{bin,sbin,lib} "$tree"/var/lib/dpkg/{info,updates} "$tree"/{etc/ssh,dev,proc,tmp}
	chmod 1777 "$tree/tmp"
	for dir in bin sbin lib; do ln -s usr/$dir "$tree/$dir"; done
	: >"$tree/var/lib/dpkg/status"
	: >"$tree/var/lib/dpkg/available"
	mknod -m 666 "$tree/dev/null" c 1 3
	mknod -m 666 "$tree/dev/urandom" c 1 9
	for deb in "$archives"/*.deb; do dpkg-deb --fsys-tarfile "$deb"; done |
		tar -x -i --keep-directory-symlink -C "$tree" --exclude=./usr/share/{doc,man,locale} --exclude='*/udev/hwdb.d'
	cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
	cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
	# Host keys are made by this machine; the package keeps what is there.
	for kind in ed25519 ecdsa rsa; do ssh-keygen -q -t $kind -N '' -C pi -f "$tree/etc/ssh/ssh_host_${kind}_key"; done
	printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
	chmod 755 "$tree/usr/sbin/policy-rc.d"
}

# configure_packages WORK, inside arm64: dpkg unpacks and configures everything. Through qemu-user alone that takes six
# minutes. It takes one because the programs that maintainer scripts use (shell, coreutils, systemctl) are this
# machine's own wherever it runs the same suite: copies of them, because scripts change owners and modes.
configure_packages() {
	local tree=$1/tree archives=$1/apt/archives log=$1/dpkg.log
	export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
	mount --bind /dev/null "$tree/dev/null"
	mount --bind /dev/urandom "$tree/dev/urandom"
	dpkg --root="$tree" --log=/dev/null --force-depends --force-architecture --force-unsafe-io --no-triggers \
		--path-exclude='/usr/share/'{doc,man,locale}'/*' --path-exclude='*/udev/hwdb.d/*' --unpack "$archives"/*.deb >"$log" 2>&1
	mount -t proc proc "$tree/proc"
	chroot "$tree" dpkg --configure usr-is-merged >>"$log" 2>&1 # it removes lib64, which may come next
	if same_suite; then borrow_programs "$tree"; fi
	chroot "$tree" dpkg --configure -a >>"$log" 2>&1
	[[ -z $(chroot "$tree" dpkg --audit) ]]
}
# shellcheck disable=SC1091 # it is a different file on every machine
same_suite() { [[ $(uname -m) == x86_64 && $(. /etc/os-release && echo "${VERSION_CODENAME:-}") == "$suite" ]]; }
borrow_programs() {
	local tree=$1 copies theirs ours name
	mkdir "$tree/usr/lib64" "$tree/usr/lib/x86_64-linux-gnu"
	ln -s usr/lib64 "$tree/lib64"
	mount --bind /usr/lib/x86_64-linux-gnu "$tree/usr/lib/x86_64-linux-gnu"
	mount --bind /usr/lib64 "$tree/usr/lib64"
	copies=$(mktemp -d)
	mount -t tmpfs tmpfs "$copies"
	for theirs in "$tree"/usr/bin/* "$tree"/usr/sbin/*; do
		ours=/usr/${theirs#"$tree"/usr/} name=${theirs##*/}
		case $name in dpkg* | ldconfig* | ld.so | apt* | ssh*) continue ;; esac
		[[ -f $theirs && ! -L $theirs && -f $ours && ! -L $ours && ! -u $ours && ! -g $ours ]] || continue
		[[ $(elf_machine "$theirs") == b700 && $(elf_machine "$ours") == 3e00 ]] || continue
		cp "$ours" "$copies/$name"
		mount --bind "$copies/$name" "$theirs"
	done
}
elf_machine() { od -An -tx1 -j18 -N2 "$1" | tr -d ' \n'; }

# initrd WORK VERSION: busybox, the modules in their order, and init.
initrd() {
	local dir=$1/initrd version=$2 module name count=0
	mkdir -p "$dir"/{bin,dev,proc,sys,modules,sysroot}
	install -m 755 "$1/busybox/bin/busybox" "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	install -m 755 image/init "$dir/init"
	for module in "${initrd_modules[@]}"; do
		modprobe -d "$1/kernel" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$1/modules"
	while read -r module; do
		count=$((count + 1))
		name=$(printf %02d $count)-$(basename "$module" .xz)
		case $module in *.xz) xz -dc "$module" ;; *) cat "$module" ;; esac >"$dir/modules/$name"
	done <"$1/modules"
	(cd "$dir" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --owner=0:0) | gzip -6
}

# settle WORK FOLDER: what makes it this guest.
settle() {
	local tree=$1/tree unit
	rm -f "$tree/usr/sbin/policy-rc.d" "$tree/etc/resolv.conf"
	# A checkout keeps of a file's mode only whether it can be executed.
	cp -r image/guest "$1/guest"
	chmod -R u=rwX,go=rX "$1/guest"
	cp -a "$1/guest/." "$tree/"
	install -m 644 "$2/key.pub" "$tree/etc/ssh/guest_keys"
	# The first user, as of Raspberry Pi OS.
	echo 'pi:x:1000:1000::/home/pi:/bin/sh' >>"$tree/etc/passwd"
	echo 'pi:*:20000:0:99999:7:::' >>"$tree/etc/shadow"
	printf '%s\n' pi:x:1000: gpio:x:900:pi >>"$tree/etc/group"
	printf '%s\n' 'pi:!::' 'gpio:!::pi' >>"$tree/etc/gshadow"
	install -d -m 700 -o 1000 -g 1000 "$tree/home/pi"
	: >"$tree/etc/machine-id"
	: >"$tree/etc/apt/sources.list"  # the guest fetches nothing
	mkdir -p "$tree/var/log/journal" # a journal that outlives a reboot
	systemctl --root="$tree" -q enable systemd-networkd systemd-timesyncd guest-network guest-ready
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
		fstrim.timer systemd-networkd-wait-online.service systemd-network-generator.service systemd-pstore.service \
		getty@tty1.service modprobe@{dm_mod,drm,efi_pstore,loop,fuse,configfs}.service sys-fs-fuse-connections.mount \
		sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount kmod-static-nodes.service systemd-modules-load.service \
		systemd-sysusers.service systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
		ln -sf /dev/null "$tree/etc/systemd/system/$unit"
	done
	# They run at every boot and at every reload, of which an upgrade has one. The guest needs that for fstab alone.
	mkdir -p "$tree/etc/systemd/system-generators"
	for unit in "$tree"/usr/lib/systemd/system-generators/*; do
		[[ $unit == *fstab* ]] || ln -sf /dev/null "$tree/etc/systemd/system-generators/${unit##*/}"
	done
}

# virt_tree FOLDER: the device tree of QEMU's virt board, changed as image/virt.dtsi says.
virt_tree() {
	qemu-system-aarch64 -M virt,dumpdtb="$1/virt.raw" -cpu cortex-a53 -smp 2 -m 512 -display none >&2 2>/dev/null
	{ dtc -q -I dtb -O dts "$1/virt.raw" && cat image/virt.dtsi; } | dtc -q -I dts -O dtb -o "$1/virt.dtb"
	rm "$1/virt.raw"
}

make_image() {
	local work=$1/work out=$1/out version modules
	mkdir "$work" "$work/tree" "$out"
	ssh-keygen -q -t ed25519 -N '' -C pi -f "$out/key"
	say "downloading Debian $suite for arm64"
	download "$work"
	say "installing ${#packages[@]} packages and their like"
	unpack "$work"
	arm64 unshare --mount "$PWD/image.sh" configure-packages "$work" || {
		tail -20 "$work/dpkg.log" >&2
		die "the packages could not be configured"
	}
	rm -rf "$work/tree/usr/lib/x86_64-linux-gnu" "$work/tree/usr/lib64" "$work/tree/lib64"
	say "kernel, card"
	version=$(basename "$work"/kernel/lib/modules/*)
	cp "$work/kernel/boot/vmlinuz-$version" "$out/kernel"
	cp "$work/kernel/usr/lib/linux-image-$version/broadcom/bcm2837-rpi-3-b.dtb" "$out/pi3b.dtb"
	virt_tree "$out"
	depmod -b "$work/kernel" "$version"
	initrd "$work" "$version" >"$out/initrd"
	modules=$work/tree/usr/lib/modules/$version
	mkdir -p "$modules"
	(cd "$work/kernel/lib/modules/$version" && cp modules.builtin modules.builtin.modinfo modules.order "$modules/" &&
		find "${guest_modules[@]}" -type f 2>/dev/null | cpio -pdm --quiet "$modules") || true # not every kernel has every folder
	depmod -b "$work/tree" "$version"
	settle "$work" "$out"
	truncate -s ${card_mb}M "$out/card.img"
	mke2fs -q -F -t ext4 -L rootfs -E lazy_itable_init=1,nodiscard -d "$work/tree" "$out/card.img" ${filesystem_mb}M >&2
	printf 'filesystem_mb=%d\ncard_mb=%d\nkernel=%s\n' $filesystem_mb $card_mb "$version" >"$out/card.env"
	rm -rf "$work"
}

case ${1:-} in
in-namespace | configure-packages)
	step=${1//-/_}
	shift
	"$step" "$@"
	exit
	;;
esac

get_tools
image=$cache/$(hash_of_recipe)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two at once make one
if [[ ! -e $image/card.img ]]; then
	((EUID == 0)) || cannot "making the image needs root, once:" "  sudo LATCHD_PI_CACHE='$cache' $PWD/image.sh && sudo chmod -R a+rX '$cache'"
	new=$(mktemp -d "$cache/new.XXXXXX")
	trap 'rm -rf --one-file-system "$new"' EXIT
	make_image "$new"
	chmod 755 "$new/out"
	mv "$new/out" "$image"
	say "made $image ($(du -sh "$image" | cut -f1))"
fi
touch "$image"
find "$cache" -mindepth 1 -maxdepth 1 -type d -mtime +$unused_days -exec rm -rf {} +
echo "$image"
