/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from files: for clusters without our resources, and before they are applied. */
#include "agent/policy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/yaml.h"

void policy_list_clear(struct policy_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		policy_free(l->items[i]);
	free(l->items);
	*l = (struct policy_list){ .n = 0 };
}

struct load {
	const char *what, *zones, *default_ns;
	struct policy_list *l;
};

/* Puts it where it belongs by namespace and name. */
static int insert(struct policy_list *l, struct policy *take_p, struct err *e)
{
	auto_policy struct policy *p = take_p;
	size_t at = 0;
	int differs = 1;

	while (at < l->n) {
		differs = strcmp(l->items[at]->ns, p->ns);
		if (differs == 0)
			differs = strcmp(l->items[at]->name, p->name);
		if (differs >= 0)
			break;
		at++;
	}
	if (differs == 0)
		return err_set(e, ERR_INVALID, "policy '%s/%s' is there twice", p->ns, p->name);
	if (l->n == POLICY_FILES_MAX)
		return err_set(e, ERR_TOO_BIG, "there are more than %d policies", POLICY_FILES_MAX);
	struct policy **more = reallocarray(l->items, l->n + 1, sizeof(struct policy *));
	if (!more)
		return err_set(e, ERR_NOMEM, "no memory for policies");
	l->items = more;
	memmove(more + at + 1, more + at, (l->n - at) * sizeof(struct policy *));
	more[at] = STEAL(&p);
	l->n++;
	return 0;
}

static int load_document(void *arg, const json_t *document, size_t line, struct err *e)
{
	const char *kind = json_string_value(json_object_get(document, "kind"));
	const struct load *load = arg;
	struct policy *p = NULL;

	if (kind && strcmp(kind, "RestorePlan") == 0)
		return 0;
	if (policy_read(document, load->zones, load->default_ns, &p, e) < 0 ||
	    insert(load->l, p, e) < 0)
		return err_wrap(e, "%s: document at line %zu", load->what, line);
	return 0;
}

int policy_load_text(const char *what, const void *p, size_t n, const char *zones,
                     const char *default_ns, struct policy_list *l, struct err *e)
{
	struct load load = { what, zones, default_ns, l };

	return yaml_each(what, p, n, load_document, &load, e);
}

int policy_load_file(const char *path, const char *zones, const char *default_ns,
                     struct policy_list *l, struct err *e)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(YAML_BYTES_MAX);

	if (fd_read_file(AT_FDCWD, path, &b, e) < 0)
		return -1;
	return policy_load_text(path, b.data, b.len, zones, default_ns, l, e);
}

static int is_ours(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return d->d_name[0] != '.' && dot &&
	       (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

int policy_load_dir(const char *path, const char *zones, const char *default_ns,
                    struct policy_list *l, struct err *e)
{
	struct dirent **names = NULL;
	int rc = 0;

	const int n = scandir(path, &names, is_ours, alphasort);
	if (n < 0)
		return err_sys(e, errno, "reading the policies in '%s'", path);
	for (int i = 0; i < n; i++) {
		CLEANUP(buf_clear) struct buf file = BUF_INIT(8 * KIB);

		if (rc == 0 && buf_printf(&file, "%s/%s", path, names[i]->d_name) < 0)
			rc = err_set(e, ERR_TOO_BIG, "a name in '%s' is too long", path);
		if (rc == 0)
			rc = policy_load_file(buf_cstr(&file), zones, default_ns, l, e);
		free(names[i]);
	}
	free(names);
	return rc;
}
