/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities by the system calls themselves: libcap would be a library for four numbers. */
#include "freezer/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fd.h"

#define WORDS _LINUX_CAPABILITY_U32S_3

static uint64_t bit(int cap)
{
	return (uint64_t)1 << cap;
}

static int get_permitted(uint64_t *ret)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[WORDS];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	*ret = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

static int set_all(uint64_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[WORDS];

	for (int i = 0; i < WORDS; i++) {
		data[i].effective = data[i].permitted = (uint32_t)(caps >> 32 * i);
		data[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &head, data);
}

/* What a program could get that this one executes; needs CAP_SETPCAP, which a container lacks. */
static int drop_bounding(uint64_t keep, bool allowed)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep & bit(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && allowed)
			return -1;
	return 0;
}

/* What there is, CAP_SYS_ADMIN among it. */
static int look(uint64_t *ret, struct err *e)
{
	if (get_permitted(ret) < 0)
		return err_sys(e, errno, "looking at capabilities");
	if (*ret & bit(CAP_SYS_ADMIN))
		return 0;
	return err_set(e, ERR_DENIED,
	               "the freezer needs the capability CAP_SYS_ADMIN to freeze file "
	               "systems; run it as root, in a container with this capability");
}

int rights_check(struct err *e)
{
	uint64_t have;

	return look(&have, e);
}

int rights_keep(bool search, struct err *e)
{
	const struct rlimit none = { 0, 0 };
	uint64_t have = 0, keep = bit(CAP_SYS_ADMIN);

	if (look(&have, e) < 0)
		return -1;
	if (drop_bounding(keep, have & bit(CAP_SETPCAP)) < 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "giving up capabilities");
	if (search)
		keep |= have & bit(CAP_DAC_READ_SEARCH);
	if (set_all(keep) < 0)
		return err_sys(e, errno, "giving up capabilities");
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "forbidding dumps of memory");
	return 0;
}

void rights_outlive(void)
{
	auto_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)fd_write_full(fd, "-1000", 5);
}
