/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/mapper/control: one request and one answer in the same memory. */
#include "snapshot/dm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "common/clean.h"
#include "common/fd.h"

#define CONTROL "/dev/mapper/control"
#define ANSWER 4096

/* A request with room for the answer. */
union request {
	struct dm_ioctl head;
	uint8_t bytes[ANSWER];
};

static void request_init(union request *r, dev_t dev, const char *uuid)
{
	memset(r, 0, sizeof(*r));
	r->head.version[0] = DM_VERSION_MAJOR;
	r->head.data_size = sizeof(*r);
	r->head.data_start = sizeof(r->head);
	if (uuid)
		(void)snprintf(r->head.uuid, sizeof(r->head.uuid), "%s", uuid);
	else
		r->head.dev = dev;
}

static int ask(unsigned long request, union request *r, struct err *e)
{
	auto_close int fd = open(CONTROL, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_set(e, ERR_UNSUPPORTED,
		               "the device mapper cannot be asked: there is no " CONTROL);
	if (fd < 0)
		return err_sys(e, errno, "opening " CONTROL);
	if (ioctl(fd, request, r) < 0)
		return errno == ENXIO
		               ? err_set(e, ERR_NOT_FOUND, "the device mapper has no such device")
		               : err_sys(e, errno, "asking the device mapper");
	return 0;
}

void dm_uuid(dev_t dev, char ret[DM_UUID_LEN])
{
	char path[64];

	ret[0] = '\0';
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/uuid", major(dev), minor(dev));
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = fd_read_full(fd, ret, DM_UUID_LEN - 1);
	ret[n < 0 ? 0 : n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

int dm_get(dev_t dev, const char *uuid, enum dm_what what, struct dm_info *ret, struct err *e)
{
	union request r;
	struct dm_target_spec spec;

	request_init(&r, dev, uuid);
	r.head.flags = what == DM_TABLE ? DM_STATUS_TABLE_FLAG : 0;
	if (ask(DM_TABLE_STATUS, &r, e) < 0)
		return -1;
	size_t at = r.head.data_start;
	if (r.head.flags & DM_BUFFER_FULL_FLAG || r.head.target_count != 1 ||
	    at > sizeof(r) - sizeof(spec))
		return err_set(e, ERR_UNSUPPORTED, "the device '%.120s' has not exactly one target",
		               r.head.name);
	memcpy(&spec, r.bytes + at, sizeof(spec));
	const char *text = (const char *)r.bytes + at + sizeof(spec);
	size_t len = strnlen(text, sizeof(r) - at - sizeof(spec));
	if (len >= sizeof(ret->text))
		return err_set(e, ERR_TOO_BIG, "the table of the device '%.120s' is too long",
		               r.head.name);
	memcpy(ret->text, text, len);
	ret->text[len] = '\0';
	(void)snprintf(ret->name, sizeof(ret->name), "%s", r.head.name);
	(void)snprintf(ret->uuid, sizeof(ret->uuid), "%s", r.head.uuid);
	(void)snprintf(ret->type, sizeof(ret->type), "%.*s", (int)sizeof(spec.target_type) - 1,
	               spec.target_type);
	ret->dev = (dev_t)r.head.dev;
	return 0;
}

int dm_message(dev_t dev, const char *message, struct err *e)
{
	union request r;
	struct dm_target_msg msg = { .sector = 0 };

	request_init(&r, dev, NULL);
	if (strlen(message) >= sizeof(r) - sizeof(r.head) - sizeof(msg))
		return err_set(e, ERR_TOO_BIG, "a message for the device mapper is too long");
	memcpy(r.bytes + sizeof(r.head), &msg, sizeof(msg));
	memcpy(r.bytes + sizeof(r.head) + sizeof(msg), message, strlen(message) + 1);
	if (ask(DM_TARGET_MSG, &r, e) < 0)
		return err_wrap(e, "telling it '%s'", message);
	return 0;
}
