// SPDX-License-Identifier: Apache-2.0

// What tests make go wrong. A file faults/VERB, as faults/CreateSnapshot, has any of these lines, and
// is read at each call:
//
//	delay DURATION       before it is done
//	late DURATION        after it was done, before it is answered
//	error CODE TEXT      it is not done; CODE as RESOURCE_EXHAUSTED
//
// And two settings, each a file with one word: faults/ready-after, how long a snapshot takes from its
// moment until it can be used, and faults/snapshots-per-volume.
package main

import (
	"context"
	"log"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func wait(ctx context.Context, text string) error {
	duration, err := time.ParseDuration(text)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (d *driver) withFaults(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (answer any, err error) {
	verb := path.Base(info.FullMethod)
	begin := time.Now()
	defer func() {
		if verb != "Probe" {
			log.Printf("%s %v: %v (%d ms)", verb, request, err, time.Since(begin).Milliseconds())
		}
	}()
	text, _ := os.ReadFile(filepath.Join(d.data, "faults", verb))
	late := "0s"
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		what, rest, _ := strings.Cut(line, " ")
		switch what {
		case "":
		case "delay":
			if err := wait(ctx, rest); err != nil {
				return nil, err
			}
		case "late":
			late = rest
		case "error":
			name, text, _ := strings.Cut(rest, " ")
			var code codes.Code
			if err := code.UnmarshalJSON([]byte(strconv.Quote(name))); err != nil {
				return nil, status.Errorf(codes.Internal, "faults/%s: %v", verb, err)
			}
			return nil, status.Error(code, text)
		default:
			return nil, status.Errorf(codes.Internal, "faults/%s: '%s' is no fault", verb, what)
		}
	}
	if answer, err = handler(ctx, request); err != nil {
		return nil, err
	}
	return answer, wait(ctx, late)
}

// setting: the one word in faults/NAME, or what it is without
func (d *driver) setting(name, without string) string {
	if text, err := os.ReadFile(filepath.Join(d.data, "faults", name)); err == nil {
		return strings.TrimSpace(string(text))
	}
	return without
}
