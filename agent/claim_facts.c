/* SPDX-License-Identifier: Apache-2.0 */
/* See claim_facts.h. Pure: what the API server sent is bounded and filtered. */
#include "agent/claim_facts.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "kube/kube.h"
#include "kube/pod.h"
#include "repo/claim.h"
#include "snapshot/csi_objects.h"

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for what is told of a claim");
}

static bool is_in(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	}
	return false;
}

/* Appends a text that is not there yet, nor too long, up to so many. */
static int add_word(json_t *list, const char *text, size_t max)
{
	if (!*text || strlen(text) > CLAIM_WORD_MAX || json_array_size(list) >= max ||
	    is_in(list, text))
		return 0;
	return json_array_append_new(list, json_string(text));
}

static int add_words(json_t *list, const json_t *words, size_t max)
{
	int bad = 0;

	for (size_t i = 0; i < json_array_size(words); i++) {
		const char *text = json_string_value(json_array_get(words, i));

		if (text)
			bad |= add_word(list, text, max);
	}
	return bad;
}

/*
 * Where the volume may be used, by the terms of its node affinity whose key is a zone's, whatever
 * the driver calls it: topology.kubernetes.io/zone, topology.disk.csi.azure.com/zone.
 */
static int add_zones(json_t *zones, const json_t *volume)
{
	const json_t *terms = kube_at(volume, "spec.nodeAffinity.required.nodeSelectorTerms");
	int bad = 0;

	for (size_t i = 0; i < json_array_size(terms); i++) {
		const json_t *all = json_object_get(json_array_get(terms, i), "matchExpressions");

		for (size_t j = 0; j < json_array_size(all); j++) {
			const json_t *x = json_array_get(all, j);
			const char *slash = strrchr(kube_text_at(x, "key"), '/');

			if (slash && strcmp(slash, "/zone") == 0)
				bad |= add_words(zones, json_object_get(x, "values"),
				                 CLAIM_ZONES_MAX);
		}
	}
	return bad;
}

/* Of annotations: what says something of this cluster alone, or is of nobody who uses it. */
static bool is_of_here(const char *key)
{
	static const char *const prefixes[] = { "aksdr.io/", "kubectl.kubernetes.io/",
		                                "pv.kubernetes.io/", "volume.kubernetes.io/",
		                                "volume.beta.kubernetes.io/" };

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

/* Labels or annotations, in the order of their names: the same claim gives the same bytes. */
static int add_texts(json_t *facts, const char *member, const json_t *from, bool filtered)
{
	json_t *texts = json_object();
	const char *key;
	json_t *v;
	int bad = 0;

	json_object_foreach((json_t *)(uintptr_t)from, key, v) {
		if (json_is_string(v) && !(filtered && is_of_here(key)))
			bad |= json_object_set(texts, key, v);
	}
	return bad | json_object_set_new(facts, member, texts);
}

static int add_owners(json_t *owners, const json_t *from)
{
	int bad = 0;

	for (size_t i = 0; i < json_array_size(from) && i < CLAIM_OWNERS_MAX; i++) {
		const json_t *o = json_array_get(from, i);

		bad |= json_array_append_new(owners, json_pack("{s:s, s:s}", "kind",
		                                               kube_text_at(o, "kind"), "name",
		                                               kube_text_at(o, "name")));
	}
	return bad;
}

static int64_t size_of(const json_t *claim)
{
	const char *quantity = kube_text_at(claim, "status.capacity.storage");
	const int64_t bytes = csi_objects_bytes(
		*quantity ? quantity : kube_text_at(claim, "spec.resources.requests.storage"));

	return bytes < 0 ? 0 : bytes;
}

/* What there is most of goes, until it is short enough. */
static void shorten(json_t *facts)
{
	static const char *const members[] = { "annotations", "labels", "images" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (json_dumpb(facts, NULL, 0, JSON_COMPACT) <= CLAIM_MAX)
			return;
		(void)json_object_del(facts, members[i]);
	}
}

json_t *claim_facts(const json_t *claim, const json_t *volume, struct err *e)
{
	auto_json json_t *o = json_pack("{s:s, s:s, s:I, s:[], s:[], s:[]}", "storage_class",
	                                kube_text_at(claim, "spec.storageClassName"), "driver",
	                                kube_text_at(volume, "spec.csi.driver"), "size_bytes",
	                                (json_int_t)size_of(claim), "access_modes", "zones",
	                                "owners");

	if (!o ||
	    add_words(json_object_get(o, "access_modes"), kube_at(claim, "spec.accessModes"),
	              CLAIM_MODES_MAX) < 0 ||
	    add_zones(json_object_get(o, "zones"), volume) < 0 ||
	    add_owners(json_object_get(o, "owners"), kube_at(claim, "metadata.ownerReferences")) <
	            0 ||
	    add_texts(o, "labels", kube_at(claim, "metadata.labels"), false) < 0 ||
	    add_texts(o, "annotations", kube_at(claim, "metadata.annotations"), true) < 0) {
		(void)no_memory(e);
		return NULL;
	}
	shorten(o);
	return STEAL(&o);
}

/* ---- images ---- */

/* As the runtime resolved it, NAME@sha256:DIGEST; an image without a digest by its name. */
static const char *image_of(const json_t *status)
{
	static const char pulled[] = "docker-pullable://";
	const char *id = kube_text_at(status, "imageID");

	if (strncmp(id, pulled, sizeof(pulled) - 1) == 0)
		id += sizeof(pulled) - 1;
	return strchr(id, '@') ? id : kube_text_at(status, "image");
}

int claim_facts_add_pod(json_t *facts, const char *claim, const json_t *pod, struct err *e)
{
	static const char *const lists[] = { "status.initContainerStatuses",
		                             "status.containerStatuses" };
	json_t *images = json_object_get(facts, "images");
	int bad = 0;

	if (!pod_uses(pod, claim))
		return 0;
	if (!images) {
		images = json_array();
		bad |= json_object_set_new(facts, "images", images);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists) && !bad; i++) {
		const json_t *list = kube_at(pod, lists[i]);

		for (size_t j = 0; j < json_array_size(list); j++)
			bad |= add_word(images, image_of(json_array_get(list, j)),
			                CLAIM_IMAGES_MAX);
	}
	if (bad)
		return no_memory(e);
	shorten(facts);
	return 0;
}
