/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by what they were for. */
#include "store/traffic.h"

#include <stdio.h>

void traffic_add(struct store_traffic *t, struct http *h)
{
	for (unsigned i = 0; i < STORE_TRAFFIC_OPS; i++) {
		struct http_count c = http_counted(h, i);

		t->ops[i].requests += c.requests;
		t->ops[i].failures += c.failures;
		t->ops[i].throttled += c.throttled;
		t->ops[i].sent_bytes += c.sent;
		t->ops[i].received_bytes += c.received;
	}
}

/* ---- numbers ---- */

static uint64_t *requests_of(struct store_traffic *t, unsigned op)
{
	return &t->ops[op].requests;
}

static uint64_t *failures_of(struct store_traffic *t, unsigned op)
{
	return &t->ops[op].failures;
}

static uint64_t *throttled_of(struct store_traffic *t, unsigned op)
{
	return &t->ops[op].throttled;
}

static uint64_t *sent_of(struct store_traffic *t, unsigned op)
{
	return &t->ops[op].sent_bytes;
}

static uint64_t *received_of(struct store_traffic *t, unsigned op)
{
	return &t->ops[op].received_bytes;
}

/* In the order in which processes tell them each other. */
static const struct {
	const char *gauge, *counter, *help;
	uint64_t *(*at)(struct store_traffic *t, unsigned op);
} numbers[] = {
	{ "aksdr_store_requests", "aksdr_store_requests_total",
	  "Requests to the store, with repeated ones", requests_of },
	{ "aksdr_store_failures", "aksdr_store_failures_total",
	  "Requests that the store did not answer as it should", failures_of },
	{ "aksdr_store_throttled", "aksdr_store_throttled_total",
	  "Requests that the store wanted to come later", throttled_of },
	{ "aksdr_store_sent_bytes", "aksdr_store_sent_bytes_total",
	  "Bytes of bodies sent to the store", sent_of },
	{ "aksdr_store_received_bytes", "aksdr_store_received_bytes_total",
	  "Bytes of bodies received from the store", received_of },
};

void traffic_sum(struct store_traffic *t, const struct store_traffic *more)
{
	struct store_traffic from = *more;

	for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++) {
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
			*numbers[i].at(t, op) += *numbers[i].at(&from, op);
	}
}

uint64_t traffic_requests(const struct store_traffic *t)
{
	uint64_t n = 0;

	for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++)
		n += t->ops[op].requests;
	return n;
}

/* ---- between processes ---- */

json_t *traffic_to_json(const struct store_traffic *t)
{
	struct store_traffic from = *t;
	auto_json json_t *o = json_object();
	int bad = !o;

	for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++) {
		json_t *row = from.ops[op].requests ? json_array() : NULL;

		if (!from.ops[op].requests)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
			bad |= json_array_append_new(row,
			                             json_integer((json_int_t)*numbers[i].at(&from,
			                                                                     op)));
		bad |= json_object_set_new(o, store_traffic_name(op), row);
	}
	return bad ? NULL : STEAL(&o);
}

int traffic_from_json(const json_t *o, const char *what, struct store_traffic *ret, struct err *e)
{
	*ret = (struct store_traffic){ 0 };
	if (o && !json_is_object(o))
		return err_set(e, ERR_FORMAT, "%s: .traffic is no object", what);
	for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++) {
		const json_t *row = json_object_get(o, store_traffic_name(op));

		for (size_t i = 0; row && i < ARRAY_LEN(numbers); i++) {
			const json_t *number = json_array_get(row, i);

			if (!json_is_integer(number) || json_integer_value(number) < 0)
				return err_set(e, ERR_FORMAT, "%s: .traffic.%s has no number %zu",
				               what, store_traffic_name(op), i);
			*numbers[i].at(ret, op) = (uint64_t)json_integer_value(number);
		}
	}
	return 0;
}

/* ---- metrics ---- */

void traffic_put(const struct store_traffic *t, enum metric_kind kind, struct buf *b)
{
	const bool last_run = kind == METRIC_GAUGE;
	struct store_traffic from = *t;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const char *name = last_run ? numbers[i].gauge : numbers[i].counter;
		char help[128];

		(void)snprintf(help, sizeof(help), "%s%s.", numbers[i].help,
		               last_run ? ", in the last run" : "");
		metric_family(b, name, kind, help);
		for (unsigned op = 0; op < STORE_TRAFFIC_OPS; op++) {
			const struct metric_label label = { "operation", store_traffic_name(op) };

			if (from.ops[op].requests > 0)
				metric_sample(b, name, &label, 1,
				              (double)*numbers[i].at(&from, op));
		}
	}
}
