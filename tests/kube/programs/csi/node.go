// SPDX-License-Identifier: Apache-2.0

// What a node does with volumes: a disk is attached and mounted once at the node (staged), and shown
// to each pod that has it (published). Everything may be asked for twice.
package main

import (
	"context"
	"fmt"
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
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	answer := &csi.NodeGetCapabilitiesResponse{}
	for _, kind := range []csi.NodeServiceCapability_RPC_Type{csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS} {
		answer.Capabilities = append(answer.Capabilities, &csi.NodeServiceCapability{
			Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: kind}}})
	}
	return answer, nil
}

// at: the node that has a disk, or nothing
func at(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "node"))
	return string(text)
}

// attach: from now on the disk is this node's alone
func (d *driver) attach(id, dir string) error {
	path := filepath.Join(dir, "node")
	temporary := path + "." + d.node
	if err := os.WriteFile(temporary, []byte(d.node), 0o644); err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil && !os.IsExist(err) {
		return err
	}
	if node := at(dir); node != d.node {
		return status.Errorf(codes.FailedPrecondition, "volume %s is attached to node %s", id, node)
	}
	return nil
}

func mounted(path string) bool {
	_, err := run("mountpoint", "-q", path)
	return err == nil
}

// loop: the device of an image at this node, made when there is none
func loop(image string) (string, error) {
	device, err := run("losetup", "--noheadings", "--output", "NAME", "--associated", image)
	if err == nil && device == "" {
		device, err = run("losetup", "--find", "--show", image)
	}
	return device, err
}

func (d *driver) volume(id string) (dir string, err error) {
	if dir, err = d.where("volumes", id); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	return dir, nil
}

func (d *driver) NodeStageVolume(_ context.Context, q *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	answer := &csi.NodeStageVolumeResponse{}
	dir, err := d.volume(q.VolumeId)
	if err != nil || d.shared {
		return answer, err
	}
	if err := d.attach(q.VolumeId, dir); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "image")
	if q.VolumeCapability.GetBlock() != nil {
		_, err := loop(file)
		return answer, err
	}
	if mounted(q.StagingTargetPath) {
		return answer, nil
	}
	// Like an attached disk: what is on it is kept, and an empty one gets a file system.
	options := append([]string{"loop"}, q.VolumeCapability.GetMount().GetMountFlags()...)
	fs, _ := run("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", file)
	switch fs {
	case "":
		if fs, err = format(file, q.VolumeCapability.GetMount().GetFsType()); err != nil {
			return nil, err
		}
	case "ext4":
		if err := growExt4(file); err != nil {
			return nil, err
		}
	}
	if fs == "xfs" {
		options = append(options, "nouuid") // that of a clone is its source's
	}
	if err := os.MkdirAll(q.StagingTargetPath, 0o750); err != nil {
		return nil, err
	}
	if _, err := run("mount", "-t", fs, "-o", strings.Join(options, ","), file, q.StagingTargetPath); err != nil {
		return nil, err
	}
	if fs == "xfs" {
		if _, err := run("xfs_growfs", q.StagingTargetPath); err != nil {
			run("umount", q.StagingTargetPath) // so that it is tried again
			return nil, err
		}
	}
	return answer, nil
}

func format(image, fs string) (string, error) {
	force := "-f"
	if fs == "" || fs == "ext4" {
		fs, force = "ext4", "-F"
	}
	_, err := run("mkfs."+fs, "-q", force, image)
	return fs, err
}

// growExt4: a clone may be larger than what it is of. It is done before it is mounted: the kernel lets
// only those grow a mounted one who may pass over limits, and who tests may not be.
func growExt4(image string) error {
	text, err := run("dumpe2fs", "-h", image)
	if err != nil {
		return err
	}
	var blocks, size int64
	for _, line := range strings.Split(text, "\n") {
		fmt.Sscanf(line, "Block count: %d", &blocks)
		fmt.Sscanf(line, "Block size: %d", &size)
	}
	st, err := os.Stat(image)
	if err != nil || st.Size() < blocks*size+size {
		return err
	}
	// It was in use when it was cloned; 1 is that this was put in order.
	if text, err := exec.Command("e2fsck", "-f", "-p", image).CombinedOutput(); err != nil {
		if exit, is := err.(*exec.ExitError); !is || exit.ExitCode() != 1 {
			return status.Errorf(codes.Internal, "e2fsck %s: %v: %s", image, err, text)
		}
	}
	_, err = run("resize2fs", image)
	return err
}

func (d *driver) NodeUnstageVolume(_ context.Context, q *csi.NodeUnstageVolumeRequest,
) (*csi.NodeUnstageVolumeResponse, error) {
	answer := &csi.NodeUnstageVolumeResponse{}
	if d.shared {
		return answer, nil
	}
	dir, err := d.where("volumes", q.VolumeId)
	if err != nil {
		return nil, err
	}
	for mounted(q.StagingTargetPath) {
		if _, err := run("umount", q.StagingTargetPath); err != nil {
			return nil, err
		}
	}
	if at(dir) != d.node {
		return answer, nil
	}
	devices, err := run("losetup", "--noheadings", "--output", "NAME", "--associated", filepath.Join(dir, "image"))
	if err != nil {
		return nil, err
	}
	for _, device := range strings.Fields(devices) {
		if _, err := run("losetup", "--detach", device); err != nil {
			return nil, err
		}
	}
	os.Remove(filepath.Join(dir, "device"))
	return answer, os.Remove(filepath.Join(dir, "node"))
}

func (d *driver) NodePublishVolume(_ context.Context, q *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	answer := &csi.NodePublishVolumeResponse{}
	dir, err := d.volume(q.VolumeId)
	if err != nil {
		return nil, err
	}
	if mounted(q.TargetPath) {
		return answer, nil
	}
	source := q.StagingTargetPath
	if q.VolumeCapability.GetBlock() != nil {
		if source, err = d.device(dir); err != nil {
			return nil, err
		}
		target, err := os.OpenFile(q.TargetPath, os.O_CREATE|os.O_RDWR, 0o660)
		if err != nil {
			return nil, err
		}
		target.Close()
	} else {
		if d.shared {
			source = filepath.Join(dir, "files")
		}
		if err := os.MkdirAll(q.TargetPath, 0o750); err != nil {
			return nil, err
		}
	}
	if _, err := run("mount", "--bind", source, q.TargetPath); err != nil {
		return nil, err
	}
	if q.Readonly {
		_, err = run("mount", "-o", "remount,bind,ro", q.TargetPath)
	}
	return answer, err
}

// device: a node of the loop device, in the directory of the volume. What is bound from there can be
// told from loop devices that are not of this driver, when a whole node is taken away.
func (d *driver) device(dir string) (string, error) {
	device, err := loop(filepath.Join(dir, "image"))
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "device")
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return "", err
	}
	return path, unix.Mknod(path, unix.S_IFBLK|0o660, int(st.Rdev))
}

func (d *driver) NodeUnpublishVolume(_ context.Context, q *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	for mounted(q.TargetPath) {
		if _, err := run("umount", q.TargetPath); err != nil {
			return nil, err
		}
	}
	// Never more than the empty place: were it mounted after all, this would be the volume's contents.
	if err := os.Remove(q.TargetPath); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (d *driver) NodeGetVolumeStats(_ context.Context, q *csi.NodeGetVolumeStatsRequest,
) (*csi.NodeGetVolumeStatsResponse, error) {
	dir, err := d.volume(q.VolumeId)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Stat(q.VolumePath, &st); err != nil {
		return nil, status.Errorf(codes.NotFound, "%s: %v", q.VolumePath, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		var have volume
		if _, err := load(dir, "volume.json", &have); err != nil {
			return nil, err
		}
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
			{Unit: csi.VolumeUsage_BYTES, Total: have.Bytes}}}, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(q.VolumePath, &fs); err != nil {
		return nil, err
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: int64(fs.Blocks) * fs.Bsize, Available: int64(fs.Bavail) * fs.Bsize,
			Used: int64(fs.Blocks-fs.Bfree) * fs.Bsize},
		{Unit: csi.VolumeUsage_INODES, Total: int64(fs.Files), Available: int64(fs.Ffree),
			Used: int64(fs.Files - fs.Ffree)},
	}}, nil
}
