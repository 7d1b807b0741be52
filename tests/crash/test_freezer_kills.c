/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client, the freezer and its two processes, each and all of them killed
 * at every step of a freeze: the file system takes writes again at once, as long
 * as one of the three is left, and else when the next freezer has started; and a client
 * whose freeze was cut short hears of it.
 *
 * TEST_SEED and TEST_SIZE=full vary and extend the moments.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>

#include "common/buf.h"
#include "common/num.h"
#include "snapshot/freezer.h"
#include "tests/unit/snapshot/mounts.h"

/* Far below the deadline of the freezes, far above what a busy machine needs. */
#define AT_ONCE_MS 30000

enum { CLIENT = 1, MAIN = 2, HOLDER = 4, GUARD = 8, FREEZER = MAIN | HOLDER | GUARD, ALL = 15 };
enum step { OPENED, ASKING, FROZEN, THAWING, THAWED, STEPS };
static const char *const step_names[] = { "opened", "asking", "frozen", "thawing", "thawed" };

static struct {
	char *dir, *notes;
	int mnt;
} world = { .mnt = -1 };

/* A client in a process of its own: it goes a step when it gets a byte, and tells it by one. */
struct party {
	pid_t pids[4]; /* by the bit of their role; 0: not there */
	int go, done;
};

static void client(int go, int done, unsigned deadline_ms)
{
	struct err e = ERR_INIT;
	struct freezer_times t;
	char byte;

	struct freezer *f = freezer_open(NULL, &e);
	if (!f) {
		(void)fprintf(stderr, "%s\n", e.msg);
		_exit(99);
	}
	if (write(done, "", 1) < 0 || read(go, &byte, 1) < 0)
		_exit(98);
	/* The outcome is the byte: 0 or a class. */
	byte = 0;
	if (freezer_freeze(f, &world.mnt, 1, deadline_ms, &t, &e) < 0)
		byte = (char)e.class;
	if (write(done, &byte, 1) < 0)
		_exit(98);
	char frozen = byte == 0;
	if (read(go, &byte, 1) < 0)
		_exit(98);
	byte = 0;
	if (!frozen || freezer_thaw(f, &t, &e) < 0)
		byte = (char)e.class;
	if (write(done, &byte, 1) < 0)
		_exit(98);
	freezer_close(f);
	_exit(0);
}

static struct party party_start(unsigned deadline_ms)
{
	struct party p = { 0 };
	int go[2], done[2];

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	p.pids[0] = fork();
	if (p.pids[0] == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)close(go[1]);
		(void)close(done[0]);
		client(go[0], done[1], deadline_ms);
	}
	(void)close(go[0]);
	(void)close(done[1]);
	p.go = go[1];
	p.done = done[0];
	return p;
}

static void party_end(struct party *p)
{
	(void)close(p->go);
	(void)close(p->done);
	(void)waitpid(p->pids[0], NULL, 0);
}

/* The client's byte, or -1: it is dead. */
static int hear(const struct party *p)
{
	uint8_t byte;

	return read(p->done, &byte, 1) == 1 ? byte : -1;
}

static void tell(const struct party *p)
{
	assert_int_equal(write(p->go, "", 1), 1);
}

/* The child of parent that has this name, or 0. */
static pid_t child_of(pid_t parent, const char *name)
{
	DIR *d = opendir("/proc");
	struct dirent *n;
	pid_t found = 0;

	assert_non_null(d);
	while (found == 0 && (n = readdir(d))) {
		char path[300], line[256], comm[64] = "";
		int pid = 0, ppid = 0;

		(void)snprintf(path, sizeof(path), "/proc/%s/stat", n->d_name);
		auto_fclose FILE *f = n->d_name[0] > '9' ? NULL : fopen(path, "re");
		if (!f || !fgets(line, sizeof(line), f))
			continue;
		if (sscanf(line, "%d (%63[^)]) %*c %d", &pid, comm, &ppid) == 3 &&
		    ppid == (int)parent && strcmp(comm, name) == 0)
			found = pid;
	}
	(void)closedir(d);
	return found;
}

static void find_pids(struct party *p)
{
	p->pids[1] = child_of(p->pids[0], "aksdr-freezer");
	if (p->pids[1] == 0)
		return;
	p->pids[2] = child_of(p->pids[1], "freezer-holder");
	p->pids[3] = child_of(p->pids[1], "freezer-guard");
}

/* Ends processes at once, and waits for their end. */
static void kill_some(const struct party *p, unsigned who)
{
	int fds[4] = { -1, -1, -1, -1 };

	for (int i = 0; i < 4; i++)
		if (who >> i & 1 && p->pids[i] > 0)
			fds[i] = pidfd_open(p->pids[i], 0);
	for (int i = 0; i < 4; i++)
		if (fds[i] >= 0)
			(void)pidfd_send_signal(fds[i], SIGKILL, NULL, 0);
	for (int i = 0; i < 4; i++) {
		struct pollfd pfd = { .fd = fds[i], .events = POLLIN };

		if (fds[i] >= 0)
			assert_int_equal(poll(&pfd, 1, AT_ONCE_MS), 1);
		clean_close(&fds[i]);
	}
}

/* Whether the file system takes a write within the time. */
static bool takes_writes(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = openat(world.mnt, "probe", O_WRONLY | O_CREAT | O_TRUNC, 0644);
		_exit(fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 ? 0 : 1);
	}
	int fd = pidfd_open(pid, 0), status = -1;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	bool in_time = poll(&p, 1, AT_ONCE_MS) == 1;

	(void)close(fd);
	if (!in_time)
		(void)ioctl(world.mnt, FITHAW, 0);
	(void)waitpid(pid, &status, 0);
	return in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void next_freezer(void)
{
	struct err e = ERR_INIT;
	struct freezer *f = freezer_open(NULL, &e);

	if (!f)
		print_error("%s\n", e.msg);
	assert_non_null(f);
	freezer_close(f);
}

/* A number below n, the same ones for a seed. */
static unsigned draw(unsigned n)
{
	static uint64_t count;
	uint64_t seed = 1, v;
	struct err ignored = ERR_INIT;
	const char *text = getenv("TEST_SEED");

	if (text && num_u64("TEST_SEED", text, 0, UINT64_MAX, &seed, &ignored) < 0)
		seed = 1;
	fill_random(seed * 1000003 + count++, &v, sizeof(v));
	return (unsigned)(v % n);
}

/* Lets a random moment go by, unless the client has come to the end of its step before. */
static void pass(const struct party *p)
{
	struct pollfd pfd = { .fd = p->done, .events = POLLIN };
	const struct timespec t = { .tv_nsec = draw(4000) * 1000L };

	(void)ppoll(&pfd, 1, &t, NULL);
}

/* Who of these exists: while it is being asked for, a freeze may have no processes yet. */
static unsigned of_those_there(const struct party *p, unsigned who)
{
	for (unsigned i = 0; i < 4; i++)
		if (p->pids[i] == 0)
			who &= ~(1U << i);
	return who ? who : CLIENT;
}

static void kill_round(unsigned who, enum step at)
{
	struct party p = party_start(FREEZER_DEADLINE_MAX_MS);
	int heard = 0;

	assert_int_equal(hear(&p), 0);
	if (at > OPENED)
		tell(&p);
	if (at == ASKING)
		pass(&p);
	if (at > ASKING)
		assert_int_equal(hear(&p), 0);
	find_pids(&p);
	who = of_those_there(&p, who);
	if (at > FROZEN)
		tell(&p);
	if (at == THAWING)
		pass(&p);
	if (at == THAWED)
		assert_int_equal(hear(&p), 0);
	kill_some(&p, who);
	/* The one that was not there yet when they were looked for notices, and thaws. */
	if ((who & FREEZER) == FREEZER)
		next_freezer();
	bool fine = takes_writes();
	if (!fine)
		print_error("frozen after killing %x when %s\n", who, step_names[at]);
	assert_true(fine);
	if (at == OPENED && !(who & CLIENT))
		tell(&p);
	if (at <= ASKING && !(who & CLIENT))
		(void)hear(&p);
	if (at <= FROZEN && !(who & CLIENT)) {
		tell(&p);
		heard = hear(&p);
	}
	/* what was done while it should have been frozen counts for nothing */
	if (at == FROZEN && !(who & CLIENT) && who & FREEZER)
		assert_true(heard == ERR_RETRY || heard == ERR_IO);
	party_end(&p);
	/* The last of its processes may be about to end, and the note is theirs until then. */
	for (int i = 0; i < 200 && count_files(world.notes) > 0; i++)
		next_freezer();
	assert_int_equal(count_files(world.notes), 0);
}

static void test_freezer__whoever_is_killed_the_file_system_is_thawed(void **state)
{
	const char *size = getenv("TEST_SIZE");
	int rounds = size && strcmp(size, "full") == 0 ? 8 : 1;

	(void)state;
	for (int i = 0; i < rounds; i++)
		for (unsigned who = 1; who <= ALL; who++)
			for (enum step at = OPENED; at < STEPS; at++)
				if (at == FROZEN || rounds > 1 || draw(3) == 0)
					kill_round(who, at);
}

/* Only the guard is left in its senses. */
static void test_freezer__the_guard_thaws_after_the_deadline(void **state)
{
	int heard;
	struct party p;

	(void)state;
	for (unsigned ms = 1000;; ms *= 2) {
		p = party_start(ms);
		assert_int_equal(hear(&p), 0);
		tell(&p);
		heard = hear(&p);
		if (heard != ERR_RETRY)
			break;
		tell(&p);
		(void)hear(&p);
		party_end(&p);
	}
	assert_int_equal(heard, 0);
	find_pids(&p);
	for (int i = 1; i < 3; i++)
		if (p.pids[i] > 0)
			(void)kill(p.pids[i], SIGSTOP);
	bool fine = takes_writes();
	for (int i = 1; i < 3; i++)
		if (p.pids[i] > 0)
			(void)kill(p.pids[i], SIGCONT);
	assert_true(fine);
	tell(&p);
	assert_int_equal(hear(&p), ERR_RETRY);
	party_end(&p);
}

static void test_freezer__a_signal_to_its_group_is_not_for_its_processes(void **state)
{
	struct party p = party_start(FREEZER_DEADLINE_MAX_MS);

	(void)state;
	assert_int_equal(hear(&p), 0);
	tell(&p);
	assert_int_equal(hear(&p), 0);
	find_pids(&p);
	assert_true(p.pids[1] > 0 && p.pids[2] > 0 && p.pids[3] > 0);
	assert_int_equal(getpgid(p.pids[1]), p.pids[1]);
	assert_int_equal(kill(-p.pids[1], SIGKILL), 0);
	assert_true(takes_writes());
	tell(&p);
	assert_int_equal(hear(&p), ERR_IO);
	party_end(&p);
	next_freezer();
}

static void test_freezer__told_to_end_it_thaws(void **state)
{
	struct party p = party_start(FREEZER_DEADLINE_MAX_MS);

	(void)state;
	assert_int_equal(hear(&p), 0);
	tell(&p);
	assert_int_equal(hear(&p), 0);
	find_pids(&p);
	assert_int_equal(kill(p.pids[1], SIGTERM), 0);
	assert_true(takes_writes());
	tell(&p);
	int heard = hear(&p);
	assert_true(heard == ERR_IO || heard == ERR_RETRY);
	party_end(&p);
	assert_int_equal(count_files(world.notes), 0);
}

/* What it may do while it serves, as the kernel has it. */
static void test_freezer__has_no_right_but_one(void **state)
{
	struct party p = party_start(FREEZER_DEADLINE_MAX_MS);
	char path[64];

	(void)state;
	assert_int_equal(hear(&p), 0);
	find_pids(&p);
	(void)snprintf(path, sizeof(path), "proc/%d/status", (int)p.pids[1]);
	auto_free char *status = read_file("/", path, NULL);
	assert_non_null(strstr(status, "CapInh:\t0000000000000000\n"));
	assert_non_null(strstr(status, "CapPrm:\t0000000000200000\n"));
	assert_non_null(strstr(status, "CapEff:\t0000000000200000\n"));
	assert_non_null(strstr(status, "CapBnd:\t0000000000200000\n"));
	assert_non_null(strstr(status, "CapAmb:\t0000000000000000\n"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1\n"));
	kill_some(&p, CLIENT);
	party_end(&p);
}

/* The program behind a script that gives it a directory for its notes. */
static const char *prepare(void)
{
	CLEANUP(buf_clear) struct buf b = BUF_INIT(16 * KIB);
	auto_free char *script = path_join(world.dir, "freezer");
	auto_free char *mnt = path_join(world.dir, "mnt");
	const char *bin = getenv("BIN");

	if (!bin)
		return "BIN does not say where the programs are";
	if (geteuid() != 0 || !mounts_private() || !mounts_loop(world.dir, "mkfs.ext4", NULL, NULL))
		return "no mounts or no loop devices here";
	world.mnt = open(mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)buf_printf(&b, "#!/bin/sh\nexec '%s/aksdr-freezer' \"$@\" --notes '%s'\n", bin,
	                 world.notes);
	write_file(world.dir, "freezer", b.data, b.len);
	if (world.mnt < 0 || chmod(script, 0755) < 0 || setenv("AKSDR_FREEZER", script, 1) < 0)
		harness_die("preparing '%s'", world.dir);
	return NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezer__whoever_is_killed_the_file_system_is_thawed),
		cmocka_unit_test(test_freezer__the_guard_thaws_after_the_deadline),
		cmocka_unit_test(test_freezer__a_signal_to_its_group_is_not_for_its_processes),
		cmocka_unit_test(test_freezer__told_to_end_it_thaws),
		cmocka_unit_test(test_freezer__has_no_right_but_one),
	};
	int rc = 77;

	world.dir = tmpdir_new();
	world.notes = path_join(world.dir, "notes");
	const char *why = prepare();
	if (why)
		print_message("left out: %s\n", why);
	else
		rc = cmocka_run_group_tests(tests, NULL, NULL);
	if (world.mnt >= 0)
		(void)ioctl(world.mnt, FITHAW, 0);
	clean_close(&world.mnt);
	mounts_undo(world.dir, "mnt");
	free(world.notes);
	tmpdir_remove(world.dir);
	return rc;
}
