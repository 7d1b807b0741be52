/* SPDX-License-Identifier: Apache-2.0 */
/* The client, before freezers that answer what the test wants, or nothing, or nonsense. */
#include "snapshot/freezer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "common/buf.h"
#include "snapshot/freezer_wire.h"
#include "tests/harness/harness.h"

/* What the fake freezer does: an answer to each of these packets in turn, then it hangs up. */
struct script {
	struct freezer_wire_answer answers[4];
	size_t n;
	const char *raw; /* after the answers: bytes that are none */
};

struct fake {
	char *dir, *socket;
	pid_t pid;
};

static void play(int listener, const struct script *s)
{
	uint8_t packet[64];

	int fd = accept(listener, NULL, NULL);
	for (size_t i = 0; i < s->n; i++) {
		struct buf b = BUF_INIT(FREEZER_WIRE_ANSWER_MAX);

		if (i > 0 && recv(fd, packet, sizeof(packet), 0) != FREEZER_WIRE_REQUEST_BYTES)
			_exit(1);
		freezer_wire_put_answer(&b, &s->answers[i]);
		if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0)
			_exit(1);
		buf_clear(&b);
	}
	if (s->raw && (recv(fd, packet, sizeof(packet), 0) < 0 ||
	               send(fd, s->raw, strlen(s->raw), MSG_NOSIGNAL) < 0))
		_exit(1);
	_exit(0);
}

static void fake_start(struct fake *f, const struct script *s)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	f->dir = tmpdir_new();
	f->socket = path_join(f->dir, "socket");
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", f->socket);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	f->pid = fork();
	if (f->pid == 0)
		play(fd, s);
	(void)close(fd);
}

static void fake_end(struct fake *f)
{
	int status;

	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_int_equal(status, 0);
	free(f->socket);
	tmpdir_remove(f->dir);
}

#define HELLO                                                       \
	{                                                           \
		.verb = FREEZER_WIRE_HELLO, .at = FREEZER_WIRE_NONE \
	}

static void test_freezer_open__says_what_is_missing(void **state)
{
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "socket");
	char name[200];
	struct err e = ERR_INIT;

	(void)state;
	assert_null(freezer_open(path, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_null(freezer_open(name, &e));
	assert_int_equal(e.class, ERR_INVALID);
	assert_int_equal(setenv("AKSDR_FREEZER", "/no/such/program", 1), 0);
	assert_null(freezer_open(NULL, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "starting the freezer '/no/such/program': No such file or "
	                           "directory");
	/* beside this test is none */
	assert_int_equal(unsetenv("AKSDR_FREEZER"), 0);
	assert_null(freezer_open(NULL, &e));
	assert_int_equal(e.class, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "/aksdr-freezer'"));
	/* one that is no freezer */
	assert_int_equal(setenv("AKSDR_FREEZER", "/bin/true", 1), 0);
	assert_null(freezer_open(NULL, &e));
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg, "meeting the freezer: the freezer is gone");
	freezer_close(NULL);
}

static void test_freezer_open__starts_the_program_with_a_socket(void **state)
{
	static const char program[] = "#!/bin/sh\n"
				      "test \"$*\" = 'serve --fd 3' && test -S /proc/self/fd/3 && "
				      "test ! -e /proc/self/fd/4 && echo yes >\"${0%/*}/seen\"\n";
	auto_tmpdir char *dir = tmpdir_new();
	auto_free char *path = path_join(dir, "program");
	struct err e = ERR_INIT;

	(void)state;
	write_text(dir, "program", program);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(setenv("AKSDR_FREEZER", path, 1), 0);
	assert_null(freezer_open(NULL, &e));
	assert_int_equal(e.class, ERR_IO);
	auto_free char *seen = read_file(dir, "seen", NULL);
	assert_string_equal(seen, "yes\n");
	assert_int_equal(unsetenv("AKSDR_FREEZER"), 0);
}

static void test_freezer_open__tells_why_it_is_not_served(void **state)
{
	const struct script s = { .answers = { { .verb = FREEZER_WIRE_HELLO,
		                                 .result = FREEZER_WIRE_DENIED,
		                                 .at = FREEZER_WIRE_NONE,
		                                 .text = "not for you" } },
		                  .n = 1 };
	struct fake fake;
	struct err e = ERR_INIT;

	(void)state;
	fake_start(&fake, &s);
	assert_null(freezer_open(fake.socket, &e));
	assert_int_equal(e.class, ERR_DENIED);
	assert_string_equal(e.msg, "not for you");
	fake_end(&fake);
}

static void test_freezer_open__refuses_another_version(void **state)
{
	const struct script s = {
		.answers = { { .verb = FREEZER_WIRE_THAW, .at = FREEZER_WIRE_NONE } }, .n = 1
	};
	struct fake fake;
	struct err e = ERR_INIT;

	(void)state;
	fake_start(&fake, &s);
	assert_null(freezer_open(fake.socket, &e));
	assert_int_equal(e.class, ERR_FORMAT);
	fake_end(&fake);
}

static void test_freezer_freeze__hands_out_times_and_names_what_was_refused(void **state)
{
	const struct script s = { .answers = { HELLO,
		                               { .verb = FREEZER_WIRE_FREEZE,
		                                 .result = FREEZER_WIRE_UNSUPPORTED,
		                                 .os = 95,
		                                 .at = 1,
		                                 .text = "cannot be frozen" },
		                               { .verb = FREEZER_WIRE_FREEZE,
		                                 .at = FREEZER_WIRE_NONE,
		                                 .n = 2,
		                                 .times = { { 1, 2, 0 }, { 1, 3, 0 } } },
		                               { .verb = FREEZER_WIRE_THAW,
		                                 .result = FREEZER_WIRE_EARLY,
		                                 .at = FREEZER_WIRE_NONE,
		                                 .n = 2,
		                                 .times = { { 1, 2, 4 }, { 1, 3, 5 } },
		                                 .text = "too late" } },
		                  .n = 4 };
	struct freezer_times t[2];
	struct fake fake;
	struct err e = ERR_INIT;

	(void)state;
	auto_close int root = open("/", O_RDONLY | O_CLOEXEC);
	auto_close int proc = open("/proc", O_RDONLY | O_CLOEXEC);
	fake_start(&fake, &s);
	struct freezer *f = freezer_open(fake.socket, &e);
	assert_non_null(f);
	assert_int_equal(freezer_freeze(f, (int[]){ root, proc }, 2, 0, t, &e), -1);
	assert_int_equal(e.class, ERR_UNSUPPORTED);
	assert_int_equal(e.os, 95);
	assert_string_equal(e.msg, "freezing the file system of '/proc': cannot be frozen");
	assert_int_equal(freezer_freeze(f, (int[]){ root, proc }, 2, 0, t, &e), 0);
	assert_int_equal(t[1].frozen_ns, 3);
	assert_int_equal(freezer_thaw(f, t, &e), -1);
	assert_int_equal(e.class, ERR_RETRY);
	assert_string_equal(e.msg, "too late");
	assert_int_equal(t[0].thawed_ns, 4);
	assert_int_equal(t[1].thawed_ns, 5);
	freezer_close(f);
	fake_end(&fake);
}

static void test_freezer_thaw__a_freezer_that_is_gone_stays_so(void **state)
{
	const struct script s = { .answers = { HELLO,
		                               { .verb = FREEZER_WIRE_FREEZE,
		                                 .at = FREEZER_WIRE_NONE,
		                                 .n = 1,
		                                 .times = { { 1, 2, 0 } } } },
		                  .n = 2 };
	struct freezer_times t;
	struct fake fake;
	struct err e = ERR_INIT;

	(void)state;
	auto_close int root = open("/", O_RDONLY | O_CLOEXEC);
	fake_start(&fake, &s);
	struct freezer *f = freezer_open(fake.socket, &e);
	assert_non_null(f);
	assert_int_equal(freezer_freeze(f, &root, 1, 0, &t, &e), 0);
	fake_end(&fake);
	assert_int_equal(freezer_thaw(f, &t, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_int_equal(freezer_freeze(f, &root, 1, 0, &t, &e), -1);
	assert_int_equal(e.class, ERR_IO);
	assert_string_equal(e.msg, "the freezer is gone, and has thawed what it froze");
	freezer_close(f);
}

static void test_freezer_freeze__nonsense_ends_the_connection(void **state)
{
	const struct script raw = { .answers = { HELLO }, .n = 1, .raw = "nonsense" };
	const struct script other = { .answers = { HELLO, HELLO }, .n = 2 };
	const struct script few = {
		.answers = { HELLO, { .verb = FREEZER_WIRE_FREEZE, .at = FREEZER_WIRE_NONE } },
		.n = 2
	};
	const struct script *const scripts[] = { &raw, &other, &few };
	struct freezer_times t;

	(void)state;
	auto_close int root = open("/", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct err e = ERR_INIT;
		struct fake fake;

		fake_start(&fake, scripts[i]);
		struct freezer *f = freezer_open(fake.socket, &e);
		assert_non_null(f);
		assert_int_equal(freezer_freeze(f, &root, 1, 0, &t, &e), -1);
		assert_int_equal(e.class, ERR_FORMAT);
		assert_int_equal(freezer_freeze(f, &root, 1, 0, &t, &e), -1);
		assert_int_equal(e.class, ERR_IO);
		freezer_close(f);
		fake_end(&fake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freezer_open__says_what_is_missing),
		cmocka_unit_test(test_freezer_open__starts_the_program_with_a_socket),
		cmocka_unit_test(test_freezer_open__tells_why_it_is_not_served),
		cmocka_unit_test(test_freezer_open__refuses_another_version),
		cmocka_unit_test(test_freezer_freeze__hands_out_times_and_names_what_was_refused),
		cmocka_unit_test(test_freezer_thaw__a_freezer_that_is_gone_stays_so),
		cmocka_unit_test(test_freezer_freeze__nonsense_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
