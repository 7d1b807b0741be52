/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `aksdr-restore standby`, the program itself, against a server that keeps the cluster's objects.
 * The movers that it makes are run here, as a kubelet would: the program with the arguments that
 * the pod has, on a directory for the claim. After each point the claim is what was backed up, also
 * where a mover was killed, and where somebody wrote to the claim.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fd.h"
#include "common/spawn.h"
#include "kube/worker.h"
#include "restore/filler_objects.h"
#include "tests/harness/kube_cluster.h"

#define ARGS_MAX 32

static char *dir, *bin;
static unsigned movers;
static bool kill_mover; /* the next one is taken away when it has done its work */

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

static char *claim_dir(const char *claim)
{
	auto_free char *name = NULL;

	assert_true(asprintf(&name, "claims/%s", claim) > 0);
	return path_join(dir, name);
}

/* A pod's container, on the directory of its claim. Its termination message. */
static char *work(const json_t *pod)
{
	json_t *spec = json_object_get(pod, "spec");
	const json_t *args = json_object_get(worker_container(spec), "args");
	auto_free char *target = claim_dir(kube_text_at(pod, "metadata.name"));
	auto_free char *result = path_join(dir, "result");
	const char *argv[ARGS_MAX] = { "aksdr-restore" };
	size_t n = json_array_size(args);

	assert_true(n + 2 < ARGS_MAX);
	for (size_t i = 0; i < n; i++) {
		const char *a = json_string_value(json_array_get(args, i));

		argv[i + 1] = strcmp(a, FILLER_TARGET) == 0   ? target
		              : strcmp(a, WORKER_RESULT) == 0 ? result
		                                              : a;
	}
	movers++;
	(void)unlink(result);
	(void)run("aksdr-restore", argv);
	return read_file(dir, "result", NULL);
}

static void kubelet(const char *key, json_t *o)
{
	auto_free char *copy = strdup(key);

	if (json_object_get(json_object_get(o, "metadata"), "deletionTimestamp")) {
		cluster_remove(copy);
		return;
	}
	if (strncmp(key, "pods/", 5) != 0 || json_object_get(o, "status"))
		return;
	auto_free char *text = work(o);
	assert_non_null(text);
	json_t *status = kill_mover
	                         ? json_pack("{s:s, s:s}", "phase", "Failed", "reason", "Evicted")
	                         : json_pack("{s:s, s:[{s:s, s:{s:{s:i, s:s}}}]}", "phase",
	                                     "Succeeded", "containerStatuses", "name", "mover",
	                                     "state", "terminated", "exitCode", 0, "message", text);
	assert_non_null(status);
	(void)json_object_set_new(o, "status", status);
}

static void set(const char *name, const char *file)
{
	auto_free char *path = path_join(dir, file);

	setenv(name, path, 1);
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
	movers = 0;
	kill_mover = false;
	(void)cluster_setup(state);
	cluster.act = kubelet;
	auto_free char *config = path_join(kit.dir, "config");
	auto_free char *keys = path_join(dir, "keys");
	CLEANUP(buf_clear) struct buf url = BUF_INIT(4096);
	(void)buf_printf(&url, "file://%s/store", dir);
	setenv("KUBECONFIG", config, 1);
	setenv("AKSDR_STORE", buf_cstr(&url), 1);
	set("AKSDR_STATE", "state");
	const char *const init[] = { "aksdr-agent", "init", "--keys", keys, NULL };
	assert_int_equal(run("aksdr-agent", init), 0);
	write_text(dir, "mover.yaml", "spec: {containers: [{name: mover, image: i}]}\n");
	write_text(dir, "plan.yaml",
	           "apiVersion: aksdr.io/v1alpha1\nkind: RestorePlan\nmetadata: {name: shop}\n"
	           "spec: {mode: hot/warm, primary: {cluster: we}, selector: {}}\n");
	return 0;
}

static int teardown(void **state)
{
	free(bin);
	tmpdir_remove(dir);
	return cluster_teardown(state);
}

/* A command in the volume, and then a point of it. */
static void change(const char *command)
{
	auto_free char *text = NULL;
	auto_free char *volume = NULL;

	assert_true(asprintf(&text, "mkdir -p '%s/src' && cd '%s/src' && { %s; }", dir, dir,
	                     command) > 0);
	assert_int_equal(system(text), 0);
	assert_true(asprintf(&volume, "orders=%s/src", dir) > 0);
	const char *const backup[] = { "aksdr-agent", "backup", "--cluster", "we", "--quiet",
		                       "--namespace", "shop",   volume,      NULL };
	set("AKSDR_KEY", "keys/agent.key");
	assert_int_equal(run("aksdr-agent", backup), 0);
}

/* All volumes to their newest point; the exit status of the program. */
static int standby(const char *copies)
{
	auto_free char *plan = path_join(dir, "plan.yaml");
	auto_free char *template = path_join(dir, "mover.yaml");
	const char *const once[] = { "aksdr-restore",    "standby", plan,       "--once",
		                     "--mover-template", template,  "--copies", copies,
		                     "--log-level",      "error",   NULL };

	set("AKSDR_KEY", "keys/recovery.key");
	return run("aksdr-restore", once);
}

/* Claims that have the volume as it is, in all that counts. */
static unsigned current(void)
{
	const char *key;
	json_t *o;
	unsigned n = 0;

	json_object_foreach(cluster.objects, key, o) {
		auto_free char *text = NULL;
		auto_free char *target = NULL;

		if (strncmp(key, "persistentvolumeclaims/", 23) != 0)
			continue;
		target = claim_dir(kube_text_at(o, "metadata.name"));
		assert_true(
			asprintf(&text,
		                 "cd '%s/src' && find . -printf '%%p %%m %%s %%T@ %%n %%l\\n' | "
		                 "sort >../a && cd '%s' && find . -printf "
		                 "'%%p %%m %%s %%T@ %%n %%l\\n' | sort >'%s/b' && cmp -s '%s/a' "
		                 "'%s/b' && diff -r --no-dereference '%s/src' .",
		                 dir, target, dir, dir, dir, dir) > 0);
		if (system(text) == 0)
			n++;
	}
	return n;
}

#define MAKE                                                                          \
	"mkdir -p d/e; for i in 1 2 3 4 5 6; do echo $i >d/f$i; done; ln d/f1 link; " \
	"head -c 3000000 /dev/urandom >large; ln -s x y"
#define EDIT                                                                               \
	"echo more >>d/f2; rm d/f3; mkdir d/new; echo n >d/new/n; rm link; ln d/f4 link; " \
	"echo here | dd of=large bs=1 seek=100000 conv=notrunc status=none; chmod 600 d/f5"

static void test_standby__follows_the_points(void **state)
{
	(void)state;
	change(MAKE);
	assert_int_equal(standby("1"), 0);
	assert_int_equal(current(), 1);
	change(EDIT);
	assert_int_equal(standby("1"), 0);
	assert_int_equal(movers, 2);
	assert_int_equal(current(), 1);
	assert_int_equal(standby("1"), 0);
	assert_int_equal(movers, 2);
}

static void test_standby__a_mover_that_was_taken_away_is_made_good(void **state)
{
	(void)state;
	change(MAKE);
	assert_int_equal(standby("1"), 0);
	change(EDIT);
	kill_mover = true;
	assert_int_equal(standby("1"), 3);
	kill_mover = false;
	assert_int_equal(standby("1"), 0);
	assert_int_equal(current(), 1);
}

static void test_standby__what_somebody_wrote_to_a_claim_goes(void **state)
{
	auto_free char *text = NULL;

	(void)state;
	change(MAKE);
	assert_int_equal(standby("1"), 0);
	assert_true(asprintf(&text, "cd '%s'/claims/* && echo other >d/f2 && echo x >d/extra",
	                     dir) > 0);
	assert_int_equal(system(text), 0);
	change(EDIT);
	const unsigned before = movers;
	assert_int_equal(standby("1"), 0);
	assert_int_equal(movers, before + 2); /* it was told, and then all was compared */
	assert_int_equal(current(), 1);
}

static void test_standby__one_of_two_copies_is_always_whole(void **state)
{
	(void)state;
	change(MAKE);
	assert_int_equal(standby("2"), 0);
	assert_int_equal(current(), 2);
	change(EDIT);
	assert_int_equal(standby("2"), 0);
	assert_int_equal(current(), 1);
	change("echo third >third");
	assert_int_equal(standby("2"), 0);
	assert_int_equal(current(), 1);
	assert_int_equal(movers, 4);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_standby__follows_the_points),
		CASE(test_standby__a_mover_that_was_taken_away_is_made_good),
		CASE(test_standby__what_somebody_wrote_to_a_claim_goes),
		CASE(test_standby__one_of_two_copies_is_always_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
