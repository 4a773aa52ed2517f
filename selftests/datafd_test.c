// SPDX-License-Identifier: GPL-2.0-only
/* data_fd as a file: what each call on it does, in each state, from all sides. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#ifndef fallthrough
#define fallthrough	__attribute__((__fallthrough__))
#endif

#define INITIAL	STATE_AT

FIXTURE(datafd)
{
	struct nvme n;
	struct vf src, dst;	/* the guest runs on src */
};

FIXTURE_VARIANT(datafd)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(datafd, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(datafd, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(datafd)
{
	const char *why = vf_skip_reason(2, variant->api, false);

	if (why)
		SKIP(return, "%s", why);
	guest_init(&self->n);
	vf_open(&self->src, vf_bdf(0), variant->api, self->n.mem, GUEST_MEM);
	vf_open(&self->dst, vf_bdf(1), variant->api, self->n.mem, GUEST_MEM);
	self->n.vf = &self->src;
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
}

FIXTURE_TEARDOWN(datafd)
{
	vf_close(&self->src);
	vf_close(&self->dst);
	trace_close();
}

/* -errno, as a call that failed left it */
#define result(call) ({ long __r = (call); __r < 0 ? -errno : __r; })

static int revents(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };

	must(poll(&pfd, 1, timeout_ms));
	return pfd.revents;
}

/* How a good stream is known to have been loaded. */
static bool is_loaded(struct vf *vf)
{
	struct nvme n = { .vf = vf };

	return nvme_read32(&n, NVME_CC) == NVME_CC_ON;
}

static void go_on(struct nvme *n, struct vf *vf)
{
	n->vf = vf;
	if (vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL))
		die("%s does not run", vf->bdf);
	io_wait(n);
	io_check(n);
}

/* The same stream in pieces of all sizes. Its end remains its end. */
TEST_F(datafd, read_sizes)
{
	static const size_t large[] = { 100, 1000, 4095, 4096, 4097, 1 << 20 };
	struct vf *vf = &self->src;
	struct stream s, first;
	size_t size, i;
	char byte;
	int fd;

	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	EXPECT_EQ(0, read(fd, &byte, 0));
	ASSERT_EQ(0, stream_read(&first, fd, 65536));
	for (i = 1; i <= 64 + ARRAY_SIZE(large); i++) {
		size = i <= 64 ? i : large[i - 65];
		close(fd);
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
		ASSERT_EQ(0, stream_read(&s, fd, size));
		ASSERT_EQ(first.len, s.len);
		ASSERT_EQ(0, memcmp(first.data, s.data, s.len))
			TH_LOG("pieces of %zu", size);
		ASSERT_EQ(0, read(fd, &byte, 1));
		ASSERT_EQ(0, read(fd, &byte, 0));
		ASSERT_EQ(POLLIN, revents(fd, 0));
		free(s.data);
	}
	close(fd);
	go_on(&self->n, vf);
}

TEST_F(datafd, write_sizes)
{
	static const size_t sizes[] = {
		1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 71, 72, 73, 87, 88, 89, 103,
		104, 105, 1000, 4096, 1 << 20,
	};
	struct stream s;
	unsigned int i;
	int fd;

	guest_suspend(&self->n);
	guest_save(&self->n, &s);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		vf_reset(&self->dst);
		ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING,
					  &fd));
		EXPECT_EQ(0, write(fd, &s, 0));
		EXPECT_EQ(0, stream_write(&s, fd, sizes[i]))
			TH_LOG("pieces of %zu", sizes[i]);
		EXPECT_EQ(0, write(fd, &s, 0));
		EXPECT_TRUE(is_loaded(&self->dst));
		EXPECT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_STOP,
					  NULL));
		close(fd);
	}
	go_on(&self->n, &self->dst);
}

/* Whether a stream is there to be read from or to be written to. */
TEST_F(datafd, wrong_calls)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	char byte = 0;
	int fd[2], i;

	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY, &fd[0]));
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING, &fd[1]));
	EXPECT_EQ(-EBADF, result(write(fd[0], &byte, 1)));
	EXPECT_EQ(-EBADF, result(read(fd[1], &byte, 1)));
	EXPECT_EQ(O_RDONLY, fcntl(fd[0], F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_WRONLY, fcntl(fd[1], F_GETFL) & O_ACCMODE);
	EXPECT_EQ(-EINVAL, result(ioctl(fd[0], VFIO_MIG_GET_PRECOPY_INFO, &info)));
	EXPECT_EQ(-ENOTTY, result(ioctl(fd[1], VFIO_MIG_GET_PRECOPY_INFO, &info)));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ESPIPE, result(lseek(fd[i], 0, SEEK_SET)));
		EXPECT_EQ(-ESPIPE, result(lseek(fd[i], 0, SEEK_CUR)));
		EXPECT_EQ(-ESPIPE, result(lseek(fd[i], 0, SEEK_END)));
		EXPECT_EQ(-ESPIPE, result(pread(fd[i], &byte, 1, 0)));
		EXPECT_EQ(-ESPIPE, result(pwrite(fd[i], &byte, 1, 0)));
		EXPECT_EQ(-ENOTTY, result(ioctl(fd[i], VFIO_DEVICE_RESET)));
		EXPECT_EQ(-EINVAL, result(ftruncate(fd[i], 0)));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, i ? PROT_WRITE : PROT_READ,
					   MAP_SHARED, fd[i], 0));
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd[i], F_GETFD));
		close(fd[i]);
	}
	go_on(&self->n, &self->src);
}

static int precopy_info(int fd, struct vfio_precopy_info *info)
{
	*info = (struct vfio_precopy_info){ .argsz = sizeof(*info) };
	return result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, info));
}

/* What there is to read while the guest runs comes to an end that is not the last. */
TEST_F(datafd, precopy)
{
	struct vfio_precopy_info info, *nowhere;
	struct epoll_event event = { .events = EPOLLIN };
	struct vf *vf = &self->src;
	struct stream rest;
	char buf[INITIAL];
	size_t left = INITIAL;
	int fd, epoll, i;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "no pre-copy");
	nowhere = must(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0));
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
	info = (struct vfio_precopy_info){ .argsz = sizeof(info) - 1 };
	EXPECT_EQ(-EINVAL, result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info)));
	EXPECT_EQ(-EFAULT, result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, nowhere)));
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));

	for (i = 1; left; i++) {
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(0, precopy_info(fd, &info));
		EXPECT_EQ(left, info.initial_bytes);
		EXPECT_EQ(0, info.dirty_bytes);
		EXPECT_EQ(0, info.flags);
		ASSERT_LT(0, result(read(fd, buf, i)));
		left -= left < (size_t)i ? left : (size_t)i;
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-ENOMSG, result(read(fd, buf, 1)));
		must(fcntl(fd, F_SETFL, i % 2 ? 0 : O_NONBLOCK));
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(0, precopy_info(fd, &info));
		EXPECT_EQ(0, info.initial_bytes);
		/* The same when the guest was stopped, and when it was not. */
		ASSERT_EQ(0, vf_set_state(vf, i % 2 ? VFIO_DEVICE_STATE_PRE_COPY :
					  VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL));
	}
	io_check(&self->n);

	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
	EXPECT_EQ(-EINVAL, precopy_info(fd, &info));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000 * PATIENCE));
	EXPECT_EQ(EPOLLIN, event.events);
	ASSERT_EQ(0, stream_read(&rest, fd, 19));
	EXPECT_LT(INITIAL, rest.len);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, read(fd, buf, 1));
	close(epoll);
	close(fd);
	go_on(&self->n, vf);
}

/* Who waits for more than PRE_COPY has is told when there is, saved anew or not. */
TEST_F(datafd, precopy_woken)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct vf *vf = &self->src;
	char buf[INITIAL];
	int fd, epoll, i;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "no pre-copy");
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY_P2P, &fd));
		epoll = must(epoll_create1(0));
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(INITIAL, read(fd, buf, INITIAL));
		EXPECT_EQ(-ENOMSG, result(read(fd, buf, 1)));
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));

		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000 * PATIENCE));
		/* It keeps what it saved for the second time. */
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		close(epoll);
		close(fd);
	}
	go_on(&self->n, vf);
}

/* What was not read in PRE_COPY is read in STOP_COPY. */
TEST_F(datafd, precopy_unread)
{
	const size_t parts[] = { 0, 1, INITIAL - 1 };
	struct vf *vf = &self->src;
	char buf[INITIAL];
	struct stream s;
	unsigned int i;
	int fd;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "no pre-copy");
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
		EXPECT_EQ(parts[i], read(fd, buf, parts[i]));
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
		ASSERT_EQ(0, stream_read(&s, fd, 65536));
		close(fd);
		s.data = realloc(s.data, s.len + parts[i]);
		memmove(s.data + parts[i], s.data, s.len);
		memcpy(s.data, buf, parts[i]);
		s.len += parts[i];

		ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING,
					  &fd));
		EXPECT_EQ(0, stream_write(&s, fd, 65536));
		ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_STOP,
					  NULL));
		close(fd);
		free(s.data);
		go_on(&self->n, vf);
	}
}

enum death { STATE_MOVED_ON, DEVICE_RESET, DEVICE_CLOSED, DEATHS };

struct killer {
	struct vf	*vf;
	enum death	death;
};

/* The one way that leads out of RESUMING without a stream is a reset. */
static void *kill_stream(void *arg)
{
	struct killer *k = arg;

	switch (k->death) {
	case STATE_MOVED_ON:
		if (!vf_set_state(k->vf, VFIO_DEVICE_STATE_RUNNING, NULL))
			break;
		fallthrough;
	case DEVICE_RESET:
		vf_reset(k->vf);
		break;
	default:
		vf_close(k->vf);
	}
	return NULL;
}

static const unsigned int stream_states[] = {
	VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P,
	VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_RESUMING,
};

/* A stream outlives what it belongs to, and is good for nothing then. */
TEST_F(datafd, dead)
{
	struct vf *vf = &self->src;
	struct vfio_precopy_info info;
	unsigned int i;
	char byte = 0;

	for (i = 0; i < DEATHS * ARRAY_SIZE(stream_states); i++) {
		unsigned int state = stream_states[i / DEATHS];
		bool writing = state == VFIO_DEVICE_STATE_RESUMING;
		struct killer killer = { vf, i % DEATHS };
		struct epoll_event event = { .events = EPOLLET };
		pthread_t thread;
		int fd, epoll;

		ASSERT_EQ(0, vf_set_state(vf, state, &fd));
		/* One waits for nothing but the end. */
		epoll = must(epoll_create1(0));
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
		ASSERT_EQ(0, pthread_create(&thread, NULL, kill_stream, &killer));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000 * PATIENCE));
		EXPECT_EQ(EPOLLERR | EPOLLHUP, event.events);
		ASSERT_EQ(0, pthread_join(thread, NULL));

		if (writing) {
			EXPECT_EQ(-ENODEV, result(write(fd, &byte, 1)));
			EXPECT_EQ(-ENODEV, result(write(fd, &byte, 0)));
		} else {
			EXPECT_EQ(-ENODEV, result(read(fd, &byte, 1)));
			EXPECT_EQ(-ENODEV, precopy_info(fd, &info));
		}
		must(fcntl(fd, F_SETFL, O_NONBLOCK));
		EXPECT_EQ(-ENODEV, writing ? result(write(fd, &byte, 1)) :
			  result(read(fd, &byte, 1)));
		EXPECT_EQ(POLLERR | POLLHUP | (writing ? POLLOUT : POLLIN),
			  revents(fd, 0));
		close(epoll);
		close(fd);
		if (killer.death == DEVICE_CLOSED)
			vf_open(vf, vf_bdf(0), variant->api, self->n.mem,
				GUEST_MEM);
	}
	memset(self->n.seq, 0, sizeof(self->n.seq));
	nvme_start(&self->n, 1, 8, 8);
	io_check(&self->n);
}

TEST_F(datafd, nonblocking)
{
	unsigned int i, waits = 0;
	char buf[64];
	ssize_t len;
	int fd;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY,
					  &fd));
		must(fcntl(fd, F_SETFL, O_NONBLOCK));
		len = result(read(fd, buf, sizeof(buf)));
		if (len < 0) {
			ASSERT_EQ(-EAGAIN, len);
			waits++;
			EXPECT_EQ(POLLIN, revents(fd, 1000 * PATIENCE));
			len = result(read(fd, buf, sizeof(buf)));
		}
		EXPECT_EQ(sizeof(buf), len);
		close(fd);
		go_on(&self->n, &self->src);
	}
	TH_LOG("had to wait %u times", waits);
}

/* A buffer with a hole: what comes before it counts, and then it goes on. */
TEST_F(datafd, faults)
{
	unsigned char *room = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	const size_t holes[] = { 0, 1, 15, 16, 17, INITIAL, INITIAL + 16, 500 };
	struct stream s, rest, got = {};
	unsigned int i;
	ssize_t len;
	int fd;

	must(mprotect(room + PAGE, PAGE, PROT_NONE));
	guest_suspend(&self->n);
	guest_save(&self->n, &s);
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		size_t before = holes[i];

		memcpy(room + PAGE - before, s.data, before);
		vf_reset(&self->dst);
		ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING,
					  &fd));
		len = result(write(fd, room + PAGE - before, s.len));
		if (!before)
			EXPECT_EQ(-EFAULT, len);
		if (len == -EFAULT)
			len = 0;
		ASSERT_LE(0, len);
		ASSERT_GE(before, len);
		rest.data = s.data + len;
		rest.len = s.len - len;
		EXPECT_EQ(0, stream_write(&rest, fd, 4096))
			TH_LOG("hole after %zu", before);
		EXPECT_TRUE(is_loaded(&self->dst));
		close(fd);
	}

	/* Nothing is lost for a reader whose buffer is too small, either. */
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP, NULL));
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		len = result(read(fd, room + PAGE - holes[i], holes[i] + 1));
		EXPECT_EQ(-EFAULT, len);
	}
	ASSERT_EQ(0, stream_read(&got, fd, 65536));
	ASSERT_EQ(s.len, got.len);
	EXPECT_EQ(0, memcmp(s.data, got.data, s.len));
	close(fd);
	go_on(&self->n, &self->src);
}

struct writer {
	const struct stream	*s;
	pthread_barrier_t	*start;
	size_t			chunk;
	int			fd;
	int			ret;
};

static void *write_stream(void *arg)
{
	struct writer *w = arg;

	pthread_barrier_wait(w->start);
	w->ret = stream_write(w->s, w->fd, w->chunk);
	return NULL;
}

static bool is_verdict(int ret)
{
	return !ret || ret == -EINVAL || ret == -EBADMSG || ret == -EFBIG;
}

/*
 * Two at once. In one piece each, the one is loaded and the other comes too
 * late; in small pieces they spoil each other's stream, mostly.
 */
TEST_F(datafd, two_writers)
{
	static const size_t chunks[] = { 1 << 20, 64, 8, 1 };
	struct vf *vf = &self->dst;
	pthread_barrier_t start;
	unsigned int round, loads = 0;
	struct stream s[2];
	__u32 aqa[2];
	char *events;
	int i, fd;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	for (i = 0; i < 2; i++) {
		vf_reset(&self->src);
		nvme_enable(&self->n, i ? 8 : 4, i ? 8 : 4);
		aqa[i] = nvme_read32(&self->n, NVME_AQA);
		guest_suspend(&self->n);
		guest_save(&self->n, &s[i]);
	}
	self->n.vf = vf;
	pthread_barrier_init(&start, NULL, 2);
	for (round = 0; round < 40; round++) {
		size_t chunk = chunks[round % ARRAY_SIZE(chunks)];
		struct writer w[2];
		pthread_t thread[2];
		bool loaded;

		vf_reset(vf);
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
		trace_clear();
		for (i = 0; i < 2; i++) {
			w[i] = (struct writer){ &s[i], &start, chunk, fd };
			ASSERT_EQ(0, pthread_create(&thread[i], NULL,
						    write_stream, &w[i]));
		}
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(thread[i], NULL));
		close(fd);

		loaded = is_loaded(vf);
		loads += loaded;
		if (chunk >= s[0].len)
			EXPECT_TRUE(loaded);
		EXPECT_TRUE(is_verdict(w[0].ret));
		EXPECT_TRUE(is_verdict(w[1].ret));
		/*
		 * What is left of the other stream is too much. Without a load,
		 * a piece that looks like an optional record may swallow it.
		 */
		if (loaded)
			EXPECT_TRUE(w[0].ret || w[1].ret);
		EXPECT_GT(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(vf));
		/* What is loaded is one of the two, whole. */
		if (loaded) {
			__u32 now = nvme_read32(&self->n, NVME_AQA);

			EXPECT_TRUE(now == aqa[0] || now == aqa[1]);
		}
		events = trace_steps(NULL);
		EXPECT_EQ(loaded, !!strstr(events, "load\n"));
		free(events);
	}
	TH_LOG("one of the two was loaded in %u of %u rounds", loads, round);
	vf_reset(vf);
	nvme_start(&self->n, 1, 8, 8);
	io_check(&self->n);
}

static void save_forever(struct vf *vf, const struct stream *s)
{
	struct stream copy;
	int fd;

	for (;;) {
		if (vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd))
			die("no STOP_COPY");
		if (!stream_read(&copy, fd, 1 + random() % 100))
			free(copy.data);
		close(fd);
		if (vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL))
			die("no RUNNING");
	}
}

static void load_forever(struct vf *vf, const struct stream *s)
{
	int fd;

	for (;;) {
		vf_reset(vf);
		if (vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd))
			die("no RESUMING");
		stream_write(s, fd, 1 + random() % 100);
		close(fd);
		vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	}
}

/* A process that is killed in the middle of it leaves nothing locked. */
TEST_F(datafd, killed)
{
	static void (*const jobs[])(struct vf *vf, const struct stream *s) = {
		save_forever, load_forever,
	};
	struct vf *vf = &self->dst;
	struct stream s;
	int i, status;
	pid_t pid;

	guest_suspend(&self->n);
	guest_save(&self->n, &s);
	for (i = 0; i < 40; i++) {
		srandom(i);
		pid = must(fork());
		if (!pid)
			jobs[i % 2](vf, &s);
		/* At any time is what this is about. */
		usleep(random() % 150000);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		vf_reset(vf);
		ASSERT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	}
	guest_load(&self->n, vf, &s);
	io_wait(&self->n);
	io_check(&self->n);
}

struct bar_user {
	struct vf	*vf;
	time_t		end;
	unsigned int	calls;
};

/*
 * The stream comes from and goes to the VF's own registers, whose pages a reset
 * takes away.
 */
static void *bar_is_buffer(void *arg)
{
	struct bar_user *u = arg;
	void *doorbells = u->vf->bar + 0x1000;
	int fd;

	for (; time(NULL) < u->end; u->calls++) {
		if (!vf_set_state(u->vf, u->calls % 2 ? VFIO_DEVICE_STATE_STOP_COPY :
				  VFIO_DEVICE_STATE_RESUMING, &fd) && fd >= 0) {
			if (u->calls % 2)
				while (read(fd, doorbells, 64) > 0)
					;
			else
				while (write(fd, doorbells, 64) > 0)
					;
			close(fd);
		}
		vf_set_state(u->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	}
	return NULL;
}

static void *reset_all_the_time(void *arg)
{
	struct bar_user *u = arg;

	for (; time(NULL) < u->end; u->calls++)
		vf_reset(u->vf);
	return NULL;
}

TEST_F(datafd, bar_is_buffer)
{
	static void *(*const jobs[])(void *arg) = {
		bar_is_buffer, bar_is_buffer, reset_all_the_time,
	};
	struct bar_user user[ARRAY_SIZE(jobs)];
	pthread_t thread[ARRAY_SIZE(jobs)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		user[i] = (struct bar_user){ &self->src, time(NULL) + 5 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, jobs[i], &user[i]));
	}
	for (i = 0; i < ARRAY_SIZE(jobs); i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_LT(5, user[i].calls);
	}
	vf_reset(&self->src);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->src));
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
}

TEST_HARNESS_MAIN
