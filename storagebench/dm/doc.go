// Package dm speaks to the kernel's device mapper by its ioctls on
// /dev/mapper/control: what is timed is then the mechanism, not the start of
// dmsetup or lvm.
//
// It works in sectors of 512 bytes, as the device mapper does. Where udev runs,
// its rules are told to leave the devices alone: they make no links and look for
// no file systems in them. The nodes used are devtmpfs's, /dev/dm-MINOR.
//
// Sources: linux/dm-ioctl.h, Documentation/admin-guide/device-mapper, and for
// the flags given to udev libdevmapper.h.
package dm
