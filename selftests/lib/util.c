// SPDX-License-Identifier: GPL-2.0-only
/* Wait, tell the time, compute a checksum. */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>
#include <sys/utsname.h>

#include "util.h"

int at_once(void)
{
	static const char * const slow[] = { "debug", "races", "coverage" };
	struct utsname kernel;
	unsigned int i;

	must(uname(&kernel));
	for (i = 0; i < ARRAY_SIZE(slow); i++)
		if (strstr(kernel.release, slow[i]))
			return 10;
	return 5;
}

void await_thread(pthread_t thread, const char *what, int seconds)
{
	long long deadline = running_ms() + 1000LL * seconds;

	while (pthread_tryjoin_np(thread, NULL)) {
		if (running_ms() > deadline)
			die("%s takes longer than %d s", what, seconds);
		usleep(1000);
	}
}

bool sleeps_in(pid_t tid, long number, int fd)
{
	char path[64], line[256];
	long at_number, at_fd;
	bool found = false;
	FILE *f;

	/* "running", or number and arguments of the system call */
	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f) &&
	    sscanf(line, "%ld %lx", &at_number, &at_fd) == 2)
		found = at_number == number && (fd == -1 || at_fd == fd);
	fclose(f);
	return found;
}

void await_sleep(pid_t tid, long number, int fd)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (!sleeps_in(tid, number, fd))
		pause_until(deadline, "thread does not sleep in the system call");
}

void pause_until(time_t deadline, const char *what)
{
	if (time(NULL) > deadline)
		die("timeout: %s", what);
	usleep(50);
}

__u32 crc32c(const void *data, size_t len)
{
	static __u32 table[256];
	const __u8 *p = data;
	__u32 crc = ~0;
	int i, bit;

	for (i = 0; !table[255] && i < 256; i++) {
		table[i] = i;
		for (bit = 0; bit < 8; bit++)
			table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0x82f63b78 : 0);
	}
	while (len--)
		crc = (crc >> 8) ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

long long now_ns(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now));
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

long long now_ms(void)
{
	return now_ns() / 1000000;
}

#define TICK_MS		100
#define STANDSTILL_MS	1000

static void *keep_ticking(void *unused)
{
	for (;;) {
		usleep(1000 * TICK_MS);
		running_ms();
	}
	return NULL;
}

long long running_ms(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static long long last, stood_still;
	static pid_t ticking;
	pthread_t thread;
	long long now;

	pthread_mutex_lock(&lock);
	now = now_ms();
	if (ticking != getpid()) {
		ticking = getpid();
		last = now;
		if (pthread_create(&thread, NULL, keep_ticking, NULL))
			die("pthread_create() failed");
	}
	/* The ticks are 100 ms apart, unless the machine stood still. */
	if (now - last > STANDSTILL_MS)
		stood_still += now - last - STANDSTILL_MS;
	last = now;
	now -= stood_still;
	pthread_mutex_unlock(&lock);
	return now;
}
