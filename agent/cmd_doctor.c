/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent doctor: proves what a backup will need, before it needs it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cmd.h"
#include "common/hex.h"
#include "common/now.h"
#include "common/num.h"
#include "common/secret.h"
#include "common/table.h"
#include "repo/crypt.h"
#include "repo/repo.h"

#define PROBE_BYTES MIB

static const struct table_column columns[] = {
	{ "check", "CHECK", TABLE_TEXT },
	{ "result", "RESULT", TABLE_TEXT },
	{ "detail", "DETAIL", TABLE_TEXT },
};

struct doctor {
	struct table *t;
	unsigned failed;
};

static void tell(struct doctor *d, const char *check, bool good, const char *detail)
{
	table_row(d->t);
	table_text(d->t, check);
	table_text(d->t, good ? "ok" : "FAILED");
	table_text(d->t, detail);
	d->failed += !good;
}

struct seen {
	const char *key;
	bool found;
};

static int see(void *arg, const struct store_item *item, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	s->found |= strcmp(item->key, s->key) == 0;
	return 0;
}

static int64_t rate(size_t n, int64_t ns)
{
	return ns > 0 ? (int64_t)((double)n * 1e9 / (double)ns) : 0;
}

/* Writes, reads, lists and removes one object of its own under probe/. */
static void probe(struct doctor *d, struct store *s, bool single_writer)
{
	struct err e = ERR_INIT;
	auto_free uint8_t *bytes = malloc(2 * PROBE_BYTES);
	char key[64], text[160], hex[33];
	uint8_t id[16];

	if (!bytes) {
		tell(d, "memory", false, "no memory for a probe of 2 MiB");
		return;
	}
	secret_random(id, sizeof(id));
	secret_random(bytes, PROBE_BYTES);
	hex_encode(hex, id, sizeof(id));
	(void)snprintf(key, sizeof(key), "probe/%s", hex);
	struct iovec iov = { bytes, PROBE_BYTES };
	int64_t t0 = now_mono_ns();
	if (store_put(s, key, &iov, 1, &e) < 0) {
		tell(d, "write", false, e.msg);
		return;
	}
	int64_t t1 = now_mono_ns();
	(void)snprintf(text, sizeof(text), "1 MiB in %lld ms, %s/s",
	               (long long)((t1 - t0) / 1000000),
	               num_bytes_text((uint64_t)rate(PROBE_BYTES, t1 - t0)).s);
	tell(d, "write", true, text);
	bool kept = store_put(s, key, &iov, 1, &e) < 0 && e.class == ERR_EXISTS;
	tell(d, "create-only", kept || single_writer,
	     kept ? "a second writer of the same name is refused"
	     : single_writer
	             ? "the store lets an object be overwritten; the repository has one writer"
	             : "the store lets an object be overwritten: only one writer may use it");
	e = (struct err)ERR_INIT;
	t0 = now_mono_ns();
	bool same = store_get(s, key, 0, bytes + PROBE_BYTES, PROBE_BYTES, &e) == 0 &&
	            memcmp(bytes, bytes + PROBE_BYTES, PROBE_BYTES) == 0;
	t1 = now_mono_ns();
	(void)snprintf(text, sizeof(text), "1 MiB in %lld ms, %s/s",
	               (long long)((t1 - t0) / 1000000),
	               num_bytes_text((uint64_t)rate(PROBE_BYTES, t1 - t0)).s);
	tell(d, "read", same,
	     same      ? text
	     : e.class ? e.msg
	               : "the bytes read are not those written");
	struct seen seen = { .key = key };
	e = (struct err)ERR_INIT;
	int rc = store_list(s, "probe/", NULL, see, &seen, &e);
	tell(d, "list", rc == 0 && seen.found,
	     rc < 0       ? e.msg
	     : seen.found ? "what was written is listed at once"
	                  : "an object just written is missing in the list");
	e = (struct err)ERR_INIT;
	if (store_delete(s, key, &e) == 0)
		tell(d, "delete", true, "allowed; agents need no right to delete");
	else
		tell(d, "delete", true,
		     "refused, as it should be for an agent; the probe stays behind");
}

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	static const char *const kinds[] = { "recovery", "agent", "audit" };
	struct err why = ERR_INIT;
	char text[256];

	(void)state;
	(void)argc;
	(void)argv;
	auto_table struct table *t = table_new("aksdr/doctor/v1", columns, ARRAY_LEN(columns),
	                                       c->output, e);
	if (!t)
		return -1;
	struct doctor d = { .t = t };
	auto_store struct store *s = store_open(c->store, 0, &why);
	tell(&d, "store", s != NULL, s ? s->url : why.msg);
	if (s) {
		struct keys *k = NULL;
		auto_repo struct repo *r = NULL;
		why = (struct err)ERR_INIT;
		bool opens = keys_load(c->key, c->passphrase_file, &k, &why) == 0 &&
		             repo_open(s, k, c->state, cancel_on_signals(), &r, &why) == 0;
		probe(&d, s, opens && r->params.single_writer);
		if (!opens) {
			tell(&d, "repository and key", false, why.msg);
		} else {
			char hex[33];

			hex_encode(hex, r->keys->repo, 16);
			(void)snprintf(text, sizeof(text), "%s key of repository %s",
			               kinds[r->keys->kind], hex);
			tell(&d, "repository and key", true, text);
			tell(&d, "may write", r->keys->has_sign && r->keys->kind == KEY_AGENT,
			     r->keys->kind == KEY_AGENT ? "the agent key signs"
			                                : "only an agent key makes restore points");
			tell(&d, "writers", true,
			     r->params.single_writer ? "one at a time, of all machines together"
			                             : "any number");
			tell(&d, "cipher", true,
			     r->params.cipher == CIPHER_AES256GCM &&
			                     crypt_best_cipher() != CIPHER_AES256GCM
			             ? "AES-256-GCM, which this CPU has no instructions for: slow"
			     : r->params.cipher == CIPHER_AES256GCM ? "AES-256-GCM, in hardware"
			                                            : "XChaCha20-Poly1305");
			bool writable = r->state[0] && access(r->state, W_OK) == 0;
			tell(&d, "local state", writable,
			     writable ? r->state
			              : "no directory for the cache (--state): every backup starts "
			                "cold");
		}
	}
	if (table_print(t, stdout, NULL, e) < 0)
		return -1;
	if (d.failed)
		return err_set(e, ERR_IO, "%u of the checks failed", d.failed);
	return 0;
}

const struct verb cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "check store, key and local state before they are needed",
	.text = "Writes, reads, lists and removes one object of 1 MiB under probe/ in the store, "
		"opens the "
		"repository with the key, and looks at the local state directory. Each check is "
		"told with "
		"its result; when one fails the exit status is 1.",
	.flags = VERB_STORE | VERB_KEY,
	.max_args = 0,
	.run = run,
};
