/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts are bounded and made fit for JSON when they are added, so that writing cannot fail for
 * what a hook has printed; reading refuses what this would not write.
 */
#include "repo/capture.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/text.h"
#include "repo/claim.h"
#include "repo/format.h"
#include "repo/point.h"

#define MEMBER "capture"
#define WHAT "restore point: .capture"
#define JSON_MAX (FORMAT_POINT_MAX / 4) /* of all of it */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_NOMEM, "no memory for what a restore point says of its view");
}

static void hook_clear(struct capture_hook *h)
{
	free(h->command);
	free(h->output);
}

void capture_clear(struct point_capture *c)
{
	for (size_t i = 0; i < c->nhooks; i++)
		hook_clear(&c->hooks[i]);
	for (size_t i = 0; i < c->nnotes; i++)
		free(c->notes[i]);
	free(c->hooks);
	free(c->facts);
	free(c->notes);
	free(c->fallback);
	json_decref(c->claim);
	*c = (struct point_capture){ 0 };
}

bool capture_fact_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return n > 0 && n <= CAPTURE_FACT_NAME_MAX && name[n] == '\0';
}

static bool moment_valid(const char *moment)
{
	return !moment[0] || strcmp(moment, "one") == 0 || strcmp(moment, "window") == 0;
}

static bool token_valid(const char *token)
{
	size_t n = 0;

	while (token[n] >= 0x20 && token[n] < 0x7f)
		n++;
	return token[n] == '\0' && n <= CAPTURE_TOKEN_MAX;
}

/* ---- texts ---- */

/* As text_step(), but lines and tabs stay what they are. */
static size_t step_lines(const char **s, char ret[TEXT_STEP_MAX])
{
	if (**s != '\n' && **s != '\t')
		return text_step(s, TEXT_LINE, ret);
	ret[0] = *(*s)++;
	return 1;
}

/* The beginning of s as one line of at most max bytes; NULL: no memory. */
static char *first_of(const char *s, size_t max)
{
	char step[TEXT_STEP_MAX];
	char *ret = malloc(max + 1);
	size_t at = 0;
	size_t n;

	if (!ret)
		return NULL;
	while ((n = text_step(&s, TEXT_LINE, step)) > 0 && at + n <= max) {
		memcpy(ret + at, step, n);
		at += n;
	}
	ret[at] = '\0';
	char *fit = realloc(ret, at + 1);
	return fit ? fit : ret;
}

/* How many bytes of s are too many at its beginning for max bytes of text at its end. */
static size_t too_many(const char *s, size_t max)
{
	char step[TEXT_STEP_MAX];
	const char *from = s;
	const char *at = s;
	size_t len = 0;
	size_t n;

	while ((n = step_lines(&at, step)) > 0) {
		len += n;
		while (len > max)
			len -= step_lines(&from, step);
	}
	return (size_t)(from - s);
}

/* The end of s as lines of at most max bytes together. */
static char *last_of(const char *s, size_t max, uint64_t *cut_bytes)
{
	char step[TEXT_STEP_MAX];
	size_t cut = too_many(s, max);
	char *ret = malloc(max + 1);
	size_t at = 0;
	size_t n;

	if (!ret)
		return NULL;
	*cut_bytes += cut;
	s += cut;
	while ((n = step_lines(&s, step)) > 0 && at + n <= max) {
		memcpy(ret + at, step, n);
		at += n;
	}
	ret[at] = '\0';
	char *fit = realloc(ret, at + 1);
	return fit ? fit : ret;
}

/* ---- adding ---- */

int capture_add_hook(struct point_capture *c, const struct capture_hook *hook, struct err *e)
{
	struct capture_hook h = *hook;

	if (c->nhooks >= CAPTURE_HOOKS_MAX)
		return 0;
	struct capture_hook *more = reallocarray(c->hooks, c->nhooks + 1, sizeof(*more));
	if (!more)
		return no_memory(e);
	c->hooks = more;
	h.command = first_of(hook->command ? hook->command : "", CAPTURE_COMMAND_MAX);
	h.output = last_of(hook->output ? hook->output : "", CAPTURE_OUTPUT_MAX, &h.cut_bytes);
	if (!h.command || !h.output) {
		hook_clear(&h);
		return no_memory(e);
	}
	c->hooks[c->nhooks++] = h;
	return 0;
}

int capture_add_fact(struct point_capture *c, const char *name, const char *value, struct err *e)
{
	size_t i = 0;

	if (!capture_fact_name_valid(name))
		return 0;
	while (i < c->nfacts && strcmp(c->facts[i].name, name) != 0)
		i++;
	if (i >= CAPTURE_FACTS_MAX)
		return 0;
	auto_free char *text = first_of(value, CAPTURE_FACT_VALUE_MAX);
	if (!text)
		return no_memory(e);
	if (i == c->nfacts) {
		struct capture_fact *more = reallocarray(c->facts, i + 1, sizeof(*more));

		if (!more)
			return no_memory(e);
		c->facts = more;
		c->nfacts++;
	}
	(void)snprintf(c->facts[i].name, sizeof(c->facts[i].name), "%s", name);
	(void)snprintf(c->facts[i].value, sizeof(c->facts[i].value), "%s", text);
	return 0;
}

int capture_add_note(struct point_capture *c, const char *note, struct err *e)
{
	if (c->nnotes >= CAPTURE_NOTES_MAX)
		return 0;
	char **more = reallocarray(c->notes, c->nnotes + 1, sizeof(*more));
	if (!more)
		return no_memory(e);
	c->notes = more;
	c->notes[c->nnotes] = first_of(note, CAPTURE_NOTE_MAX);
	if (!c->notes[c->nnotes])
		return no_memory(e);
	c->nnotes++;
	return 0;
}

int capture_set_fallback(struct point_capture *c, const char *why, struct err *e)
{
	char *text = NULL;

	if (why && why[0] && !(text = first_of(why, CAPTURE_FALLBACK_MAX)))
		return no_memory(e);
	free(c->fallback);
	c->fallback = text;
	return 0;
}

/* ---- copying ---- */

/* Bytes of a text in JSON: nothing in it needs more than a backslash. */
static size_t json_len(const char *s)
{
	size_t n = 2;

	for (; *s; s++)
		n += *s == '"' || *s == '\\' || *s == '\n' || *s == '\t' ? 2 : 1;
	return n;
}

/* Bytes of all of it as JSON, at most. */
static size_t total_len(const struct point_capture *c)
{
	size_t n = 4 * KIB;

	for (size_t i = 0; i < c->nhooks; i++)
		n += 256 + json_len(c->hooks[i].command) + json_len(c->hooks[i].output);
	for (size_t i = 0; i < c->nfacts; i++)
		n += 32 + json_len(c->facts[i].name) + json_len(c->facts[i].value);
	for (size_t i = 0; i < c->nnotes; i++)
		n += 1 + json_len(c->notes[i]);
	return n + (c->fallback ? json_len(c->fallback) : 0) + (c->claim ? CLAIM_MAX : 0);
}

/* Shortens all outputs alike until it fits; the rest of it always does. */
static int fit(struct point_capture *c, struct err *e)
{
	for (size_t max = CAPTURE_OUTPUT_MAX; total_len(c) > JSON_MAX && max > 0;) {
		max /= 2;
		for (size_t i = 0; i < c->nhooks; i++) {
			struct capture_hook *h = &c->hooks[i];
			char *text = last_of(h->output, max, &h->cut_bytes);

			if (!text)
				return no_memory(e);
			free(h->output);
			h->output = text;
		}
	}
	return 0;
}

int capture_copy(const struct point_capture *from, struct point_capture *ret, struct err *e)
{
	CLEANUP(capture_clear)
	struct point_capture c = {
		.asked_ns = from->asked_ns,
		.frozen_ns = from->frozen_ns,
		.thawed_ns = from->thawed_ns,
		.changes = from->changes,
	};

	if (!moment_valid(from->moment) || !token_valid(from->token))
		return err_set(e, ERR_INVALID,
		               "the view's %s is none that a restore point can hold",
		               token_valid(from->token) ? "moment" : "token");
	memcpy(c.moment, from->moment, sizeof(c.moment));
	memcpy(c.token, from->token, sizeof(c.token));
	for (size_t i = 0; i < from->nhooks; i++) {
		if (capture_add_hook(&c, &from->hooks[i], e) < 0)
			return -1;
	}
	for (size_t i = 0; i < from->nfacts; i++) {
		if (capture_add_fact(&c, from->facts[i].name, from->facts[i].value, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < from->nnotes; i++) {
		if (capture_add_note(&c, from->notes[i], e) < 0)
			return -1;
	}
	if (from->claim) {
		if (claim_check(from->claim, e) < 0)
			return -1;
		c.claim = json_deep_copy(from->claim);
		if (!c.claim)
			return no_memory(e);
	}
	if (capture_set_fallback(&c, from->fallback, e) < 0 || fit(&c, e) < 0)
		return -1;
	*ret = c;
	c = (struct point_capture){ 0 };
	return 0;
}

/* ---- writing ---- */

static void set_text(json_t *o, const char *key, const char *text, int *bad)
{
	*bad |= json_object_set_new(o, key, json_string(text));
}

static void set_int(json_t *o, const char *key, int64_t v, int *bad)
{
	*bad |= json_object_set_new(o, key, json_integer(v));
}

static void set_u64(json_t *o, const char *key, uint64_t v, int *bad)
{
	set_int(o, key, v <= INT64_MAX ? (int64_t)v : INT64_MAX, bad);
}

static void set_bool(json_t *o, const char *key, bool v, int *bad)
{
	*bad |= json_object_set_new(o, key, json_boolean(v));
}

/* A new value as a member of o; borrowed. */
static json_t *set_new(json_t *o, const char *key, json_t *take_v, int *bad)
{
	*bad |= json_object_set_new(o, key, take_v);
	return take_v;
}

static void put_hooks(json_t *o, const struct point_capture *c, int *bad)
{
	json_t *list = set_new(o, "hooks", json_array(), bad);

	for (size_t i = 0; i < c->nhooks; i++) {
		const struct capture_hook *h = &c->hooks[i];
		json_t *x = json_object();

		set_text(x, "phase", h->post ? "post" : "pre", bad);
		set_text(x, "command", h->command, bad);
		set_int(x, "exit", h->exit, bad);
		set_int(x, "signal", h->signal, bad);
		set_bool(x, "timed_out", h->timed_out, bad);
		set_int(x, "started_ns", h->started_ns, bad);
		set_u64(x, "ms", h->ms, bad);
		set_text(x, "output", h->output ? h->output : "", bad);
		if (h->cut_bytes)
			set_u64(x, "cut_bytes", h->cut_bytes, bad);
		*bad |= json_array_append_new(list, x);
	}
}

static void put_facts(json_t *o, const struct point_capture *c, int *bad)
{
	json_t *list = set_new(o, "facts", json_array(), bad);

	for (size_t i = 0; i < c->nfacts; i++) {
		json_t *x = json_object();

		set_text(x, "name", c->facts[i].name, bad);
		set_text(x, "value", c->facts[i].value, bad);
		*bad |= json_array_append_new(list, x);
	}
}

static void put_notes(json_t *o, const struct point_capture *c, int *bad)
{
	json_t *list = set_new(o, "notes", json_array(), bad);

	for (size_t i = 0; i < c->nnotes; i++)
		*bad |= json_array_append_new(list, json_string(c->notes[i]));
}

static void put_changes(json_t *o, const struct capture_changes *x, int *bad)
{
	json_t *v = set_new(o, "changes", json_object(), bad);

	if (x->base_session[0])
		set_text(v, "base_session", x->base_session, bad);
	set_u64(v, "claimed_bytes", x->claimed_bytes, bad);
	set_u64(v, "skipped_bytes", x->skipped_bytes, bad);
	set_bool(v, "compared", x->compared, bad);
	set_u64(v, "compared_bytes", x->compared_bytes, bad);
	set_u64(v, "wrong_bytes", x->wrong_bytes, bad);
	set_u64(v, "unread_points", x->unread_points, bad);
	set_bool(v, "distrusted", x->distrusted, bad);
}

static bool has_changes(const struct point_capture *c)
{
	return c->changes.base_session[0] || c->changes.distrusted;
}

static bool has_window(const struct point_capture *c)
{
	return c->asked_ns || c->frozen_ns || c->thawed_ns;
}

int capture_put(const struct point_capture *c, json_t *point)
{
	int bad = 0;

	if (!has_window(c) && !c->moment[0] && !c->nhooks && !c->nfacts && !c->nnotes &&
	    !c->fallback && !c->token[0] && !has_changes(c) && !c->claim)
		return 0;
	json_t *o = set_new(point, MEMBER, json_object(), &bad);
	if (has_window(c)) {
		json_t *w = set_new(o, "window", json_object(), &bad);

		set_int(w, "asked_ns", c->asked_ns, &bad);
		set_int(w, "frozen_ns", c->frozen_ns, &bad);
		set_int(w, "thawed_ns", c->thawed_ns, &bad);
	}
	if (c->moment[0])
		set_text(o, "moment", c->moment, &bad);
	if (c->nhooks)
		put_hooks(o, c, &bad);
	if (c->nfacts)
		put_facts(o, c, &bad);
	if (c->nnotes)
		put_notes(o, c, &bad);
	if (c->fallback)
		set_text(o, "fallback", c->fallback, &bad);
	if (c->token[0])
		set_text(o, "token", c->token, &bad);
	if (has_changes(c))
		put_changes(o, &c->changes, &bad);
	if (c->claim)
		bad |= json_object_set_new(o, "claim", json_deep_copy(c->claim));
	return bad ? -1 : 0;
}

/* ---- reading ---- */

static int refuse(const char *member, const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, WHAT ".%s: %s", member, why);
}

/* The member, or NULL when it is missing or null. */
static const json_t *optional(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v && !json_is_null(v) ? v : NULL;
}

/* A text of at most max bytes; *ret borrowed, "" when it is missing. */
static int get_text(const json_t *o, const char *what, const char *key, size_t max,
                    const char **ret, struct err *e)
{
	*ret = "";
	if (optional(o, key) && json_get_str(o, what, key, ret, e) < 0)
		return -1;
	if (strlen(*ret) > max)
		return err_set(e, ERR_FORMAT, "%s.%s: longer than %zu bytes", what, key, max);
	return 0;
}

static int get_copy(const json_t *o, const char *what, const char *key, size_t max, char **ret,
                    struct err *e)
{
	const char *text;

	if (get_text(o, what, key, max, &text, e) < 0)
		return -1;
	*ret = strdup(text);
	return *ret ? 0 : no_memory(e);
}

static int get_i64(const json_t *o, const char *what, const char *key, int64_t *ret, struct err *e)
{
	*ret = 0;
	return optional(o, key) ? json_get_i64(o, what, key, ret, e) : 0;
}

static int get_u64(const json_t *o, const char *what, const char *key, uint64_t *ret, struct err *e)
{
	*ret = 0;
	return optional(o, key) ? json_get_u64(o, what, key, ret, e) : 0;
}

static int get_bool(const json_t *o, const char *what, const char *key, bool *ret, struct err *e)
{
	*ret = false;
	return optional(o, key) ? json_get_bool(o, what, key, ret, e) : 0;
}

/* A status or the number of a signal. */
static int get_status(const json_t *o, const char *key, int *ret, struct err *e)
{
	int64_t v;

	if (get_i64(o, WHAT ".hooks", key, &v, e) < 0)
		return -1;
	if (v < 0 || v > 255)
		return err_set(e, ERR_FORMAT, WHAT ".hooks.%s: %lld is out of range", key,
		               (long long)v);
	*ret = (int)v;
	return 0;
}

/* An array of at most max; *ret NULL when it is missing. */
static int get_array(const json_t *o, const char *key, size_t max, const json_t **ret,
                     struct err *e)
{
	*ret = optional(o, key);
	if (*ret && !json_is_array(*ret))
		return refuse(key, "expected an array", e);
	return json_array_size(*ret) > max ? refuse(key, "too many", e) : 0;
}

static int get_hook(const json_t *o, struct capture_hook *h, struct err *e)
{
	const char *phase;

	if (json_get_str(o, WHAT ".hooks", "phase", &phase, e) < 0)
		return -1;
	if (strcmp(phase, "pre") != 0 && strcmp(phase, "post") != 0)
		return refuse("hooks.phase", "a word unknown here", e);
	h->post = strcmp(phase, "post") == 0;
	if (get_copy(o, WHAT ".hooks", "command", CAPTURE_COMMAND_MAX, &h->command, e) < 0 ||
	    get_status(o, "exit", &h->exit, e) < 0 || get_status(o, "signal", &h->signal, e) < 0 ||
	    get_bool(o, WHAT ".hooks", "timed_out", &h->timed_out, e) < 0 ||
	    get_i64(o, WHAT ".hooks", "started_ns", &h->started_ns, e) < 0 ||
	    get_u64(o, WHAT ".hooks", "ms", &h->ms, e) < 0 ||
	    get_copy(o, WHAT ".hooks", "output", CAPTURE_OUTPUT_MAX, &h->output, e) < 0 ||
	    get_u64(o, WHAT ".hooks", "cut_bytes", &h->cut_bytes, e) < 0)
		return -1;
	return 0;
}

static int get_hooks(const json_t *o, struct point_capture *c, struct err *e)
{
	const json_t *list;

	if (get_array(o, "hooks", CAPTURE_HOOKS_MAX, &list, e) < 0)
		return -1;
	size_t n = json_array_size(list);
	if (n == 0)
		return 0;
	c->hooks = calloc(n, sizeof(*c->hooks));
	if (!c->hooks)
		return no_memory(e);
	while (c->nhooks < n) {
		size_t i = c->nhooks++;

		if (get_hook(json_array_get(list, i), &c->hooks[i], e) < 0)
			return -1;
	}
	return 0;
}

static int get_facts(const json_t *o, struct point_capture *c, struct err *e)
{
	const json_t *list;

	if (get_array(o, "facts", CAPTURE_FACTS_MAX, &list, e) < 0)
		return -1;
	size_t n = json_array_size(list);
	if (n == 0)
		return 0;
	c->facts = calloc(n, sizeof(*c->facts));
	if (!c->facts)
		return no_memory(e);
	for (; c->nfacts < n; c->nfacts++) {
		const json_t *x = json_array_get(list, c->nfacts);
		struct capture_fact *f = &c->facts[c->nfacts];
		const char *name;
		const char *value;

		if (json_get_str(x, WHAT ".facts", "name", &name, e) < 0 ||
		    get_text(x, WHAT ".facts", "value", CAPTURE_FACT_VALUE_MAX, &value, e) < 0)
			return -1;
		if (!capture_fact_name_valid(name))
			return refuse("facts.name", "no name of a fact", e);
		memcpy(f->name, name, strlen(name) + 1);
		memcpy(f->value, value, strlen(value) + 1);
	}
	return 0;
}

static int get_notes(const json_t *o, struct point_capture *c, struct err *e)
{
	const json_t *list;

	if (get_array(o, "notes", CAPTURE_NOTES_MAX, &list, e) < 0)
		return -1;
	size_t n = json_array_size(list);
	if (n == 0)
		return 0;
	c->notes = calloc(n, sizeof(*c->notes));
	if (!c->notes)
		return no_memory(e);
	for (; c->nnotes < n; c->nnotes++) {
		const char *text = json_string_value(json_array_get(list, c->nnotes));

		if (!text || strlen(text) > CAPTURE_NOTE_MAX)
			return refuse("notes", "expected short texts", e);
		c->notes[c->nnotes] = strdup(text);
		if (!c->notes[c->nnotes])
			return no_memory(e);
	}
	return 0;
}

static int get_window(const json_t *o, struct point_capture *c, struct err *e)
{
	const json_t *x = optional(o, "window");

	if (!x)
		return 0;
	if (!json_is_object(x))
		return refuse("window", "expected an object", e);
	if (get_i64(x, WHAT ".window", "asked_ns", &c->asked_ns, e) < 0 ||
	    get_i64(x, WHAT ".window", "frozen_ns", &c->frozen_ns, e) < 0 ||
	    get_i64(x, WHAT ".window", "thawed_ns", &c->thawed_ns, e) < 0)
		return -1;
	return 0;
}

static int get_changes(const json_t *o, struct capture_changes *x, struct err *e)
{
	static const char what[] = WHAT ".changes";
	const json_t *v = optional(o, "changes");
	const char *base;

	if (!v)
		return 0;
	if (!json_is_object(v))
		return refuse("changes", "expected an object", e);
	if (get_text(v, what, "base_session", sizeof(x->base_session) - 1, &base, e) < 0)
		return -1;
	if (base[0] && !point_session_valid(base))
		return refuse("changes.base_session", "no session name", e);
	memcpy(x->base_session, base, strlen(base) + 1);
	if (get_u64(v, what, "claimed_bytes", &x->claimed_bytes, e) < 0 ||
	    get_u64(v, what, "skipped_bytes", &x->skipped_bytes, e) < 0 ||
	    get_bool(v, what, "compared", &x->compared, e) < 0 ||
	    get_u64(v, what, "compared_bytes", &x->compared_bytes, e) < 0 ||
	    get_u64(v, what, "wrong_bytes", &x->wrong_bytes, e) < 0 ||
	    get_u64(v, what, "unread_points", &x->unread_points, e) < 0 ||
	    get_bool(v, what, "distrusted", &x->distrusted, e) < 0)
		return -1;
	return 0;
}

static int get_words(const json_t *o, struct point_capture *c, struct err *e)
{
	const char *moment;
	const char *token;
	const char *fallback;

	if (get_text(o, WHAT, "moment", sizeof(c->moment) - 1, &moment, e) < 0 ||
	    get_text(o, WHAT, "token", CAPTURE_TOKEN_MAX, &token, e) < 0 ||
	    get_text(o, WHAT, "fallback", CAPTURE_FALLBACK_MAX, &fallback, e) < 0)
		return -1;
	if (!moment_valid(moment))
		return refuse("moment", "a word unknown here", e);
	if (!token_valid(token))
		return refuse("token", "not of printable ASCII", e);
	memcpy(c->moment, moment, strlen(moment) + 1);
	memcpy(c->token, token, strlen(token) + 1);
	if (fallback[0] && !(c->fallback = strdup(fallback)))
		return no_memory(e);
	return 0;
}

static int get_claim(const json_t *o, struct point_capture *c, struct err *e)
{
	const json_t *claim = optional(o, "claim");

	if (!claim)
		return 0;
	if (claim_check(claim, e) < 0)
		return -1;
	c->claim = json_deep_copy(claim);
	return c->claim ? 0 : no_memory(e);
}

int capture_get(const json_t *point, struct point_capture *ret, struct err *e)
{
	CLEANUP(capture_clear) struct point_capture c = { 0 };
	const json_t *o = optional(point, MEMBER);

	if (o && !json_is_object(o))
		return err_set(e, ERR_FORMAT, WHAT ": expected an object");
	if (o && (get_window(o, &c, e) < 0 || get_words(o, &c, e) < 0 || get_hooks(o, &c, e) < 0 ||
	          get_facts(o, &c, e) < 0 || get_notes(o, &c, e) < 0 ||
	          get_changes(o, &c.changes, e) < 0 || get_claim(o, &c, e) < 0))
		return -1;
	*ret = c;
	c = (struct point_capture){ 0 };
	return 0;
}
