/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects at rest. A store keeps immutable objects by key; it knows nothing
 * of backups. Every put is create-only, so an object once seen never changes.
 *
 * A key is 1 to 512 characters of [a-z0-9._/-], in components of 1 to 255
 * characters that do not begin with '.'. No key lies below another one: once
 * "a" is stored, nobody stores "a/b", nor the other way round. Drivers that
 * are directories say ERR_INVALID to it; object stores would keep both.
 * Wrappers (retry, limit, geo, readonly, fault) implement the same operations
 * around another store.
 */
#ifndef AKSDR_STORE_STORE_H
#define AKSDR_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/buf.h"
#include "common/cancel.h"
#include "common/err.h"

#define STORE_KEY_MAX 512
#define STORE_OBJECT_MAX ((uint64_t)4 << 30) /* bytes of one object */

enum store_caps {
	STORE_CAP_CONDITIONAL_PUT = 1 << 0, /* create-only is atomic among all writers */
	STORE_CAP_OBJECT_LOCK = 1 << 1,
	STORE_CAP_SECONDARY = 1 << 2, /* a second endpoint for reads */
	STORE_CAP_CHECKSUM = 1 << 3,  /* the server verifies a checksum of the upload */
	STORE_CAP_WRITE = 1 << 4,
	STORE_CAP_LOCAL = 1 << 5 /* a range read costs no round trip */
};

struct store_stat {
	uint64_t size; /* bytes */
	/* the store's own time of receipt, ns since 1970: from 0 to the year 2200 */
	int64_t received_ns;
	/* by a head: nobody deletes it before; 0: it is not locked, or the store does not say */
	int64_t locked_until_ns;
};

struct store_item {
	char key[STORE_KEY_MAX + 1];
	struct store_stat st;
};

struct store;

/*
 * How far the second region is. Everything that the store received at or
 * before cut_ns (its own clock) is readable there; what came later may be.
 */
enum store_cut_kind {
	CUT_NONE = 0,   /* there is no second region */
	CUT_UNKNOWN,    /* there is one, and nothing is known of it now */
	CUT_LAST_SYNC,  /* by the service's own statement */
	CUT_COMPARED,   /* by comparing the listing of the copy */
	CUT_REPLICATION /* by the replication status of objects */
};
struct store_cut {
	enum store_cut_kind kind;
	int64_t cut_ns;  /* ns since 1970; 0: nothing is there yet, or unknown */
	int64_t at_ns;   /* when that was so, by the store's clock; 0: unknown */
	uint64_t behind; /* objects that are known to lack in the second region */
	char status[24]; /* the service's own word, else "" */
};

/* What somebody must be allowed to do in a store. */
enum store_right { RIGHT_CREATE, RIGHT_READ, RIGHT_LIST, RIGHT_DELETE, RIGHT_LOCK };
#define STORE_RIGHTS 5

/* Requests to a service, by what they were for: enum store_call, and one for credentials. */
enum store_call { CALL_PUT, CALL_GET, CALL_HEAD, CALL_LIST, CALL_DELETE, CALL_LOCK };
#define STORE_TRAFFIC_OPS 7
struct store_traffic {
	struct store_op_traffic {
		uint64_t requests;  /* sent, with those that failed and those that were repeated */
		uint64_t failures;  /* no answer, or one that the service was not able to give */
		uint64_t throttled; /* of them: the service wanted them later */
		uint64_t sent_bytes, received_bytes; /* of bodies */
	} ops[STORE_TRAFFIC_OPS];
};

struct store_ops {
	const char *name;
	int (*put)(struct store *s, const char *key, const struct iovec *iov, int niov,
	           struct err *e);
	int (*get)(struct store *s, const char *key, uint64_t off, void *p, size_t n,
	           struct err *e);
	int (*head)(struct store *s, const char *key, struct store_stat *ret, struct err *e);
	int (*list)(struct store *s, const char *prefix, const char *after,
	            int (*each)(void *arg, const struct store_item *item, struct err *e), void *arg,
	            struct err *e);
	int (*del)(struct store *s, const char *key, struct err *e);
	/* NULL: a head and a get */
	int (*get_all)(struct store *s, const char *key, struct buf *b, struct err *e);
	/* until_ns: in the future; NULL: it cannot */
	int (*lock)(struct store *s, const char *key, int64_t until_ns, struct err *e);
	/* NULL: there is no second region */
	int (*cut)(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e);
	/* NULL: never */
	bool (*away)(struct store *s);
	/* how that right is called where it is given: a static text; NULL: not known */
	const char *(*right)(struct store *s, enum store_right right);
	/* as store_ends(); NULL: never */
	int64_t (*ends)(struct store *s);
	/* adds to ret; NULL: there is nothing to count */
	void (*traffic)(struct store *s, struct store_traffic *ret);
	void (*free)(struct store *s);
};

struct store {
	const struct store_ops *ops;
	unsigned caps; /* store_caps */
	char *url;     /* for messages: never holds a secret; owned */
	/* so long what is put is locked, by its URL; 0: it is not (docs/STORES.md, Immutability) */
	int64_t lock_s;
};

/*
 * Opens the store of a URL: file:///dir, mem:NAME (one process, kept until it
 * ends; for tests and dry runs). `create`: makes the directory when it is
 * missing (init only); else a missing one is ERR_NOT_FOUND. Wrapped in retry; the environment's
 * AKSDR_RETRY=BUDGET[/FIRST] says how long a call is tried again at most (a duration), and how long
 * the first wait is at most (ms).
 *   ERR_INVALID    the URL does not parse, its scheme is unknown, or the place is no directory
 *   ERR_NOT_FOUND  the place is not there
 *   ERR_DENIED     no right to read it
 */
enum store_open_flags {
	STORE_CREATE = 1,
	STORE_READONLY = 2,
	/*
	 * Reads may be answered by the second region: for those who only read, see
	 * docs/STORES.md.
	 */
	STORE_FAIL_OVER = 4,
	/* The second region itself, for reading: ERR_UNSUPPORTED when there is none. */
	STORE_SECOND = 8
};
MUST_CHECK struct store *store_open(const char *url, unsigned flags, struct err *e);

/* The same; cancel (borrowed, may be NULL) ends waits between tries with ERR_CANCELLED. */
MUST_CHECK struct store *store_open_cancel(const char *url, unsigned flags,
                                           const struct cancel *cancel, struct err *e);

/* The same with other patience; params are copied, NULL: all defaults. */
struct store_retry_params;
MUST_CHECK struct store *store_open_retry(const char *url, unsigned flags,
                                          const struct store_retry_params *params, struct err *e);

void store_free(struct store *s);
static inline void clean_store(struct store *const *s)
{
	store_free(*s);
}
#define auto_store CLEANUP(clean_store)

/*
 * Creates object key from the pieces; durable when it returns.
 *   ERR_EXISTS  the key is taken (its content may be this very upload of an earlier try);
 *               what is there is durable too
 *   ERR_QUOTA, ERR_DENIED, ERR_RETRY, ERR_IO, ERR_INVALID (key), ERR_TOO_BIG
 * After ERR_RETRY and ERR_IO the object may exist, whole, or not. Thread-safe, as all calls below.
 */
MUST_CHECK int store_put(struct store *s, const char *key, const struct iovec *iov, int niov,
                         struct err *e);

/*
 * Reads exactly n bytes at off into p.
 *   ERR_NOT_FOUND  no such object
 *   ERR_CORRUPT    the object ends before off + n
 */
MUST_CHECK int store_get(struct store *s, const char *key, uint64_t off, void *p, size_t n,
                         struct err *e);

/* The whole object appended to b; over b's cap: ERR_TOO_BIG. */
MUST_CHECK int store_get_all(struct store *s, const char *key, struct buf *b, struct err *e);

/* ERR_NOT_FOUND: no such object. */
MUST_CHECK int store_head(struct store *s, const char *key, struct store_stat *ret, struct err *e);

/*
 * Calls each() for every object whose key starts with prefix (a string
 * prefix; "" is all) and is greater than `after` ("" or NULL: from the
 * start), in ascending order of bytes. each() may end the listing by
 * returning 1 (store_list gives 0) or fail with -1. The item is valid during
 * the call, and each() may call the store. Objects created or deleted
 * meanwhile may or may not be seen; all others are, once.
 *   ERR_INVALID  prefix has characters that no key has
 */
MUST_CHECK int store_list(struct store *s, const char *prefix, const char *after,
                          int (*each)(void *arg, const struct store_item *item, struct err *e),
                          void *arg, struct err *e);

/*
 * Deletes, durably when it returns; an object that is not there is success. A
 * get that runs may still read the object; so may one through another handle,
 * for a while.
 *   ERR_BUSY  the object is locked
 */
MUST_CHECK int store_delete(struct store *s, const char *key, struct err *e);

/*
 * Locks an object that is there: until that time (the store's clock) nobody deletes it, at least.
 * A lock is never shortened: one that is longer stays. Durable when it returns.
 *   ERR_NOT_FOUND    no such object
 *   ERR_UNSUPPORTED  stores of this kind cannot, or this one was not set up for it
 *   ERR_DENIED       no right to
 */
MUST_CHECK int store_lock(struct store *s, const char *key, int64_t until_ns, struct err *e);

/*
 * How far the second region is; what was received up to since_ns is known to
 * be there and need not be looked at again. Without one: 0 and CUT_NONE.
 */
MUST_CHECK int store_cut(struct store *s, int64_t since_ns, struct store_cut *ret, struct err *e);

/* True while the second region answers instead of the first: what is read may be behind. */
bool store_away(struct store *s);

/*
 * What must be given to who uses the store for that: a role, a letter of a signature, a
 * permission. Static text that goes on from "it needs", or NULL: not known.
 */
const char *store_right(struct store *s, enum store_right right);

/* When what proves who uses the store ends for good, ns since 1970; 0: never, or not known. */
int64_t store_ends(struct store *s);

/* What was asked of a service so far through this handle; nothing for other stores. */
struct store_traffic store_traffic(struct store *s);

/* Requests of all kinds. */
uint64_t store_requests(struct store *s);

/* "put", "get", "head", "list", "delete", "lock", "auth": names of the counts. */
const char *store_traffic_name(unsigned op);

/* True for a well-formed key. Pure. */
bool store_key_valid(const char *key);

/* Drivers, for the registry and the contract suite. */
MUST_CHECK struct store *store_file_open(const char *dir, unsigned flags, struct err *e);
MUST_CHECK struct store *store_mem_new(struct err *e);

/*
 * For tests, of a store in memory as store_mem_new() gave it. Its clock stands at this time (0: it
 * is the real one). lock_s: as the parameter `lock` of other stores, for what is put from now on.
 */
void store_mem_set_now(struct store *mem, int64_t now_ns);
void store_mem_set_lock(struct store *mem, int64_t lock_s);

/* Wrappers own the store they are given, also when they fail. */

/*
 * Repeats calls that fail with ERR_RETRY: exponential, full jitter, until
 * budget_ms have passed; for a list, since its last item. A list goes on
 * after the last item that was handed out. A put that finds the key taken
 * after a try whose answer was lost compares the object with what it was to
 * store: the same is success, another one is ERR_EXISTS.
 *   ERR_RETRY      the budget is used up
 *   ERR_CANCELLED  the cancel was requested during a wait
 */
struct store_retry_params {
	int64_t budget_ms;                      /* 0: 120000 */
	int64_t first_ms;                       /* 0: 200 */
	int64_t longest_ms;                     /* 0: 20000 */
	const struct cancel *cancel;            /* may be NULL; wakes the waiting */
	int64_t (*now_ms)(void *arg);           /* NULL: the monotonic clock */
	void (*wait_ms)(void *arg, int64_t ms); /* NULL: a real wait */
	void *arg;
};
/* params NULL: all defaults. Copied; cancel and arg stay borrowed. */
MUST_CHECK struct store *store_retry_new(struct store *take_inner,
                                         const struct store_retry_params *params, struct err *e);

/*
 * Token buckets: bytes of put and get, and requests, a second; 0 is no limit.
 * Changed at any time by store_limit_set, also for calls that wait. Once the
 * token of store_limit_cancel (borrowed, may be NULL) is requested, calls end
 * with ERR_CANCELLED instead of waiting; it is set before the first call.
 */
MUST_CHECK struct store *store_limit_new(struct store *take_inner, uint64_t up_bytes_s,
                                         uint64_t down_bytes_s, uint64_t requests_s, struct err *e);
void store_limit_set(struct store *limit, uint64_t up_bytes_s, uint64_t down_bytes_s,
                     uint64_t requests_s);
void store_limit_cancel(struct store *limit, const struct cancel *cancel);

/*
 * Two regions: writes go to the first; reads too, and with STORE_FAIL_OVER to
 * the second while the first does not answer (docs/STORES.md). copy: the
 * second is a store of its own, whose listing tells how far it is; else the
 * first knows.
 */
MUST_CHECK struct store *store_geo_new(struct store *take_first, struct store *take_second,
                                       unsigned flags, bool copy, struct err *e);

/* put, delete and lock give ERR_DENIED. */
MUST_CHECK struct store *store_readonly_new(struct store *take_inner, struct err *e);

/*
 * Faults by plan, for tests and drills: the decide function sees each call
 * (from any thread; key is the prefix for a list) and says what to do with it.
 */
enum store_fault {
	FAULT_NONE = 0,
	FAULT_FAIL,         /* ERR_RETRY, nothing applied */
	FAULT_APPLIED_LOST, /* applied, then ERR_RETRY: the answer was lost */
	FAULT_DENIED,       /* ERR_DENIED */
	FAULT_QUOTA,        /* ERR_QUOTA */
	FAULT_GONE,         /* ERR_NOT_FOUND */
	FAULT_TRUNCATE,     /* get: ERR_CORRUPT, as a short object; put: stored cut short */
	FAULT_FLIP          /* get: one bit differs; put: one bit differs at rest */
};
typedef enum store_fault store_fault_fn(void *arg, uint64_t n, enum store_call call,
                                        const char *key); /* n: calls so far, from 0 */
MUST_CHECK struct store *store_fault_new(struct store *take_inner, store_fault_fn *decide,
                                         void *arg, struct err *e);

#endif
