/* SPDX-License-Identifier: Apache-2.0 */
/* See claim.h. */
#include "repo/claim.h"

#include <string.h>

#include "common/buf.h"
#include "common/json.h"

#define WHAT "restore point: .capture.claim"

static int refuse(const char *member, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, WHAT "%s%s: %s", *member ? "." : "", member, why);
}

static bool is_word(const json_t *v)
{
	return json_is_string(v) && json_string_length(v) <= CLAIM_WORD_MAX &&
	       strlen(json_string_value(v)) == json_string_length(v);
}

static int check_word(const json_t *o, const char *member, struct err *e)
{
	const json_t *v = json_object_get(o, member);

	return !v || is_word(v) ? 0 : refuse(member, "it is no text of 512 bytes at most", e);
}

static int check_words(const json_t *o, const char *member, size_t max, struct err *e)
{
	const json_t *list = json_object_get(o, member);

	if (list && (!json_is_array(list) || json_array_size(list) > max))
		return refuse(member, "it is no list, or too long", e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!is_word(json_array_get(list, i)))
			return refuse(member, "one of it is no text of 512 bytes at most", e);
	}
	return 0;
}

static int check_texts(json_t *o, const char *member, struct err *e)
{
	json_t *texts = json_object_get(o, member);
	const char *key;
	json_t *v;

	if (texts && !json_is_object(texts))
		return refuse(member, "expected an object", e);
	json_object_foreach(texts, key, v) {
		if (!json_is_string(v))
			return refuse(member, "one of it is no text", e);
	}
	return 0;
}

static int check_owners(const json_t *o, struct err *e)
{
	const json_t *list = json_object_get(o, "owners");

	if (list && (!json_is_array(list) || json_array_size(list) > CLAIM_OWNERS_MAX))
		return refuse("owners", "it is no list, or too long", e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *owner = json_array_get(list, i);

		if (!is_word(json_object_get(owner, "kind")) ||
		    !is_word(json_object_get(owner, "name")))
			return refuse("owners", "one of it has no kind or name", e);
	}
	return 0;
}

int claim_check(const json_t *claim, struct err *e)
{
	const json_t *size = json_object_get(claim, "size_bytes");

	if (!json_is_object(claim))
		return refuse("", "expected an object", e);
	if (size && (!json_is_integer(size) || json_integer_value(size) < 0))
		return refuse("size_bytes", "it is no number of bytes", e);
	if (check_word(claim, "storage_class", e) < 0 || check_word(claim, "driver", e) < 0 ||
	    check_words(claim, "access_modes", CLAIM_MODES_MAX, e) < 0 ||
	    check_words(claim, "zones", CLAIM_ZONES_MAX, e) < 0 ||
	    check_words(claim, "images", CLAIM_IMAGES_MAX, e) < 0 ||
	    check_texts((json_t *)(uintptr_t)claim, "labels", e) < 0 ||
	    check_texts((json_t *)(uintptr_t)claim, "annotations", e) < 0 ||
	    check_owners(claim, e) < 0)
		return -1;
	if (json_dumpb(claim, NULL, 0, JSON_COMPACT) > CLAIM_MAX)
		return err_set(e, ERR_TOO_BIG, WHAT ": it is over 32 KiB");
	return 0;
}

const char *claim_text(const json_t *claim, const char *member)
{
	const char *text = json_string_value(json_object_get(claim, member));

	return text ? text : "";
}

uint64_t claim_size(const json_t *claim)
{
	return (uint64_t)json_integer_value(json_object_get(claim, "size_bytes"));
}

void claim_join(const json_t *claim, const char *member, char *ret, size_t max)
{
	const json_t *list = json_object_get(claim, member);
	size_t n = 0;

	*ret = '\0';
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		const size_t len = strlen(text) + (n ? 2 : 0);

		if (len >= max - n)
			return;
		(void)snprintf(ret + n, max - n, "%s%s", n ? ", " : "", text);
		n += len;
	}
}
