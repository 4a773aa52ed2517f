// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test controllers that are slow or report bad sizes. The device model injects
 * these faults (fault_set()). The guest must continue without loss of data.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/point.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

/* The delay of slow commands: it must dominate all else, even on a busy machine. */
#define SLOW_MS		1000

FIXTURE(fault)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
};

static void no_faults(void)
{
	unsigned int i;

	for (i = 0; vf_bdf(i); i++)
		fault_clear_all(vf_bdf(i));
}

FIXTURE_SETUP(fault)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	guest_open(&self->n, self->vf, 2, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
}

FIXTURE_TEARDOWN(fault)
{
	no_faults();
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	trace_close();
}

/* Read the state sizes from the IDENTITY record and from the STATE record. */
static void sizes_in(const struct stream *s, __u64 *promised, __u64 *sent)
{
	const struct nvmevf_identity *identity = (void *)s->data + IDENTITY_AT;

	*promised = identity->state_size;
	*sent = stream_state_length(s);
}

/*
 * The size of a running VF is an estimate; the size of a suspended VF is exact. With the
 * standard's set, a size is that of a state, which the model can only enlarge.
 */
TEST_F(fault, query_is_an_estimate)
{
	static const __u32 estimates[] = { 1, 999, 4096, 20000, 100000 };
	struct nvme *n = &self->n;
	__u64 promised, sent, good = 0;
	struct stream s;
	struct vf *from;
	unsigned int i;
	int fd;

	for (i = vf_standard() ? 3 : 0; i < ARRAY_SIZE(estimates); i++) {
		from = n->vf;
		ASSERT_TRUE(fault_set(from->bdf, COMMAND_QUERY, FAULT_SIZE,
				      estimates[i]));
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_PRE_COPY,
					  &fd));
		io_submit(n, n->queue[0].next, 5);
		nvme_ring(n, n->queue[0].next);
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_STOP_COPY,
					  NULL));
		ASSERT_EQ(0, stream_read(&s, fd, 4096));
		close(fd);
		memcpy(n->frozen, n->mem, GUEST_MEM);
		sizes_in(&s, &promised, &sent);
		EXPECT_EQ(estimates[i], promised);
		EXPECT_LT(0, sent);
		if (good)
			EXPECT_EQ(good, sent);
		good = sent;

		guest_load(n, &self->vf[from == self->vf], &s);
		free(s.data);
		vf_reset(from);
		io_wait(n);
		io_check(n);
	}
}

/* The state grows during SUSPEND. The other VF loads the larger state. */
TEST_F(fault, state_grows)
{
	struct nvme *n = &self->n;
	__u64 promised, sent;
	struct stream s;
	struct vf *from = n->vf;

	ASSERT_TRUE(fault_set(from->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, 77776));
	guest_suspend(n);
	guest_save(n, &s);
	sizes_in(&s, &promised, &sent);
	EXPECT_EQ(77776, sent);
	guest_load(n, &self->vf[1], &s);
	vf_reset(from);
	io_check(n);
}

struct bad_size {
	__u32	size;
	int	error;
};

static const struct bad_size bad_sizes[] = {
	{ 64U << 20, -E2BIG }, { (16U << 20) + 4, -E2BIG },
	/* The standard's set has no such sizes, see query_is_an_estimate. */
	{ 0, -EIO }, { ~0U, -E2BIG },
};

static unsigned int bad_sizes_count(void)
{
	return vf_standard() ? 2 : ARRAY_SIZE(bad_sizes);
}

/* The driver refuses a bad size before the VM stops; the guest's I/O continues. */
TEST_F(fault, bad_size_while_running)
{
	struct nvme *n = &self->n;
	const struct bad_size *bad;
	unsigned int i;
	int fd;

	for (i = 0; i < bad_sizes_count(); i++) {
		bad = &bad_sizes[i];
		ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE,
				      bad->size));
		/* The driver must not send SUSPEND; a SUSPEND would fail. */
		ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SUSPEND, FAULT_STATUS,
				      0x6));
		io_submit(n, n->queue[0].next, 5);
		EXPECT_EQ(bad->error, vf_mig_data_size(n->vf));
		EXPECT_EQ(bad->error,
			  vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
		EXPECT_EQ(-1, fd);
		EXPECT_EQ(bad->error,
			  vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
		nvme_ring(n, n->queue[0].next);
		io_wait(n);

		no_faults();
		EXPECT_LT(0, vf_mig_data_size(n->vf));
	}
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

/* The driver refuses a bad size after SUSPEND; the VF can still resume. */
TEST_F(fault, bad_size_while_suspended)
{
	struct nvme *n = &self->n;
	const struct bad_size *bad;
	unsigned int i;
	int fd;

	for (i = 0; i < bad_sizes_count(); i++) {
		bad = &bad_sizes[i];
		ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE,
				      bad->size));
		io_submit(n, n->queue[0].next, 5);
		EXPECT_LT(0, vf_mig_data_size(n->vf));

		EXPECT_EQ(bad->error,
			  vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
		EXPECT_EQ(-1, fd);
		EXPECT_EQ(VFIO_DEVICE_STATE_STOP, vf_get_state(n->vf));
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));

		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY,
					  &fd));
		EXPECT_EQ(bad->error,
			  vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY,
				       NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_PRE_COPY_P2P, vf_get_state(n->vf));
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		close(fd);

		nvme_ring(n, n->queue[0].next);
		io_wait(n);
		no_faults();
	}
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

static int stop_copy(struct vf *vf, enum fault_kind fault, unsigned int value)
{
	int fd, ret;

	if (!fault_set(vf->bdf, COMMAND_SAVE, fault, value))
		die("%s: injecting a fault into SAVE_DATA failed", vf->bdf);
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
	if (ret)
		die("%s: transition to STOP_COPY failed: %s", vf->bdf, strerror(-ret));
	return fd;
}

/* Enter STOP_COPY with a SAVE_DATA that takes SLOW_MS. */
static int slow_stop_copy(struct vf *vf)
{
	return stop_copy(vf, FAULT_DELAY, SLOW_MS);
}

/* Enter STOP_COPY with a SAVE_DATA that does not end before answer_save(). */
static int held_stop_copy(struct vf *vf)
{
	return stop_copy(vf, FAULT_NEVER, 0);
}

static void answer_save(struct vf *vf)
{
	fault_set(vf->bdf, COMMAND_SAVE, FAULT_NONE, 0);
}

/* The transition to STOP_COPY does not wait for SAVE_DATA; read() and poll() do. */
TEST_F(fault, slow_save)
{
	struct nvme *n = &self->n;
	struct pollfd pfd = { .events = POLLIN };
	struct vf *from = n->vf;
	struct stream s;
	char byte;
	int i;

	/* Wait in poll() first, then in read(). */
	for (i = 0; i < 2; i++) {
		from = n->vf;
		io_submit(n, n->queue[0].next, 5);
		nvme_ring(n, n->queue[0].next);
		pfd.fd = held_stop_copy(from);
		memcpy(n->frozen, n->mem, GUEST_MEM);

		ASSERT_EQ(0, fcntl(pfd.fd, F_SETFL, O_NONBLOCK));
		EXPECT_EQ(-1, read(pfd.fd, &byte, 1));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_EQ(0, poll(&pfd, 1, 0));
		EXPECT_EQ(VFIO_DEVICE_STATE_STOP_COPY, vf_get_state(from));
		if (!i) {
			answer_save(from);
			EXPECT_EQ(1, poll(&pfd, 1, 1000 * PATIENCE));
			EXPECT_EQ(POLLIN, pfd.revents &
				  (POLLIN | POLLERR | POLLHUP));
		} else {
			ASSERT_EQ(0, fcntl(pfd.fd, F_SETFL, 0));
			if (!must(fork())) {
				await_sleep(getppid(), SYS_read, pfd.fd);
				answer_save(from);
				_exit(0);
			}
		}
		ASSERT_EQ(0, stream_read(&s, pfd.fd, 4096));
		close(pfd.fd);

		guest_load(n, &self->vf[from == self->vf], &s);
		free(s.data);
		vf_reset(from);
		io_wait(n);
		io_check(n);
	}
	must(wait(NULL));
}

static void ignore(int signal)
{
}

/* A signal interrupts a read() that waits for the state; a later read() works. */
TEST_F(fault, interrupted_read)
{
	struct sigaction action = { .sa_handler = ignore };
	struct nvme *n = &self->n;
	struct stream s;
	char byte;
	pid_t pid;
	int fd;

	must(sigaction(SIGUSR1, &action, NULL));
	fd = held_stop_copy(n->vf);
	pid = must(fork());
	if (!pid) {
		await_sleep(getppid(), SYS_read, fd);
		must(kill(getppid(), SIGUSR1));
		_exit(0);
	}
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EINTR, errno);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	answer_save(n->vf);
	EXPECT_EQ(0, stream_read(&s, fd, 4096));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	io_check(n);
}

/* The user cancels the migration during SAVE_DATA. */
TEST_F(fault, roll_back_while_saving)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RUNNING,
	};
	struct nvme *n = &self->n;
	struct stream s;
	unsigned int i;
	char byte;
	int fd, again;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		io_submit(n, n->queue[0].next, 5);
		nvme_ring(n, n->queue[0].next);
		fd = slow_stop_copy(n->vf);
		ASSERT_EQ(0, vf_set_state(n->vf, states[i], NULL));
		EXPECT_EQ(-1, read(fd, &byte, 1));
		EXPECT_EQ(ENODEV, errno);

		/* With the vendor's set, a second STOP_COPY has the saved state immediately. */
		if (states[i] == VFIO_DEVICE_STATE_STOP) {
			ASSERT_EQ(0, vf_set_state(n->vf,
						  VFIO_DEVICE_STATE_STOP_COPY,
						  &again));
			if (!vf_standard())
				fcntl(again, F_SETFL, O_NONBLOCK);
			EXPECT_EQ(0, stream_read(&s, again, 4096));
			close(again);
			ASSERT_EQ(0, vf_set_state(n->vf,
						  VFIO_DEVICE_STATE_RUNNING,
						  NULL));
		}
		close(fd);
		io_wait(n);
		io_check(n);
	}
	no_faults();
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

/* SAVE_DATA fails after the transition to STOP_COPY succeeded. */
TEST_F(fault, save_fails_late)
{
	struct nvme *n = &self->n;
	struct pollfd pfd = { .events = POLLIN };
	char byte;

	io_submit(n, n->queue[0].next, 5);
	nvme_ring(n, n->queue[0].next);
	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SAVE, FAULT_STATUS, 0x6));
	pfd.fd = slow_stop_copy(n->vf);
	EXPECT_EQ(1, poll(&pfd, 1, 1000 * PATIENCE));
	EXPECT_EQ(-1, read(pfd.fd, &byte, 1));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(VFIO_DEVICE_STATE_STOP_COPY, vf_get_state(n->vf));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	close(pfd.fd);
	io_wait(n);
	io_check(n);
	no_faults();
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

/* End a migration during SAVE_DATA: read() of the data_fd must fail. */
static void end_while_saving(struct __test_metadata *_metadata, struct vf *vf,
			     void (*end)(struct vf *vf), int *fd)
{
	char byte;

	*fd = slow_stop_copy(vf);
	end(vf);
	EXPECT_EQ(-1, read(*fd, &byte, 1));
	EXPECT_EQ(ENODEV, errno);
}

/* A SAVE_DATA that ends after a reset must not affect the VF. */
TEST_F(fault, reset_while_saving)
{
	struct nvme *n = &self->n;
	int fd;

	end_while_saving(_metadata, n->vf, vf_reset, &fd);
	/* The guest need not wait for the end of SAVE_DATA. */
	guest_restart(n);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	close(fd);
	io_check(n);
	no_faults();
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

TEST_F(fault, close_while_saving)
{
	struct nvme *n = &self->n;
	int fd;

	end_while_saving(_metadata, n->vf, vf_close, &fd);
	close(fd);
	no_faults();
	vf_open(n->vf, vf_bdf(0), VF_ANY, n->mem, GUEST_MEM);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	guest_restart(n);
}

/* A VF that was reset during SUSPEND must run when SUSPEND ends. */
TEST_F(fault, reset_while_suspending)
{
	struct nvme *n = &self->n;
	int status;
	pid_t pid;

	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SUSPEND, FAULT_NEVER, 0));
	pid = must(fork());
	if (!pid)
		_exit(-vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL));
	point_await_commands(COMMAND_SUSPEND, 1);
	vf_reset(n->vf);
	no_faults();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(EAGAIN, WEXITSTATUS(status));
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	guest_restart(n);
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

static void run_again(struct vf *vf, const int *fd, int count)
{
	int i, ret;

	for (i = 0; i < count; i++) {
		close(fd[i]);
		ret = vf_set_state(&vf[i], VFIO_DEVICE_STATE_RUNNING, NULL);
		if (ret)
			die("%s: transition to RUNNING failed: %s", vf[i].bdf,
			    strerror(-ret));
	}
}

/* Several VFs of a VM save concurrently, so the downtime is that of one. */
TEST_F(fault, concurrent_saves)
{
	struct vf vf[4];
	int fd[4], count = 0, pass, i;
	long long begin, entered, took[2] = {};
	struct stream s;

	vf[count++] = self->vf[0];
	vf[count++] = self->vf[1];
	while (count < 4 && vf_bdf(count)) {
		vf_open(&vf[count], vf_bdf(count), VF_ANY, self->n.mem,
			GUEST_MEM);
		count++;
	}

	/* Save one VF after the other, then all concurrently. */
	for (pass = 0; pass < 2; pass++) {
		begin = now_ms();
		for (i = 0; i < count; i++) {
			fd[i] = slow_stop_copy(&vf[i]);
			if (!pass)
				ASSERT_EQ(0, stream_read(&s, fd[i], 4096));
		}
		entered = now_ms() - begin;
		for (i = 0; pass && i < count; i++)
			ASSERT_EQ(0, stream_read(&s, fd[i], 4096));
		took[pass] = now_ms() - begin;
		run_again(vf, fd, count);
	}
	TH_LOG("%d VFs, %d ms each: serial %lld ms, concurrent %lld ms, entered after %lld ms",
	       count, SLOW_MS, took[0], took[1], entered);
	EXPECT_LE(count * (SLOW_MS - 1), took[0]);
	EXPECT_LE(SLOW_MS - 1, took[1]);

	/* All SAVE_DATA commands must be in progress concurrently. */
	for (i = 0; i < count; i++)
		fd[i] = held_stop_copy(&vf[i]);
	point_await_commands(COMMAND_SAVE, count);
	for (i = 0; i < count; i++)
		answer_save(&vf[i]);
	for (i = 0; i < count; i++)
		EXPECT_EQ(0, stream_read(&s, fd[i], 4096));
	run_again(vf, fd, count);
	io_check(&self->n);
	while (count > 2)
		vf_close(&vf[--count]);
}

TEST_HARNESS_MAIN
