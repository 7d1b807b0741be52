/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion scripts for bash, zsh and fish, from the tables. Each script
 * finds the verb among the words before the cursor, then offers the verb's
 * options, the choices of an option's value, or file names.
 */
#include <ctype.h>
#include <string.h>

#include "common/buf.h"
#include "common/verb_impl.h"

/* What a placeholder stands for. */
enum value { VALUE_NONE, VALUE_CHOICES, VALUE_FILE, VALUE_DIR, VALUE_OTHER };

static enum value value_of(const struct verb_option *o)
{
	if (!o->arg)
		return VALUE_NONE;
	if (verb_is_choices(o->arg))
		return VALUE_CHOICES;
	if (strcmp(o->arg, "DIR") == 0)
		return VALUE_DIR;
	if (strstr(o->arg, "FILE") || strstr(o->arg, "PATH"))
		return VALUE_FILE;
	return VALUE_OTHER;
}

/* A text with each occurrence of one of set behind a backslash. */
static void put_escaped(FILE *f, const char *s, const char *set)
{
	for (; *s; s++) {
		if (strchr(set, *s))
			(void)fputc('\\', f);
		(void)fputc(*s, f);
	}
}

/* "a|b|c" as "a b c" */
static void put_choices(FILE *f, const char *arg)
{
	for (; *arg; arg++)
		(void)fputc(*arg == '|' ? ' ' : *arg, f);
}

/* The program's name as part of a function's: '-' becomes '_'. */
static void put_ident(FILE *f, const char *s)
{
	for (; *s; s++)
		(void)fputc(isalnum((unsigned char)*s) ? *s : '_', f);
}

/* True when an earlier verb of the table has the same first word. */
static bool seen_first(const struct verb_program *p, const struct verb *v)
{
	size_t n = verb_first_len(v);

	for (const struct verb *u = p->verbs; u != v; u++) {
		if (verb_first_len(u) == n && strncmp(u->name, v->name, n) == 0)
			return true;
	}
	return false;
}

/* True when v is the next verb (or u itself) with the first word of u. */
static bool same_first(const struct verb *u, const struct verb *v)
{
	size_t n = verb_first_len(u);

	return verb_first_len(v) == n && strncmp(u->name, v->name, n) == 0;
}

static bool is_group(const struct verb *v)
{
	return v->name[verb_first_len(v)] != '\0';
}

/* ---- bash ---- */

/* The case of an option's value: "	backup:--driver) ... ;;" */
static void bash_value(FILE *f, const char *verb, const struct verb_option *o)
{
	enum value v = value_of(o);

	if (v == VALUE_NONE)
		return;
	(void)fprintf(f, "\t'%s':--%s", verb, o->name);
	if (verb_is_short(o->key))
		(void)fprintf(f, " | '%s':-%c", verb, o->key);
	(void)fputs(") ", f);
	if (v == VALUE_CHOICES) {
		(void)fputs("mapfile -t COMPREPLY < <(compgen -W '", f);
		put_choices(f, o->arg);
		(void)fputs("' -- \"$cur\"); ", f);
	} else if (v == VALUE_FILE) {
		(void)fputs(
			"compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); ",
			f);
	} else if (v == VALUE_DIR) {
		(void)fputs(
			"compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); ",
			f);
	}
	(void)fputs("return ;;\n", f);
}

/* Options that take a value, as a pattern, to step over the value. */
static void bash_valued(FILE *f, const struct verb_program *p)
{
	const char *bar = "";

	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (o->arg)
			(void)fprintf(f, "%s--%s", bar, o->name);
		if (o->arg)
			bar = " | ";
	}
	for (const struct verb *v = p->verbs; v->name; v++) {
		for (const struct verb_option *o = v->options; o && o->name; o++) {
			if (o->arg)
				(void)fprintf(f, "%s--%s", bar, o->name);
			if (o->arg && verb_is_short(o->key))
				(void)fprintf(f, " | -%c", o->key);
		}
	}
}

/* The words of the options that a verb takes (NULL: before the verb). */
static void bash_options(FILE *f, const struct verb *v)
{
	for (const struct verb_option *o = v ? v->options : NULL; o && o->name; o++)
		(void)fprintf(f, "--%s ", o->name);
	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (verb_shows(v, o))
			(void)fprintf(f, "--%s ", o->name);
	}
}

static void bash_groups(FILE *f, const struct verb_program *p)
{
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (!is_group(v) || seen_first(p, v))
			continue;
		(void)fprintf(f, "\t\t'%.*s') words='", (int)verb_first_len(v), v->name);
		for (const struct verb *u = v; u->name; u++) {
			if (same_first(v, u) && is_group(u))
				(void)fprintf(f, "%s ", u->name + verb_first_len(u) + 1);
		}
		(void)fputs("' ;;\n", f);
	}
}

static void bash(FILE *f, const struct verb_program *p)
{
	(void)fprintf(f, "# bash completion for %s\n", p->name);
	(void)fputc('_', f);
	put_ident(f, p->name);
	(void)fputs("()\n{\n"
	            "\tlocal cur prev verb='' words='' word i\n"
	            "\tCOMPREPLY=()\n"
	            "\tcur=${COMP_WORDS[COMP_CWORD]}\n"
	            "\tprev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	            "\tif [[ $cur == = ]]; then\n"
	            "\t\tcur=''\n"
	            "\telif [[ $prev == = ]]; then\n"
	            "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	            "\tfi\n"
	            "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	            "\t\tword=${COMP_WORDS[i]}\n"
	            "\t\tcase $word in\n"
	            "\t\t",
	            f);
	bash_valued(f, p);
	(void)fputs(")\n"
	            "\t\t\t[[ ${COMP_WORDS[i + 1]} != = ]] || i=$((i + 1))\n"
	            "\t\t\ti=$((i + 1)) ;;\n"
	            "\t\t-* | =) ;;\n"
	            "\t\t*)\n"
	            "\t\t\tcase $verb in\n"
	            "\t\t\t'') verb=$word ;;\n",
	            f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (is_group(v) && !seen_first(p, v))
			(void)fprintf(f, "\t\t\t'%.*s') verb=\"$verb $word\" ;;\n",
			              (int)verb_first_len(v), v->name);
	}
	(void)fputs("\t\t\tesac ;;\n"
	            "\t\tesac\n"
	            "\tdone\n"
	            "\tcase $verb:$prev in\n",
	            f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		for (const struct verb_option *o = v->options; o && o->name; o++)
			bash_value(f, v->name, o);
	}
	(void)fputs("\tesac\n"
	            "\tcase :$prev in\n",
	            f);
	for (const struct verb_option *o = verb_common_options; o->name; o++)
		bash_value(f, "", o);
	(void)fputs("\tesac\n"
	            "\tif [[ $cur == -* ]]; then\n"
	            "\t\tcase $verb in\n",
	            f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		(void)fprintf(f, "\t\t'%s') words='", v->name);
		bash_options(f, v);
		(void)fputs("' ;;\n", f);
	}
	(void)fputs("\t\t*) words='", f);
	bash_options(f, NULL);
	(void)fputs("' ;;\n"
	            "\t\tesac\n"
	            "\telse\n"
	            "\t\tcase $verb in\n"
	            "\t\t'') words='",
	            f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (!seen_first(p, v))
			(void)fprintf(f, "%.*s ", (int)verb_first_len(v), v->name);
	}
	(void)fputs("help' ;;\n", f);
	bash_groups(f, p);
	(void)fputs("\t\tesac\n"
	            "\tfi\n"
	            "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	            "}\n"
	            "complete -o default -F _",
	            f);
	put_ident(f, p->name);
	(void)fprintf(f, " %s\n", p->name);
}

/* ---- zsh ---- */

/* A description inside _arguments: brackets, colons and backslashes mean something there. */
static void zsh_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			(void)fputs("'\\''", f);
		else if (strchr("[]:\\", *s))
			(void)fprintf(f, "\\%c", *s);
		else
			(void)fputc(*s, f);
	}
}

static void zsh_option(FILE *f, const char *indent, const struct verb_option *o)
{
	(void)fprintf(f, "%s", indent);
	if (verb_is_short(o->key))
		(void)fprintf(f, "'(-%c --%s)'{-%c%s,--%s%s}'[", o->key, o->name, o->key,
		              o->arg ? "+" : "", o->name, o->arg ? "=" : "");
	else
		(void)fprintf(f, "'--%s%s[", o->name, o->arg ? "=" : "");
	zsh_text(f, o->help);
	(void)fputc(']', f);
	switch (value_of(o)) {
	case VALUE_NONE:
		break;
	case VALUE_CHOICES:
		(void)fputs(":value:(", f);
		put_choices(f, o->arg);
		(void)fputc(')', f);
		break;
	case VALUE_FILE:
		(void)fputs(":file:_files", f);
		break;
	case VALUE_DIR:
		(void)fputs(":directory:_files -/", f);
		break;
	case VALUE_OTHER:
		(void)fputs(":value:", f);
		break;
	}
	(void)fputs("' \\\n", f);
}

static void zsh_verb_options(FILE *f, const struct verb *v)
{
	for (const struct verb_option *o = v->options; o && o->name; o++)
		zsh_option(f, "\t\t\t", o);
	for (const struct verb_option *o = verb_common_options; o->name; o++) {
		if (verb_shows(v, o))
			zsh_option(f, "\t\t\t", o);
	}
}

/* The list of verbs, or of the second words of one group, as "_describe" takes it. */
static void zsh_describe(FILE *f, const char *indent, const struct verb_program *p,
                         const struct verb *group)
{
	(void)fprintf(f, "%sverbs=(\n", indent);
	for (const struct verb *v = p->verbs; v->name; v++) {
		size_t n = verb_first_len(v);

		if (group ? !same_first(group, v) || !is_group(v) : seen_first(p, v))
			continue;
		(void)fprintf(f, "%s\t'", indent);
		if (group)
			(void)fputs(v->name + n + 1, f);
		else
			(void)fprintf(f, "%.*s", (int)n, v->name);
		(void)fputc(':', f);
		zsh_text(f, !group && is_group(v) ? "more than one verb" : v->summary);
		(void)fputs("'\n", f);
	}
	(void)fprintf(f, "%s)\n%s_describe verb verbs\n", indent, indent);
}

static void zsh_group(FILE *f, const struct verb_program *p, const struct verb *group)
{
	(void)fprintf(f,
	              "\t%.*s)\n"
	              "\t\tif (( CURRENT == 2 )); then\n",
	              (int)verb_first_len(group), group->name);
	zsh_describe(f, "\t\t\t", p, group);
	(void)fputs("\t\t\treturn\n\t\tfi\n\t\tcase $words[2] in\n", f);
	for (const struct verb *v = group; v->name; v++) {
		if (!same_first(group, v) || !is_group(v))
			continue;
		(void)fprintf(f,
		              "\t\t%s)\n\t\t\tshift words; (( CURRENT-- ))\n\t\t\t_arguments \\\n",
		              v->name + verb_first_len(v) + 1);
		zsh_verb_options(f, v);
		(void)fputs("\t\t\t'*:argument:_files' ;;\n", f);
	}
	(void)fputs("\t\tesac ;;\n", f);
}

static void zsh(FILE *f, const struct verb_program *p)
{
	(void)fprintf(f, "#compdef %s\n\n_", p->name);
	put_ident(f, p->name);
	(void)fputs("()\n{\n"
	            "\tlocal curcontext=$curcontext state line\n"
	            "\tlocal -a verbs\n"
	            "\t_arguments -C \\\n",
	            f);
	for (const struct verb_option *o = verb_common_options; o->name; o++)
		zsh_option(f, "\t\t", o);
	(void)fputs("\t\t'1: :->verb' '*:: :->rest'\n"
	            "\tcase $state in\n"
	            "\tverb)\n",
	            f);
	zsh_describe(f, "\t\t", p, NULL);
	(void)fputs("\t\treturn ;;\n"
	            "\tesac\n"
	            "\tcase $words[1] in\n",
	            f);
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (is_group(v) && !seen_first(p, v))
			zsh_group(f, p, v);
		if (is_group(v))
			continue;
		(void)fprintf(f, "\t%s)\n\t\t_arguments \\\n", v->name);
		zsh_verb_options(f, v);
		(void)fputs("\t\t\t'*:argument:_files' ;;\n", f);
	}
	(void)fputs("\tesac\n}\n\n_", f);
	put_ident(f, p->name);
	(void)fputs(" \"$@\"\n", f);
}

/* ---- fish ---- */

static void fish_option(FILE *f, const char *program, const char *condition,
                        const struct verb_option *o)
{
	(void)fprintf(f, "complete -c %s", program);
	if (condition)
		(void)fprintf(f, " -n '%s'", condition);
	if (verb_is_short(o->key))
		(void)fprintf(f, " -s %c", o->key);
	(void)fprintf(f, " -l %s", o->name);
	switch (value_of(o)) {
	case VALUE_NONE:
		break;
	case VALUE_CHOICES:
		(void)fputs(" -x -a '", f);
		put_choices(f, o->arg);
		(void)fputc('\'', f);
		break;
	case VALUE_FILE:
		(void)fputs(" -r -F", f);
		break;
	case VALUE_DIR:
		(void)fputs(" -x -a '(__fish_complete_directories)'", f);
		break;
	case VALUE_OTHER:
		(void)fputs(" -x", f);
		break;
	}
	(void)fputs(" -d '", f);
	put_escaped(f, o->help, "\\'");
	(void)fputs("'\n", f);
}

/* "complete ... -a WORD -d SUMMARY" */
static void fish_verb(FILE *f, const char *program, const char *condition, const char *word,
                      size_t len, const char *text)
{
	(void)fprintf(f, "complete -c %s -n '%s' -f -a '%.*s' -d '", program, condition, (int)len,
	              word);
	put_escaped(f, text, "\\'");
	(void)fputs("'\n", f);
}

/* The second words of a verb's group, each after a blank. */
static void fish_seconds(const struct verb_program *p, const struct verb *group, struct buf *b)
{
	for (const struct verb *v = p->verbs; v->name; v++) {
		if (same_first(group, v) && is_group(v))
			(void)buf_printf(b, "%s", v->name + verb_first_len(v));
	}
}

static void fish(FILE *f, const struct verb_program *p)
{
	CLEANUP(buf_clear) struct buf condition = BUF_INIT(64 * KIB);

	(void)fprintf(f, "# fish completion for %s\n", p->name);
	for (const struct verb_option *o = verb_common_options; o->name; o++)
		fish_option(f, p->name, NULL, o);
	for (const struct verb *v = p->verbs; v->name; v++) {
		int n = (int)verb_first_len(v);

		if (!seen_first(p, v))
			fish_verb(f, p->name, "__fish_use_subcommand", v->name, (size_t)n,
			          is_group(v) ? "more than one verb" : v->summary);
		buf_reset(&condition);
		(void)buf_printf(&condition, "__fish_seen_subcommand_from %.*s", n, v->name);
		if (is_group(v)) {
			size_t len = condition.len;

			(void)buf_str(&condition, "; and not __fish_seen_subcommand_from");
			fish_seconds(p, v, &condition);
			fish_verb(f, p->name, buf_cstr(&condition), v->name + n + 1,
			          strlen(v->name + n + 1), v->summary);
			condition.len = len;
			(void)buf_printf(&condition, "; and __fish_seen_subcommand_from %s",
			                 v->name + n + 1);
		}
		for (const struct verb_option *o = v->options; o && o->name; o++)
			fish_option(f, p->name, buf_cstr(&condition), o);
	}
}

int verb_complete(FILE *f, const struct verb_program *p, const char *shell, struct err *e)
{
	static const struct {
		const char *shell;
		void (*write)(FILE *f, const struct verb_program *p);
	} shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (strcmp(shells[i].shell, shell) == 0) {
			shells[i].write(f, p);
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
	               "no completion for the shell '%s', only for bash, zsh and fish", shell);
}
