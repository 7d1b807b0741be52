/* SPDX-License-Identifier: Apache-2.0 */
/* Tree nodes from outside: both decoders take any bytes. */
#include <stddef.h>
#include <stdint.h>

#include "repo/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	struct leaf *l;
	struct inner *in;

	if (tree_leaf_decode(p, n, &l, &e) == 0)
		leaf_unref(l);
	if (tree_inner_decode(p, n, &in, &e) == 0)
		inner_free(in);
	return 0;
}
