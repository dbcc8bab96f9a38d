#!/bin/busybox sh
# First process of the machine that packages are configured in: makes the first disk's files the
# root of a system, as sandbox.sh does for a folder, runs the script in it, and writes what that
# prints onto the second disk. What programs say goes to the first serial port; how it ended, and how
# many bytes were printed, to the second one; the third one is the console.
set -o pipefail
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /host
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
$bb stty -F /dev/ttyS0 -opost
$bb modprobe -a virtio_blk crc32c_generic ext4

# Nobody leaves the root that the kernel starts with for another one: this one can be left.
$bb mount -t tmpfs tmpfs /host
$bb mkdir -p /host/bin /host/dev /host/proc /host/system
$bb cp $bb /host/bin/
$bb mount -t devtmpfs devtmpfs /host/dev
$bb mount -t proc proc /host/proc
$bb mount -t ext4 -o noatime /dev/vda /host/system
$bb rmdir /host/system/lost+found

{
    $bb chroot /host $bb unshare -m -n -i -u -p -f $bb sh -c "$($bb cat /sandbox.sh)" sh \
        $bb /system "$($bb cat /script)" </dev/null
    echo $? >/status
} 2>/dev/ttyS0 | {
    # An empty line comes first, when all is set up.
    read -r line
    $bb tee /dev/vdb | $bb wc -c >/printed || $bb rm /printed
}
$bb sync
echo "$($bb cat /status) $($bb cat /printed)" >/dev/ttyS1
$bb poweroff -f
