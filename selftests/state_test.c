// SPDX-License-Identifier: GPL-2.0-only
/* Test the migration states of a VF: transitions, data_fd, reset, close. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/util.h"
#include "lib/vf.h"

#define STATES	(VFIO_DEVICE_STATE_PRE_COPY_P2P + 1)

FIXTURE(state)
{
	struct nvme n;
	struct vf vf;
	int flags;
};

FIXTURE_VARIANT(state)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(state, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(state, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(state)
{
	const char *why = vf_skip_reason(1, variant->api, false);

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, &self->vf, 1, variant->api);
	self->flags = vf_mig_flags(&self->vf);
	ASSERT_LE(0, self->flags);
}

FIXTURE_TEARDOWN(state)
{
	vf_close(&self->vf);
}

static bool supported(int flags, unsigned int state)
{
	return !vf_state_is_precopy(state) || (flags & VFIO_MIGRATION_PRE_COPY);
}

TEST_F(state, supported_features)
{
	int known = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |
		    VFIO_MIGRATION_PRE_COPY;

	EXPECT_EQ(0, self->flags & ~known);
	EXPECT_TRUE(self->flags & VFIO_MIGRATION_STOP_COPY);
	EXPECT_TRUE(self->flags & VFIO_MIGRATION_P2P);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
}

static int set_low_power(struct vf *vf, __u32 feature)
{
	return vf_feature(vf, VFIO_DEVICE_FEATURE_SET | feature, NULL, 0);
}

static bool is_in(struct vf *vf, const char *power_state)
{
	char path[64], line[16];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power_state", vf->bdf);
	sysfs_read_line(path, line, sizeof(line));
	return !strcmp(line, power_state);
}

/* Delay of slow commands, enough for a VF to go to D3hot. */
#define SLOW_MS		300

static bool has_runtime_pm(struct vf *vf)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", vf->bdf);
	return !access(path, F_OK);
}

/*
 * A suspended VF stays in D0 although its user lets it go to low power: the way back to
 * D0 may be a reset, which ends the suspension.
 */
TEST_F(state, low_power)
{
	time_t deadline = time(NULL) + PATIENCE;
	struct vf *vf = &self->vf;
	struct nvme *n = &self->n;
	struct stream s;
	int fd;

	if (!has_runtime_pm(vf))
		SKIP(return, "this kernel has no runtime power management");
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	while (!is_in(vf, "D3hot"))
		pause_until(deadline, "a VF that runs does not go to D3hot");
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	vf_reset(vf);
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);

	guest_suspend(n);
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	fault_set_once(vf->bdf, COMMAND_SAVE, FAULT_DELAY, SLOW_MS);
	guest_save(n, &s);
	EXPECT_TRUE(is_in(vf, "D0"));
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	guest_roll_back(n);
	io_check(n);
	free(s.data);

	guest_suspend(n);
	guest_save(n, &s);
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	fault_set_once(vf->bdf, COMMAND_LOAD, FAULT_DELAY, SLOW_MS);
	EXPECT_EQ(0, stream_write(&s, fd, 4096));
	EXPECT_TRUE(is_in(vf, "D0"));
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
	close(fd);
	free(s.data);
	EXPECT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	io_check(n);
	/* A VF that runs again goes to D3hot again. */
	ASSERT_EQ(0, set_low_power(vf, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY));
	deadline = time(NULL) + PATIENCE;
	while (!is_in(vf, "D3hot"))
		pause_until(deadline, "a VF that was resumed does not go to D3hot");
}

/* Suspend and resume repeatedly during I/O. */
TEST_F(state, suspend_and_resume)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	int i;

	nvme_start(n, NVME_QUEUES, 8, 8);
	for (i = 0; i < 50; i++) {
		for (q = n->queue->next; q; q = q->next) {
			io_submit(n, q, 1 + random() % 7);
			nvme_ring(n, q);
		}
		guest_suspend(n);
		if (i % 2)
			ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP,
						  NULL));
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		io_wait(n);
	}
	io_check(n);
}

/* Take the interrupts that were sent: each processor does that before it runs this thread. */
static void take_interrupts(void)
{
	cpu_set_t all, one;
	int cpu;

	must(sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		must(sched_setaffinity(0, sizeof(one), &one));
	}
	must(sched_setaffinity(0, sizeof(all), &all));
}

/* A suspended VF does no DMA; doorbell writes take effect after RESUME. */
TEST_F(state, suspended_vf_is_quiet)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;

	nvme_start_vectors(n);
	io_check(n);	/* write blocks, so that I/O includes reads */
	guest_suspend(n);
	take_interrupts();
	for (q = n->queue->next; q; q = q->next) {
		while (vf_irq_pending(n->vf, q->vector, 0))
			;
		EXPECT_EQ(7U, io_submit(n, q, 7));
	}
	memcpy(n->frozen, n->mem, GUEST_MEM);
	for (q = n->queue->next; q; q = q->next)
		nvme_ring(n, q);
	usleep(200000);
	EXPECT_EQ(0, memcmp(n->frozen, n->mem, GUEST_MEM));
	for (q = n->queue->next; q; q = q->next)
		EXPECT_FALSE(vf_irq_pending(n->vf, q->vector, 0));
	EXPECT_EQ(NVME_CC_ON, nvme_read32(n, NVME_CC));

	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	for (q = n->queue->next; q; q = q->next) {
		nvme_await(q, 1);
		EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
	}
	io_wait(n);
	io_check(n);
}

TEST_F(state, data_size)
{
	long long before, idle, busy;
	struct stream s;
	int fd;

	before = vf_mig_data_size(&self->vf);
	EXPECT_LT(0, before);
	nvme_start(&self->n, 1, 8, 8);
	idle = vf_mig_data_size(&self->vf);
	EXPECT_LT(0, idle);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	busy = vf_mig_data_size(&self->vf);
	EXPECT_LT(idle, busy);

	/* The stream must not be longer than the reported size. */
	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	EXPECT_EQ(busy, vf_mig_data_size(&self->vf));
	ASSERT_EQ(0, stream_read(&s, fd, 4096));
	EXPECT_EQ(busy, s.len);
	EXPECT_EQ(busy, vf_mig_data_size(&self->vf));
	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_LT(0, vf_mig_data_size(&self->vf));
}

/* The controller is not asked for a size while it loads a state: see R28 of nvme.txt. */
TEST_F(state, data_size_during_load)
{
	struct vf *vf = &self->vf;
	struct stream s;
	long long begin;
	int fd, status;
	pid_t pid;

	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	guest_suspend(&self->n);
	guest_save(&self->n, &s);
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
	fault_set_once(vf->bdf, COMMAND_LOAD, FAULT_DELAY, 10 * SLOW_MS);
	pid = must(fork());
	if (!pid)
		_exit(stream_write(&s, fd, s.len) ? 1 : 0);
	await_sleep(pid, SYS_write, fd);
	begin = now_ms();
	EXPECT_LT(0, vf_mig_data_size(vf));
	EXPECT_LE(5 * SLOW_MS, now_ms() - begin);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
	free(s.data);
	EXPECT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	io_check(&self->n);
}

struct reset {
	struct vf	*vf;
	pthread_t	thread;
	pid_t		tid;
	bool		done;
};

static void *reset(void *arg)
{
	struct reset *r = arg;

	__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	must(ioctl(r->vf->fd, VFIO_DEVICE_RESET));
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * Start a reset and return while the reset is in progress: the kernel sleeps for
 * 100 ms in a function-level reset. On a slow machine the reset may be done.
 */
static void reset_begin(struct reset *r, struct vf *vf)
{
	pid_t tid;

	*r = (struct reset){ .vf = vf };
	if (pthread_create(&r->thread, NULL, reset, r))
		die("pthread_create failed");
	while (!(tid = __atomic_load_n(&r->tid, __ATOMIC_ACQUIRE)))
		;
	while (!__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) &&
	       !sleeps_in(tid, SYS_ioctl, vf->fd))
		;
}

/*
 * A function-level reset takes 100 ms on most controllers. A SUSPEND during the
 * reset must be undone, or else the VF stays suspended in state RUNNING.
 */
TEST_F(state, suspend_while_reset)
{
	time_t deadline = time(NULL) + PATIENCE;
	bool in_time = false;
	struct reset r;
	__u16 status;
	int ret;

	vf_config_read(&self->vf, PCI_STATUS, &status, sizeof(status));
	if (status & PCI_STATUS_IMM_READY)
		SKIP(return, "the VF is ready immediately after a reset");

	while (!in_time) {
		ASSERT_GT(deadline, time(NULL));
		nvme_start(&self->n, NVME_QUEUES, 8, 8);
		reset_begin(&r, &self->vf);
		ret = vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING_P2P,
				   NULL);
		await_thread(r.thread, "a reset", PATIENCE);
		vf_reset_done(&self->vf);

		/* On a slow machine the reset ends before SUSPEND begins. */
		in_time = ret;
		if (in_time)
			ASSERT_EQ(-EAGAIN, ret);
		EXPECT_EQ(ret ? VFIO_DEVICE_STATE_RUNNING :
			  VFIO_DEVICE_STATE_RUNNING_P2P,
			  vf_get_state(&self->vf));
		ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		guest_restart(&self->n);
		io_check(&self->n);
	}
}

/*
 * Likewise, but the SUSPEND cannot be undone. The driver does not rely on a reset that has
 * begun before: the VF may be suspended.
 */
TEST_F(state, undo_fails_while_reset)
{
	time_t deadline = time(NULL) + PATIENCE;
	struct vf *vf = &self->vf;
	struct reset r;
	int ret, state;
	__u16 status;

	vf_config_read(vf, PCI_STATUS, &status, sizeof(status));
	if (status & PCI_STATUS_IMM_READY)
		SKIP(return, "the VF is ready immediately after a reset");
	if (!fault_set(vf->bdf, COMMAND_RESUME, FAULT_STATUS, 0x6))
		SKIP(return, "the firmware cannot be made to misbehave");

	/* On a slow machine the reset ends before SUSPEND begins. */
	do {
		ASSERT_GT(deadline, time(NULL));
		reset_begin(&r, vf);
		ret = vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
		await_thread(r.thread, "a reset", PATIENCE);
		state = vf_get_state(vf);
	} while (!ret);
	EXPECT_EQ(-EAGAIN, ret);
	EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, state);

	fault_clear_all(vf->bdf);
	vf_reset(vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	guest_restart(&self->n);
}

TEST_F(state, data_fd_for_reading)
{
	void *unmapped = must(mmap(NULL, PAGE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	struct pollfd pfd = { .events = POLLIN };
	struct stream s;
	char byte = 0;
	int i;

	nvme_start(&self->n, 1, 8, 8);
	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY,
				  &pfd.fd));
	EXPECT_EQ(-1, write(pfd.fd, &byte, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, lseek(pfd.fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, read(pfd.fd, unmapped, PAGE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, poll(&pfd, 1, 5000));
	EXPECT_EQ(POLLIN, pfd.revents & (POLLIN | POLLERR | POLLHUP));
	ASSERT_EQ(0, stream_read(&s, pfd.fd, 7));
	EXPECT_LT(0, s.len);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, read(pfd.fd, &byte, 1));

	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL));
	EXPECT_EQ(-ENODEV, stream_transfer_byte(pfd.fd));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_TRUE(pfd.revents & (POLLERR | POLLHUP));
}

/* Before SAVE_DATA ends, a non-blocking read() fails with -EAGAIN. */
TEST_F(state, data_fd_nonblocking)
{
	struct pollfd pfd = { .events = POLLIN };
	size_t size = 0;
	char buf[4096];
	ssize_t len;

	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY,
				  &pfd.fd));
	ASSERT_EQ(0, fcntl(pfd.fd, F_SETFL, O_NONBLOCK));
	do {
		len = read(pfd.fd, buf, sizeof(buf));
		if (len < 0) {
			ASSERT_EQ(EAGAIN, errno);
			ASSERT_EQ(0, size);
			ASSERT_EQ(1, poll(&pfd, 1, 5000));
			continue;
		}
		size += len;
	} while (len);
	EXPECT_LT(0, size);
}

TEST_F(state, data_fd_for_writing)
{
	struct pollfd pfd = { .events = POLLOUT };
	char byte;

	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RESUMING,
				  &pfd.fd));
	EXPECT_EQ(-1, read(pfd.fd, &byte, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, lseek(pfd.fd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLOUT, pfd.revents);

	/* Without a stream, the VF cannot leave RESUMING. */
	EXPECT_EQ(-EINVAL, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP,
					NULL));
	EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(&self->vf));
	vf_reset(&self->vf);
	EXPECT_EQ(-ENODEV, stream_transfer_byte(pfd.fd));
}

/* Closing data_fd early does not change the state. */
TEST_F(state, data_fd_closed_early)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_RESUMING,
	};
	unsigned int i;
	int fd;

	nvme_start(&self->n, 1, 8, 8);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ASSERT_EQ(0, vf_set_state(&self->vf, states[i], &fd));
		close(fd);
		EXPECT_EQ(states[i], vf_get_state(&self->vf));
		if (states[i] == VFIO_DEVICE_STATE_RESUMING)
			vf_reset(&self->vf);
		else
			EXPECT_EQ(0, vf_set_state(&self->vf,
						  VFIO_DEVICE_STATE_RUNNING,
						  NULL));
	}
	nvme_start(&self->n, 1, 8, 8);
	io_check(&self->n);
}

/* Close data_fd, if @state has one. The data_fd has lost its device. */
static void expect_disconnected(struct __test_metadata *_metadata,
				unsigned int state, int fd)
{
	if (!vf_state_has_stream(state))
		return;
	EXPECT_EQ(-ENODEV, stream_transfer_byte(fd))
		TH_LOG("in state %u", state);
	close(fd);
}

/* A reset in any state ends in RUNNING; data_fd fails, and the guest can start. */
TEST_F(state, reset_in_each_state)
{
	unsigned int state;
	int fd;

	for (state = VFIO_DEVICE_STATE_STOP; state < STATES; state++) {
		if (!supported(self->flags, state))
			continue;
		nvme_start(&self->n, 1, 8, 8);
		io_submit(&self->n, &self->n.queue[1], 5);
		nvme_ring(&self->n, &self->n.queue[1]);
		ASSERT_EQ(0, vf_set_state(&self->vf, state, &fd));
		vf_reset(&self->vf);
		/* data_fd must fail before any other call sees the reset. */
		expect_disconnected(_metadata, state, fd);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_EQ(0U, nvme_read32(&self->n, NVME_CC));

		memset(self->n.seq, 0, sizeof(self->n.seq));
		nvme_start(&self->n, 1, 8, 8);
		io_check(&self->n);
	}
}

/* After close in any state, the next user gets a working VF. */
TEST_F(state, close_in_each_state)
{
	unsigned int state;
	int fd;

	for (state = VFIO_DEVICE_STATE_STOP; state < STATES; state++) {
		if (!supported(self->flags, state))
			continue;
		nvme_start(&self->n, 1, 8, 8);
		ASSERT_EQ(0, vf_set_state(&self->vf, state, &fd));
		vf_close(&self->vf);
		expect_disconnected(_metadata, state, fd);

		vf_open(&self->vf, vf_bdf(0), variant->api, self->n.mem,
			GUEST_MEM);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		nvme_start(&self->n, 1, 8, 8);
		io_check(&self->n);
	}
}

/* data_fd may be used while the VF's device file is closed. */
TEST_F(state, read_while_closing)
{
	struct stream s;
	pid_t reader;
	int fd, status;

	nvme_start(&self->n, 1, 8, 8);
	ASSERT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	reader = fork();
	ASSERT_LE(0, reader);
	vf_close(&self->vf);
	if (!reader) {
		while (!stream_read(&s, fd, 1))
			free(s.data);
		_exit(errno == ENODEV ? 0 : 1);
	}
	ASSERT_EQ(reader, waitpid(reader, &status, 0));
	EXPECT_EQ(0, status);

	vf_open(&self->vf, vf_bdf(0), variant->api, self->n.mem, GUEST_MEM);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
}

/* Set a random state, and use its data_fd in the background. */
static void set_random_state(struct vf *vf)
{
	static char buf[256];
	int fd;

	if (!vf_set_state(vf, 1 + random() % (STATES - 1), &fd) && fd >= 0) {
		if (!fork()) {
			while (read(fd, buf, 1 + random() % sizeof(buf)) > 0)
				;
			write(fd, buf, sizeof(buf));
			_exit(0);
		}
		close(fd);
	}
}

static void query(struct vf *vf)
{
	vf_mig_data_size(vf);
	vf_get_state(vf);
}

/* Concurrent transitions, queries and resets do not hang; a reset restores RUNNING. */
TEST_F(state, concurrent_calls)
{
	static void (*const jobs[])(struct vf *vf) = {
		set_random_state, set_random_state, query, vf_reset,
	};
	pid_t pid[ARRAY_SIZE(jobs)];
	time_t end = time(NULL) + 5;
	unsigned int i;
	int status;

	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i])
			continue;
		srandom(i);
		while (time(NULL) < end)
			jobs[i](&self->vf);
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}

	vf_reset(&self->vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
}

TEST_HARNESS_MAIN
