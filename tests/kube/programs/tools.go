// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Pins the programs that tests/kube/install builds beside those of this directory.
package tools

import (
	_ "github.com/container-storage-interface/spec/lib/go/csi"
	_ "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"
	_ "google.golang.org/grpc"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)
