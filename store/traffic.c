/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by what they were for. */
#include "store/traffic.h"

void traffic_add(struct store_traffic *t, struct http *h)
{
	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++) {
		struct http_count c = http_counted(h, i);

		t->ops[i].requests += c.requests;
		t->ops[i].failures += c.failures;
		t->ops[i].sent_bytes += c.sent;
		t->ops[i].received_bytes += c.received;
	}
}
