// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let each allocation of each arc and of each call on a data_fd fail once: the call must
 * fail with -ENOMEM and change nothing else. Memory of a migration must be charged to the
 * process that started it, be bounded, and be freed with the stream.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/inject.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/util.h"
#include "lib/vf.h"

#define DRIVER		"/sys/bus/pci/drivers/nvme-vfio-pci"
#define CGROUP		"/sys/fs/cgroup/nvmevf_test"

/* Bytes of state, far more than all other charged memory. */
#define LARGE		100000

FIXTURE(memory)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
	struct stream blank;	/* of a controller that is not enabled */
};

FIXTURE_SETUP(memory)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	/* A state of the first VF would be refused while a guest runs on that VF. */
	self->n.vf = &self->vf[1];
	guest_suspend(&self->n);
	guest_save(&self->n, &self->blank);
	vf_reset(self->n.vf);
	/* The driver frees the state in the first call after the reset. */
	ASSERT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(self->n.vf));
	self->n.vf = &self->vf[0];
	nvme_start(&self->n, 2, 8, 8);
	io_check(&self->n);
}

FIXTURE_TEARDOWN(memory)
{
	int i;

	for (i = 0; i < 2; i++) {
		fault_clear_all(vf_bdf(i));
		vf_close(&self->vf[i]);
	}
}

struct attempt {
	const char	*name;
	struct nvme	*n;
	struct vf	*vf;
	const struct stream *stream;
	unsigned int	from, to;
	bool		saved;		/* @from has a saved state */
	__u32		estimate;	/* of the state's size, 0: the model's own */
	bool		frugal;		/* it must need no allocation */
	int		fd;
};

static void await_save(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (must(poll(&pfd, 1, 1000 * PATIENCE)) != 1)
		die("SAVE_DATA did not end within %d s", PATIENCE);
}

/* Leave commands executing, and in the queue without a ring of the doorbell. */
static void leave_io(struct nvme *n)
{
	io_submit(n, n->queue->next, 3);
	nvme_ring(n, n->queue->next);
	io_submit(n, n->queue->next, 2);
}

static void finish_io(struct nvme *n)
{
	nvme_ring(n, n->queue->next);
	io_wait(n);
}

/* Bring the VF to the state where the attempt begins. */
static void go_back(struct attempt *a)
{
	vf_enter_state(a->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	close(a->fd);
	if (a->n) {
		finish_io(a->n);
		leave_io(a->n);
	}
	if (a->saved) {
		vf_enter_state(a->vf, VFIO_DEVICE_STATE_STOP_COPY, &a->fd);
		await_save(a->fd);
		vf_enter_state(a->vf, VFIO_DEVICE_STATE_STOP, NULL);
		close(a->fd);
	}
	/* The driver asks for the estimate while the VF runs. */
	if (a->estimate)
		vf_enter_state(a->vf, VFIO_DEVICE_STATE_PRE_COPY, &a->fd);
	vf_enter_state(a->vf, a->from, a->estimate ? NULL : &a->fd);
}

/* Let each allocation of @call fail in turn; return how many there are. */
static int fail_each(struct attempt *a, void (*prepare)(struct attempt *a),
		     int (*call)(struct attempt *a))
{
	unsigned int images;
	int n, ret, left, failed = 0;

	for (n = 1; ; n++) {
		prepare(a);
		images = vf_images();
		inject_nth("self", n);
		ret = call(a);
		left = inject_left("self");
		inject_nth("self", 0);

		if (ret && (ret != -ENOMEM || left))
			die("%s, allocation %d: %s", a->name, n,
			    strerror(-ret));
		if (left)
			break;
		if (ret && vf_images() != images)
			die("%s, allocation %d: a state is left in memory",
			    a->name, n);
		failed += !!ret;
	}
	if (a->frugal && failed)
		die("%s needs %d allocations, expected none", a->name, failed);
	printf("# %-32s %2d allocations, %2d needed\n", a->name, n - 1, failed);
	return n - 1;
}

static int go_on(struct attempt *a)
{
	int fd, state, ret = vf_set_state(a->vf, a->to, &fd);

	state = vf_get_state(a->vf);
	if (state != (int)(ret ? a->from : a->to))
		die("%s: returned %d, found state %d, expected %d", a->name, ret, state,
		    ret ? a->from : a->to);
	if (fd >= 0) {
		if (a->fd >= 0)
			close(a->fd);
		a->fd = fd;
	}
	return ret;
}

TEST_F(memory, arcs)
{
#define NAME(state)	VFIO_DEVICE_STATE_##state
#define FROM_TO(a, b)	.name = #a " to " #b, .from = NAME(a), .to = NAME(b)
	struct attempt arcs[] = {
		{ FROM_TO(RUNNING, RUNNING_P2P) },
		{ FROM_TO(RUNNING_P2P, RUNNING) },
		{ FROM_TO(RUNNING_P2P, RUNNING), .saved = true },
		{ FROM_TO(RUNNING, PRE_COPY) },
		{ FROM_TO(PRE_COPY, RUNNING) },
		{ FROM_TO(PRE_COPY, PRE_COPY_P2P) },
		{ FROM_TO(PRE_COPY_P2P, PRE_COPY) },
		{ FROM_TO(RUNNING_P2P, PRE_COPY_P2P) },
		{ FROM_TO(RUNNING_P2P, PRE_COPY_P2P), .saved = true },
		{ FROM_TO(PRE_COPY_P2P, RUNNING_P2P) },
		/* The guest is stopped. The standard's set has memory for a header. */
		{ FROM_TO(PRE_COPY_P2P, STOP_COPY), .frugal = !vf_standard() },
		{ FROM_TO(PRE_COPY_P2P, STOP_COPY), .estimate = LARGE,
		  .frugal = !vf_standard() },
		{ FROM_TO(PRE_COPY_P2P, STOP_COPY), .saved = true, .frugal = !vf_standard() },
		{ FROM_TO(STOP, STOP_COPY) },
		{ FROM_TO(STOP, STOP_COPY), .saved = true },
		{ FROM_TO(STOP_COPY, STOP) },
		{ FROM_TO(RUNNING_P2P, STOP) },
		{ FROM_TO(STOP, RUNNING_P2P) },
	};
	struct nvme *n = &self->n;
	unsigned int i, count = 0;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < ARRAY_SIZE(arcs); i++) {
		arcs[i].n = n;
		arcs[i].vf = n->vf;
		arcs[i].fd = -1;
		if (arcs[i].estimate)
			fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE,
				  arcs[i].estimate);
		count += fail_each(&arcs[i], go_back, go_on);
		fault_clear_all(n->vf->bdf);
	}
	EXPECT_LT(30, count);

	vf_enter_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	finish_io(n);
	guest_migrate(n, &self->vf[1]);
	io_check(n);
	TH_LOG("%u allocations", count);
}

/* Only a reset leads out of RESUMING after a failure. */
static void reset_and_resume(struct attempt *a)
{
	if (vf_get_state(a->vf) != VFIO_DEVICE_STATE_RUNNING)
		vf_reset(a->vf);
	close(a->fd);
	vf_enter_state(a->vf, a->from, &a->fd);
}

static int write_all(struct attempt *a)
{
	int ret = stream_write(a->stream, a->fd, a->stream->len);

	/* The error must persist, and RESUMING cannot be left. */
	if (ret && (stream_write(a->stream, a->fd, 1) != ret ||
		    vf_set_state(a->vf, VFIO_DEVICE_STATE_STOP, NULL) != ret ||
		    vf_get_state(a->vf) != VFIO_DEVICE_STATE_RESUMING))
		die("%s: the error %d did not persist", a->name, ret);
	return ret;
}

static int read_all(struct attempt *a)
{
	struct stream s;
	int ret = stream_read(&s, a->fd, PAGE);

	free(s.data);
	return ret;
}

static int ask_precopy(struct attempt *a)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };

	return ioctl(a->fd, VFIO_MIG_GET_PRECOPY_INFO, &info) ? -errno : 0;
}

static int ask_size(struct attempt *a)
{
	long long size = vf_mig_data_size(a->vf);

	return size < 0 ? size : 0;
}

TEST_F(memory, calls)
{
	struct vf *vf = &self->vf[1];
	static const struct {
		const char	*name;
		unsigned int	state;
		int		(*call)(struct attempt *a);
	} calls[] = {
		{ "STOP to RESUMING", VFIO_DEVICE_STATE_STOP, go_on },
		{ "write", VFIO_DEVICE_STATE_RESUMING, write_all },
		{ "read", VFIO_DEVICE_STATE_STOP_COPY, read_all },
		{ "GET_PRECOPY_INFO", VFIO_DEVICE_STATE_PRE_COPY, ask_precopy },
		{ "data size", VFIO_DEVICE_STATE_RUNNING, ask_size },
		{ "data size", VFIO_DEVICE_STATE_STOP, ask_size },
	};
	unsigned int i, count = 0;
	struct attempt a;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		a = (struct attempt){
			.name = calls[i].name,
			.vf = vf,
			.stream = &self->blank,
			.from = calls[i].state,
			.to = VFIO_DEVICE_STATE_RESUMING,
			.fd = -1,
		};
		count += fail_each(&a, reset_and_resume, calls[i].call);
		close(a.fd);
		vf_reset(vf);
	}
	EXPECT_LT(5, count);

	guest_migrate(&self->n, vf);
	io_check(&self->n);
	TH_LOG("%u allocations", count);
}

/* Call inject_nth() for each worker thread of the kernel; return how many have failed. */
static unsigned int workers(int n)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], name[32];
	unsigned int failed = 0;
	FILE *f;

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) &&
		    !strncmp(name, "kworker/", 8)) {
			failed += !n && !inject_left(entry->d_name);
			inject_nth(entry->d_name, n);
		}
		fclose(f);
	}
	closedir(dir);
	return failed;
}

/*
 * SAVE_DATA runs in a kernel thread, so read() reports its failure. In today's kernels the
 * block layer has reserves for all these allocations.
 */
TEST_F(memory, save_data)
{
	struct nvme *n = &self->n;
	unsigned int images, failed = 0, count;
	struct stream s;
	int i, fd, ret;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	for (i = 1; i; i++) {
		leave_io(n);
		guest_suspend(n);
		vf_enter_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
		images = vf_images();

		workers(i);
		vf_enter_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
		await_save(fd);
		count = workers(0);
		ret = stream_read(&s, fd, PAGE);
		ASSERT_TRUE(!ret || (ret == -ENOMEM && count))
			TH_LOG("allocation %d: %s", i, strerror(-ret));
		failed += !!ret;
		free(s.data);

		vf_enter_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
		/* With the vendor's set, the driver keeps what it has saved. */
		EXPECT_EQ(images + (!ret && !vf_standard()), vf_images());
		vf_enter_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(images, vf_images());
		close(fd);
		finish_io(n);
		if (!count)
			break;
	}
	EXPECT_LT(1, i);
	guest_migrate(n, &self->vf[1]);
	io_check(n);
	TH_LOG("%d allocations, %u needed", i - 1, failed);
}

/*
 * If memory for the command to the PF is lacking, the VF is bound without migration. If
 * memory for the VFIO device is lacking, the bind fails.
 */
TEST_F(memory, bind)
{
	struct vf *vf = &self->vf[1];
	int i, ret, left, flags, without = 0, rounds = 0;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	vf_close(vf);
	/*
	 * The kernel itself allocates in some binds only, which changes the number of an
	 * allocation. A round may miss the one that migration needs.
	 */
	for (i = 1; rounds < 5; i++) {
		ASSERT_EQ(0, sysfs_write(DRIVER "/unbind", vf->bdf));
		inject_nth("self", i);
		ret = sysfs_write(DRIVER "/bind", vf->bdf);
		left = inject_left("self");
		inject_nth("self", 0);
		ASSERT_TRUE(!ret || (ret == -ENOMEM && !left))
			TH_LOG("allocation %d: %s", i, strerror(-ret));
		if (ret) {
			ASSERT_EQ(0, sysfs_write(DRIVER "/bind", vf->bdf));
			continue;
		}

		vf_open(vf, vf->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		flags = vf_mig_flags(vf);
		ASSERT_TRUE(flags > 0 || (flags == -ENOTTY && !left));
		without += flags < 0;
		if (left && without)
			break;
		if (left) {
			rounds++;
			i = 0;
		}
		vf_close(vf);
	}
	ASSERT_LT(0, without);
	TH_LOG("%d allocations, %d needed", i - 1, without);

	guest_migrate(&self->n, vf);
	io_check(&self->n);
}

/* The arc succeeds, and no file descriptor is free for data_fd. */
TEST_F(memory, no_room_for_fd)
{
	struct rlimit limit, tight;
	struct nvme *n = &self->n;
	int fd;

	io_submit(n, n->queue->next, 5);
	guest_suspend(n);
	must(getrlimit(RLIMIT_NOFILE, &limit));
	tight = limit;
	tight.rlim_cur = must(dup(0));
	close(tight.rlim_cur);
	must(setrlimit(RLIMIT_NOFILE, &tight));
	EXPECT_EQ(-EMFILE, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	EXPECT_EQ(-1, fd);
	EXPECT_EQ(VFIO_DEVICE_STATE_STOP_COPY, vf_get_state(n->vf));
	must(setrlimit(RLIMIT_NOFILE, &limit));

	EXPECT_EQ(1, vf_images());
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL));
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_EQ(0, vf_images());
	nvme_ring(n, n->queue->next);
	io_check(n);
}

/* A data_fd that is open after its state must not hold memory. */
TEST_F(memory, held_open)
{
	struct vf *vf = &self->vf[1];
	unsigned char header[PAYLOAD_AT];
	struct nvmevf_record *state = (void *)header + STATE_AT;
	int fds[200], i;

	ASSERT_EQ(0, vf_images());
	ASSERT_TRUE(fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE, LARGE));
	for (i = 0; i < 180; i++) {
		vf_enter_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fds[i]);
		EXPECT_EQ(1, vf_images());
		vf_enter_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(0, vf_images());
	}

	/* The driver allocates the memory as soon as STATE names the size. */
	memcpy(header, self->blank.data, sizeof(header));
	state->length = LARGE;
	for (; i < 200; i++) {
		vf_enter_state(vf, VFIO_DEVICE_STATE_RESUMING, &fds[i]);
		EXPECT_EQ(0, vf_images());
		EXPECT_EQ(sizeof(header), write(fds[i], header, sizeof(header)));
		EXPECT_EQ(1, vf_images());
		vf_reset(vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		EXPECT_EQ(0, vf_images());
	}
	for (i = 0; i < 200; i++)
		close(fds[i]);
}

/* After a reset, the memory of a stream is freed when the VF is closed, at the latest. */
TEST_F(memory, reset_and_close)
{
	struct vf *vf = &self->vf[1];
	struct stream head = { self->blank.data, PAYLOAD_AT };
	int fd, writing;

	for (writing = 0; writing < 2; writing++) {
		ASSERT_EQ(0, vf_images());
		vf_enter_state(vf, writing ? VFIO_DEVICE_STATE_RESUMING :
			       VFIO_DEVICE_STATE_STOP_COPY, &fd);
		if (writing)
			EXPECT_EQ(0, stream_write(&head, fd, head.len));
		EXPECT_EQ(1, vf_images());
		vf_reset(vf);
		vf_close(vf);
		EXPECT_EQ(0, vf_images());
		EXPECT_EQ(-ENODEV, stream_transfer_byte(fd));
		close(fd);
		vf_open(vf, vf_bdf(1), VF_ANY, self->n.mem, GUEST_MEM);
	}
}

/* Memory cgroup */

static bool cgroup_make(const char *limit)
{
	rmdir(CGROUP);
	sysfs_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	return !mkdir(CGROUP, 0700) && !sysfs_write(CGROUP "/memory.max", limit);
}

/* Return the bytes of vmalloc() that are charged to the cgroup. */
static long charged(void)
{
	FILE *f = fopen(CGROUP "/memory.stat", "r");
	char line[100];
	long bytes = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "vmalloc %ld", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

/* The kernel reports small changes with a delay. */
static bool is_charged(long least, long most)
{
	time_t deadline = time(NULL) + PATIENCE;
	long now;

	do {
		now = charged();
		if (now >= least && now <= most)
			return true;
		usleep(100000);
	} while (time(NULL) <= deadline);
	fprintf(stderr, "# %ld bytes are charged\n", now);
	return false;
}

TEST_F(memory, charged)
{
	struct vf *vf = &self->vf[1];
	int status, fd;
	pid_t pid;

	if (!cgroup_make("max") || charged() < 0)
		SKIP(return, "no memory cgroup");
	ASSERT_TRUE(fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, LARGE));
	pid = must(fork());
	if (!pid) {
		if (sysfs_write(CGROUP "/cgroup.procs", "0"))
			die("cannot enter the cgroup");
		vf_enter_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
		await_save(fd);
		if (!is_charged(LARGE, 2 * LARGE))
			die("wrong charge in STOP_COPY");
		vf_enter_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
		if (!vf_standard() && !is_charged(LARGE, 2 * LARGE))
			die("wrong charge with a saved state");
		if (vf_standard() && !is_charged(0, PAGE))
			die("wrong charge when the state was saved");
		vf_enter_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		if (!is_charged(0, PAGE))
			die("wrong charge in RUNNING");
		_exit(0);
	}
	must(waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, rmdir(CGROUP));
}

/* A process over its limit gets an error, or the kernel kills the process. */
TEST_F(memory, limited)
{
	struct vf *vf = &self->vf[1];
	int kill_it, status, ret, fd;
	pid_t pid;
	bool good;

	ASSERT_TRUE(fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE, LARGE));
	for (kill_it = 0; kill_it < 2; kill_it++) {
		if (!cgroup_make("96K") || charged() < 0)
			SKIP(return, "no memory cgroup");
		pid = must(fork());
		if (!pid) {
			if (sysfs_write("/proc/self/oom_score_adj",
					kill_it ? "1000" : "-1000") ||
			    sysfs_write(CGROUP "/cgroup.procs", "0"))
				die("cannot enter the cgroup");
			ret = vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fd);
			_exit(-ret);
		}
		must(waitpid(pid, &status, 0));
		if (kill_it)
			good = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		else
			good = WIFEXITED(status) && WEXITSTATUS(status) == ENOMEM;
		EXPECT_TRUE(good)
			TH_LOG("status %#x", status);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		EXPECT_EQ(0, vf_images());
		EXPECT_EQ(0, rmdir(CGROUP));
	}
	fault_clear_all(vf->bdf);
	guest_migrate(&self->n, vf);
	io_check(&self->n);
}

TEST_HARNESS_MAIN
