package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/dm"
)

// DMThin is the device mapper's thin provisioning, by its ioctls.
type DMThin struct{}

func (DMThin) Info() Info {
	return Info{
		Name: "dm-thin", Kind: Block, Copies: Extent,
		Help: "each layer and each clone a thin volume with ext4, sharing blocks of 64 KiB with the layer below it",
	}
}

func (DMThin) Probe(ctx context.Context, dir string) error {
	return probeThin(ctx, "dm-thin", dir, "mkfs.ext4")
}

func (DMThin) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	if err := needThin("dm-thin", "mkfs.ext4"); err != nil {
		return nil, err
	}
	control, err := dm.Open()
	if err != nil {
		return nil, missing("dm-thin", err)
	}
	v := &dmVolumes{control: control, name: o.name(), ids: map[string]uint32{}}
	if err = noneYet(control, v.part(""), ofDM); err == nil {
		err = o.record(Resource{"dm", v.name})
	}
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	device, err := o.thinDevice(ctx, dir)
	if err != nil {
		return nil, errors.Join(missing("dm-thin", err), control.Close())
	}
	p := newThinPool(dir, device, v)
	if err := v.build(device); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// blockSize is how much is shared and copied at a time: Docker's, and the least
// that the target can.
const blockSize = 64 << 10

// sector is the device mapper's unit.
const sector = 512

// thinMetadata is the size of a pool's metadata device, in bytes. One mapping
// takes up to 64 bytes (lvmthin(7)), which would be a thousandth of the pool, for
// each clone that shares none; the kernel uses less than 16 GiB.
func thinMetadata(pool int64) int64 {
	return min(max(pool/64, 4<<20), 8<<30) &^ (blockSize - 1)
}

// dmVolumes has the pool's device split in two, metadata and data, as LVM
// does.
type dmVolumes struct {
	control *dm.Control
	name    string
	pool    dm.Info
	size    uint64 // of the pool's data, and of each volume, in sectors

	mu   sync.Mutex
	next uint32
	ids  map[string]uint32 // of volumes, in the pool
}

func (v *dmVolumes) part(name string) string { return v.name + "-" + name }

// ofDM begins a uuid, which says that a device is ours, whatever else bears
// such a name.
const ofDM = "PLIMSOLL-"

func (v *dmVolumes) add(part string, t dm.Target) (dm.Info, error) {
	return v.control.Add(part, ofDM+part, t)
}

func (v *dmVolumes) build(device *block.Device) error {
	size, err := deviceSize(device.Path)
	if err != nil {
		return err
	}
	meta := thinMetadata(size)
	data := (size - meta) &^ (blockSize - 1)
	if data <= 0 {
		return fmt.Errorf("%s: %d bytes are too few for a thin pool (pools.size)", device.Path, size)
	}
	v.size = uint64(data / sector)
	linear := func(part string, start, length int64) (dm.Info, error) {
		return v.add(v.part(part), dm.Target{
			Length: uint64(length / sector), Type: "linear",
			Params: fmt.Sprintf("%s %d", device.Path, start/sector),
		})
	}
	m, err := linear("meta", 0, meta)
	if err != nil {
		return err
	}
	d, err := linear("data", meta, data)
	if err != nil {
		return err
	}
	if err := zeroBlock(m.Path()); err != nil { // what is to be formatted
		return err
	}
	// error_if_no_space: a full pool would hold writers for a minute first, in
	// the hope that somebody enlarges it.
	v.pool, err = v.add(v.part("pool"), dm.Target{
		Length: v.size, Type: "thin-pool",
		Params: fmt.Sprintf("%s %s %d 0 2 skip_block_zeroing error_if_no_space", m.Number(), d.Number(), blockSize/sector),
	})
	return err
}

// zeroBlock clears the superblock of a metadata device.
func zeroBlock(device string) error {
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close())
}

func (v *dmVolumes) create(ctx context.Context, volume string) (string, error) {
	return v.make(ctx, volume, func(id uint32) string { return fmt.Sprintf("create_thin %d", id) })
}

func (v *dmVolumes) snapshot(ctx context.Context, volume, origin string) (string, error) {
	from := v.id(origin)
	return v.make(ctx, volume, func(id uint32) string { return fmt.Sprintf("create_snap %d %d", id, from) })
}

func (v *dmVolumes) make(ctx context.Context, volume string, message func(id uint32) string) (string, error) {
	v.mu.Lock()
	_, exists := v.ids[volume]
	id := v.next
	if !exists {
		v.ids[volume] = id
		v.next++
	}
	v.mu.Unlock()
	if exists {
		return "", fmt.Errorf("thin volume %s of %s: %w", volume, v.name, os.ErrExist)
	}
	if err := v.control.Message(v.part("pool"), message(id)); err != nil {
		v.forget(volume)
		return "", err
	}
	device, err := v.activate(ctx, volume)
	if err != nil {
		return "", errors.Join(err, v.delete(volume))
	}
	return device, nil
}

func (v *dmVolumes) id(volume string) uint32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ids[volume]
}

func (v *dmVolumes) forget(volume string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.ids, volume)
}

// numbered is the name of a volume's device. One that was taken from its users
// may still bear its own when there is another volume with that name.
func (v *dmVolumes) numbered(volume string) string {
	return v.part(fmt.Sprintf("%d-%s", v.id(volume), volume))
}

func (v *dmVolumes) activate(_ context.Context, volume string) (string, error) {
	i, err := v.add(v.numbered(volume), dm.Target{
		Length: v.size, Type: "thin",
		Params: fmt.Sprintf("%s %d", v.pool.Number(), v.id(volume)),
	})
	return i.Path(), err
}

// patience is how long udev and its like may look at a device.
const patience = 5 * time.Second

func (v *dmVolumes) deactivate(ctx context.Context, volume string) error {
	return v.control.Remove(ctx, v.numbered(volume), patience)
}

func (v *dmVolumes) remove(ctx context.Context, volume string, used bool) error {
	var err error
	if used {
		err = v.control.Drop(v.numbered(volume))
	} else {
		err = v.deactivate(ctx, volume)
	}
	if err != nil {
		return err
	}
	return v.delete(volume)
}

func (v *dmVolumes) delete(volume string) error {
	err := v.control.Message(v.part("pool"), fmt.Sprintf("delete %d", v.id(volume)))
	if err == nil {
		v.forget(volume)
	}
	return err
}

func (v *dmVolumes) usage() (dm.ThinUsage, error) { return thinUsage(v.control, v.part("pool")) }

func thinUsage(c *dm.Control, pool string) (dm.ThinUsage, error) {
	status, err := c.Status(pool)
	if err != nil {
		return dm.ThinUsage{}, err
	}
	if len(status) != 1 || status[0].Type != "thin-pool" {
		return dm.ThinUsage{}, fmt.Errorf("%s is no thin pool: %v", pool, status)
	}
	return dm.ParseThinUsage(status[0].Params, blockSize)
}

func (v *dmVolumes) close(ctx context.Context) error {
	if err := removeDM(ctx, v.control, v.part(""), ofDM); err != nil {
		return err
	}
	return v.control.Close()
}

// undoDM removes the devices of a dm-thin pool that a kill left.
func undoDM(ctx context.Context, name string) error {
	if !dm.Loaded() {
		return nil
	}
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	return removeDM(ctx, c, name+"-", ofDM)
}

func (o Options) record(r Resource) error {
	if o.Record == nil {
		return nil
	}
	if err := o.Record(r); err != nil {
		return fmt.Errorf("record %s %s: %w", r.Kind, r.Name, err)
	}
	return nil
}
