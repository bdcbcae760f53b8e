/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Our NBD client against other people's servers: it does without what they refuse. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "receiver_fixture.h"

#define DISK_BYTES (16 * MIB)

struct server {
	char dir[64], socket[80];
	pid_t pid;
};

/* The socket is there a moment before anybody listens. */
static bool listens(const struct server *s)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	strcpy(at.sun_path, s->socket);
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

/* Start argv with the server's socket in place of SOCKET; wait until it listens there. */
static void start(struct server *s, const char *const *argv)
{
	const char *args[24] = {NULL};

	strcpy(s->dir, "/tmp/coldlift-nbd-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/nbd", s->dir);
	for (size_t i = 0; argv[i]; i++)
		args[i] = strcmp(argv[i], "SOCKET") == 0 ? s->socket : argv[i];
	s->pid = fork();
	if (s->pid == 0) {
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	while (!listens(s)) {
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
			skip();
		usleep(10000);
	}
}

static void stop(struct server *s)
{
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	remove_tree(s->dir);
}

static struct wire_nbd *connect_to(const struct server *s, bool plain_ok)
{
	const struct wire_nbd_options o = {.unix_path = s->socket,
					   .export_name = "",
					   .plain_ok = plain_ok,
					   .window = 4,
					   .timeout_ms = 60000};
	struct wire_nbd *n = NULL;

	return wire_nbd_open(&o, &n) < 0 ? NULL : n;
}

static int call(struct wire_nbd *n, enum nbd_command command, uint64_t offset, uint32_t length,
		void *data)
{
	const struct wire_request r = {.command = command,
				       .offset_bytes = offset,
				       .length_bytes = length,
				       .data = data,
				       .into = data};
	struct wire_done done;

	return wire_nbd_call(n, &r, &done);
}

/* What any server of a writable disk must let us do. */
static void write_and_read(struct wire_nbd *n)
{
	CLEANUP_FREE uint8_t *data = malloc(MIB);
	CLEANUP_FREE uint8_t *back = malloc(MIB);
	struct wire_extent extents[16];
	const struct wire_request status = {.command = NBD_CMD_BLOCK_STATUS,
					    .length_bytes = DISK_BYTES,
					    .extents = extents,
					    .extent_max = 16};
	struct wire_done done;

	wire_random(data, MIB);
	assert_false(wire_nbd_info(n)->chunks_ok);
	assert_int_equal(wire_nbd_info(n)->size_bytes, DISK_BYTES);
	assert_int_equal(call(n, NBD_CMD_WRITE, 3 * MIB, MIB, data), 0);
	assert_int_equal(call(n, NBD_CMD_READ, 3 * MIB, MIB, back), 0);
	assert_memory_equal(data, back, MIB);
	if (wire_nbd_info(n)->zeroes_ok) {
		assert_int_equal(call(n, NBD_CMD_WRITE_ZEROES, 3 * MIB, MIB / 2, NULL), 0);
		assert_int_equal(call(n, NBD_CMD_READ, 3 * MIB, MIB, back), 0);
		memset(data, 0, MIB / 2);
		assert_memory_equal(data, back, MIB);
	}
	if (wire_nbd_info(n)->flush_ok)
		assert_int_equal(call(n, NBD_CMD_FLUSH, 0, 0, NULL), 0);
	if (wire_nbd_info(n)->block_status_ok) {
		assert_int_equal(wire_nbd_call(n, &status, &done), 0);
		assert_true(done.extent_count >= 1);
	}
	assert_true(call(n, NBD_CMD_READ, DISK_BYTES, 512, back) < 0);
	assert_int_equal(call(n, NBD_CMD_READ, 0, 512, back), 0);
}

static void run_plain(const char *const *argv)
{
	struct server s;
	struct wire_nbd *n;

	start(&s, argv);
	n = connect_to(&s, false);
	assert_null(n);
	assert_string_equal(err_code(), "PEER_NO_TLS");
	n = connect_to(&s, true);
	if (!n)
		give_up("%s", err_reason());
	write_and_read(n);
	wire_nbd_close(n);
	stop(&s);
}

static void nbdkit_memory(void **state)
{
	(void)state;
	run_plain((const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "memory", "16M", NULL});
}

static void nbdkit_without_extents_and_zeroes(void **state)
{
	(void)state;
	run_plain((const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "--filter=noextents",
					"--filter=nozero", "memory", "16M", NULL});
}

static void nbdkit_without_structured_replies(void **state)
{
	(void)state;
	run_plain((const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "--no-sr", "memory", "16M",
					NULL});
}

static void nbdkit_that_pads_its_answers(void **state)
{
	(void)state;
	run_plain((const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "--mask-handshake=1",
					"--no-sr", "memory", "16M", NULL});
}

static void qemu_nbd(void **state)
{
	struct server s;
	struct wire_nbd *n;
	char image[80];
	CLEANUP_FCLOSE FILE *f = NULL;

	(void)state;
	strcpy(image, "/tmp/coldlift-image-XXXXXX");
	f = fdopen(mkstemp(image), "w");
	assert_int_equal(ftruncate(fileno(f), DISK_BYTES), 0);
	start(&s, (const char *const[]){"qemu-nbd", "-k", "SOCKET", "-t", "-f", "raw", "-e", "4",
					"-x", "", image, NULL});
	n = connect_to(&s, true);
	if (!n)
		give_up("%s", err_reason());
	assert_true(wire_nbd_info(n)->block_status_ok && wire_nbd_info(n)->multi_conn_ok);
	write_and_read(n);
	wire_nbd_close(n);
	stop(&s);
	unlink(image);
}

/* An error in the middle of things is told for its request, and the rest goes on. */
static void nbdkit_that_fails_now_and_then(void **state)
{
	struct server s;
	struct wire_nbd *n;
	CLEANUP_FREE uint8_t *data = calloc(1, MIB);
	unsigned failed = 0;

	(void)state;
	start(&s, (const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "--filter=error", "memory",
					"16M", "error=ENOSPC", "error-pwrite-rate=50%", NULL});
	n = connect_to(&s, true);
	assert_non_null(n);
	for (unsigned i = 0; i < 60; i++) {
		int rc = call(n, NBD_CMD_WRITE, i % 16 * MIB, MIB, data);

		assert_true(rc == 0 || rc == -ENOSPC);
		failed += rc < 0;
	}
	assert_true(failed > 5 && failed < 55);
	wire_nbd_close(n);
	stop(&s);
}

/* Another TLS library, with the key that our own server would use. */
static void nbdkit_over_tls(void **state)
{
	struct server s;
	struct wire_identity *id = NULL;
	char from[128], to[128];
	struct wire_nbd_options o = {
		.export_name = "", .window = 4, .timeout_ms = 60000, .unix_path = s.socket};
	struct wire_nbd *n = NULL;
	char dir[] = "/tmp/coldlift-id-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(wire_identity_load(dir, NULL, 0, &id), 0);
	snprintf(from, sizeof(from), "%s/cert.pem", dir);
	snprintf(to, sizeof(to), "%s/server-cert.pem", dir);
	assert_int_equal(link(from, to), 0);
	snprintf(to, sizeof(to), "%s/ca-cert.pem", dir);
	assert_int_equal(link(from, to), 0);
	snprintf(from, sizeof(from), "%s/key.pem", dir);
	snprintf(to, sizeof(to), "%s/server-key.pem", dir);
	assert_int_equal(link(from, to), 0);
	snprintf(to, sizeof(to), "--tls-certificates=%s", dir);
	start(&s, (const char *const[]){"nbdkit", "-f", "-U", "SOCKET", "--tls=require", to,
					"memory", "16M", NULL});
	o.pin = wire_identity_pin(id);
	if (wire_nbd_open(&o, &n) < 0)
		give_up("%s", err_reason());
	assert_true(wire_nbd_info(n)->tls);
	write_and_read(n);
	wire_nbd_close(n);
	o.pin = (const uint8_t[WIRE_PIN_BYTES]){0};
	assert_int_equal(wire_nbd_open(&o, &n), -EACCES);
	assert_string_equal(err_code(), "PIN_MISMATCH");
	stop(&s);
	wire_identity_free(id);
	remove_tree(dir);
}

/* Something that is no NBD server at all. */
static void a_peer_that_speaks_something_else(void **state)
{
	struct server s;

	(void)state;
	start(&s, (const char *const[]){
			  "python3", "-c",
			  "import socket,sys\n"
			  "s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
			  "while 1:\n c=s.accept()[0]\n"
			  " try: c.sendall(b'SSH-2.0-OpenSSH_9.2 and more text\\n')\n"
			  " except OSError: pass\n",
			  "SOCKET", NULL});
	assert_null(connect_to(&s, true));
	assert_string_equal(err_code(), "PEER_NOT_NBD");
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nbdkit_memory),
		cmocka_unit_test(nbdkit_without_extents_and_zeroes),
		cmocka_unit_test(nbdkit_without_structured_replies),
		cmocka_unit_test(nbdkit_that_pads_its_answers),
		cmocka_unit_test(qemu_nbd),
		cmocka_unit_test(nbdkit_that_fails_now_and_then),
		cmocka_unit_test(nbdkit_over_tls),
		cmocka_unit_test(a_peer_that_speaks_something_else),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
