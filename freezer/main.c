/* SPDX-License-Identifier: Apache-2.0 */
/* aksdr-freezer: freezes file systems for a short time, with no right but that. */
#include "freezer/cmd.h"

int main(int argc, char **argv)
{
	const struct verb verbs[] = { cmd_serve, { .name = NULL } };
	const struct verb_program program = {
		.name = "aksdr-freezer",
		.summary = "freeze file systems for the moment of a snapshot",
		.text = "aksdr-freezer freezes file systems for aksdr-agent, and thaws them "
			"whatever happens: "
			"when it is told to, when the client is gone, at a deadline, and when it "
			"is killed itself. It "
			"gives up every right but that of freezing.",
		.verbs = verbs,
	};

	return verb_main(&program, argc, argv);
}
