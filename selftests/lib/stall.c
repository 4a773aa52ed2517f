// SPDX-License-Identifier: GPL-2.0-only
/* Stall a call in the middle: at a page that is not there until the test provides it. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "nvme.h"
#include "stall.h"
#include "util.h"

static void *run_call(void *arg)
{
	struct stall *s = arg;

	s->ret = s->call(s->page, s->arg);
	return NULL;
}

void stall_begin(struct stall *s, int (*call)(void *page, void *arg), void *arg)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd pfd = { .events = POLLIN };

	s->call = call;
	s->arg = arg;
	s->page = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	/* Without O_NONBLOCK, poll() returns POLLERR immediately. */
	s->uffd = must(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
	must(ioctl(s->uffd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)s->page;
	reg.range.len = PAGE;
	must(ioctl(s->uffd, UFFDIO_REGISTER, &reg));
	if (pthread_create(&s->thread, NULL, run_call, s))
		die("pthread_create failed");
	pfd.fd = s->uffd;
	if (must(poll(&pfd, 1, 1000 * PATIENCE)) != 1 || pfd.revents != POLLIN)
		die("the call did not fault on the page in %d s", PATIENCE);
}

int stall_end(struct stall *s, const void *data, size_t len, int seconds)
{
	struct uffdio_copy copy = { .len = PAGE };
	unsigned char page[PAGE] = {};

	if (len)
		memcpy(page, data, len);
	copy.src = (uintptr_t)page;
	copy.dst = (uintptr_t)s->page;
	must(ioctl(s->uffd, UFFDIO_COPY, &copy));
	await_thread(s->thread, "the stalled call", seconds);
	close(s->uffd);
	munmap(s->page, PAGE);
	return s->ret;
}
