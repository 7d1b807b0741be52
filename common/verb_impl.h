/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of verb.h share: verb.c parses and runs, the others write help and scripts. */
#ifndef AKSDR_COMMON_VERB_IMPL_H
#define AKSDR_COMMON_VERB_IMPL_H

#include <stdbool.h>
#include <stdio.h>

#include "common/verb.h"

/* The options of every verb; the table ends with a NULL name. */
extern const struct verb_option verb_common_options[];

/* False for an option that the verb does not take (--dry-run). verb NULL: none yet, so all. */
bool verb_takes(const struct verb *verb, const struct verb_option *common);

/* False for one that the verb takes, but its help leaves out (--store of a local verb). */
bool verb_shows(const struct verb *verb, const struct verb_option *common);

/* True for a key that is a short option as well. */
bool verb_is_short(int key);

/* True when arg is a list of choices: "fail|skip". */
bool verb_is_choices(const char *arg);

/* Length of the first word of a verb's name: "audit verify" gives 5. */
size_t verb_first_len(const struct verb *verb);

/* Help for people, as text. */
void verb_help_program(FILE *f, const struct verb_program *p);
void verb_help_verb(FILE *f, const struct verb_program *p, const struct verb *verb);

/* A man page in roff: of the whole program, or of one verb. */
void verb_help_man(FILE *f, const struct verb_program *p, const struct verb *verb);

/* A completion script. 0, or -1 with ERR_INVALID for an unknown shell. */
MUST_CHECK int verb_complete(FILE *f, const struct verb_program *p, const char *shell,
                             struct err *e);

#endif
