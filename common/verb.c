/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of the programs. The verb is found first (common options may stand
 * before it), its words are taken out of the arguments, and argp parses what
 * is left against one table made of the common options and the verb's own.
 * argp stays silent: what was wrong is worked out afterwards, so that every
 * message names the nearest word.
 */
#include "common/verb.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>

#include "common/act.h"
#include "common/buf.h"
#include "common/cancel.h"
#include "common/secret.h"
#include "common/verb_impl.h"

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif

#define WORD_MAX 64    /* longer words are near to nothing */
#define OPTIONS_MAX 64 /* of one verb, the common ones included */
#define VERBS_MAX 64
#define MESSAGE_BYTES (4 * KIB)

/* Keys of the common options: above every key of a verb, within argp's 24 bits. */
enum {
	KEY_STORE = 0x100000,
	KEY_KEY,
	KEY_STATE,
	KEY_OUTPUT,
	KEY_DRY_RUN,
	KEY_QUIET,
	KEY_PROGRESS,
	KEY_LOG_FORMAT,
	KEY_LOG_LEVEL,
	KEY_REASON,
	KEY_AUDIT,
	KEY_AUDIT_READS,
	KEY_VERSION,
	KEY_HELP
};

const struct verb_option verb_common_options[] = {
	{ "store", "URL", "where the repository is (AKSDR_STORE)", KEY_STORE },
	{ "key", "FILE", "key file that opens it (AKSDR_KEY)", KEY_KEY },
	{ "state", "DIR", "local state and cache; all of it can be deleted (AKSDR_STATE)",
	  KEY_STATE },
	{ "output", "table|json|csv", "form of the data on standard output", KEY_OUTPUT },
	{ "dry-run", NULL, "say what would be done, and change nothing", KEY_DRY_RUN },
	{ "quiet", NULL, "no progress, and only warnings and errors", KEY_QUIET },
	{ "progress", "auto|always|never", "progress on standard error", KEY_PROGRESS },
	{ "log-format", "text|json", "form of messages on standard error", KEY_LOG_FORMAT },
	{ "log-level", "debug|info|warn|error", "least important messages to show", KEY_LOG_LEVEL },
	{ "reason", "TEXT", "why this is done, for the audit trail (AKSDR_REASON)", KEY_REASON },
	{ "audit", "best|required",
	  "whether something that cannot be recorded is done all the same (AKSDR_AUDIT)",
	  KEY_AUDIT },
	{ "audit-reads", NULL,
	  "record listing and showing, too, where the key signs (AKSDR_AUDIT_READS)",
	  KEY_AUDIT_READS },
	{ "version", NULL, "print name and version", KEY_VERSION },
	{ "help", NULL, "print this help", KEY_HELP },
	{ 0 },
};

/* What the parser fills. */
struct parsed {
	const struct verb *verb; /* NULL: none was given */
	struct verb_common common;
	const char *log_format;
	const char *log_level;
	bool version;
	bool help;
	int nargs;
	char **args; /* borrowed words in an owned array with NULL at its end */
	struct err *e;
	bool failed; /* e holds the reason */
	int stopped; /* where argp gave up */
};

bool verb_takes(const struct verb *verb, const struct verb_option *common)
{
	if (common->key == KEY_REASON) {
		/* Of many verbs it is their own, and required. */
		for (const struct verb_option *o = verb ? verb->options : NULL; o && o->name; o++) {
			if (strcmp(o->name, common->name) == 0)
				return false;
		}
	}
	return common->key != KEY_DRY_RUN || !verb || (verb->flags & VERB_DRY_RUN);
}

bool verb_shows(const struct verb *verb, const struct verb_option *common)
{
	if (common->key == KEY_STORE || common->key == KEY_KEY || common->key == KEY_AUDIT ||
	    common->key == KEY_AUDIT_READS ||
	    (common->key == KEY_REASON && verb_takes(verb, common)))
		return !verb || !(verb->flags & VERB_LOCAL);
	return verb_takes(verb, common);
}

bool verb_is_short(int key)
{
	return key > 0 && key < 128 && isalnum(key);
}

bool verb_is_choices(const char *arg)
{
	if (!arg || !strchr(arg, '|'))
		return false;
	for (; *arg; arg++) {
		if (isupper((unsigned char)*arg))
			return false;
	}
	return true;
}

size_t verb_first_len(const struct verb *verb)
{
	return strcspn(verb->name, " ");
}

/* ---- the nearest word ---- */

/* Edits (insert, delete, replace, swap of neighbours) from a to b, both at most WORD_MAX long. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0]; /* the row before last, for swaps */
	unsigned *last = rows[1];
	unsigned *now = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < d)
				d = last[j] + 1;
			if (now[j - 1] + 1 < d)
				d = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

const char *verb_nearest(const char *text, const char *const *words)
{
	size_t n = strlen(text);
	unsigned best = (unsigned)(n + 2) / 3; /* a third of the letters may be wrong */
	const char *found = NULL;

	if (n < 2 || n > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t len = strlen(*words);

		if (len > WORD_MAX)
			continue;
		/* the start of a word is as near as one wrong letter */
		unsigned d = strncmp(text, *words, n) == 0 ? 1 : distance(text, n, *words, len);
		if (d < best || (d == best && !found)) {
			best = d;
			found = *words;
		}
	}
	return found;
}

/* ---- what was wrong ---- */

/* "; did you mean '--quiet'?", or hint when nothing is near. Appended to the message in b. */
static void put_nearest(struct buf *b, const char *text, const char *dashes,
                        const char *const *words, const char *hint)
{
	const char *near = verb_nearest(text, words);

	if (near)
		(void)buf_printf(b, "; did you mean '%s%s'?", dashes, near);
	else
		(void)buf_str(b, hint);
}

/* Long names that the verb understands. */
static void option_words(const struct verb *verb, const char *ret[OPTIONS_MAX])
{
	size_t n = 0;

	for (const struct verb_option *o = verb ? verb->options : NULL;
	     o && o->name && n + 1 < OPTIONS_MAX; o++)
		ret[n++] = o->name;
	for (const struct verb_option *o = verb_common_options; o->name && n + 1 < OPTIONS_MAX;
	     o++) {
		if (verb_takes(verb, o))
			ret[n++] = o->name;
	}
	ret[n] = NULL;
}

static int unknown_option(const struct verb *verb, const char *name, size_t len, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MESSAGE_BYTES);
	CLEANUP(buf_clear) struct buf word = BUF_INIT(MESSAGE_BYTES);
	const char *words[OPTIONS_MAX];

	(void)buf_put(&word, name, len);
	if (verb && strcmp(buf_cstr(&word), "dry-run") == 0)
		return err_set(e, ERR_INVALID, "'%s' has no --dry-run", verb->name);
	(void)buf_printf(&b, "unknown option '--%s'", buf_cstr(&word));
	option_words(verb, words);
	put_nearest(&b, buf_cstr(&word), "--", words,
	            verb ? "" : "; options of a verb stand after the verb");
	return err_set(e, ERR_INVALID, "%s", buf_cstr(&b));
}

/* An option of the table whose long name is the first len bytes of name. */
static const struct verb_option *find_long(const struct verb_option *o, const char *name,
                                           size_t len)
{
	for (; o && o->name; o++) {
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	}
	return NULL;
}

static const struct verb_option *find_short(const struct verb_option *o, char c)
{
	for (; o && o->name; o++) {
		if (verb_is_short(o->key) && o->key == c)
			return o;
	}
	return NULL;
}

/* Says in e what is wrong with one argument that starts with '-', or returns 0: nothing. */
static int diagnose_word(const struct verb *verb, const char *word, bool last, struct err *e)
{
	if (strncmp(word, "--", 2) == 0) {
		const char *name = word + 2;
		size_t len = strcspn(name, "=");
		const struct verb_option *o = find_long(verb_common_options, name, len);

		if (o && !verb_takes(verb, o))
			o = NULL;
		if (!o && verb)
			o = find_long(verb->options, name, len);
		if (!o)
			return unknown_option(verb, name, len, e);
		if (!o->arg && name[len] == '=')
			return err_set(e, ERR_INVALID, "option '--%s' takes no value", o->name);
		if (o->arg && name[len] == '\0' && last)
			return err_set(e, ERR_INVALID, "option '--%s' needs a value: %s", o->name,
			               o->arg);
		return 0;
	}
	for (const char *c = word + 1; *c; c++) {
		const struct verb_option *o = find_short(verb ? verb->options : NULL, *c);

		if (!o && *c != 'h')
			return err_set(e, ERR_INVALID,
			               "unknown option '-%c'; --help lists the options", *c);
		if (o && o->arg)
			return c[1] || !last
			               ? 0
			               : err_set(e, ERR_INVALID, "option '-%c' needs a value: %s",
			                         *c, o->arg);
	}
	return 0;
}

/* argp stopped before argv[next]: the culprit is there, or just before. Returns -1 with e. */
static int diagnose(const struct verb *verb, int argc, char **argv, int next, struct err *e)
{
	for (int i = next > 1 ? next - 1 : 1; i <= next && i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] &&
		    diagnose_word(verb, argv[i], i + 1 == argc, e) < 0)
			return -1;
	}
	/* LCOV_EXCL_START: argp is not known to refuse anything else */
	return err_set(e, ERR_INVALID, "the options do not parse; --help lists them");
	/* LCOV_EXCL_STOP */
}

/* ---- parsing ---- */

/* ERR_INVALID when value is none of the choices "a|b|c". */
static int check_choice(const struct verb_option *o, const char *value, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MESSAGE_BYTES);
	size_t len = strlen(value);
	const char *at = o->arg;

	(void)buf_printf(&b, "--%s '%s' is not one of ", o->name, value);
	for (;;) {
		size_t n = strcspn(at, "|");

		if (n == len && strncmp(at, value, n) == 0)
			return 0;
		(void)buf_put(&b, at, n);
		if (!at[n])
			break;
		(void)buf_str(&b, ", ");
		at += n + 1;
	}
	return err_set(e, ERR_INVALID, "%s", buf_cstr(&b));
}

/* Place of value, which is one of them, among the choices "a|b|c". */
static unsigned choice_index(const char *choices, const char *value)
{
	size_t len = strlen(value);
	unsigned i = 0;

	for (const char *at = choices;
	     strncmp(at, value, len) != 0 || (at[len] && at[len] != '|');) {
		at += strcspn(at, "|");
		at += *at == '|';
		i++;
	}
	return i;
}

/* The option of a key in the common table or the verb's, or NULL. */
static const struct verb_option *find_key(const struct verb *verb, int key)
{
	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (o->key == key)
			return o;
	}
	for (const struct verb_option *o = verb ? verb->options : NULL; o && o->name; o++) {
		if (o->key == key)
			return o;
	}
	return NULL;
}

static void set_common(struct parsed *p, const struct verb_option *o, const char *value)
{
	struct verb_common *c = &p->common;

	switch (o->key) {
	case KEY_STORE:
		c->store = value;
		break;
	case KEY_KEY:
		c->key = value;
		break;
	case KEY_STATE:
		c->state = value;
		break;
	case KEY_OUTPUT:
		c->output = (enum output)choice_index(o->arg, value);
		break;
	case KEY_DRY_RUN:
		c->dry_run = true;
		break;
	case KEY_QUIET:
		c->quiet = true;
		break;
	case KEY_PROGRESS:
		c->progress = (enum progress_mode)choice_index(o->arg, value);
		break;
	case KEY_LOG_FORMAT:
		p->log_format = value;
		break;
	case KEY_LOG_LEVEL:
		p->log_level = value;
		break;
	case KEY_REASON: /* of whoever has it */
		break;
	case KEY_AUDIT:
		c->audit_required = strcmp(value, "required") == 0;
		break;
	case KEY_AUDIT_READS:
		c->audit_reads = true;
		break;
	case KEY_VERSION:
		p->version = true;
		break;
	default:
		p->help = true;
		break;
	}
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
	struct parsed *p = state->input;

	if (key == ARGP_KEY_ERROR)
		p->stopped = state->next;
	if (key == ARGP_KEY_ARG) {
		p->args[p->nargs++] = arg;
		return 0;
	}
	const struct verb_option *o = find_key(p->verb, key);
	if (!o && key == 'h') {
		p->help = true;
		return 0;
	}
	if (!o)
		return ARGP_ERR_UNKNOWN;
	if (verb_is_choices(o->arg) && check_choice(o, arg, p->e) < 0) {
		p->failed = true;
		return EINVAL;
	}
	if (strcmp(o->name, "reason") == 0)
		p->common.reason = arg;
	if (key >= KEY_STORE) {
		set_common(p, o, arg);
	} else if (p->verb->set && p->verb->set(p->verb->state, key, arg, p->e) < 0) {
		p->failed = true;
		return EINVAL;
	}
	return 0;
}

/* argv[0] is not looked at. */
static int parse(struct parsed *p, int argc, char **argv, struct err *e)
{
	struct argp_option options[OPTIONS_MAX + 2] = { 0 };
	const struct argp argp = { .options = options, .parser = parse_one };
	size_t n = 0;

	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (verb_takes(p->verb, o))
			options[n++] = (struct argp_option){ .name = o->name,
				                             .key = o->key,
				                             .arg = o->arg };
	}
	for (const struct verb_option *o = p->verb ? p->verb->options : NULL;
	     o && o->name && n < OPTIONS_MAX; o++)
		options[n++] =
			(struct argp_option){ .name = o->name, .key = o->key, .arg = o->arg };
	if (!find_short(p->verb ? p->verb->options : NULL, 'h'))
		options[n++] = (struct argp_option){ .key = 'h' };

	p->args = calloc((size_t)argc + 1, sizeof(*p->args));
	if (!p->args)
		return err_set(e, ERR_NOMEM, "no memory for the arguments");
	p->e = e;
	/* In order, so that options may follow arguments whatever POSIXLY_CORRECT says. */
	error_t r = argp_parse(&argp, argc, argv,
	                       ARGP_IN_ORDER | ARGP_NO_HELP | ARGP_NO_ERRS | ARGP_NO_EXIT, NULL, p);
	if (r == 0)
		return 0;
	if (p->failed)
		return -1;
	/* LCOV_EXCL_START: only argp's own allocations get here */
	if (r == ENOMEM)
		return err_set(e, ERR_NOMEM, "no memory for the arguments");
	/* LCOV_EXCL_STOP */
	return diagnose(p->verb, argc, argv, p->stopped, e);
}

/* ---- the verb ---- */

/*
 * The verb whose name is first and second, or else first; *ret_words how many that took. NULL:
 * none.
 */
static const struct verb *find_verb(const struct verb *v, const char *first, const char *second,
                                    int *ret_words)
{
	const struct verb *alone = NULL;

	for (; v->name; v++) {
		size_t n = verb_first_len(v);

		if (strlen(first) != n || strncmp(v->name, first, n) != 0)
			continue;
		*ret_words = v->name[n] ? 2 : 1;
		if (v->name[n] && second && strcmp(v->name + n + 1, second) == 0)
			return v;
		if (!v->name[n])
			alone = v;
	}
	if (alone)
		*ret_words = 1;
	return alone;
}

static int unknown_verb(const struct verb_program *p, const struct verb *more, const char *first,
                        const char *second, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MESSAGE_BYTES);
	CLEANUP(buf_clear) struct buf given = BUF_INIT(MESSAGE_BYTES);
	CLEANUP(buf_clear) struct buf hint = BUF_INIT(MESSAGE_BYTES);
	const char *words[VERBS_MAX];
	bool group = false;
	size_t n = 0;

	for (const struct verb *v = p->verbs; v->name && n + 1 < VERBS_MAX; v++) {
		size_t len = verb_first_len(v);

		group |= v->name[len] && strlen(first) == len && strncmp(v->name, first, len) == 0;
		words[n++] = v->name;
	}
	for (const struct verb *v = more; v->name && n + 1 < VERBS_MAX; v++)
		words[n++] = v->name;
	words[n] = NULL;

	if (group && !second) {
		(void)buf_printf(&b, "verb '%s' needs a second word:", first);
		for (const struct verb *v = p->verbs; v->name; v++) {
			size_t len = verb_first_len(v);

			if (v->name[len] && strncmp(v->name, first, len) == 0 && !first[len])
				(void)buf_printf(&b, " %s", v->name + len + 1);
		}
		return err_set(e, ERR_INVALID, "%s", buf_cstr(&b));
	}
	(void)buf_str(&given, first);
	if (second && (group || !verb_nearest(first, words))) {
		/* both words may be misspelt: "audti verify" */
		CLEANUP(buf_clear) struct buf both = BUF_INIT(MESSAGE_BYTES);

		(void)buf_printf(&both, "%s %s", first, second);
		if (group || verb_nearest(buf_cstr(&both), words))
			(void)buf_printf(&given, " %s", second);
	}
	(void)buf_printf(&b, "unknown verb '%s'", buf_cstr(&given));
	(void)buf_printf(&hint, "; '%s help' lists the verbs", p->name);
	put_nearest(&b, buf_cstr(&given), "", words, buf_cstr(&hint));
	return err_set(e, ERR_INVALID, "%s", buf_cstr(&b));
}

/* Index of the verb's first word in argv, argc when there is none; -1 with e for a bad option. */
static int verb_index(int argc, char **argv, struct err *e)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : argc;
		if (diagnose_word(NULL, argv[i], i + 1 == argc, e) < 0)
			return -1;
		if (strncmp(argv[i], "--", 2) != 0 || strchr(argv[i], '='))
			continue;
		const struct verb_option *o = find_long(verb_common_options, argv[i] + 2,
		                                        strlen(argv[i] + 2));
		if (o && o->arg)
			i++;
	}
	return i < argc ? i : argc;
}

/* ---- hidden verbs ---- */

static struct {
	const struct verb_program *program;
	bool man;
} hidden_state; /* a process has one program */

static int help_set(void *state, int key, const char *value, struct err *e)
{
	(void)state;
	(void)key;
	(void)value;
	(void)e;
	hidden_state.man = true;
	return 0;
}

static int help_run(void *state, const struct verb_common *common, int argc, char **argv,
                    struct err *e)
{
	static const struct verb none[] = { { 0 } };
	const struct verb_program *program = hidden_state.program;
	const struct verb *verb = NULL;
	int words;

	(void)state;
	(void)common;
	if (argc > 0) {
		verb = find_verb(program->verbs, argv[0], argc > 1 ? argv[1] : NULL, &words);
		if (!verb)
			return unknown_verb(program, none, argv[0], argc > 1 ? argv[1] : NULL, e);
	}
	if (hidden_state.man)
		verb_help_man(stdout, program, verb);
	else if (verb)
		verb_help_verb(stdout, program, verb);
	else
		verb_help_program(stdout, program);
	return 0;
}

static int completion_run(void *state, const struct verb_common *common, int argc, char **argv,
                          struct err *e)
{
	(void)state;
	(void)common;
	(void)argc;
	return verb_complete(stdout, hidden_state.program, argv[0], e);
}

static const struct verb_option help_options[] = {
	{ "man", NULL, "a man page in roff instead of text", 'm' },
	{ 0 },
};

static const struct verb hidden_verbs[] = {
	{ .name = "help",
	  .args = "[VERB]",
	  .summary = "print help",
	  .options = help_options,
	  .flags = VERB_LOCAL,
	  .max_args = 2,
	  .set = help_set,
	  .run = help_run },
	{ .name = "completion",
	  .args = "bash|zsh|fish",
	  .summary = "print a script that completes words in a shell",
	  .flags = VERB_LOCAL,
	  .min_args = 1,
	  .max_args = 1,
	  .run = completion_run },
	{ 0 },
};

/* ---- defaults, checks, running ---- */

static const char *from_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static bool env_is(const char *name, const char *value)
{
	const char *v = getenv(name);

	return v && strcmp(v, value) == 0;
}

/* Where local state goes when nobody says; the text lives in b. */
static const char *default_state(struct buf *b)
{
	const char *base = from_env("XDG_CACHE_HOME");
	const char *home = from_env("HOME");

	if (geteuid() == 0)
		return "/var/lib/aksdr";
	if (base && *base == '/') {
		(void)buf_printf(b, "%s/aksdr", base);
		return buf_cstr(b);
	}
	if (!home) {
		const struct passwd *pw = getpwuid(geteuid()); /* no threads yet */

		home = pw ? pw->pw_dir : NULL;
	}
	if (!home || *home != '/')
		return "/var/lib/aksdr";
	(void)buf_printf(b, "%s/.cache/aksdr", home);
	return buf_cstr(b);
}

static int check_counts(const struct parsed *p, struct err *e)
{
	const struct verb *v = p->verb;
	const char *args = v->args ? v->args : "no arguments";

	if ((unsigned)p->nargs < v->min_args)
		return err_set(e, ERR_INVALID, "'%s' needs %s", v->name, args);
	if ((unsigned)p->nargs > v->max_args)
		return err_set(e, ERR_INVALID, "'%s' takes %s; '%s' is one too many", v->name, args,
		               p->args[v->max_args]);
	if ((v->flags & VERB_STORE) && !p->common.store)
		return err_set(e, ERR_INVALID,
		               "'%s' needs a store: give --store URL or set AKSDR_STORE", v->name);
	if ((v->flags & VERB_KEY) && !p->common.key)
		return err_set(e, ERR_INVALID, "'%s' needs a key: give --key FILE or set AKSDR_KEY",
		               v->name);
	return 0;
}

static const struct verb_option *common_option(int key)
{
	return &verb_common_options[key - KEY_STORE];
}

/* Logging by --log-format, --log-level and --quiet. */
static void set_up_log(const struct parsed *p)
{
	enum log_level level = p->common.quiet ? LOG_WARN : LOG_INFO;
	enum log_format format = LOG_TEXT;

	if (p->log_level)
		level = (enum log_level)choice_index(common_option(KEY_LOG_LEVEL)->arg,
		                                     p->log_level);
	if (p->log_format)
		format = (enum log_format)choice_index(common_option(KEY_LOG_FORMAT)->arg,
		                                       p->log_format);
	log_setup(level, format);
}

/* Names among the arguments: what stands before a '='. */
static void add_names(struct act *a, const struct parsed *p)
{
	const int n = a->flags & ACT_ARGS ? p->nargs : a->flags & ACT_ARG && p->nargs > 0 ? 1 : 0;

	for (int i = 0; i < n; i++)
		act_add(a, "%.*s", (int)strcspn(p->args[i], "="), p->args[i]);
}

/* Runs the verb, within its act when it has one. */
static int act(const struct verb_program *program, struct parsed *p, struct err *e)
{
	const struct verb *v = p->verb;
	const struct verb_act *x = program->acts;
	struct act a;

	while (x && x->verb && strcmp(x->verb, v->name) != 0)
		x++;
	if (!x || !x->verb)
		return v->run(v->state, &p->common, p->nargs, p->args, e);
	/* What only says what it would do changes nothing. */
	act_init(&a, x->act, x->flags | (p->common.dry_run ? ACT_READS : 0));
	a.program = program->name;
	a.version = AKSDR_VERSION;
	a.store = p->common.store;
	a.required = p->common.audit_required;
	a.reads_too = p->common.audit_reads;
	(void)snprintf(a.why, sizeof(a.why), "%s", p->common.reason ? p->common.reason : "");
	add_names(&a, p);
	act_set_current(&a);
	int rc = v->run(v->state, &p->common, p->nargs, p->args, e);
	program->acted(&p->common, rc < 0 ? e : NULL);
	act_set_current(NULL);
	return rc;
}

/* A word with a mistake would be a weaker promise than was meant. */
static int check_env(struct err *e)
{
	const char *audit = from_env("AKSDR_AUDIT");

	return !audit || strcmp(audit, "best") == 0 || strcmp(audit, "required") == 0
	               ? 0
	               : err_set(e, ERR_INVALID, "AKSDR_AUDIT '%.32s' is not one of best, required",
	                         audit);
}

static int run(const struct verb_program *program, struct parsed *p, struct err *e)
{
	if (p->version) {
		(void)printf("%s %s\n", program->name, AKSDR_VERSION);
		return 0;
	}
	if (p->help) {
		if (p->verb)
			verb_help_verb(stdout, program, p->verb);
		else
			verb_help_program(stdout, program);
		return 0;
	}
	if (!p->verb)
		return err_set(e, ERR_INVALID, "no verb given; '%s help' lists the verbs",
		               program->name);
	if (check_counts(p, e) < 0 || check_env(e) < 0)
		return -1;
	return act(program, p, e);
}

static int dispatch(const struct verb_program *program, int argc, char **argv, struct err *e)
{
	CLEANUP(buf_clear) struct buf state = BUF_INIT(MESSAGE_BYTES);
	auto_free char **rest = NULL; /* argv without the words of the verb */
	auto_free char **args = NULL;
	struct parsed p = {
		.common = { .store = from_env("AKSDR_STORE"),
		            .key = from_env("AKSDR_KEY"),
		            .state = from_env("AKSDR_STATE"),
		            .passphrase_file = from_env("AKSDR_PASSPHRASE_FILE"),
		            .reason = from_env("AKSDR_REASON"),
		            .audit_required = env_is("AKSDR_AUDIT", "required"),
		            .audit_reads = env_is("AKSDR_AUDIT_READS", "1") },
	};
	int words = 0;

	int at = verb_index(argc, argv, e);
	if (at < 0)
		return -1;
	hidden_state.program = program;
	hidden_state.man = false;
	if (at < argc) {
		const char *second = at + 1 < argc && argv[at + 1][0] != '-' ? argv[at + 1] : NULL;

		p.verb = find_verb(program->verbs, argv[at], second, &words);
		if (!p.verb)
			p.verb = find_verb(hidden_verbs, argv[at], second, &words);
		if (!p.verb)
			return unknown_verb(program, hidden_verbs, argv[at], second, e);
	}
	rest = calloc((size_t)argc + 1, sizeof(*rest));
	if (!rest)
		return err_set(e, ERR_NOMEM, "no memory for the arguments");
	int n = 0;
	for (int i = 0; i < argc; i++) {
		bool is_verb = i >= at && i < at + words;
		bool is_dashes = i == at - 1 && i > 0 && strcmp(argv[i], "--") == 0;

		if (!is_verb && !is_dashes)
			rest[n++] = argv[i];
	}
	int r = parse(&p, n, rest, e);
	args = p.args;
	set_up_log(&p);
	if (r < 0)
		return -1;
	if (!p.common.state)
		p.common.state = default_state(&state);
	if (p.common.quiet)
		p.common.progress = PROGRESS_NEVER;
	return run(program, &p, e);
}

/* ---- the process ---- */

/*
 * 0, 1 and 2 are open from here on, so that no file of ours becomes one of
 * them; a standard output that was closed fails when it is written.
 */
static void hold_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", fd == 0 ? O_RDWR : O_RDONLY);
	}
}

static void prepare(int argc, char **argv)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	hold_standard_fds();
	/* A reader that goes away is an error of write(), not the end of us. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	/* Widths of characters only: numbers keep the C locale's form. */
	const char *locale = setlocale(LC_CTYPE, "");
	if (!locale || strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
	(void)cancel_on_signals();
	/* Errors of the parsing itself come in the form that was asked for. */
	for (int i = 1; i < argc; i++) {
		bool joined = strcmp(argv[i], "--log-format=json") == 0;
		bool apart = strcmp(argv[i], "--log-format") == 0 && i + 1 < argc &&
		             strcmp(argv[i + 1], "json") == 0;

		if (joined || apart)
			log_setup(LOG_INFO, LOG_JSON);
	}
}

static void tell(const struct verb_program *program, const struct err *e, int status)
{
	if (log_is_json()) {
		log_error("failed", LOG_S("program", program->name),
		          LOG_S("class", err_class_name(e->class)), LOG_S("message", e->msg),
		          LOG_I("exit_status", status));
		return;
	}
	CLEANUP(buf_clear) struct buf b = BUF_INIT(MESSAGE_BYTES);
	(void)buf_printf(&b, "%s: %s\n", program->name, e->msg);
	(void)fflush(stderr);
	ssize_t n = write(STDERR_FILENO, b.data, b.len);
	(void)n; /* nobody is left to tell */
}

int verb_main(const struct verb_program *program, int argc, char **argv)
{
	struct err e = ERR_INIT;

	log_setup(LOG_INFO, LOG_TEXT);
	prepare(argc, argv);
	int r = secret_init(&e);
	if (r == 0)
		r = dispatch(program, argc, argv, &e);
	int status = r < 0 ? err_exit_status(&e) : EXIT_OK;
	if (r < 0 && status == EXIT_OK) {
		(void)err_set(&e, ERR_BUG, "failed without a reason");
		status = EXIT_FAILED;
	}

	bool before = ferror(stdout) != 0;
	errno = 0;
	if (fflush(stdout) != 0 || before) {
		int os = r < 0 ? e.os : errno;

		/* A reader that had enough (head) needs no message. */
		if (os == EPIPE)
			return r < 0 && e.class != ERR_IO ? status : EXIT_FAILED;
		if (r == 0) {
			if (os)
				(void)err_sys(&e, os, "writing to standard output");
			else
				(void)err_set(&e, ERR_IO, "writing to standard output failed");
			status = EXIT_FAILED;
			r = -1;
		}
	}
	if (r < 0)
		tell(program, &e, status);
	return status;
}
