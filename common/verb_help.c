/* SPDX-License-Identifier: Apache-2.0 */
/* Help for people and man pages, from the tables of verbs and options. */
#include <ctype.h>
#include <string.h>

#include "common/verb_impl.h"

#ifndef AKSDR_VERSION
#define AKSDR_VERSION "0.0.0-dev"
#endif

#define WIDTH 79  /* columns of help */
#define INDENT 27 /* column of an option's text */

struct term {
	const char *name;
	const char *text;
};

static const struct term environment[] = {
	{ "AKSDR_STORE", "store, where --store is not given" },
	{ "AKSDR_KEY", "key file, where --key is not given" },
	{ "AKSDR_STATE", "local state, where --state is not given; without either it is "
	                 "/var/lib/aksdr for root and the cache directory of the user for others" },
	{ "AKSDR_PASSPHRASE_FILE", "file whose content is the passphrase of a wrapped key" },
	{ 0 },
};

static const struct term exit_statuses[] = {
	{ "0", "done" },
	{ "1", "failed" },
	{ "2", "usage: a verb, an option or a value makes no sense" },
	{ "3", "done in part; what is missing was listed" },
	{ "4", "not found, or ambiguous" },
	{ "5", "integrity: stored bytes are not what was written" },
	{ "6", "fenced or locked by another" },
	{ "130", "cancelled" },
	{ 0 },
};

/* ---- text ---- */

/* Writes the words of s[0..n), filled between indent and WIDTH; the cursor stands at column at. */
static void put_filled(FILE *f, const char *s, size_t n, size_t indent, size_t at)
{
	const char *end = s + n;
	bool first = true;

	while (s < end) {
		size_t len = 0;

		while (s < end && (*s == ' ' || *s == '\n'))
			s++;
		while (s + len < end && s[len] != ' ' && s[len] != '\n')
			len++;
		if (len == 0)
			break;
		if (!first && at + 1 + len > WIDTH) {
			(void)fprintf(f, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			(void)fputc(' ', f);
			at++;
		}
		(void)fwrite(s, 1, len, f);
		at += len;
		s += len;
		first = false;
	}
	(void)fputc('\n', f);
}

/* Length of the block at s: lines up to an empty one, or between filled and verbatim ones. */
static size_t block_len(const char *s)
{
	bool verbatim = *s == ' ';
	const char *at = s;

	while (*at && *at != '\n' && (*at == ' ') == verbatim) {
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return (size_t)(at - s);
}

/* A summary as a sentence. */
static void put_summary(FILE *f, const char *s)
{
	(void)fprintf(f, "%c%s.\n", toupper((unsigned char)s[0]), s + 1);
}

static void put_paragraphs(FILE *f, const char *text)
{
	const char *s = text;

	while (s && *s) {
		size_t n = block_len(s);

		if (n == 0) {
			s++; /* the empty line between two blocks */
			continue;
		}
		if (*s == ' ') {
			(void)fwrite(s, 1, n, f);
			if (s[n - 1] != '\n')
				(void)fputc('\n', f);
		} else {
			put_filled(f, s, n, 0, 0);
		}
		s += n;
		if (*s)
			(void)fputc('\n', f);
	}
}

/* "  -l, --level N        what it does" */
static void put_option(FILE *f, const struct verb_option *o)
{
	int n = verb_is_short(o->key) ? fprintf(f, "  -%c, --%s", o->key, o->name)
	                              : fprintf(f, "      --%s", o->name);

	if (o->arg)
		n += fprintf(f, " %s", o->arg);
	if (n + 2 > INDENT) {
		(void)fputc('\n', f);
		n = 0;
	}
	(void)fprintf(f, "%*s", INDENT - n, "");
	put_filled(f, o->help, strlen(o->help), INDENT, INDENT);
}

static void put_terms(FILE *f, const char *title, const struct term *t)
{
	(void)fprintf(f, "\n%s:\n", title);
	for (; t->name; t++) {
		int n = fprintf(f, "  %s", t->name);

		(void)fprintf(f, "%*s", INDENT - n, "");
		put_filled(f, t->text, strlen(t->text), INDENT, INDENT);
	}
}

static void put_common(FILE *f, const struct verb *verb)
{
	(void)fputs("\nCommon options:\n", f);
	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (verb_shows(verb, o))
			put_option(f, o);
	}
}

/* The examples, each line indented by two. */
static void put_examples(FILE *f, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "\n");

		(void)fprintf(f, "%s%.*s\n", n ? "  " : "", (int)n, s);
		s += n;
		s += *s == '\n';
	}
}

void verb_help_program(FILE *f, const struct verb_program *p)
{
	size_t longest = 0;

	(void)fprintf(f, "usage: %s VERB [OPTION]... [ARGUMENT]...\n\n", p->name);
	put_summary(f, p->summary);
	if (p->text) {
		(void)fputc('\n', f);
		put_paragraphs(f, p->text);
	}
	(void)fputs("\nVerbs:\n", f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (strlen(v->name) > longest)
			longest = strlen(v->name);
	}
	for (const struct verb *v = p->verbs; v->name; v++) {
		(void)fprintf(f, "  %-*s  ", (int)longest, v->name);
		put_filled(f, v->summary, strlen(v->summary), longest + 4, longest + 4);
	}
	put_common(f, NULL);
	put_terms(f, "Environment", environment);
	put_terms(f, "Exit status", exit_statuses);
	(void)fprintf(f, "\n'%s help VERB' tells more about one verb.\n", p->name);
}

void verb_help_verb(FILE *f, const struct verb_program *p, const struct verb *verb)
{
	(void)fprintf(f, "usage: %s %s [OPTION]...%s%s\n\n", p->name, verb->name,
	              verb->args ? " " : "", verb->args ? verb->args : "");
	put_summary(f, verb->summary);
	if (verb->text) {
		(void)fputc('\n', f);
		put_paragraphs(f, verb->text);
	}
	if (verb->options && verb->options->name) {
		(void)fputs("\nOptions:\n", f);
		for (const struct verb_option *o = verb->options; o->name; o++)
			put_option(f, o);
	}
	put_common(f, verb);
	if (verb->examples) {
		(void)fputs("\nExamples:\n", f);
		put_examples(f, verb->examples);
	}
}

/* ---- roff: https://man7.org/linux/man-pages/man7/groff_man.7.html ---- */

/* One character as roff has it: a backslash and a hyphen would mean something else. */
static void put_roff_char(FILE *f, char c)
{
	if (c == '\\')
		(void)fputs("\\e", f);
	else if (c == '-')
		(void)fputs("\\-", f);
	else
		(void)fputc(c, f);
}

/* n bytes of text inside a line; at its start a dot or quote would be a request. */
static void put_roff(FILE *f, const char *s, size_t n)
{
	if (n > 0 && (s[0] == '.' || s[0] == '\''))
		(void)fputs("\\&", f);
	for (size_t i = 0; i < n; i++) {
		put_roff_char(f, s[i]);
		if (s[i] == '\n' && i + 1 < n && (s[i + 1] == '.' || s[i + 1] == '\''))
			(void)fputs("\\&", f);
	}
}

static void put_roff_str(FILE *f, const char *s)
{
	put_roff(f, s, strlen(s));
}

/* Lines as they are, in a block without filling. */
static void put_roff_verbatim(FILE *f, const char *s, size_t n)
{
	(void)fputs(".PP\n.nf\n", f);
	put_roff(f, s, n);
	if (n > 0 && s[n - 1] != '\n')
		(void)fputc('\n', f);
	(void)fputs(".fi\n", f);
}

static void put_roff_paragraphs(FILE *f, const char *text)
{
	const char *s = text;

	while (s && *s) {
		size_t n = block_len(s);

		if (n == 0) {
			s++;
			continue;
		}
		if (*s == ' ') {
			put_roff_verbatim(f, s, n);
		} else {
			(void)fputs(".PP\n", f);
			put_roff(f, s, n);
			if (s[n - 1] != '\n')
				(void)fputc('\n', f);
		}
		s += n;
	}
}

static void put_roff_option(FILE *f, const struct verb_option *o)
{
	(void)fputs(".TP\n", f);
	if (verb_is_short(o->key))
		(void)fprintf(f, "\\fB\\-%c\\fR, ", o->key);
	(void)fputs("\\fB\\-\\-", f);
	put_roff_str(f, o->name);
	(void)fputs("\\fR", f);
	if (o->arg) {
		(void)fputs(" \\fI", f);
		put_roff_str(f, o->arg);
		(void)fputs("\\fR", f);
	}
	(void)fputc('\n', f);
	put_roff_str(f, o->help);
	(void)fputc('\n', f);
}

static void put_roff_terms(FILE *f, const char *title, const struct term *t)
{
	(void)fprintf(f, ".SH %s\n", title);
	for (; t->name; t++) {
		(void)fprintf(f, ".TP\n\\fB%s\\fR\n", t->name);
		put_roff_str(f, t->text);
		(void)fputc('\n', f);
	}
}

/* "\fBaksdr-agent backup\fR [\fIOPTION\fR]... \fINAME=PATH...\fR" */
static void put_roff_usage(FILE *f, const struct verb_program *p, const struct verb *v)
{
	(void)fputs("\\fB", f);
	put_roff_str(f, p->name);
	(void)fputc(' ', f);
	put_roff_str(f, v->name);
	(void)fputs("\\fR [\\fIOPTION\\fR]...", f);
	if (v->args) {
		(void)fputs(" \\fI", f);
		put_roff_str(f, v->args);
		(void)fputs("\\fR", f);
	}
	(void)fputc('\n', f);
}

static void put_roff_verb(FILE *f, const struct verb *v)
{
	(void)fputs(".PP\n", f);
	(void)fputc(toupper((unsigned char)v->summary[0]), f);
	put_roff_str(f, v->summary + 1);
	(void)fputs(".\n", f);
	put_roff_paragraphs(f, v->text);
	for (const struct verb_option *o = v->options; o && o->name; o++)
		put_roff_option(f, o);
	if (v->flags & VERB_DRY_RUN)
		(void)fputs(".PP\nKnows \\fB\\-\\-dry\\-run\\fR.\n", f);
	if (v->examples) {
		(void)fputs(".PP\nExamples:\n", f);
		put_roff_verbatim(f, v->examples, strlen(v->examples));
	}
}

/* ".TH AKSDR-AGENT-BACKUP 1 ..." and the name section; no date, so that a build can be repeated. */
static void put_roff_head(FILE *f, const struct verb_program *p, const struct verb *verb)
{
	(void)fputs(".\\\" generated from the tables of the program\n.TH ", f);
	for (const char *s = p->name; *s; s++)
		put_roff_char(f, (char)toupper((unsigned char)*s));
	if (verb) {
		(void)fputs("\\-", f);
		for (const char *s = verb->name; *s; s++)
			put_roff_char(f, *s == ' ' ? '-' : (char)toupper((unsigned char)*s));
	}
	(void)fprintf(f, " 1 \"\" \"aksdr %s\" \"User Commands\"\n.SH NAME\n", AKSDR_VERSION);
	put_roff_str(f, p->name);
	if (verb) {
		(void)fputs("\\-", f);
		for (const char *s = verb->name; *s; s++)
			put_roff_char(f, *s == ' ' ? '-' : *s);
	}
	(void)fputs(" \\- ", f);
	put_roff_str(f, verb ? verb->summary : p->summary);
	(void)fputs("\n.SH SYNOPSIS\n", f);
}

static void put_roff_tail(FILE *f, const struct verb *verb)
{
	(void)fputs(".SH COMMON OPTIONS\n", f);
	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (verb_shows(verb, o))
			put_roff_option(f, o);
	}
	put_roff_terms(f, "ENVIRONMENT", environment);
	put_roff_terms(f, "EXIT STATUS", exit_statuses);
	(void)fputs(".SH SEE ALSO\n", f);
	(void)fputs("\\fBaksdr\\-agent\\fR(1), \\fBaksdr\\-restore\\fR(1), ", f);
	(void)fputs("\\fBaksdr\\-catalog\\fR(1)\n", f);
}

void verb_help_man(FILE *f, const struct verb_program *p, const struct verb *verb)
{
	put_roff_head(f, p, verb);
	if (verb) {
		put_roff_usage(f, p, verb);
		(void)fputs(".SH DESCRIPTION\n", f);
		put_roff_verb(f, verb);
		put_roff_tail(f, verb);
		return;
	}
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (v != p->verbs)
			(void)fputs(".br\n", f);
		put_roff_usage(f, p, v);
	}
	(void)fputs(".SH DESCRIPTION\n", f);
	put_roff_paragraphs(f, p->text ? p->text : p->summary);
	(void)fputs(".SH VERBS\n", f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		(void)fputs(".SS ", f);
		put_roff_str(f, v->name);
		(void)fputc('\n', f);
		put_roff_usage(f, p, v);
		put_roff_verb(f, v);
	}
	put_roff_tail(f, NULL);
}
