/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent's knowledge of a cluster takes, and its decisions: memory, and CPU time of one
 * thread.
 *
 *   world [CLAIMS [POLICIES]]
 *
 * The cluster is made up: CLAIMS (10,000) in namespaces of 50, each with a Lease that tells of a
 * restore point, on 100 nodes as many pods on ours, and POLICIES (20) of which one is for every
 * claim and the others are for patterns of namespaces. Objects are JSON values as the client hands
 * them over; parsing what the server sends is not in the figures. One line a step goes to stdout.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/planner.h"
#include "agent/report.h"
#include "agent/retention.h"
#include "common/now.h"
#include "common/num.h"

#define NOW INT64_C(1795737600) /* 2026-11-27T00:00:00Z */
#define PER_NAMESPACE 50
#define NODES 100
#define CLAIMS_MAX 1000000
#define RUNS_MAX 16

static struct world *w;
static uint64_t nclaims = 10000, npolicies = 20;
static const struct planner_me me = { .node = "node-0", .begins = true };
static int64_t began_ns;

static void die(const char *why)
{
	fprintf(stderr, "world: %s\n", why);
	exit(1);
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void begin(void)
{
	began_ns = cpu_ns();
}

static void end(const char *step, uint64_t things)
{
	const double ms = (double)(cpu_ns() - began_ns) / 1e6;

	printf("%-44s %10.2f ms %10.3f us each of %llu\n", step, ms, 1000 * ms / (double)things,
	       (unsigned long long)things);
}

static void put(enum world_kind kind, json_t *take_object, int64_t now_s)
{
	if (!take_object)
		die("no memory");
	world_put(w, kind, take_object, now_s);
	json_decref(take_object);
}

static void name_claim(uint64_t i, char ns[32], char name[32])
{
	(void)snprintf(ns, 32, "team-%llu", (unsigned long long)(i / PER_NAMESPACE));
	(void)snprintf(name, 32, "data-%llu", (unsigned long long)(i % PER_NAMESPACE));
}

static void uid_of(uint64_t i, char uid[64])
{
	(void)snprintf(uid, 64, "3f1c7c1e-0000-4000-8000-%012llx", (unsigned long long)i);
}

/* ---- the cluster ---- */

static json_t *claim(uint64_t i)
{
	char ns[32], name[32], uid[64];

	name_claim(i, ns, name);
	uid_of(i, uid);
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}}, s:{s:s}, s:{s:s}}",
	                 "metadata", "namespace", ns, "name", name, "uid", uid, "creationTimestamp",
	                 "2026-01-01T00:00:00Z", "labels", "app.kubernetes.io/name", "orders",
	                 "app.kubernetes.io/instance", ns, "tier", "data", "spec",
	                 "storageClassName", "fast", "status", "phase", "Bound");
}

/* Its last run was so many hours before. */
static json_t *lease(uint64_t i, unsigned hours)
{
	char ns[32], name[32], uid[64];
	struct claim_record r = { .slot_s = NOW - hours * 3600 };

	name_claim(i, ns, name);
	uid_of(i, uid);
	(void)snprintf(r.claim, sizeof(r.claim), "%s/%s", ns, name);
	(void)snprintf(r.uid, sizeof(r.uid), "%s", uid);
	(void)snprintf(r.point, sizeof(r.point), "%032llx", (unsigned long long)i);
	(void)snprintf(r.consistency, sizeof(r.consistency), "crash");
	r.begun_s = r.slot_s + 20;
	r.ended_s = r.success_s = r.slot_s + 60;
	r.done_s = r.slot_s;
	r.outcome = CLAIM_SUCCEEDED;
	return json_pack("{s:{s:s, s:s, s:s, s:o}, s:{s:s, s:i}}", "metadata", "namespace", "aksdr",
	                 "name", claim_record_lease(uid).s, "resourceVersion",
	                 now_rfc3339((NOW - hours) * 1000000000).s, "annotations",
	                 claim_record_write(&r), "spec", "holderIdentity", "",
	                 "leaseDurationSeconds", 15);
}

static json_t *policy(uint64_t i, int generation)
{
	char name[32], pattern[32];

	(void)snprintf(name, sizeof(name), "policy-%llu", (unsigned long long)i);
	(void)snprintf(pattern, sizeof(pattern), i == 0 ? "*" : "team-*%llu",
	               (unsigned long long)i);
	return json_pack("{s:{s:s, s:s, s:i}, s:{s:{s:[s]}, s:s, s:{s:s, s:s}, s:{s:i, s:i}, s:i}}",
	                 "metadata", "namespace", "aksdr", "name", name, "generation", generation,
	                 "spec", "selector", "namespaces", pattern, "rpo", "1d", "schedule", "cron",
	                 "0 * * * *", "jitter", "30m", "retention", "keepDaily", 7, "keepMonthly",
	                 12, "priority", (int)i);
}

static json_t *pod(uint64_t i)
{
	char ns[32], name[32];

	name_claim(i * NODES, ns, name);
	return json_pack("{s:{s:s, s:s}, s:{s:s, s:[{s:{s:s}}]}, s:{s:s}}", "metadata", "namespace",
	                 ns, "name", name, "spec", "nodeName", me.node, "volumes",
	                 "persistentVolumeClaim", "claimName", name, "status", "phase", "Running");
}

static json_t *agent(unsigned i)
{
	char name[32], node[32];

	(void)snprintf(name, sizeof(name), "agent-%u", i);
	(void)snprintf(node, sizeof(node), "node-%u", i);
	return json_pack("{s:{s:s, s:s}, s:{s:s}, s:{s:s, s:[{s:s, s:s}]}}", "metadata",
	                 "namespace", "aksdr", "name", name, "spec", "nodeName", node, "status",
	                 "phase", "Running", "conditions", "type", "Ready", "status", "True");
}

static void make_cluster(void)
{
	char ns[32], name[32];

	for (uint64_t i = 0; i < npolicies; i++)
		put(WORLD_POLICIES, policy(i, 1), NOW);
	for (uint64_t i = 0; i < nclaims; i += PER_NAMESPACE) {
		name_claim(i, ns, name);
		put(WORLD_NAMESPACES,
		    json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", ns, "labels", "team", ns),
		    NOW);
	}
	put(WORLD_CLASSES, json_pack("{s:{s:s}}", "metadata", "name", "fast"), NOW);
	for (unsigned i = 0; i < NODES; i++)
		put(WORLD_AGENTS, agent(i), NOW);
	for (uint64_t i = 0; i < nclaims / NODES; i++)
		put(WORLD_PODS, pod(i), NOW);
	for (uint64_t i = 0; i < nclaims; i++)
		put(WORLD_CLAIMS, claim(i), NOW);
	for (uint64_t i = 0; i < nclaims; i++)
		put(WORLD_LEASES, lease(i, 1), NOW);
	for (int i = 0; i < WORLD_KINDS; i++)
		world_synced(w, (enum world_kind)i);
	if (w->nomem)
		die("no memory");
}

/* ---- the steps ---- */

static void passes(void)
{
	static struct planner_run runs[RUNS_MAX];
	const uint64_t some = nclaims / 100 ? nclaims / 100 : 1;
	struct err e = ERR_INIT;
	size_t n;

	begin();
	(void)planner_pass(w, &me, NOW + 1);
	end("a look: all is new", nclaims);
	begin();
	(void)planner_pass(w, &me, NOW + 2);
	end("a look: nothing has changed", nclaims);
	for (uint64_t i = 0; i < some; i++)
		put(WORLD_LEASES, lease(i * 100 % nclaims, 0), NOW + 3);
	begin();
	(void)planner_pass(w, &me, NOW + 3);
	end("a look: one Lease of a hundred has changed", nclaims);
	put(WORLD_POLICIES, policy(0, 2), NOW + 4);
	begin();
	(void)planner_pass(w, &me, NOW + 4);
	end("a look: a policy has changed", nclaims);
	begin();
	(void)planner_pass(w, &me, NOW + 3600);
	end("a look: the next hour has begun", nclaims);
	begin();
	if (planner_pick(w, NOW + 3600, 2, runs, RUNS_MAX, &n, &e) < 0)
		die(e.msg);
	end("what begins", nclaims);
}

static void leads(void)
{
	CLEANUP(retention_clear) struct retention t = { .n = 0 };
	struct err e = ERR_INIT;
	uint64_t ruled = 0;
	char ns[32], name[32];

	begin();
	json_t **status = report_make(w, &t, NOW + 3600);
	end("the status of all policies", nclaims);
	for (size_t i = 0; status && i < w->shelves[WORLD_POLICIES].n; i++)
		json_decref(status[i]);
	free(status);
	begin();
	if (retention_read(w, &t, &e) < 0)
		die(e.msg);
	for (uint64_t i = 0; i < nclaims; i++) {
		name_claim(i, ns, name);
		ruled += retention_of(&t, w, ns, name) != NULL;
	}
	end("by which policy each claim's points go", nclaims);
	if (ruled != nclaims)
		die("claims without a policy");
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if ((argc > 1 && num_u64("CLAIMS", argv[1], 1, CLAIMS_MAX, &nclaims, &e) < 0) ||
	    (argc > 2 && num_u64("POLICIES", argv[2], 1, 1000, &npolicies, &e) < 0))
		die(e.msg);
	const size_t before = mallinfo2().uordblks;
	w = world_new("aksdr", NULL, &e);
	if (!w)
		die(e.msg);
	begin();
	make_cluster();
	end("all objects taken in, and made", 2 * nclaims);
	passes();
	leads();
	const size_t bytes = mallinfo2().uordblks - before;
	printf("%-44s %10.2f MiB %9.0f bytes each of %llu\n", "memory", (double)bytes / MIB,
	       (double)bytes / (double)nclaims, (unsigned long long)nclaims);
	world_free(w);
	return 0;
}
