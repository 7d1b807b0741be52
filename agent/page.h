/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web page for people, behind the cluster's own authentication: who asks gives a token, the API
 * server says whose it is (TokenReview) and whether he may get the URL /aksdr
 * (SubjectAccessReview). It listens on this machine's loopback only, as it speaks no TLS: `kubectl
 * port-forward` leads there. Nothing is changed by it: GET and HEAD, no cookies, no scripts.
 *
 * One thread serves, one asks the API server, one makes pages; so neither a slow API server nor a
 * flood of bad tokens keeps those waiting who were let in before. Between them are queues of a few
 * requests; when one is full, it is said at once.
 */
#ifndef AKSDR_AGENT_PAGE_H
#define AKSDR_AGENT_PAGE_H

#include "catalog/site.h"
#include "kube/kube.h"

#define PAGE_URL "/aksdr" /* that the right is about; whatever page it is */

struct page;

struct page_params {
	const char *listen;   /* as struct server_params */
	const char *hosts;    /* further names in Host, as of visitor_host(); or NULL */
	const char *audience; /* of tokens; NULL: the API server's own */
	struct kube *kube;    /* asks of tokens; what it may take is its own limits */
	/*
	 * Appends the page to b, by until_ns (as now_mono_ns()). In a thread of its own, one call
	 * at a time. ERR_BUSY: there is none now; NOT_FOUND, INVALID, TOO_BIG are told as such,
	 * with their sentence.
	 */
	int (*make)(void *arg, const struct site_request *q, int64_t until_ns, struct buf *b,
	            struct err *e);
	void *arg;
};

/* Texts and kube are borrowed until page_stop(). Errors as server_start(). */
MUST_CHECK int page_start(const struct page_params *params, struct page **ret, struct err *e);
uint16_t page_port(const struct page *p);
/* Waits for the threads: kube and make() should be cancelled before. NULL is fine. */
void page_stop(struct page *p);

#endif
