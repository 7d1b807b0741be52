/* SPDX-License-Identifier: Apache-2.0 */
/* See thread.h. */
#include "common/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg, const char *name, struct err *e)
{
	sigset_t all, old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	const int os = pthread_create(ret, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (os != 0)
		return err_sys(e, os, "starting the thread '%s'", name);
	(void)pthread_setname_np(*ret, name);
	return 0;
}
