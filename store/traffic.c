/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by what they were for. */
#include "store/traffic.h"

#include "common/metric.h"

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

static double requests_of(const struct store_traffic *t, unsigned op)
{
	return (double)t->ops[op].requests;
}

static double failures_of(const struct store_traffic *t, unsigned op)
{
	return (double)t->ops[op].failures;
}

static double sent_of(const struct store_traffic *t, unsigned op)
{
	return (double)t->ops[op].sent_bytes;
}

static double received_of(const struct store_traffic *t, unsigned op)
{
	return (double)t->ops[op].received_bytes;
}

static const struct {
	const char *name, *help;
	double (*value)(const struct store_traffic *t, unsigned op);
} families[] = {
	{ "aksdr_store_requests", "Requests to the store in the last run, with repeated ones",
	  requests_of },
	{ "aksdr_store_failures",
	  "Requests of the last run that the store did not answer as it should", failures_of },
	{ "aksdr_store_sent_bytes", "Bytes of bodies sent to the store in the last run", sent_of },
	{ "aksdr_store_received_bytes", "Bytes of bodies received from the store in the last run",
	  received_of },
};

void traffic_put(const struct store_traffic *t, struct buf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		metric_family(b, families[i].name, METRIC_GAUGE, families[i].help);
		for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++) {
			const struct metric_label label = { "operation", store_traffic_name(op) };

			if (t->ops[op].requests > 0)
				metric_sample(b, families[i].name, &label, 1,
				              families[i].value(t, op));
		}
	}
}
