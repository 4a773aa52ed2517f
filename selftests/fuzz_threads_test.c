// SPDX-License-Identifier: GPL-2.0-only
/*
 * Let threads use two VFs, their data_fds and their PF concurrently and at random. Each
 * call must return in time, with a documented error if any. After each round a reset must
 * lead to RUNNING, and a guest must be able to migrate.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/fuzz.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/util.h"
#include "lib/vf.h"

#define NORMAL_STEPS	3000
/* Steps. Few, because a later step may hide an error. */
#define ROUND		100

#define VFS		2
#define WORKERS		6
#define STREAM_MAX	(1U << 20)
#define STEPS		16		/* at most, with the end of the table */

/* Many times the duration of a call that waits for all others. */
#define HANG_US		60000000LL

struct shared {
	struct vf	vf;
	/*
	 * Locked for writing to close and open the VF. Calls on a data_fd do not need the
	 * VF.
	 */
	pthread_rwlock_t open;
	pthread_mutex_t	lock;		/* of the data_fds */
	int		fds[4];
};

struct worker;

/* Take a step; return 0 or -errno. */
struct step {
	const char	*name;
	unsigned int	weight;
	int		(*fn)(struct worker *w, struct shared *s);
	bool		needs_vf;	/* open */
	const int	*errors;	/* allowed, ends with 0 */
};

struct worker {
	pthread_t	thread;
	pid_t		tid;
	struct fuzz_random random;
	const struct step *steps;
	struct fuzz_kind kinds[STEPS];
	long long	since;		/* when the step began, 0: no step */
	const char	*doing;
	unsigned char	*buf;		/* STREAM_MAX */
	unsigned char	*stream;	/* a valid stream */
	size_t		len;
};

static struct {
	unsigned long	seed, round, steps;
	long		left;		/* steps of the round */
	struct nvme	n;
	struct pf	pf;
	/* While the PF is reset, a VF cannot be opened: it has no interrupts. */
	pthread_mutex_t	pf_lock;
	struct shared	vf[VFS];
	struct worker	worker[WORKERS + 1];	/* and one for the PF */
	pthread_barrier_t barrier;
	bool		over;
} fuzz;

static unsigned int below(struct worker *w, unsigned int bound)
{
	return fuzz_below(&w->random, bound);
}

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

/* Duplicate a data_fd, so that another thread can close the original. */
static int take_fd(struct worker *w, struct shared *s)
{
	int fd;

	pthread_mutex_lock(&s->lock);
	fd = s->fds[below(w, ARRAY_SIZE(s->fds))];
	if (fd >= 0)
		fd = must(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static void put_fd(struct worker *w, struct shared *s, int fd)
{
	int *slot = &s->fds[below(w, ARRAY_SIZE(s->fds))];

	pthread_mutex_lock(&s->lock);
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
	pthread_mutex_unlock(&s->lock);
}

/* Steps of a user of the VFs */

static int step_state(struct worker *w, struct shared *s)
{
	static const unsigned int often[] = {
		VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_PRE_COPY,
		VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_RESUMING,
	};
	unsigned int target = below(w, 2) ? often[below(w, ARRAY_SIZE(often))] :
		below(w, VFIO_DEVICE_STATE_PRE_COPY_P2P + 2);
	int fd, ret;

	ret = vf_set_state(&s->vf, target, &fd);
	if (fd >= 0)
		put_fd(w, s, fd);
	return ret;
}

static int step_get_state(struct worker *w, struct shared *s)
{
	int state = vf_get_state(&s->vf);

	if (state < VFIO_DEVICE_STATE_ERROR ||
	    state > VFIO_DEVICE_STATE_PRE_COPY_P2P)
		die("%s is in state %d, expected %d to %d", s->vf.bdf, state,
		    VFIO_DEVICE_STATE_ERROR, VFIO_DEVICE_STATE_PRE_COPY_P2P);
	return 0;
}

static int step_size(struct worker *w, struct shared *s)
{
	long long size = vf_mig_data_size(&s->vf);

	return size < 0 ? size : 0;
}

static int step_reset(struct worker *w, struct shared *s)
{
	int ret = result(ioctl(s->vf.fd, VFIO_DEVICE_RESET));

	vf_reset_done(&s->vf);
	return ret;
}

static int step_flr(struct worker *w, struct shared *s)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset",
		 s->vf.bdf);
	return sysfs_write(path, "1");
}

/* Use pwrite(): access to a mapped BAR that is disabled raises SIGBUS. */
static int step_poke(struct worker *w, struct shared *s)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	__u32 queue = VF_IOVA + GUEST_MEM / 2;
	__u32 writes[][2] = {
		{ NVME_CC, 0 },
		{ NVME_AQA, 7 << 16 | 7 },
		{ NVME_ASQ, queue }, { NVME_ASQ + 4, 0 },
		{ NVME_ACQ, queue + PAGE }, { NVME_ACQ + 4, 0 },
		{ NVME_CC, NVME_CC_ON },
		{ 0x1000 + 4 * below(w, 6), below(w, 10) },
	};
	unsigned int first = below(w, ARRAY_SIZE(writes));
	unsigned int i;

	must(ioctl(s->vf.fd, VFIO_DEVICE_GET_REGION_INFO, &bar));
	for (i = first; i < ARRAY_SIZE(writes); i++)
		if (pwrite(s->vf.fd, &writes[i][1], 4, bar.offset + writes[i][0]) < 0)
			return -errno;
	return 0;
}

static int step_reopen(struct worker *w, struct shared *s)
{
	vf_close(&s->vf);
	pthread_mutex_lock(&fuzz.pf_lock);
	vf_open(&s->vf, s->vf.bdf, below(w, 2) && vf_api_present(VF_CDEV) ?
		VF_CDEV : VF_ANY, fuzz.n.mem, GUEST_MEM);
	pthread_mutex_unlock(&fuzz.pf_lock);
	return 0;
}

static bool is_good(const unsigned char *data, size_t len)
{
	const struct nvmevf_end *end = (void *)data + len - sizeof(*end);

	return len > END_SIZE && end->crc32c == crc32c(data, len - END_SIZE);
}

static int step_read(struct worker *w, struct shared *s)
{
	size_t chunk = 1 + below(w, below(w, 4) ? STREAM_MAX : 100);
	size_t len = 0;
	int ret, fd = take_fd(w, s);

	if (fd < 0)
		return 0;
	must(fcntl(fd, F_SETFL, below(w, 4) ? 0 : O_NONBLOCK));
	do {
		if (chunk > STREAM_MAX - len)
			chunk = STREAM_MAX - len;
		ret = result(read(fd, w->buf + len, chunk));
		if (ret > 0)
			len += ret;
	} while (ret > 0 && below(w, 8));
	close(fd);
	if (!ret && is_good(w->buf, len)) {
		memcpy(w->stream, w->buf, len);
		w->len = len;
	}
	return ret < 0 ? ret : 0;
}

static int step_write(struct worker *w, struct shared *s)
{
	size_t chunk = 1 + below(w, below(w, 4) ? STREAM_MAX : 100);
	size_t n, at = 0, bit = below(w, w->len * 8 + 1);
	bool damaged = w->len && !below(w, 8);
	int ret, fd = take_fd(w, s);

	if (fd < 0)
		return 0;
	memcpy(w->buf, w->stream, w->len);
	if (damaged)
		w->buf[bit / 8] ^= 1 << bit % 8;
	do {
		n = chunk < w->len - at ? chunk : w->len - at;
		ret = result(write(fd, w->buf + at, n));
		if (ret > 0)
			at += ret;
	} while (ret > 0 && below(w, 8));
	close(fd);
	return ret < 0 ? ret : 0;
}

/* Transfer between data_fd and a mapped BAR, which a reset may disable meanwhile. */
static int step_bar(struct worker *w, struct shared *s)
{
	int ret, fd = take_fd(w, s);

	if (fd < 0)
		return 0;
	ret = result(below(w, 2) ? read(fd, s->vf.bar + 0x1000, 64) :
				   write(fd, s->vf.bar, 64));
	close(fd);
	return ret < 0 ? ret : 0;
}

static int step_poll(struct worker *w, struct shared *s)
{
	struct pollfd pfd = { .fd = take_fd(w, s), .events = POLLIN | POLLOUT };
	int ret;

	if (pfd.fd < 0)
		return 0;
	ret = result(poll(&pfd, 1, below(w, 20)));
	close(pfd.fd);
	return ret < 0 ? ret : 0;
}

static int step_info(struct worker *w, struct shared *s)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	int ret, fd = take_fd(w, s);

	if (fd < 0)
		return 0;
	ret = result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	close(fd);
	return ret;
}

static int step_close(struct worker *w, struct shared *s)
{
	put_fd(w, s, -1);
	return 0;
}

/* Steps of the administrator of the PF */

static int step_fault(struct worker *w, struct shared *s)
{
	static const enum fault_command commands[] = {
		COMMAND_QUERY, COMMAND_SUSPEND, COMMAND_RESUME, COMMAND_SAVE, COMMAND_LOAD,
	};
	static const __u32 statuses[] = { 0x001, 0x002, 0x006, 0x7c0 };
	enum fault_command c = commands[below(w, ARRAY_SIZE(commands))];
	const char *bdf = s->vf.bdf;

	switch (below(w, 8)) {
	case 0:
		fault_set(bdf, c, FAULT_STATUS,
			  statuses[below(w, ARRAY_SIZE(statuses))]);
		break;
	case 1:
		/* With the standard's set, some of these states need several commands. */
		fault_set(bdf, COMMAND_QUERY, below(w, 2) ? FAULT_SIZE : FAULT_SIZE_IDLE,
			  below(w, 2) ? 20U << 20 : below(w, 400000));
		break;
	case 2:
		fault_set(bdf, c, FAULT_DELAY, 1 + below(w, 20));
		break;
	case 3:
		fault_set(bdf, c, FAULT_NEVER, 0);
		usleep(below(w, 50000));
		fault_set(bdf, c, FAULT_NONE, 0);
		break;
	default:
		fault_clear_all(bdf);
	}
	return 0;
}

static int step_pf_reset(struct worker *w, struct shared *s)
{
	pthread_mutex_lock(&fuzz.pf_lock);
	pf_reset(&fuzz.pf);
	if (below(w, 2))
		usleep(below(w, 50000));
	pf_restore_vfs(&fuzz.pf);
	pthread_mutex_unlock(&fuzz.pf_lock);
	return 0;
}

static int step_pf_rebind(struct worker *w, struct shared *s)
{
	pthread_mutex_lock(&fuzz.pf_lock);
	pf_unbind(&fuzz.pf);
	usleep(below(w, 50000));
	pf_bind(&fuzz.pf);
	pf_restore_vfs(&fuzz.pf);
	pthread_mutex_unlock(&fuzz.pf_lock);
	return 0;
}

static int step_signal(struct worker *w, struct shared *s)
{
	pthread_kill(fuzz.worker[below(w, WORKERS)].thread, SIGUSR1);
	return 0;
}

static const int state_errors[] = {
	-EINVAL, -EIO, -EOPNOTSUPP, -EAGAIN, -ECANCELED, -ENODEV, -E2BIG,
	-EFBIG, -EBADMSG, -EPROTO, 0
};

static const int size_errors[] = {
	-EINVAL, -EIO, -EOPNOTSUPP, -EAGAIN, -ECANCELED, -ENODEV, -E2BIG, 0
};

static const int read_errors[] = {
	-EINVAL, -EIO, -EOPNOTSUPP, -EAGAIN, -ECANCELED, -ENODEV, -EBADF,
	-ENOMSG, -EPROTO, 0
};

/* -EAGAIN: a "read" has set O_NONBLOCK, and another "write" waits for the PF. */
static const int write_errors[] = {
	-EINVAL, -EIO, -EOPNOTSUPP, -EAGAIN, -ECANCELED, -ENODEV, -EBADF, -EFBIG,
	-EBADMSG, -EPROTO, 0
};

static const int bar_errors[] = {
	-EINVAL, -EIO, -EOPNOTSUPP, -EAGAIN, -ECANCELED, -ENODEV, -EBADF,
	-ENOMSG, -EFBIG, -EBADMSG, -EFAULT, -EPROTO, 0
};

static const int poll_errors[] = { -EINTR, 0 };
static const int info_errors[] = { -EINVAL, -ENODEV, -ENOTTY, 0 };
static const int poke_errors[] = { -EIO, 0 };
static const int reset_errors[] = { -EAGAIN, 0 };

static const struct step steps[] = {
	{ "state", 300, step_state, true, state_errors },
	{ "get state", 50, step_get_state, true },
	{ "size", 30, step_size, true, size_errors },
	{ "read", 300, step_read, false, read_errors },
	{ "write", 200, step_write, false, write_errors },
	{ "BAR", 20, step_bar, true, bar_errors },
	{ "poll", 50, step_poll, false, poll_errors },
	{ "info", 50, step_info, false, info_errors },
	{ "close", 50, step_close },
	{ "poke", 50, step_poke, true, poke_errors },
	{ "reset", 20, step_reset, true, reset_errors },
	{ "FLR", 4, step_flr, true },
	{ "reopen", 2, step_reopen },
	{}
};

static const struct step pf_steps[] = {
	{ "fault", 100, step_fault },
	{ "PF reset", 3, step_pf_reset },
	{ "PF rebind", 1, step_pf_rebind },
	{ "signal", 100, step_signal },
	{}
};

static bool is_expected(const struct step *step, int ret)
{
	const int *error;

	for (error = step->errors; error && *error; error++)
		if (*error == ret)
			return true;
	return false;
}

static void one_step(struct worker *w)
{
	struct shared *s = &fuzz.vf[below(w, VFS)];
	unsigned int i = fuzz_choose(&w->random, w->kinds);
	const struct step *step = &w->steps[i];
	long long began = fuzz_now_us();
	int ret;

	w->doing = step->name;
	__atomic_store_n(&w->since, began, __ATOMIC_RELEASE);
	if (step->fn == step_reopen)
		pthread_rwlock_wrlock(&s->open);
	else if (step->needs_vf)
		pthread_rwlock_rdlock(&s->open);
	ret = step->fn(w, s);
	if (step->fn == step_reopen || step->needs_vf)
		pthread_rwlock_unlock(&s->open);
	__atomic_store_n(&w->since, 0, __ATOMIC_RELEASE);

	if (ret && !is_expected(step, ret))
		die("%s of %s: %s", step->name, s->vf.bdf, strerror(-ret));
	fuzz_count(&w->kinds[i], began, ret);
}

static void *work(void *data)
{
	struct worker *w = data;

	w->tid = gettid();
	while (pthread_barrier_wait(&fuzz.barrier), !fuzz.over) {
		w->random.state = (fuzz.seed << 24) + (fuzz.round << 8) +
				  (w - fuzz.worker);
		while (__atomic_sub_fetch(&fuzz.left, 1, __ATOMIC_RELAXED) >= 0)
			one_step(w);
		pthread_barrier_wait(&fuzz.barrier);
	}
	return NULL;
}

/* Show the number and the arguments of the system call in which a thread sleeps. */
static void show_system_call(const struct worker *w)
{
	char path[64], line[200];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", w->tid);
	f = fopen(path, "r");
	if (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "#   %s", line);
	if (f)
		fclose(f);
}

static void *watch(void *unused)
{
	struct worker *w;
	long long since;

	for (;;) {
		sleep(1);
		for (w = fuzz.worker; w <= fuzz.worker + WORKERS; w++) {
			since = __atomic_load_n(&w->since, __ATOMIC_ACQUIRE);
			if (!since || fuzz_now_us() - since < HANG_US)
				continue;
			for (w = fuzz.worker; w <= fuzz.worker + WORKERS; w++) {
				fprintf(stderr, "# thread %td: %s\n",
					w - fuzz.worker, w->doing);
				show_system_call(w);
			}
			die("a call hangs; NVMEVF_SEED=%lu, round %lu", fuzz.seed,
			    fuzz.round);
		}
	}
}

/* Check that the state does not change without a step. Return whether the VF runs. */
static bool check_rest(struct shared *s)
{
	int state;

	fault_clear_all(s->vf.bdf);
	state = vf_get_state(&s->vf);
	if (vf_set_state(&s->vf, state, NULL) || vf_get_state(&s->vf) != state)
		die("%s did not stay in state %d", s->vf.bdf, state);
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/* A VF that runs must not be suspended: a new guest can use the VF without a reset. */
static void check_running(struct shared *s)
{
	struct nvme *n = &fuzz.n;

	n->vf = &s->vf;
	nvme_start(n, 1, 8, 8);
	io_submit(n, n->queue->next, 1);
	nvme_ring(n, n->queue->next);
	io_wait(n);
}

/* A reset must leave nothing of the earlier state. */
static void check_reset(struct shared *s)
{
	struct pollfd pfd;
	unsigned int i;
	char byte;

	vf_reset(&s->vf);
	/* data_fd must fail before a call asks for the state, which completes the reset. */
	for (i = 0; i < ARRAY_SIZE(s->fds); i++) {
		pfd = (struct pollfd){ .fd = s->fds[i] };
		if (pfd.fd < 0)
			continue;
		if (must(poll(&pfd, 1, 0)) != 1 ||
		    pfd.revents != (POLLERR | POLLHUP) ||
		    read(pfd.fd, &byte, 1) >= 0 ||
		    (errno != ENODEV && errno != EBADF))
			die("data_fd %d did not fail after a reset", pfd.fd);
	}
	if (vf_get_state(&s->vf) != VFIO_DEVICE_STATE_RUNNING)
		die("%s is not in RUNNING after a reset", s->vf.bdf);
}

static void check_migration(void)
{
	struct nvme *n = &fuzz.n;
	int i;

	n->vf = &fuzz.vf[fuzz.round % VFS].vf;
	nvme_start(n, NVME_QUEUES, 8, 8);
	for (i = 0; i < 2; i++) {
		io_submit(n, n->queue->next, 5);
		nvme_ring(n, n->queue->next);
		guest_migrate(n, &fuzz.vf[n->vf == &fuzz.vf[0].vf].vf);
		io_wait(n);
	}
	io_check(n);
	vf_reset(n->vf);
	/* Asking for the state completes the reset. */
	for (i = 0; i < VFS; i++)
		vf_get_state(&fuzz.vf[i].vf);
}

static void one_round(unsigned long steps)
{
	struct nvme *n = &fuzz.n;
	bool runs[VFS];
	int i;

	fuzz.left = steps;
	pthread_barrier_wait(&fuzz.barrier);
	pthread_barrier_wait(&fuzz.barrier);

	pf_restore_vfs(&fuzz.pf);
	for (i = 0; i < VFS; i++) {
		runs[i] = check_rest(&fuzz.vf[i]);
		n->vf = &fuzz.vf[i].vf;
		/* The VFs share the memory: end the commands of both first. */
		if (runs[i])
			nvme_enable(n, 8, 8);
	}
	for (i = 0; i < VFS; i++)
		if (runs[i])
			check_running(&fuzz.vf[i]);
	for (i = 0; i < VFS; i++)
		check_reset(&fuzz.vf[i]);
	check_migration();
	/* A VF into which an old state is loaded must not find old commands. */
	memset(n->mem, 0, n->used);
}

static void nothing(int signal)
{
}

FIXTURE(fuzz_threads)
{
	int unused;
};

FIXTURE_SETUP(fuzz_threads)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);
	struct sigaction action = {
		.sa_handler = nothing,
		.sa_flags = SA_RESTART,
	};
	const int preference = PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
	pthread_rwlockattr_t attr;
	struct shared *s;
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);

	must(sigaction(SIGUSR1, &action, NULL));
	guest_init(&fuzz.n);
	pf_open(&fuzz.pf, vf_bdf(0));
	for (s = fuzz.vf; s < fuzz.vf + VFS; s++) {
		vf_open(&s->vf, vf_bdf(s - fuzz.vf), vf_api_present(VF_GROUP) ?
			VF_GROUP : VF_CDEV, fuzz.n.mem, GUEST_MEM);
		fault_clear_all(s->vf.bdf);
		pthread_mutex_init(&s->lock, NULL);
		/* Prefer the writer, or it would wait for ever. */
		pthread_rwlockattr_init(&attr);
		pthread_rwlockattr_setkind_np(&attr, preference);
		pthread_rwlock_init(&s->open, &attr);
		for (i = 0; i < ARRAY_SIZE(s->fds); i++)
			s->fds[i] = -1;
	}
}

FIXTURE_TEARDOWN(fuzz_threads)
{
	struct shared *s;

	for (s = fuzz.vf; s < fuzz.vf + VFS; s++)
		fault_no_jitter(s->vf.bdf);
}

/* Save a valid stream first, so that there is one to load. */
static void first_stream(struct stream *s)
{
	struct nvme *n = &fuzz.n;

	n->vf = &fuzz.vf[0].vf;
	nvme_enable(n, 8, 8);
	guest_suspend(n);
	guest_save(n, s);
	vf_reset(n->vf);
}

static void start(struct worker *w, const struct step *table,
		  const struct stream *s)
{
	unsigned int i;

	w->steps = table;
	for (i = 0; table[i].name; i++) {
		w->kinds[i].name = table[i].name;
		w->kinds[i].weight = table[i].weight;
	}
	w->buf = malloc(STREAM_MAX);
	w->stream = malloc(STREAM_MAX);
	w->len = s->len;
	memcpy(w->stream, s->data, s->len);
	if (pthread_create(&w->thread, NULL, work, w))
		die("pthread_create() failed");
}

static void report(void)
{
	struct worker *w;

	for (w = fuzz.worker + 1; w < fuzz.worker + WORKERS; w++)
		fuzz_add(fuzz.worker[0].kinds, w->kinds);
	fuzz_report(fuzz.worker[0].kinds);
	fuzz_report(fuzz.worker[WORKERS].kinds);
}

TEST_F_TIMEOUT(fuzz_threads, concurrent_steps, 1000000)
{
	long long began = fuzz_now_us();
	unsigned long left;
	struct stream s;
	pthread_t watchdog;
	unsigned int i, k;

	fuzz.seed = fuzz_setting("NVMEVF_SEED", time(NULL));
	fuzz.steps = fuzz_setting("NVMEVF_STEPS", NORMAL_STEPS);
	printf("# NVMEVF_SEED=%lu NVMEVF_STEPS=%lu\n", fuzz.seed, fuzz.steps);
	fflush(stdout);
	srandom(fuzz.seed);

	first_stream(&s);
	for (i = 0; i < VFS; i++)
		fault_jitter(fuzz.vf[i].vf.bdf, fuzz.seed);
	pthread_barrier_init(&fuzz.barrier, NULL, WORKERS + 2);
	for (i = 0; i < WORKERS; i++)
		start(&fuzz.worker[i], steps, &s);
	start(&fuzz.worker[WORKERS], pf_steps, &s);
	must(pthread_create(&watchdog, NULL, watch, NULL) ? -1 : 0);

	for (left = fuzz.steps; left; fuzz.round++) {
		one_round(left < ROUND ? left : ROUND);
		left -= left < ROUND ? left : ROUND;
	}
	fuzz.over = true;
	pthread_barrier_wait(&fuzz.barrier);
	for (i = 0; i <= WORKERS; i++)
		pthread_join(fuzz.worker[i].thread, NULL);

	/* A data_fd that is still open must not hold memory. */
	EXPECT_EQ(0, vf_images());
	for (i = 0; i < VFS; i++) {
		vf_close(&fuzz.vf[i].vf);
		for (k = 0; k < ARRAY_SIZE(fuzz.vf[i].fds); k++)
			close(fuzz.vf[i].fds[k]);
	}

	report();
	printf("# %lu steps of %u threads in %lld s, %lu rounds\n", fuzz.steps,
	       WORKERS + 1, (fuzz_now_us() - began) / 1000000, fuzz.round);
	printf("# soak: steps=%lu migrations=%lu longest_step_ms=%lld\n",
	       fuzz.steps, 2 * fuzz.round,
	       fuzz_longest_us(fuzz.worker[0].kinds) / 1000);
}

TEST_HARNESS_MAIN
