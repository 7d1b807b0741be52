/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read on the way to a registry of images, by the first byte: a name of an image, a header
 * that asks for credentials, a file of them.
 */
#include "restore/auths.h"
#include "restore/challenge.h"
#include "restore/image.h"
#include "tests/fuzz/fuzz.h"

/* A name that was taken apart is the same one when it is put together and taken apart again. */
static void look_at_image(const char *text)
{
	struct image i, again;
	struct err e = ERR_INIT;
	char whole[1024];

	if (image_parse(text, &i, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		return;
	}
	holds(strcspn(i.host, "/?#@ %") == strlen(i.host));
	holds(strcspn(i.repository, "?#@: %") == strlen(i.repository));
	holds(!strstr(i.repository, ".."));
	holds(strcspn(i.reference, "/?#@ %") == strlen(i.reference));
	holds(i.digest == image_is_digest(i.reference));
	(void)snprintf(whole, sizeof(whole), "%s/%s%s%s", i.host, i.repository,
	               i.digest ? "@" : ":", i.reference);
	works(image_parse(whole, &again, &e));
	holds(strcmp(i.host, again.host) == 0 && strcmp(i.repository, again.repository) == 0 &&
	      strcmp(i.reference, again.reference) == 0);
}

static void look_at_challenge(const char *text)
{
	struct challenge c = challenge_parse(text);

	holds(c.kind != CHALLENGE_BEARER || c.realm[0]);
	holds(memchr(c.realm, '\0', sizeof(c.realm)) && memchr(c.service, '\0', sizeof(c.service)));
}

static void look_at_auths(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	auto_auths struct auths *a = auths_new(&e);

	holds(a);
	if (auths_add(a, "the file", p, n, &e) < 0)
		fuzz_refused(&e, FUZZ_CLASS(ERR_FORMAT) | FUZZ_CLASS(ERR_TOO_BIG));
	const struct auths_entry *x = auths_find(a, "docker.io");
	holds(!x || *x->basic || *x->token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	auto_free char *text = fuzz_text(data + 1, size - 1);
	switch (data[0]) {
	case 'i':
		look_at_image(text);
		break;
	case 'c':
		look_at_challenge(text);
		break;
	default:
		look_at_auths(data + 1, size - 1);
		break;
	}
	return 0;
}
