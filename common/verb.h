/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sub-commands from one table each: parsing (argp), --help, man page and
 * shell completion all come from the same rows, so they cannot disagree.
 * An unknown verb or option names the nearest one and exits 2; no help is
 * dumped. Options may stand before or after the verb's arguments.
 *
 * Common options, understood by every verb: --store, --key, --state,
 * --output table|json|csv, --dry-run (where the verb declares it), --quiet,
 * --progress auto|always|never, --log-format text|json, --log-level,
 * --reason, --audit, --audit-reads, --version, --help. Environment:
 * AKSDR_STORE, AKSDR_KEY, AKSDR_STATE, AKSDR_PASSPHRASE_FILE, AKSDR_REASON,
 * AKSDR_AUDIT, AKSDR_AUDIT_READS.
 */
#ifndef AKSDR_COMMON_VERB_H
#define AKSDR_COMMON_VERB_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/log.h"
#include "common/progress.h"
#include "common/table.h"

struct verb_option {
	const char *name; /* long name without dashes; table ends with NULL */
	/*
	 * NULL: a flag; else the placeholder: "FILE", "N". Lower-case words with
	 * '|' between them ("fail|skip") are choices: completed, and anything
	 * else is refused before set() sees it.
	 */
	const char *arg;
	const char *help; /* one line, no full stop */
	int key;          /* given to set(); > 255, or a letter that is also the short option */
};

struct verb_common {
	const char *store; /* --store or AKSDR_STORE, else NULL */
	const char *key;   /* --key or AKSDR_KEY, else NULL */
	/* --state, AKSDR_STATE, or: /var/lib/aksdr for root, XDG cache + "/aksdr" for others */
	const char *state;
	const char *passphrase_file; /* AKSDR_PASSPHRASE_FILE, else NULL */
	enum output output;
	enum progress_mode progress;
	bool quiet;
	bool dry_run;
	const char *reason;  /* of the verb's own option, --reason or AKSDR_REASON, else NULL */
	bool audit_required; /* nothing is done that cannot be recorded before */
	bool audit_reads;    /* what only reads is recorded, too */
};

enum {
	VERB_DRY_RUN = 1 << 0, /* the verb knows --dry-run; elsewhere it is an error */
	VERB_STORE = 1 << 1,   /* --store (or environment) is required */
	VERB_KEY = 1 << 2,     /* --key (or environment) is required */
	VERB_LOCAL = 1 << 3    /* hides --store and --key from the help */
};

struct verb {
	const char *name;    /* "backup"; or two words, "audit verify"; table ends with NULL */
	const char *args;    /* usage of the arguments: "NAME=PATH..." */
	const char *summary; /* one line, for the list */
	/*
	 * For --help and the man page, may be NULL: paragraphs with an empty line
	 * between them are filled, lines that start with a space stay as they are.
	 */
	const char *text;
	const char *examples;              /* lines for the man page, may be NULL */
	const struct verb_option *options; /* may be NULL */
	unsigned flags;
	unsigned min_args, max_args; /* max_args ~0u: any number */
	/* Takes one option; value is NULL for flags. 0, or -1 with ERR_INVALID. May be NULL. */
	int (*set)(void *state, int key, const char *value, struct err *e);
	/* Runs. Returns 0 or -1 with e; the exit status follows from e's class. */
	int (*run)(void *state, const struct verb_common *common, int argc, char **argv,
	           struct err *e);
	void *state; /* options' home, given to set and run */
};

/* A verb that is recorded, and as what. */
struct verb_act {
	const char *verb; /* its name; the table ends with NULL */
	const char *act;
	unsigned flags; /* common/act.h */
};

struct verb_program {
	const char *name;    /* "aksdr-agent" */
	const char *summary; /* one line */
	const char *text;    /* paragraphs */
	const struct verb *verbs;
	const struct verb_act *acts; /* may be NULL */
	/* One of them has ended; why: NULL when it went well. The current act is still set. */
	void (*acted)(const struct verb_common *common, const struct err *why);
};

/*
 * main() of a program: sets up secrets, signals (cancel_on_signals), log;
 * parses, runs, prints the error as "aksdr-agent: <sentence>" (or a JSON log
 * line) and returns the exit status. Hidden verbs: `help [--man] [VERB]`,
 * `completion bash|zsh|fish`.
 */
int verb_main(const struct verb_program *program, int argc, char **argv);

/* The word of words (NULL-terminated) nearest to text, or NULL when none is near. Pure. */
const char *verb_nearest(const char *text, const char *const *words);

#endif
