package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
)

const blockFile = "block"

type volume struct {
	ID, Name, Class string
	Size            int64
	Block           bool
	Topology        map[string]string
}

type snapshot struct {
	ID, Name, Source string
	Size             int64
	Block            bool
	Created          time.Time
	Ready            bool
	Err              string
}

// driver answers for one node; the first node's also makes and deletes. Volumes are found by their
// folder, so that the other nodes need no state.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	name, node, zone, root string
	snapshots              bool
	making                 map[string]bool // names of volumes that are being made: the sidecar asks again and again
	mu                     sync.Mutex
	Vols                   map[string]*volume
	Snaps                  map[string]*snapshot
}

func (d *driver) dir(kind, id string) string { return filepath.Join(d.root, kind, id) }

func (d *driver) load() error {
	d.Vols, d.Snaps, d.making = map[string]*volume{}, map[string]*snapshot{}, map[string]bool{}
	b, err := os.ReadFile(filepath.Join(d.root, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, d)
}

// save writes the state; d.mu is held.
func (d *driver) save() error {
	b, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	path := filepath.Join(d.root, "state.json")
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

// isBtrfs: cp -a there would not be one point in time, files are copied one after the other.
func isBtrfs(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(filepath.Dir(path), &s) == nil && s.Type == unix.BTRFS_SUPER_MAGIC
}

func makeTree(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if isBtrfs(path) {
		if err := command("btrfs", "subvolume", "create", path); err != nil {
			return err
		}
	} else if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	return os.Chmod(path, 0o777)
}

func removeTree(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if isBtrfs(path) && command("btrfs", "subvolume", "delete", path) == nil {
		return nil
	}
	return os.RemoveAll(path)
}

func copyTree(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if isBtrfs(to) {
		return command("btrfs", "subvolume", "snapshot", from, to)
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	return command("cp", "-a", "--reflink=auto", from+"/.", to)
}
