/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with verbs of every shape, for the tests of common/verb*.c. Each
 * verb prints what it was given; an argument "fail=CLASS" makes it fail.
 */
#ifndef AKSDR_TESTS_UNIT_COMMON_VERB_SAMPLE_H
#define AKSDR_TESTS_UNIT_COMMON_VERB_SAMPLE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/verb.h"

static int sample_set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	if (value && strcmp(value, "bad") == 0)
		return err_set(e, ERR_INVALID, "--set 'bad' is refused");
	(void)printf("set %d=%s\n", key, value ? value : "");
	return 0;
}

static int sample_run(void *state, const struct verb_common *c, int argc, char **argv,
                      struct err *e)
{
	(void)state;
	(void)printf("store=%s key=%s state=%s passphrase=%s output=%d progress=%d%s%s\n",
	             c->store ? c->store : "-", c->key ? c->key : "-", c->state,
	             c->passphrase_file ? c->passphrase_file : "-", (int)c->output,
	             (int)c->progress, c->quiet ? " quiet" : "", c->dry_run ? " dry" : "");
	for (int i = 0; i < argc; i++)
		(void)printf("arg %s\n", argv[i]);
	if (argv[argc])
		return err_set(e, ERR_BUG, "no NULL behind the arguments");
	log_debug("ran");
	log_info("ran");
	log_warn("ran");
	if (argc > 0 && strcmp(argv[0], "fail=corrupt") == 0)
		return err_set(e, ERR_CORRUPT, "pack '%s' is damaged", "a\nb");
	if (argc > 0 && strcmp(argv[0], "fail=pipe") == 0)
		return err_sys(e, EPIPE, "writing the output");
	if (argc > 0 && strcmp(argv[0], "fail=none") == 0)
		return -1;
	return 0;
}

static const struct verb_option sample_options[] = {
	{ "driver", "auto|live|btrfs", "how the volume is read", 'd' },
	{ "set", "ID", "points taken together; a long text that goes on for more than a line",
	  300 },
	{ "from", "FILE", "list of names", 301 },
	{ "into", "DIR", "where it's put [if at all]: a directory", 302 },
	{ "force", NULL, "even when it hurts", 'f' },
	{ 0 },
};

static const struct verb sample_verbs[] = {
	{ .name = "backup",
	  .args = "NAME=PATH...",
	  .summary = "back up volumes",
	  .text = "Backs up each\nPATH as NAME. \\ stays.\n\n'Quoted' and\n.dotted starts\n"
	          "are kept, and what is long is filled over as many lines as it takes.\n\n"
	          "  .as it\n  stands - here\nAnd after.",
	  .examples = "aksdr-agent backup data=/srv\n.hidden\n",
	  .options = sample_options,
	  .flags = VERB_DRY_RUN | VERB_STORE,
	  .min_args = 1,
	  .max_args = ~0u,
	  .set = sample_set,
	  .run = sample_run },
	{ .name = "audit verify",
	  .summary = "verify the log",
	  .flags = VERB_KEY,
	  .run = sample_run },
	{ .name = "audit show",
	  .args = "[ID]",
	  .summary = "show it",
	  .max_args = 1,
	  .run = sample_run },
	{ .name = "doctor",
	  .summary = "look around",
	  .flags = VERB_LOCAL,
	  .max_args = 1,
	  .run = sample_run },
	{ 0 },
};

static const struct verb_program sample = { "aksdr-agent",
	                                    "backs up volumes",
	                                    "Reads volumes and writes them into a store.",
	                                    sample_verbs,
	                                    NULL,
	                                    NULL };

#endif
