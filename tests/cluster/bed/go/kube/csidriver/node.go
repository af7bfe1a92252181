package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{
		NodeId: d.node, AccessibleTopology: &csi.Topology{Segments: map[string]string{d.zoneKey(): d.zone}}}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{{
		Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{
			Type: csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER}}}}}, nil
}

func mounted(path string) (bool, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return strings.Contains(string(mounts), " "+path+" "), err
}

// loopOf is the loop device of a block volume's file, made when there is none.
func loopOf(file string) (string, error) {
	out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", file).Output()
	if device := strings.TrimSpace(string(out)); err != nil || device != "" {
		return strings.Split(device, "\n")[0], err
	}
	out, err = exec.Command("losetup", "-f", "--show", file).Output()
	return strings.TrimSpace(string(out)), err
}

// target makes the mount point that NodePublishVolume mounts `from` on: a folder, or a file for a device.
func (d *driver) target(r *csi.NodePublishVolumeRequest) (from string, err error) {
	from = d.dir("vols", r.VolumeId)
	if r.GetVolumeCapability().GetBlock() == nil {
		return from, os.MkdirAll(r.TargetPath, 0o750)
	}
	if from, err = loopOf(filepath.Join(from, blockFile)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(r.TargetPath), 0o750); err != nil {
		return "", err
	}
	f, err := os.OpenFile(r.TargetPath, os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	return from, f.Close()
}

func (d *driver) NodePublishVolume(_ context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if _, err := os.Stat(d.dir("vols", r.VolumeId)); err != nil {
		return nil, status.Errorf(codes.NotFound, "no volume %q", r.VolumeId)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if there, err := mounted(r.TargetPath); err != nil || there {
		return &csi.NodePublishVolumeResponse{}, err
	}
	from, err := d.target(r)
	if err != nil {
		return nil, failed(err)
	}
	if err := unix.Mount(from, r.TargetPath, "", unix.MS_BIND, ""); err != nil {
		return nil, failed(err)
	}
	if r.Readonly {
		if err := unix.Mount("", r.TargetPath, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return nil, failed(err)
		}
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume also frees the loop device; while another pod has it open the kernel only notes that.
func (d *driver) NodeUnpublishVolume(_ context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := unix.Unmount(r.TargetPath, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return nil, failed(err)
	}
	if err := os.Remove(r.TargetPath); err != nil && !os.IsNotExist(err) {
		return nil, failed(err)
	}
	file := filepath.Join(d.dir("vols", r.VolumeId), blockFile)
	if out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", file).Output(); err == nil {
		for _, device := range strings.Fields(string(out)) {
			if held, err := os.ReadFile("/proc/self/mounts"); err == nil && strings.Contains(string(held), device+" ") {
				continue
			}
			_ = command("losetup", "-d", device)
		}
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
