/* SPDX-License-Identifier: Apache-2.0 */
/* That the kinds are asked for where the server has them. */
#include "kube/call.h"

#include "tests/harness/store_kit.h"

static void test_kinds__are_below_their_paths(void **state)
{
	static const struct {
		const struct kube_kind *kind;
		const char *path;
	} cases[] = {
		{ &kube_pod, "/api/v1/namespaces/n/pods" },
		{ &kube_node, "/api/v1/nodes" },
		{ &kube_namespace_kind, "/api/v1/namespaces" },
		{ &kube_pvc, "/api/v1/namespaces/n/persistentvolumeclaims" },
		{ &kube_pv, "/api/v1/persistentvolumes" },
		{ &kube_secret, "/api/v1/namespaces/n/secrets" },
		{ &kube_storage_class, "/apis/storage.k8s.io/v1/storageclasses" },
		{ &kube_csi_driver, "/apis/storage.k8s.io/v1/csidrivers" },
		{ &kube_volume_attachment, "/apis/storage.k8s.io/v1/volumeattachments" },
		{ &kube_lease, "/apis/coordination.k8s.io/v1/namespaces/n/leases" },
		{ &kube_event, "/apis/events.k8s.io/v1/namespaces/n/events" },
		{ &kube_snapshot, "/apis/snapshot.storage.k8s.io/v1/namespaces/n/volumesnapshots" },
		{ &kube_snapshot_content,
		  "/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents" },
		{ &kube_snapshot_class, "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses" },
		{ &kube_policy, "/apis/aksdr.io/v1alpha1/namespaces/n/backuppolicies" },
		{ &kube_plan, "/apis/aksdr.io/v1alpha1/namespaces/n/restoreplans" },
		{ &kube_stateful_set, "/apis/apps/v1/namespaces/n/statefulsets" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_clear) struct buf b = BUF_INIT(200);

		call_path(&b, cases[i].kind, "n", NULL, NULL);
		assert_string_equal(buf_cstr(&b), cases[i].path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds__are_below_their_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
