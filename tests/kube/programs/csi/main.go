// SPDX-License-Identifier: Apache-2.0

// A CSI driver for tests: volumes are image files on a file system with reflinks, mounted by loop
// devices, so that each has a file system of its own that can be frozen, and snapshots of them are
// clones of one moment, as those of a disk in a cloud are. With -shared its volumes are directories
// instead, which any number of nodes may have, and there are no snapshots: as a file share.
//
// It runs once as the controller, and once on each node; all of them see the same directory -data:
//
//	volumes/ID/     volume.json, and `image` or, with -shared, `files`; `node` has whose node it is at
//	snapshots/ID/   snapshot.json, image
//	faults/         what is to go wrong; written by tests (faults.go)
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer
	name   string // what the CSIDriver object is called
	data   string
	node   string // empty: the controller
	socket string
	shared bool
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	service := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: service}},
	}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// registrar tells the kubelet of the driver, as the node-driver-registrar does elsewhere.
type registrar struct {
	registration.UnsafeRegistrationServer
	d *driver
}

func (r registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{Type: registration.CSIPlugin, Name: r.d.name, Endpoint: r.d.socket,
		SupportedVersions: []string{"1.0.0"}}, nil
}

func (r registrar) NotifyRegistrationStatus(_ context.Context, s *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	log.Printf("registered: %v %s", s.PluginRegistered, s.Error)
	return &registration.RegistrationStatusResponse{}, nil
}

// listen: a socket of a driver that was killed is in the way of the next one
func listen(path string) net.Listener {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

func main() {
	d := &driver{}
	flag.StringVar(&d.name, "name", "", "name of the driver")
	flag.StringVar(&d.data, "data", "", "directory of volumes, on a file system with reflinks")
	flag.StringVar(&d.node, "node", "", "serve this node; without it, be the controller")
	flag.StringVar(&d.socket, "socket", "", "where to listen")
	flag.BoolVar(&d.shared, "shared", false, "volumes are shared directories, without snapshots")
	register := flag.String("register", "", "where the kubelet looks for new drivers: the socket's path")
	flag.Parse()
	if d.name == "" || d.data == "" || d.socket == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	for _, dir := range []string{"volumes", "snapshots", "faults"} {
		if err := os.MkdirAll(filepath.Join(d.data, dir), 0o755); err != nil {
			log.Fatal(err)
		}
	}

	server := grpc.NewServer(grpc.UnaryInterceptor(d.withFaults))
	csi.RegisterIdentityServer(server, d)
	if d.node == "" {
		csi.RegisterControllerServer(server, d)
	} else {
		csi.RegisterNodeServer(server, d)
	}
	listener := listen(d.socket)
	if *register != "" {
		kubelet := grpc.NewServer()
		registration.RegisterRegistrationServer(kubelet, registrar{d: d})
		go func() { log.Fatal(kubelet.Serve(listen(*register))) }()
	}
	log.Fatal(server.Serve(listener))
}
