#!/usr/bin/env bash
# Inside a machine's new namespaces (machine.sh): furnishes its root, WORK/root, and becomes systemd.
#
#   machine_root.sh BUILD STAGE WORK
#
# What the machine must not reach of the system around it: sysctls (/proc/sys is read-only: PID 1 would
# raise fs.file-max there), /sys, /dev, kernel messages, sysrq. What it has of it: the root file system
# below an overlay, which forgets everything.
set -euo pipefail
readonly build=$1 stage=$2 work=$3
readonly root=$work/root units=$work/root/etc/systemd/system
umask 022

# Our pid as the outside sees it, while /proc is still the outside's.
read -r pid _ </proc/self/stat
echo "$pid" >"$work/share/pid"
umount -l "$work/cgroup"

# ---- file systems -------------------------------------------------------------------------------
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
for file in kmsg sysrq-trigger; do
  [[ ! -e $root/proc/$file ]] || mount --bind /dev/null "$root/proc/$file"
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid,nodev,size=64m tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mkdir -p "$root"/run/machine/build "$root/usr/local"
mount --bind "$work/share" "$root/run/machine"
mkdir "$root/run/machine/build"
mount --bind "$build" "$root/run/machine/build"
mount -o remount,bind,ro "$root/run/machine/build"
mount --bind "$stage/usr/local" "$root/usr/local"
mount -o remount,bind,ro "$root/usr/local"

# ---- devices: few, and nodes of its own ---------------------------------------------------------
mount -t tmpfs -o mode=755,nosuid,size=16m tmpfs "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "$root/dev/${device%:*}" c 1 "${device#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
while read -r minor name; do
  case $name in
    fuse) mknod -m 666 "$root/dev/$name" c 10 "$minor" ;;
    userfaultfd | cpu_dma_latency) mknod -m 600 "$root/dev/$name" c 10 "$minor" ;;
  esac
done </proc/misc
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "$root/dev/${n#*:}"; done

# ---- what a boot does for uarena before services start ------------------------------------------
chroot "$root" systemd-sysusers uarena.conf
chroot "$root" systemd-tmpfiles --create uarena.conf
# udev is not here; what its rule says is done by hand.
rule=$(sed -n 's/^KERNEL=="userfaultfd".*GROUP="\(.*\)", MODE="\(.*\)"$/\1 \2/p' \
  "$stage/usr/local/lib/udev/rules.d/60-uarena.rules")
[[ ! -e $root/dev/userfaultfd ]] || chroot "$root" chgrp "${rule% *}" /dev/userfaultfd
[[ ! -e $root/dev/userfaultfd ]] || chmod "${rule#* }" "$root/dev/userfaultfd"

# ---- a boot of nearly nothing -------------------------------------------------------------------
rm -rf "$units"
mkdir -p "$units/service.d" "$root/run/machine/none"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
: >"$root/etc/fstab"
for target in sysinit sockets; do printf '[Unit]\nDescription=%s\n' $target >"$units/$target.target"; done
cat >"$units/basic.target" <<'UNIT'
[Unit]
Requires=sysinit.target
Wants=sockets.target
After=sysinit.target sockets.target
UNIT
for unit in shutdown.target umount.target final.target exit.target systemd-exit.service; do
  cp "/lib/systemd/system/$unit" "$units/"
done
cat >"$units/machine.target" <<'UNIT'
[Unit]
Requires=basic.target machine-up.service
After=basic.target
UNIT
cat >"$units/machine-up.service" <<'UNIT'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo up >/run/machine/up'
UNIT
# There is no journal; what services say goes to the test.
cat >"$units/service.d/log.conf" <<'UNIT'
[Service]
StandardOutput=null
StandardError=file:/run/machine/log
UNIT

# ---- and there it is ----------------------------------------------------------------------------
cd "$root"
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
# As PID 1 makes it where it is not in a container: what is mounted or unmounted in the machine is so
# for its services, too.
mount --make-rshared /
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 \
  container=uarena-machine container_uuid=01234567-89ab-cdef-0123-456789abcdef \
  SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system:/run/systemd/transient:/usr/local/lib/systemd/system \
  SYSTEMD_GENERATOR_PATH=/run/machine/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/machine/none \
  /lib/systemd/systemd --system --unit=machine.target --log-target=console --show-status=no
