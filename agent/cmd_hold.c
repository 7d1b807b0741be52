/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-agent hold: does nothing until it is told to end: its pod's volumes stay mounted. */
#include <poll.h>

#include "agent/cmd.h"
#include "common/cancel.h"

static int run(void *state, const struct verb_common *c, int argc, char **argv, struct err *e)
{
	struct pollfd wake = { .fd = cancel_on_signals()->fd, .events = POLLIN };

	(void)state;
	(void)c;
	(void)argc;
	(void)argv;
	(void)e;
	while (!cancel_requested(cancel_on_signals()))
		(void)poll(&wake, 1, -1);
	return 0;
}

const struct verb cmd_hold = {
	.name = "hold",
	.summary = "wait until told to end, for a pod that holds a volume",
	.text = "What 'backup --reader node' runs in a pod, so that the kubelet mounts the view of "
		"a "
		"claim where the agent can read it. It does nothing, and ends by SIGTERM.",
	.examples = "aksdr-agent hold",
	.flags = VERB_LOCAL,
	.run = run,
};
