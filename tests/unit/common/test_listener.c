/* SPDX-License-Identifier: Apache-2.0 */
/* That places are taken and refused is also in test_status.c, through the server. */
#include "common/listener.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/clean.h"
#include "tests/harness/harness.h"
#include "tests/harness/store_kit.h"

static int try(const char *at, bool loopback, struct err *e)
{
	auto_close int fd = -1;
	uint16_t port = 0;

	if (listener_open(at, loopback, &fd, &port, e) < 0) {
		assert_int_equal(fd, -1);
		return -1;
	}
	assert_true(fd >= 0 && port > 0);
	return 0;
}

static void test_listener_open__takes_ports_and_addresses(void **state)
{
	(void)state;
	ok(try("0", false, e));
	ok(try("0.0.0.0:0", false, e));
	ok(try("127.0.0.1:0", false, e));
	fails_saying(ERR_INVALID, "'x:1:2' is no place to listen at", try("x:1:2", false, e));
	fails_saying(ERR_INVALID, "'999.0.0.1:1' is no address", try("999.0.0.1:1", false, e));
}

static void test_listener_open__stays_on_this_machine_when_asked_to(void **state)
{
	struct sockaddr_in is;
	socklen_t n = sizeof(is);
	auto_close int fd = -1;
	uint16_t port = 0;

	(void)state;
	ok(listener_open("0", true, &fd, &port, e));
	assert_int_equal(getsockname(fd, (struct sockaddr *)&is, &n), 0);
	assert_int_equal(is.sin_family, AF_INET);
	assert_int_equal(ntohl(is.sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(ntohs(is.sin_port), port);
	ok(try("127.1.2.3:0", true, e));
	fails_saying(ERR_INVALID, "'0.0.0.0:0' can be reached from other machines",
	             try("0.0.0.0:0", true, e));
	fails_saying(ERR_INVALID, "listen at 127.0.0.1 or [::1]", try("[::]:0", true, e));
	fails_saying(ERR_INVALID, "can be reached from other machines",
	             try("192.0.2.1:0", true, e));
}

static void test_listener_open__says_that_a_port_is_taken(void **state)
{
	auto_close int fd = -1;
	uint16_t port = 0;
	char at[32];

	(void)state;
	ok(listener_open("127.0.0.1:0", false, &fd, &port, e));
	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", port);
	fails_saying(ERR_BUSY, "another program listens at '127.0.0.1:", try(at, true, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listener_open__takes_ports_and_addresses),
		cmocka_unit_test(test_listener_open__stays_on_this_machine_when_asked_to),
		cmocka_unit_test(test_listener_open__says_that_a_port_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
