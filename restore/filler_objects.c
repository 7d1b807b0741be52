/* SPDX-License-Identifier: Apache-2.0 */
/* See filler_objects.h. */
#include "restore/filler_objects.h"

#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#include "common/hex.h"

#define NAME_BYTES 8 /* of the hash in a name */

void filler_name(const struct filler *f, const char *ns, const char *name,
                 char ret[FILLER_NAME_MAX])
{
	uint8_t hash[crypto_generichash_BYTES];
	char text[2 * KUBE_NAME_MAX + 64];
	char hex[2 * NAME_BYTES + 1];

	/* Of a standby the run is the plan: its name stays. */
	(void)snprintf(text, sizeof(text), "%.32s/%s/%s", f->run, ns, name);
	(void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)text, strlen(text), NULL, 0);
	hex_encode(hex, hash, NAME_BYTES);
	(void)snprintf(ret, FILLER_NAME_MAX, "aksdr-%s-%s", f->role, hex);
}

json_t *filler_objects_labels(const struct filler *f)
{
	return json_pack("{s:s, s:s, s:s}", "app.kubernetes.io/managed-by", "aksdr",
	                 FILLER_LABEL_RUN, f->run, FILLER_LABEL_ROLE, f->role);
}

static json_t *modes_of(const struct filler_claim *c)
{
	json_t *modes = json_array();

	for (size_t i = 0; i < c->nmodes; i++)
		(void)json_array_append_new(modes, json_string(c->modes[i]));
	return modes;
}

static json_t *claim_spec(const struct filler_claim *c, const char *volume)
{
	return json_pack("{s:o, s:s, s:s*, s:s*, s:{s:{s:o}}}", "accessModes", modes_of(c),
	                 "volumeMode", c->block ? "Block" : "Filesystem", "storageClassName",
	                 *c->storage_class ? c->storage_class : NULL, "volumeName", volume,
	                 "resources", "requests", "storage",
	                 json_sprintf("%llu", (unsigned long long)c->size_bytes));
}

json_t *filler_objects_staging(const struct filler *f, const struct filler_claim *c,
                               const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:{s:o}}, s:o}", "apiVersion", "v1", "kind",
	                 "PersistentVolumeClaim", "metadata", "name", name, "namespace", f->ns,
	                 "labels", filler_objects_labels(f), "annotations", FILLER_FOR,
	                 json_sprintf("%s/%s", c->ns, c->name), "spec", claim_spec(c, NULL));
}

/* Those of the claim as it was, but for what a cluster says of a claim itself. */
static bool is_kept(const char *key)
{
	static const char *const theirs[] = { "pv.kubernetes.io/", "volume.kubernetes.io/",
		                              "volume.beta.kubernetes.io/",
		                              "kubectl.kubernetes.io/", "aksdr.io/" };

	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		if (strncmp(key, theirs[i], strlen(theirs[i])) == 0)
			return false;
	}
	return true;
}

static int keep(json_t *to, const json_t *from)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)from, key, v) {
		if (is_kept(key) && json_object_set(to, key, v) < 0)
			return -1;
	}
	return 0;
}

json_t *filler_objects_target(const struct filler *f, const struct filler_claim *c,
                              const char *volume, const char *result)
{
	json_t *labels = json_object();
	json_t *notes = json_object();

	int bad = keep(labels, c->labels) | keep(notes, c->annotations);
	bad |= json_object_set_new(labels, FILLER_LABEL_RUN, json_string(f->run));
	bad |= json_object_set_new(notes, FILLER_POINT, json_string(c->point));
	if (result && *result)
		bad |= json_object_set_new(notes, FILLER_RESULT, json_string(result));
	json_t *o = json_pack("{s:s, s:s, s:{s:s, s:s, s:o, s:o}, s:o}", "apiVersion", "v1", "kind",
	                      "PersistentVolumeClaim", "metadata", "name", c->name, "namespace",
	                      c->ns, "labels", labels, "annotations", notes, "spec",
	                      claim_spec(c, volume));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

json_t *filler_objects_notes(const char *key, ...)
{
	json_t *notes = json_object();
	va_list ap;

	va_start(ap, key);
	for (; key; key = va_arg(ap, const char *)) {
		const char *value = va_arg(ap, const char *);

		if (json_object_set_new(notes, key, value ? json_string(value) : json_null()) < 0) {
			json_decref(notes);
			notes = NULL;
		}
	}
	va_end(ap);
	return notes ? json_pack("{s:{s:o}}", "metadata", "annotations", notes) : NULL;
}

int filler_objects_only(json_t *patch, const json_t *object)
{
	return json_object_set_new(json_object_get(patch, "metadata"), "resourceVersion",
	                           json_string(kube_text_at(object, "metadata.resourceVersion")));
}

json_t *filler_objects_args(const struct filler_claim *c, const char *held, bool fresh)
{
	json_t *args = json_pack("[s, s++, s, s, s, s, s, s, s]", "volume", c->volume, "@",
	                         c->point, "--target", c->block ? FILLER_DEVICE : FILLER_TARGET,
	                         "--result", WORKER_RESULT, "--sync", "--log-format", "json");
	int bad = !args;

	if (!fresh) {
		bad |= json_array_append_new(args, json_string("--in-place"));
		bad |= json_array_append_new(args, json_string("--delete"));
	}
	if (!fresh && *held) {
		bad |= json_array_append_new(args, json_string("--base"));
		bad |= json_array_append_new(args, json_string(held));
	}
	if (c->args)
		bad |= json_array_extend(args, (json_t *)(uintptr_t)c->args);
	if (!bad)
		return args;
	json_decref(args);
	return NULL;
}

static const char *text_in(const json_t *o, const char *what, const char *key)
{
	const json_t *meta = json_object_get(o, "metadata");
	const char *text = json_string_value(json_object_get(json_object_get(meta, what), key));

	return text ? text : "";
}

const char *filler_objects_note(const json_t *o, const char *key)
{
	return text_in(o, "annotations", key);
}

const char *filler_objects_label(const json_t *o, const char *key)
{
	return text_in(o, "labels", key);
}

bool filler_objects_is_whole(const json_t *claim)
{
	struct err ignored = ERR_INIT;
	struct filled f;

	return !*filler_objects_note(claim, FILLER_APPLYING) &&
	       filled_read(filler_objects_note(claim, FILLER_RESULT), &f, &ignored) == 0 &&
	       f.gaps == 0;
}

bool filler_objects_is_ours(const struct filler *f, const json_t *o)
{
	return strcmp(filler_objects_label(o, FILLER_LABEL_RUN), f->run) == 0;
}

bool filler_objects_progress(const char *line, uint64_t *ret_done, uint64_t *ret_total)
{
	struct err ignored = ERR_INIT;

	if (*line != '{')
		return false;
	auto_json json_t *o = json_parse("a line", line, strlen(line), &ignored);
	const char *msg = json_string_value(json_object_get(o, "msg"));

	return msg && strcmp(msg, "progress") == 0 &&
	       json_get_u64(o, "a line", "bytes_done", ret_done, &ignored) == 0 &&
	       json_get_u64(o, "a line", "bytes_total", ret_total, &ignored) == 0;
}
