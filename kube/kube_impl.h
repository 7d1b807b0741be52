/* SPDX-License-Identifier: Apache-2.0 */
/* Within kube/: what a client holds. */
#ifndef AKSDR_KUBE_KUBE_IMPL_H
#define AKSDR_KUBE_KUBE_IMPL_H

#include <stdatomic.h>

#include "kube/login.h"

struct kube {
	struct login *login;
	struct http *http;
	int64_t budget_ms;
	const struct cancel *cancel;
	atomic_uint_fast64_t throttled;
};

#endif
