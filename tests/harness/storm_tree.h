/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory trees whose content follows from a seed, a volume and a step, so
 * that whoever knows these three can tell whether what came back is right.
 * From one step to the next some files change, appear and go; large ones
 * change page by page; half of the files are the same in every volume.
 */
#ifndef AKSDR_TESTS_STORM_TREE_H
#define AKSDR_TESTS_STORM_TREE_H

#include <stdbool.h>
#include <stdint.h>

#define STORM_STEPS 40 /* steps are below it */

struct storm_tree {
	uint64_t seed;
	unsigned volume, step;
	unsigned files; /* at most: some are absent in each step */
};

/*
 * Makes the directory dir/name have this tree, in place: files that are as they should be are
 * not touched. dir/name.at says what is there; when it is missing, everything is made anew.
 */
void storm_tree_make(const struct storm_tree *t, const char *dir, const char *name);

/* The step that dir/name is at; -1: none that is known. */
int storm_tree_step(const char *dir, const char *name);

/* Whether the directory is exactly this tree: names, sizes, bytes. Says on stderr what is not. */
bool storm_tree_is(const struct storm_tree *t, const char *path);

#endif
