/* SPDX-License-Identifier: Apache-2.0 */
/* See result.h. */
#include "common/result.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/fd.h"
#include "common/text.h"

#define WHY_MAX 1024 /* in JSON each byte takes at most two: text_put() left backslashes only */

int result_put_why(json_t *o, const struct err *why, struct err *e)
{
	int bad = json_object_set_new(o, "class", json_string(err_class_name(why->class)));

	bad |= json_object_set_new(o, "error", json_text(why->msg, WHY_MAX));
	return bad ? err_set(e, ERR_NOMEM, "no memory for a result") : 0;
}

bool result_says_why(const json_t *o, struct err *ret_why)
{
	const char *class = json_string_value(json_object_get(o, "class"));
	const char *why = json_string_value(json_object_get(o, "error"));

	if (!class || !why)
		return false;
	/* Of another process: what it says is for one line of ours. */
	CLEANUP(buf_clear) struct buf line = BUF_INIT(TEXT_STEP_MAX * RESULT_MAX);
	(void)text_put(&line, why, TEXT_LINE);
	for (int i = ERR_NONE + 1; i < ERR_CLASSES; i++) {
		if (strcmp(class, err_class_name((enum err_class)i)) != 0)
			continue;
		(void)err_set(ret_why, (enum err_class)i, "%.700s",
		              line.len ? buf_cstr(&line) : "no reason is told");
		return true;
	}
	(void)err_set(ret_why, ERR_FORMAT, "a result: .class: '%.40s' is none", class);
	return true;
}

int result_save(const char *path, const struct buf *text, struct err *e)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_full(fd, text->data, text->len) < 0)
		return err_sys(e, errno, "telling the result to '%s'", path);
	return 0;
}
