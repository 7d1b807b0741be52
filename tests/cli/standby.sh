#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What `aksdr-restore standby` refuses before it does anything, and that it says why. What it does is in
# tests/unit/restore/test_standby.c.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

new_repo r
export AKSDR_KEY=$recovery
unset KUBERNETES_SERVICE_HOST KUBECONFIG
cat >plan.yaml <<'P'
apiVersion: aksdr.io/v1alpha1
kind: RestorePlan
metadata: {name: shop}
spec:
  mode: hot/warm
  primary: {cluster: prod-we}
  selector: {namespaces: [shop]}
  standby: {copies: 2}
P

t 'options that make no sense are refused before a cluster is asked'
run 2 "$restore" standby ./plan.yaml --as-of 2026-11-22
err 'follows the newest points'
run 2 "$restore" standby ./plan.yaml --drop --once
run 2 "$restore" standby ./plan.yaml --drop --dry-run
run 2 "$restore" standby ./plan.yaml --copies 3
err 'copies'
run 2 "$restore" standby ./plan.yaml --interval 0s
run 2 "$restore" standby ./plan.yaml --interval 2d
run 2 "$restore" standby ./plan.yaml --limit fast
run 2 "$restore" standby ./plan.yaml --movers 0
run 2 "$restore" standby one two

t 'without a cluster it does nothing, and says so'
run 1\|4 "$restore" standby ./plan.yaml --once
err 'KUBECONFIG|kubeconfig|cluster'

t 'a plan that cannot be read is told by its field'
cat >config <<'C'
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: k, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
C
sed 's/copies: 2/copies: 5/' plan.yaml >bad.yaml
run 2 "$restore" standby ./bad.yaml --kubeconfig config --once
err 'spec.standby.copies'

t 'the help says what it is for'
run 0 "$restore" standby --help
out 'Keep volumes in another cluster up to date'
finish
