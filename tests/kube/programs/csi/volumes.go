// SPDX-License-Identifier: Apache-2.0

// Volumes and snapshots on disk. Each is made under another name and renamed, so that one which is
// there is whole, whenever the driver is killed.
package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type volume struct {
	Bytes int64
	From  string // the snapshot that it was made of
}

type snapshot struct {
	Bytes   int64
	Volume  string
	Created time.Time
}

// where: the directory of a volume or snapshot; an id is a name, and never a way out of there
func (d *driver) where(kind, id string) (string, error) {
	if id == "" || strings.HasPrefix(id, ".") || strings.Contains(id, "/") {
		return "", status.Errorf(codes.InvalidArgument, "'%s' is no id", id)
	}
	return filepath.Join(d.data, kind, id), nil
}

// load: false when there is none
func load(dir, name string, what any) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, what)
	}
	return err == nil, err
}

// store makes dir as fill leaves it, with what beside it
func store(dir, name string, what any, fill func(dir string) error) error {
	temporary := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir))
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return err
	}
	if err := fill(temporary); err != nil {
		os.RemoveAll(temporary)
		return err
	}
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temporary, name), text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, dir)
}

func remove(dir string) error {
	temporary := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir))
	if err := os.Rename(dir, temporary); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.RemoveAll(temporary)
}

// image makes a file of so many bytes. With a source it is a clone of it: the kernel lets nobody
// write to the source meanwhile, so it is of one moment, also of a disk in use.
func image(path, source string, bytes int64) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer to.Close()
	if source != "" {
		from, err := os.Open(source)
		if err != nil {
			return err
		}
		defer from.Close()
		if err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); err != nil {
			return &os.PathError{Op: "clone", Path: source, Err: err}
		}
	}
	return to.Truncate(bytes)
}

func run(program string, arguments ...string) (string, error) {
	text, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		return "", status.Errorf(codes.Internal, "%s %s: %v: %s", program, strings.Join(arguments, " "), err, text)
	}
	return strings.TrimSpace(string(text)), nil
}
