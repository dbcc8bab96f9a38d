# Makes a folder the root of a system without network, devices or sight of the host, and runs a
# script in it. Arguments: busybox, the folder, the script. Runs as root, of a user namespace or of
# a machine, in mount, process, network, IPC and host name namespaces of its own. Prints an empty
# line when all is set up, then what the script prints.
set -e
bb=$1 root=$2 script=$3
cd "$root"
"$bb" mount --bind . .
cd "$root"
"$bb" mkdir -p dev proc run sys tmp .mkimage/host
"$bb" mount -t tmpfs -o mode=755,size=4m tmpfs dev
for node in null zero full random urandom tty; do
    : >dev/$node
    "$bb" mount --bind /dev/$node dev/$node
done
"$bb" ln -s /proc/self/fd dev/fd
"$bb" ln -s fd/0 dev/stdin
"$bb" ln -s fd/1 dev/stdout
"$bb" ln -s fd/2 dev/stderr
"$bb" mkdir dev/shm dev/pts
"$bb" chmod 1777 dev/shm
# A process file system of its own, if what is mounted here doesn't forbid it (some containers do).
"$bb" mount -t proc proc proc || "$bb" mount --rbind /proc proc
# The host's root may be this one's too, by number: nothing of the kernel's is to be changed.
for path in sys sysrq-trigger irq bus fs; do
    if [ -e proc/$path ]; then
        "$bb" mount --bind proc/$path proc/$path
        "$bb" mount -o remount,bind,ro,nosuid,nodev,noexec proc/$path proc/$path
    fi
done
for path in kcore kmsg keys; do
    if [ -e proc/$path ]; then "$bb" mount --bind /dev/null proc/$path; fi
done
"$bb" mount -t tmpfs -o mode=755 tmpfs run
"$bb" mount -t tmpfs -o mode=1777 tmpfs tmp
"$bb" hostname localhost
"$bb" pivot_root . .mkimage/host
cd /
umask 022
"/.mkimage/host$bb" echo
"/.mkimage/host$bb" umount -l /.mkimage/host
exec /usr/bin/env -i \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/root LC_ALL=C.UTF-8 TZ=UTC TERM=dumb PYTHONHASHSEED=0 \
    /bin/sh -euc "$script"
