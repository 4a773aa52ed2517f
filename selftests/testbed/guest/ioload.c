// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioload - write stamped blocks, read them back and check them
 *
 * Usage: ioload DEVICE FIRST-BYTE BLOCKS < commands > report
 *
 * Every block contains the number of the run, its own index, a sequence number that
 * grows with each write, and a checksum. Each read checks these fields. An intact
 * block that is older than the last acknowledged write counts as a lost write; any
 * other difference counts as a corrupt block. A command that does not complete in
 * time counts as lost.
 *
 * ioload reports a line "io ..." several times a second. A line on stdin ends the
 * load; then ioload verifies all written blocks and reports a line "end ...".
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/types.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define BLOCK_BYTES	4096
#define DEPTH		16
#define STEPS_EACH	64	/* commands before the next processor */
#define MAGIC		0x6b636f6c62444f49ULL	/* "IODblock" */

struct block {
	__u64 magic;
	__u64 run;
	__u64 index;
	__u64 seq;
	__u64 fill[(BLOCK_BYTES - 5 * 8) / 8];
	__u64 sum;		/* checksum of all other fields */
};

static_assert(sizeof(struct block) == BLOCK_BYTES, "block size");

struct slot {
	struct iocb cb;
	struct block *buf;
	__u64 index;
	__u64 seq;		/* 0: a read */
	__u64 started_ms;
	bool busy;
};

static struct slot slots[DEPTH];
static aio_context_t aio;
static int fd;
static __u64 first, blocks, run, rnd;
static __u64 *expected;	/* sequence number per block, 0: not written */
static bool *in_use;	/* at most one command per block */
static __u64 last_seq, last_ms, longest_ms;
static __u64 ios, writes, reads, lost, corrupt, errors;
static unsigned int in_flight;

/* xorshift; the multiplication mixes the low bits of successive numbers. */
static __u64 next_random(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1dULL >> 16;
}

static __u64 checksum(const struct block *b)
{
	const __u64 *word = (const __u64 *)b;
	__u64 sum = MAGIC;

	while (word < &b->sum) {
		sum = (sum ^ *word++) * 0x100000001b3ULL;
		sum ^= sum >> 29;
	}
	return sum;
}

static void stamp(struct block *b, __u64 index, __u64 seq)
{
	__u64 state = (run ^ seq << 24 ^ index) | 1;

	b->magic = MAGIC;
	b->run = run;
	b->index = index;
	b->seq = seq;
	for (unsigned int i = 0; i < sizeof(b->fill) / 8; i++)
		b->fill[i] = next_random(&state);
	b->sum = checksum(b);
}

static void check(const struct block *b, __u64 index)
{
	__u64 want = expected[index];

	if (b->magic == MAGIC && b->sum == checksum(b) && b->index == index &&
	    b->run == run && b->seq == want)
		return;

	/* A block of an earlier run is old data, too. */
	if (b->magic == MAGIC && b->sum == checksum(b) && b->index == index &&
	    (b->run != run || b->seq < want)) {
		lost++;
		printf("lost block %llu: write %llu expected, %llu%s found\n",
		       index, want, b->seq, b->run == run ? "" : " of an earlier run");
		return;
	}
	corrupt++;
	printf("corrupt block %llu: write %llu expected, magic %llx block %llu write %llu found\n",
	       index, want, b->magic, b->index, b->seq);
}

/* Move to the next processor: each processor has its own queue. */
static void go_to_next_processor(void)
{
	static unsigned int next;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(next++ % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity: %s", strerror(errno));
}

/* Start a read of block @index if @seq is 0, else a write with that sequence number. */
static void start(struct slot *s, __u64 index, __u64 seq)
{
	struct iocb *cb = &s->cb;

	if (seq)
		stamp(s->buf, index, seq);
	else
		memset(s->buf, 0, BLOCK_BYTES);
	s->index = index;
	s->seq = seq;
	s->started_ms = now_ms();
	s->busy = true;
	in_use[index] = true;
	in_flight++;

	memset(cb, 0, sizeof(*cb));
	cb->aio_data = (uintptr_t)s;
	cb->aio_lio_opcode = seq ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
	cb->aio_fildes = fd;
	cb->aio_buf = (uintptr_t)s->buf;
	cb->aio_nbytes = BLOCK_BYTES;
	cb->aio_offset = first + index * BLOCK_BYTES;
	if (syscall(SYS_io_submit, aio, 1, &cb) != 1)
		die("io_submit: %s", strerror(errno));
}

static void finish(struct slot *s, long result)
{
	if (!s->busy)
		die("block %llu completed twice", s->index);
	s->busy = false;
	in_use[s->index] = false;
	in_flight--;
	ios++;
	if (result != BLOCK_BYTES) {
		errors++;
		printf("error block %llu: %s returned %ld\n", s->index,
		       s->seq ? "write" : "read", result);
	} else if (s->seq) {
		writes++;
		expected[s->index] = s->seq;
	} else {
		reads++;
		check(s->buf, s->index);
	}
}

static void report(const char *what)
{
	printf("%s ios=%llu writes=%llu reads=%llu lost=%llu corrupt=%llu errors=%llu in_flight=%u longest_ms=%llu\n",
	       what, ios, writes, reads, lost, corrupt, errors, in_flight, longest_ms);
}

/* Exit if a command did not complete in STALL_MS. */
static void check_stalled(__u64 now)
{
	unsigned int stalled = 0;

	for (unsigned int i = 0; i < DEPTH; i++)
		if (slots[i].busy && now - slots[i].started_ms > STALL_MS)
			stalled++;
	if (!stalled)
		return;
	lost += stalled;
	report("io");
	die("%u of %u commands did not complete in %d s", stalled, in_flight,
	    STALL_MS / 1000);
}

static void reap(void)
{
	struct timespec timeout = { .tv_nsec = REPORT_MS * 1000000L };
	struct io_event events[DEPTH];
	__u64 now;
	long n;

	n = syscall(SYS_io_getevents, aio, 1, DEPTH, events, &timeout);
	if (n < 0 && errno != EINTR)
		die("io_getevents: %s", strerror(errno));
	now = now_ms();
	if (now - last_ms > longest_ms)
		longest_ms = now - last_ms;
	if (n > 0)
		last_ms = now;
	for (long i = 0; i < n; i++)
		finish((struct slot *)(uintptr_t)events[i].data, events[i].res);
	check_stalled(now);
}

static void step(struct slot *s)
{
	static unsigned int steps;
	__u64 index;

	if (steps++ % STEPS_EACH == 0)
		go_to_next_processor();
	do {
		index = next_random(&rnd) % blocks;
	} while (in_use[index]);
	start(s, index, expected[index] && next_random(&rnd) & 1 ? 0 : ++last_seq);
}

static void load(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	__u64 reported = 0;

	while (!poll(&in, 1, 0)) {
		for (unsigned int i = 0; i < DEPTH; i++)
			if (!slots[i].busy)
				step(&slots[i]);
		if (now_ms() - reported >= REPORT_MS) {
			reported = now_ms();
			report("io");
		}
		reap();
	}
	while (in_flight)
		reap();
}

static void verify_all(void)
{
	__u64 index = 0;

	while (index < blocks || in_flight) {
		for (unsigned int i = 0; i < DEPTH; i++) {
			while (index < blocks && !expected[index])
				index++;
			if (!slots[i].busy && index < blocks)
				start(&slots[i], index++, 0);
		}
		if (in_flight)
			reap();
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
		die("usage: %s DEVICE FIRST-BYTE BLOCKS", argv[0]);
	first = strtoull(argv[2], NULL, 0);
	blocks = strtoull(argv[3], NULL, 0);
	if (blocks <= DEPTH)
		die("%llu blocks, expected at least %d", blocks, DEPTH + 1);

	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0)
		die("%s: %s", argv[1], strerror(errno));
	expected = calloc(blocks, sizeof(*expected));
	in_use = calloc(blocks, sizeof(*in_use));
	if (!expected || !in_use)
		die("out of memory");
	for (unsigned int i = 0; i < DEPTH; i++)
		if (posix_memalign((void **)&slots[i].buf, BLOCK_BYTES, BLOCK_BYTES))
			die("out of memory");
	if (syscall(SYS_io_setup, DEPTH, &aio))
		die("io_setup: %s", strerror(errno));
	if (getrandom(&run, sizeof(run), 0) != sizeof(run))
		die("getrandom: %s", strerror(errno));
	rnd = run | 1;

	printf("start depth=%d blocks=%llu size=%d\n", DEPTH, blocks, BLOCK_BYTES);
	last_ms = now_ms();
	load();
	verify_all();
	report("end");
	return lost || corrupt || errors;
}
