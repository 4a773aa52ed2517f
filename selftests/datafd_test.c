// SPDX-License-Identifier: GPL-2.0-only
/* Test system calls on data_fd in each migration state, also concurrently. */
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

/* Room for the initial bytes with many namespaces */
#define ROOM		4096

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
	guest_open_pair(&self->n, &self->src, &self->dst, variant->api);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
}

FIXTURE_TEARDOWN(datafd)
{
	vf_close(&self->src);
	vf_close(&self->dst);
	trace_close();
}

/* The result of a system call, or -errno. */
#define result(call) ({ long __r = (call); __r < 0 ? -errno : __r; })

static int revents(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };

	must(poll(&pfd, 1, timeout_ms));
	return pfd.revents;
}

/* Is the VF's controller enabled, as in the stream that the tests load? */
static bool is_loaded(struct vf *vf)
{
	struct nvme n = { .vf = vf };

	return nvme_read32(&n, NVME_CC) == NVME_CC_ON;
}

static void run_and_check_io(struct nvme *n, struct vf *vf)
{
	n->vf = vf;
	if (vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL))
		die("%s: transition to RUNNING failed", vf->bdf);
	io_wait(n);
	io_check(n);
}

/*
 * Does @s have the state of the VF that was in @first, and no byte lost or repeated? The
 * vendor's set keeps that state. With the standard's, the controller tells it anew, and its
 * clocks have gone on.
 */
static bool is_saved_again(const struct stream *first, const struct stream *s)
{
	const struct nvmevf_end *end = (void *)s->data + s->len - sizeof(*end);

	if (s->len != first->len)
		return false;
	if (!vf_standard())
		return !memcmp(s->data, first->data, s->len);
	return !memcmp(s->data, first->data, PAYLOAD_AT) &&
	       end->crc32c == crc32c(s->data, s->len - END_SIZE);
}

/* Reads of every size return the same stream; reads at its end return 0. */
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
		ASSERT_TRUE(is_saved_again(&first, &s))
			TH_LOG("reads of %zu bytes", size);
		ASSERT_EQ(0, read(fd, &byte, 1));
		ASSERT_EQ(0, read(fd, &byte, 0));
		ASSERT_EQ(POLLIN, revents(fd, 0));
		free(s.data);
	}
	close(fd);
	run_and_check_io(&self->n, vf);
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
			TH_LOG("writes of %zu bytes", sizes[i]);
		EXPECT_EQ(0, write(fd, &s, 0));
		EXPECT_TRUE(is_loaded(&self->dst));
		EXPECT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_STOP,
					  NULL));
		close(fd);
	}
	run_and_check_io(&self->n, &self->dst);
}

/* A data_fd allows either read() or write(), and no other access. */
TEST_F(datafd, unsupported_calls)
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
	run_and_check_io(&self->n, &self->src);
}

static int precopy_info(int fd, struct vfio_precopy_info *info)
{
	*info = (struct vfio_precopy_info){ .argsz = sizeof(*info) };
	return result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, info));
}

/* After the initial bytes of PRE_COPY, read() fails with -ENOMSG until STOP_COPY. */
TEST_F(datafd, precopy)
{
	struct vfio_precopy_info info, *unmapped, *readable;
	struct epoll_event event = { .events = EPOLLIN };
	struct vf *vf = &self->src;
	struct stream rest;
	const size_t initial = vf_initial_bytes();
	char buf[ROOM];
	size_t left = initial;
	int fd, epoll, i;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "the driver does not support PRE_COPY");
	unmapped = must(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0));
	readable = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0));
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
	info = (struct vfio_precopy_info){ .argsz = sizeof(info) - 1 };
	EXPECT_EQ(-EINVAL, result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info)));
	EXPECT_EQ(-EFAULT, result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, unmapped)));
	*readable = (struct vfio_precopy_info){ .argsz = sizeof(info) };
	must(mprotect(readable, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, result(ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, readable)));
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
		/* Both pre-copy states behave alike. */
		ASSERT_EQ(0, vf_set_state(vf, i % 2 ? VFIO_DEVICE_STATE_PRE_COPY :
					  VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL));
	}
	io_check(&self->n);

	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
	EXPECT_EQ(-EINVAL, precopy_info(fd, &info));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000 * PATIENCE));
	EXPECT_EQ(EPOLLIN, event.events);
	ASSERT_EQ(0, stream_read(&rest, fd, 19));
	EXPECT_LT(0, rest.len);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, read(fd, buf, 1));
	close(epoll);
	close(fd);
	run_and_check_io(&self->n, vf);
}

/* STOP_COPY wakes a poll() that began in PRE_COPY, also if the VF was saved before. */
TEST_F(datafd, stop_copy_wakes_poll)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct vf *vf = &self->src;
	const size_t initial = vf_initial_bytes();
	char buf[ROOM];
	int fd, epoll, i;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "the driver does not support PRE_COPY");
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY_P2P, &fd));
		epoll = must(epoll_create1(0));
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 0));
		ASSERT_EQ(initial, read(fd, buf, initial));
		EXPECT_EQ(-ENOMSG, result(read(fd, buf, 1)));
		EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));

		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
		EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 1000 * PATIENCE));
		/* With the vendor's set, the second pass has the state that is kept. */
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		close(epoll);
		close(fd);
	}
	run_and_check_io(&self->n, vf);
}

/* STOP_COPY returns the bytes that were not read in PRE_COPY. */
TEST_F(datafd, precopy_unread)
{
	const size_t initial = vf_initial_bytes();
	const size_t parts[] = { 0, 1, STATE_AT, initial - 1 };
	struct vf *vf = &self->src;
	char buf[ROOM];
	struct stream s;
	unsigned int i;
	int fd;

	if (!(vf_mig_flags(vf) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "the driver does not support PRE_COPY");
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
		run_and_check_io(&self->n, vf);
	}
}

enum end_cause { END_BY_TRANSITION, END_BY_RESET, END_BY_CLOSE, END_CAUSES };

struct end_request {
	struct vf	*vf;
	enum end_cause	end_cause;
};

/* Without a complete stream, only a reset leaves RESUMING. */
static void *end_stream(void *arg)
{
	struct end_request *k = arg;

	switch (k->end_cause) {
	case END_BY_TRANSITION:
		if (!vf_set_state(k->vf, VFIO_DEVICE_STATE_RUNNING, NULL))
			break;
		fallthrough;
	case END_BY_RESET:
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

/* After its migration ended, every call on a data_fd fails with -ENODEV. */
TEST_F(datafd, fails_after_end)
{
	struct vf *vf = &self->src;
	struct vfio_precopy_info info;
	unsigned int i;
	char byte = 0;

	for (i = 0; i < END_CAUSES * ARRAY_SIZE(stream_states); i++) {
		unsigned int state = stream_states[i / END_CAUSES];
		bool writing = state == VFIO_DEVICE_STATE_RESUMING;
		struct end_request end_request = { vf, i % END_CAUSES };
		struct epoll_event event = { .events = EPOLLET };
		pthread_t thread;
		int fd, epoll;

		ASSERT_EQ(0, vf_set_state(vf, state, &fd));
		/* An empty event mask still reports errors and hangups. */
		epoll = must(epoll_create1(0));
		must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
		ASSERT_EQ(0, pthread_create(&thread, NULL, end_stream, &end_request));
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
		if (end_request.end_cause == END_BY_CLOSE)
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
		run_and_check_io(&self->n, &self->src);
	}
	TH_LOG("%u of %u reads failed with -EAGAIN", waits, i);
}

/* A buffer that ends at an unmapped page loses and repeats no byte. */
TEST_F(datafd, unmapped_buffer)
{
	unsigned char *room = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	const size_t holes[] = { 0, 1, 15, 16, 17, STATE_AT, PAYLOAD_AT, 500 };
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
			TH_LOG("unmapped page after %zu bytes", before);
		EXPECT_TRUE(is_loaded(&self->dst));
		close(fd);
	}

	/* A read() that faults consumes nothing. */
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP, NULL));
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		len = result(read(fd, room + PAGE - holes[i], holes[i] + 1));
		EXPECT_EQ(-EFAULT, len);
	}
	ASSERT_EQ(0, stream_read(&got, fd, 65536));
	EXPECT_TRUE(is_saved_again(&s, &got));
	close(fd);
	run_and_check_io(&self->n, &self->src);
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

static bool is_expected_result(int ret)
{
	return !ret || ret == -EINVAL || ret == -EBADMSG || ret == -EFBIG;
}

/*
 * Two threads write concurrently. With one write() each, the driver loads one
 * stream and refuses the other. With small writes the streams mix, so the driver
 * usually refuses both.
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
		EXPECT_TRUE(is_expected_result(w[0].ret));
		EXPECT_TRUE(is_expected_result(w[1].ret));
		/*
		 * After a load, the driver refuses the rest of the other stream.
		 * Without a load, bytes that look like an optional record may
		 * absorb the other stream.
		 */
		if (loaded)
			EXPECT_TRUE(w[0].ret || w[1].ret);
		EXPECT_GT(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(vf));
		/* The driver must load one of the two states unmixed. */
		if (loaded) {
			__u32 now = nvme_read32(&self->n, NVME_AQA);

			EXPECT_TRUE(now == aqa[0] || now == aqa[1]);
		}
		events = trace_steps(NULL);
		EXPECT_EQ(loaded, !!strstr(events, "load\n"));
		free(events);
	}
	TH_LOG("one of two streams was loaded in %u of %u rounds", loads, round);
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
			die("%s: transition to STOP_COPY failed", vf->bdf);
		if (!stream_read(&copy, fd, 1 + random() % 100))
			free(copy.data);
		close(fd);
		if (vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL))
			die("%s: transition to RUNNING failed", vf->bdf);
	}
}

static void load_forever(struct vf *vf, const struct stream *s)
{
	int fd;

	for (;;) {
		vf_reset(vf);
		if (vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd))
			die("%s: transition to RESUMING failed", vf->bdf);
		stream_write(s, fd, 1 + random() % 100);
		close(fd);
		vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	}
}

/* A process killed while it saves or loads leaves no lock held. */
TEST_F(datafd, killed_user)
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
		/* Kill the process at a random time. */
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

/* Use the VF's own BAR as the buffer; a reset removes the pages of the BAR. */
static void *use_bar_as_buffer(void *arg)
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

static void *reset_repeatedly(void *arg)
{
	struct bar_user *u = arg;

	for (; time(NULL) < u->end; u->calls++)
		vf_reset(u->vf);
	return NULL;
}

TEST_F(datafd, bar_is_buffer)
{
	static void *(*const jobs[])(void *arg) = {
		use_bar_as_buffer, use_bar_as_buffer, reset_repeatedly,
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
