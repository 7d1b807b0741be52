/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a node of the test cluster, and of each pod's sandbox: it waits, and takes
 * leave of those whose parents are gone.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int sig)
{
	(void)sig;
	_exit(0);
}

static void reap(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
}

int main(void)
{
	const struct sigaction ends = { .sa_handler = end };
	const struct sigaction reaps = { .sa_handler = reap };

	if (sigaction(SIGINT, &ends, NULL) < 0 || sigaction(SIGTERM, &ends, NULL) < 0 ||
	    sigaction(SIGCHLD, &reaps, NULL) < 0)
		return 1;
	for (;;)
		pause();
}
