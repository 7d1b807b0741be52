// SPDX-License-Identifier: Apache-2.0

// Volumes and snapshots are made and deleted.
package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const smallest = 16 << 20

// one at a time: what is asked for again while it is being made waits, and finds it
var making sync.Mutex

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	kinds := []csi.ControllerServiceCapability_RPC_Type{csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME}
	if !d.shared {
		kinds = append(kinds, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT)
	}
	answer := &csi.ControllerGetCapabilitiesResponse{}
	for _, kind := range kinds {
		answer.Capabilities = append(answer.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: kind}}})
	}
	return answer, nil
}

// refused: why a volume cannot be had in this way, or nothing
func (d *driver) refused(capabilities []*csi.VolumeCapability) string {
	for _, c := range capabilities {
		switch c.GetAccessMode().GetMode() {
		case csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER, csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY,
			csi.VolumeCapability_AccessMode_MULTI_NODE_SINGLE_WRITER:
			if !d.shared {
				return "a disk is at one node at a time"
			}
		}
		if c.GetBlock() != nil && d.shared {
			return "a file share is no block device"
		}
	}
	return ""
}

func (d *driver) ValidateVolumeCapabilities(_ context.Context, q *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if why := d.refused(q.VolumeCapabilities); why != "" {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: why}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: q.VolumeCapabilities}}, nil
}

func (d *driver) CreateVolume(_ context.Context, q *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	making.Lock()
	defer making.Unlock()
	dir, err := d.where("volumes", q.Name)
	if err != nil {
		return nil, err
	}
	if why := d.refused(q.VolumeCapabilities); why != "" {
		return nil, status.Error(codes.InvalidArgument, why)
	}
	var have volume
	there, err := load(dir, "volume.json", &have)
	if err != nil {
		return nil, err
	}
	from := q.GetVolumeContentSource().GetSnapshot().GetSnapshotId()
	if there && have.From != from {
		return nil, status.Errorf(codes.AlreadyExists, "volume %s has other contents", q.Name)
	}
	if !there {
		have = volume{Bytes: max(q.GetCapacityRange().GetRequiredBytes(), smallest), From: from}
		if have.Bytes < 300<<20 {
			for _, c := range q.VolumeCapabilities {
				if c.GetMount().GetFsType() == "xfs" { // mkfs.xfs makes none that is smaller
					have.Bytes = 300 << 20
				}
			}
		}
		source := ""
		if from != "" {
			s, dir, err := d.snapshot(from)
			if err != nil {
				return nil, err
			}
			if !d.ready(s) {
				return nil, status.Errorf(codes.FailedPrecondition, "snapshot %s is not complete yet", from)
			}
			source = filepath.Join(dir, "image")
			have.Bytes = max(have.Bytes, s.Bytes)
		}
		if limit := q.GetCapacityRange().GetLimitBytes(); limit != 0 && have.Bytes > limit {
			return nil, status.Errorf(codes.OutOfRange, "it would have %d bytes, and %d are the limit", have.Bytes, limit)
		}
		if err := store(dir, "volume.json", have, func(dir string) error {
			if !d.shared {
				return image(filepath.Join(dir, "image"), source, have.Bytes)
			}
			files := filepath.Join(dir, "files")
			if err := os.Mkdir(files, 0o777); err != nil {
				return err
			}
			return os.Chmod(files, 0o777) // any pod writes there, as to a share
		}); err != nil {
			return nil, err
		}
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: q.Name, CapacityBytes: have.Bytes,
		ContentSource: q.VolumeContentSource}}, nil
}

func (d *driver) DeleteVolume(_ context.Context, q *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	making.Lock()
	defer making.Unlock()
	dir, err := d.where("volumes", q.VolumeId)
	if err != nil {
		return nil, err
	}
	if node := at(dir); node != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is in use at node %s", q.VolumeId, node)
	}
	return &csi.DeleteVolumeResponse{}, remove(dir)
}

func (d *driver) snapshot(id string) (*snapshot, string, error) {
	dir, err := d.where("snapshots", id)
	if err != nil {
		return nil, "", err
	}
	have := &snapshot{}
	there, err := load(dir, "snapshot.json", have)
	if err == nil && !there {
		err = status.Errorf(codes.NotFound, "there is no snapshot %s", id)
	}
	return have, dir, err
}

func (d *driver) ready(s *snapshot) bool {
	after, err := time.ParseDuration(d.setting("ready-after", "0s"))
	return err == nil && time.Since(s.Created) >= after
}

func (d *driver) CreateSnapshot(_ context.Context, q *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	making.Lock()
	defer making.Unlock()
	dir, err := d.where("volumes", q.SourceVolumeId)
	if err != nil {
		return nil, err
	}
	var of volume
	there, err := load(dir, "volume.json", &of)
	if err == nil && !there {
		err = status.Errorf(codes.NotFound, "there is no volume %s", q.SourceVolumeId)
	}
	if err != nil {
		return nil, err
	}
	source := filepath.Join(dir, "image")
	have, dir, err := d.snapshot(q.Name)
	if err == nil && have.Volume != q.SourceVolumeId {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s is of volume %s", q.Name, have.Volume)
	}
	if status.Code(err) == codes.NotFound {
		if err := d.room(q.SourceVolumeId); err != nil {
			return nil, err
		}
		have = &snapshot{Bytes: of.Bytes, Volume: q.SourceVolumeId}
		err = store(dir, "snapshot.json", have, func(dir string) error {
			if err := image(filepath.Join(dir, "image"), source, of.Bytes); err != nil {
				return err
			}
			have.Created = time.Now()
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{SnapshotId: q.Name, SourceVolumeId: have.Volume,
		SizeBytes: have.Bytes, CreationTime: timestamppb.New(have.Created), ReadyToUse: d.ready(have)}}, nil
}

// room: may a volume have one snapshot more?
func (d *driver) room(volume string) error {
	limit, err := strconv.Atoi(d.setting("snapshots-per-volume", "500"))
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	all, err := os.ReadDir(filepath.Join(d.data, "snapshots"))
	if err != nil {
		return err
	}
	n := 0
	for _, entry := range all {
		if s, _, err := d.snapshot(entry.Name()); err == nil && s.Volume == volume {
			n++
		}
	}
	if n >= limit {
		return status.Errorf(codes.ResourceExhausted, "volume %s has %d snapshots, and may have no more", volume, n)
	}
	return nil
}

func (d *driver) DeleteSnapshot(_ context.Context, q *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	making.Lock()
	defer making.Unlock()
	dir, err := d.where("snapshots", q.SnapshotId)
	if err != nil {
		return nil, err
	}
	return &csi.DeleteSnapshotResponse{}, remove(dir)
}
