package main

import (
	"context"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func failed(err error) error { return status.Error(codes.Internal, err.Error()) }

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	out := &csi.GetPluginCapabilitiesResponse{}
	for _, t := range []csi.PluginCapability_Service_Type{
		csi.PluginCapability_Service_CONTROLLER_SERVICE, csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS,
	} {
		out.Capabilities = append(out.Capabilities, &csi.PluginCapability{
			Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: t}}})
	}
	return out, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	can := []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME, csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER} // ReadWriteOncePod asks for it
	if d.snapshots {
		can = append(can, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT, csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS)
	}
	out := &csi.ControllerGetCapabilitiesResponse{}
	for _, t := range can {
		out.Capabilities = append(out.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: t}}})
	}
	return out, nil
}

func (d *driver) zoneKey() string { return "topology." + d.name + "/zone" }

// place chooses the zone of a new volume: the one asked for first, else this node's.
func (d *driver) place(r *csi.CreateVolumeRequest) map[string]string {
	if r.Parameters["shared"] == "true" {
		return nil
	}
	for _, t := range append(r.GetAccessibilityRequirements().GetPreferred(), r.GetAccessibilityRequirements().GetRequisite()...) {
		return t.Segments
	}
	return map[string]string{d.zoneKey(): d.zone}
}

func answer(v *volume, source *csi.VolumeContentSource) *csi.CreateVolumeResponse {
	out := &csi.Volume{VolumeId: v.ID, CapacityBytes: v.Size, ContentSource: source}
	if v.Topology != nil {
		out.AccessibleTopology = []*csi.Topology{{Segments: v.Topology}}
	}
	return &csi.CreateVolumeResponse{Volume: out}
}

// source finds the folder whose content a new volume starts with, and how large it is; d.mu is held.
func (d *driver) source(r *csi.CreateVolumeRequest, block bool) (string, int64, error) {
	var path string
	var size int64
	var isBlock bool
	if s := r.GetVolumeContentSource().GetSnapshot(); s != nil {
		x := d.Snaps[s.SnapshotId]
		if x == nil {
			return "", 0, status.Errorf(codes.NotFound, "no snapshot %q", s.SnapshotId)
		}
		if !x.Ready {
			return "", 0, status.Errorf(codes.FailedPrecondition, "snapshot %q is not ready %s", s.SnapshotId, x.Err)
		}
		path, size, isBlock = d.dir("snaps", x.ID), x.Size, x.Block
	} else if s := r.GetVolumeContentSource().GetVolume(); s != nil {
		v := d.Vols[s.VolumeId]
		if v == nil {
			return "", 0, status.Errorf(codes.NotFound, "no volume %q", s.VolumeId)
		}
		path, size, isBlock = d.dir("vols", v.ID), v.Size, v.Block
	} else {
		return "", 0, nil
	}
	if isBlock != block {
		return "", 0, status.Error(codes.InvalidArgument, "the source has another volume mode")
	}
	return path, size, nil
}

// refused says why a class takes no volume now; d.mu is held.
func (d *driver) refused(r *csi.CreateVolumeRequest, size int64) error {
	p := r.Parameters
	if p["fail"] == "true" {
		return status.Error(codes.Internal, "told to fail")
	}
	if p["needSecret"] == "true" && r.Secrets["key"] == "" {
		return status.Error(codes.Unauthenticated, "no key in the secret of the class")
	}
	capacity, err := strconv.ParseInt(p["capacity"], 10, 64)
	if err != nil {
		return nil
	}
	for _, v := range d.Vols {
		if v.Class == p["class"] {
			capacity -= v.Size
		}
	}
	if size > capacity {
		return status.Errorf(codes.ResourceExhausted, "%d bytes left", capacity)
	}
	return nil
}

func wantsBlock(capabilities []*csi.VolumeCapability) bool {
	for _, c := range capabilities {
		if c.GetBlock() != nil {
			return true
		}
	}
	return false
}

// begin reserves what CreateVolume needs to know: a volume that is there already, or a new one and its source.
func (d *driver) begin(r *csi.CreateVolumeRequest) (old, made *volume, from string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.Vols {
		if v.Name == r.Name {
			return v, nil, "", nil
		}
	}
	if d.making[r.Name] {
		return nil, nil, "", status.Errorf(codes.Aborted, "%q is being made", r.Name)
	}
	size := r.GetCapacityRange().GetRequiredBytes()
	block := wantsBlock(r.VolumeCapabilities)
	from, least, err := d.source(r, block)
	if err != nil {
		return nil, nil, "", err
	}
	if size < least {
		return nil, nil, "", status.Errorf(codes.OutOfRange, "the source holds %d bytes", least)
	}
	if err := d.refused(r, size); err != nil {
		return nil, nil, "", err
	}
	d.making[r.Name] = true
	return nil, &volume{ID: "vol-" + uuid.NewString(), Name: r.Name, Class: r.Parameters["class"],
		Size: size, Block: block, Topology: d.place(r)}, from, nil
}

func (d *driver) fill(v *volume, from string) error {
	path := d.dir("vols", v.ID)
	if from != "" {
		if err := copyTree(from, path); err != nil {
			return err
		}
	} else if err := makeTree(path); err != nil {
		return err
	}
	if !v.Block {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(path, blockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(v.Size)
}

func (d *driver) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	old, v, from, err := d.begin(r)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return answer(old, r.VolumeContentSource), nil
	}
	if wait, err := time.ParseDuration(r.Parameters["createDelay"]); err == nil {
		time.Sleep(wait)
	}
	err = d.fill(v, from)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.making, r.Name)
	if err != nil {
		_ = removeTree(d.dir("vols", v.ID)) // what it says is of less use than why it is removed
		return nil, failed(err)
	}
	d.Vols[v.ID] = v
	if err := d.save(); err != nil {
		return nil, failed(err)
	}
	return answer(v, r.VolumeContentSource), nil
}

func (d *driver) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Vols[r.VolumeId] == nil {
		return &csi.DeleteVolumeResponse{}, nil
	}
	if err := removeTree(d.dir("vols", r.VolumeId)); err != nil {
		return nil, failed(err)
	}
	delete(d.Vols, r.VolumeId)
	return &csi.DeleteVolumeResponse{}, d.save()
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: r.VolumeCapabilities}}, nil
}

func message(s *snapshot) *csi.Snapshot {
	return &csi.Snapshot{SnapshotId: s.ID, SourceVolumeId: s.Source, SizeBytes: s.Size,
		CreationTime: timestamppb.New(s.Created), ReadyToUse: s.Ready}
}

// beginSnapshot finds the snapshot of that name or notes a new one.
func (d *driver) beginSnapshot(r *csi.CreateSnapshotRequest) (old, made *snapshot, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.Snaps {
		if s.Name == r.Name {
			return s, nil, nil
		}
	}
	if d.making[r.Name] {
		return nil, nil, status.Errorf(codes.Aborted, "%q is being taken", r.Name)
	}
	v := d.Vols[r.SourceVolumeId]
	if v == nil {
		return nil, nil, status.Errorf(codes.NotFound, "no volume %q", r.SourceVolumeId)
	}
	d.making[r.Name] = true
	s := &snapshot{ID: "snap-" + uuid.NewString(), Name: r.Name, Source: v.ID, Size: v.Size, Block: v.Block, Created: time.Now()}
	return nil, s, nil
}

// take makes the point in time, and notes the snapshot when there is one. A class with takeDelay answers late.
func (d *driver) take(r *csi.CreateSnapshotRequest, s *snapshot) error {
	err := copyTree(d.dir("vols", s.Source), d.dir("snaps", s.ID))
	if wait, bad := time.ParseDuration(r.Parameters["takeDelay"]); bad == nil {
		time.Sleep(wait)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.making, r.Name)
	if err != nil {
		_ = removeTree(d.dir("snaps", s.ID)) // what it says is of less use than why it is removed
		return err
	}
	d.Snaps[s.ID] = s
	return d.save()
}

func (d *driver) finish(s *snapshot) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Ready = true
	return d.save()
}

// CreateSnapshot: a class with snapshotDelay answers at once with readyToUse false ("uploading").
func (d *driver) CreateSnapshot(_ context.Context, r *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if r.Parameters["fail"] == "true" {
		return nil, status.Error(codes.Internal, "told to fail")
	}
	old, s, err := d.beginSnapshot(r)
	if err != nil {
		return nil, err
	}
	if old != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return &csi.CreateSnapshotResponse{Snapshot: message(old)}, nil
	}
	if err := d.take(r, s); err != nil {
		return nil, failed(err)
	}
	if wait, bad := time.ParseDuration(r.Parameters["snapshotDelay"]); bad == nil {
		now := message(s)
		time.AfterFunc(wait, func() { _ = d.finish(s) }) // a state that can't be written is seen by the next call
		return &csi.CreateSnapshotResponse{Snapshot: now}, nil
	}
	if err := d.finish(s); err != nil {
		return nil, failed(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: message(s)}, nil
}

func (d *driver) DeleteSnapshot(_ context.Context, r *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Snaps[r.SnapshotId] == nil {
		return &csi.DeleteSnapshotResponse{}, nil
	}
	if err := removeTree(d.dir("snaps", r.SnapshotId)); err != nil {
		return nil, failed(err)
	}
	delete(d.Snaps, r.SnapshotId)
	return &csi.DeleteSnapshotResponse{}, d.save()
}

func (d *driver) ListSnapshots(_ context.Context, r *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := &csi.ListSnapshotsResponse{}
	for _, s := range d.Snaps {
		if (r.SnapshotId == "" || r.SnapshotId == s.ID) && (r.SourceVolumeId == "" || r.SourceVolumeId == s.Source) {
			out.Entries = append(out.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: message(s)})
		}
	}
	sort.Slice(out.Entries, func(i, j int) bool { return out.Entries[i].Snapshot.SnapshotId < out.Entries[j].Snapshot.SnapshotId })
	return out, nil
}
