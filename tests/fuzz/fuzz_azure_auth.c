/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection strings, signatures and keys of Azure, as people put them into the environment: three
 * lines. They are refused with a sentence that repeats none of them, or sign a request.
 */
#include "store/azure_auth.h"

#include "tests/fuzz/fuzz.h"

#define SECRET "s3cr3t"

static void set(const char *name, const char *value)
{
	holds((*value ? setenv(name, value, 1) : unsetenv(name)) == 0);
}

static void sign(struct azure_auth *a)
{
	auto_wire struct wire w;
	const char *query = NULL;
	struct err e = ERR_INIT;

	wire_init(&w, "GET", "https://acct1.blob.core.windows.net");
	wire_path(&w, "data");
	works(azure_auth_apply(a, &w, 0, &query, &e));
	const char *header = wire_header_get(&w, "authorization");
	if (azure_auth_kind(a) == AZURE_KEY)
		holds(header && strncmp(header, "SharedKey acct1:", 16) == 0 && !*query);
	else
		holds(!header && strstr(query, "sig=") && !strpbrk(query, " \t\r\n#"));
	holds(!azure_auth_rejected(a, &w));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "AZURE_STORAGE_CONNECTION_STRING",
		                             "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY" };
	static const char *const none[] = { NULL };
	const uint8_t *piece;
	size_t n;
	struct err e = ERR_INIT;
	struct azure_auth *a = NULL;
	auto_place struct place p = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		bool there = fuzz_piece(&data, &size, '\n', &piece, &n);
		auto_free char *value = fuzz_text(there ? piece : (const uint8_t *)"",
		                                  there ? n : 0);

		set(names[i], value);
	}
	works(place_parse("azure://acct1/data", none, &p, &e));
	if (azure_auth_new(&p, NULL, 0, &a, &e) < 0) {
		fuzz_refused(&e, FUZZ_CLASS(ERR_INVALID));
		/* but for the name of an account */
		holds(!strstr(e.msg, SECRET) || strstr(e.msg, "for the account"));
		return 0;
	}
	const char *end = azure_auth_expiry(a);
	holds(!end || *end);
	if (azure_auth_kind(a) == AZURE_SAS || azure_auth_kind(a) == AZURE_KEY)
		sign(a);
	azure_auth_free(a);
	return 0;
}
