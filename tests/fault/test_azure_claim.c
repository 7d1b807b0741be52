/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `aksdr-agent backup pvc:shop/data` of a managed disk without a file system, the program itself,
 * against a server that keeps the cluster's objects and one that plays Azure: twice, with 192 KiB
 * changed between. What is read is what changed, and what is restored has the snapshot's bytes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/spawn.h"
#include "tests/harness/azure_claim_kit.h"

#define SIZE (64 * MIB)
#define CHANGED (192 * KIB)

static char *dir, *bin;
static struct azure_kit_snapshot *one, *two;

static void set(const char *name, const char *file)
{
	auto_free char *path = path_join(dir, file);

	setenv(name, path, 1);
}

/* Runs a program of the project; what it prints is in the file `out`. Its exit status. */
static int run(const char *program, const char *const *argv)
{
	auto_free char *path = path_join(bin, program);
	auto_free char *out = path_join(dir, "out");
	auto_close int fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const struct spawn s = { .program = path, .argv = argv, .out = fd, .err = -1, .third = -1 };
	pid_t pid;
	int status;

	assert_true(fd >= 0);
	assert_int_equal(spawn_start(&s, &pid), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int setup(void **state)
{
	char self[1024];

	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(n > 0);
	self[n] = '\0';
	*strstr(self, "/tests/") = '\0';
	bin = strdup(self);
	dir = tmpdir_new();
	(void)cluster_setup(state);
	cluster.act = azure_claim_act;
	azure_claim_is("Block", "disk.csi.azure.com");
	azure_kit_start();
	one = azure_kit_add("one", SIZE, NULL);
	fill_random(1, one->bytes + 3 * MIB, 20 * MIB);
	two = azure_kit_add("two", SIZE, one);
	fill_random(2, two->bytes + 5 * MIB + 4096, 64 * KIB);
	fill_random(3, two->bytes + 20 * MIB, 64 * KIB);
	fill_random(4, two->bytes + 60 * MIB, 64 * KIB);
	memset(two->bytes + 10 * MIB, 0, MIB);
	azure_claim_next = "one";
	auto_free char *config = path_join(kit.dir, "config");
	auto_free char *store = path_join(dir, "store");
	auto_free char *keys = path_join(dir, "keys");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(4096);
	(void)buf_printf(&url, "file://%s", store);
	setenv("KUBECONFIG", config, 1);
	setenv("AKSDR_STORE", buf_cstr(&url), 1);
	setenv("AKSDR_AZURE_ARM", azure_kit.url, 1);
	set("AKSDR_KEY", "keys/agent.key");
	set("AKSDR_STATE", "state");
	const char *const init[] = { "aksdr-agent", "init", "--keys", keys, NULL };
	assert_int_equal(run("aksdr-agent", init), 0);
	return 0;
}

static int teardown(void **state)
{
	azure_kit_stop();
	tmpdir_remove(dir);
	free(bin);
	return cluster_teardown(state);
}

/* A backup; how many bytes of the disk Azure was asked for. */
static uint64_t backed_up(const char *snapshot)
{
	static const char *const argv[] = { "aksdr-agent",   "backup", "--agent-namespace", "aksdr",
		                            "--azure-disks", "block",  "--snapshot-class",  "c",
		                            "pvc:shop/data", NULL };

	azure_claim_next = snapshot;
	azure_kit.read_bytes = 0;
	assert_int_equal(run("aksdr-agent", argv), 0);
	assert_false(one->open || two->open);
	return azure_kit.read_bytes;
}

static void assert_restored(const struct azure_kit_snapshot *s)
{
	auto_free char *image = path_join(dir, "image");
	auto_free uint8_t *bytes = malloc(SIZE);
	const char *const argv[] = { "aksdr-restore", "volume", "--target", image, "data", NULL };

	assert_non_null(bytes);
	(void)unlink(image);
	set("AKSDR_KEY", "keys/recovery.key");
	assert_int_equal(run("aksdr-restore", argv), 0);
	set("AKSDR_KEY", "keys/agent.key");
	auto_close int fd = open(image, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_pread_full(fd, bytes, SIZE, 0), SIZE);
	assert_memory_equal(bytes, s->bytes, SIZE);
}

static void test_backup__of_a_claim_reads_what_changed(void **state)
{
	(void)state;
	assert_int_equal(backed_up("one"), 20 * MIB);
	assert_restored(one);
	assert_false(one->gone);
	assert_int_equal(backed_up("two"), CHANGED);
	assert_restored(two);
	/* the first snapshot's time is over: the second is the base of what comes next */
	assert_true(one->gone);
	assert_false(two->gone);
}

static void test_backup__after_a_base_is_lost_reads_all(void **state)
{
	(void)state;
	assert_int_equal(backed_up("one"), 20 * MIB);
	one->gone = true;
	assert_true(backed_up("two") > 18 * MIB);
	assert_restored(two);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_world(test_backup__of_a_claim_reads_what_changed),
		in_world(test_backup__after_a_base_is_lost_reads_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
