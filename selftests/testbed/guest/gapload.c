// SPDX-License-Identifier: GPL-2.0-only
/*
 * gapload - do I/O on a disk that may disappear, and report each completion
 *
 * Usage: gapload DEVICE FIRST-BYTE BLOCKS > report
 *
 * In a loop, gapload writes a block, reads the block back, and reports "done NUMBER".
 * The reader of the report measures the gaps, because the guest's clock may stop
 * together with the guest. If DEVICE fails, gapload reports "gone REASON" once, and
 * continues when DEVICE works again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES	4096
#define RETRY_US	2000

static unsigned long long *out, *in, number;
static bool gone;

static bool step(int fd, off_t offset)
{
	number++;
	for (unsigned int i = 0; i < BLOCK_BYTES / sizeof(*out); i++)
		out[i] = number;
	memset(in, 0, BLOCK_BYTES);

	errno = 0;
	if (pwrite(fd, out, BLOCK_BYTES, offset) != BLOCK_BYTES ||
	    pread(fd, in, BLOCK_BYTES, offset) != BLOCK_BYTES) {
		if (!gone)
			printf("gone %s\n", strerror(errno));
		gone = true;
		return false;
	}
	gone = false;
	if (memcmp(in, out, BLOCK_BYTES))
		printf("corrupt block: write %llu expected, write %llu found\n", number,
		       in[0]);
	printf("done %llu\n", number);
	return true;
}

int main(int argc, char **argv)
{
	unsigned long long first, blocks;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4 ||
	    posix_memalign((void **)&out, BLOCK_BYTES, BLOCK_BYTES) ||
	    posix_memalign((void **)&in, BLOCK_BYTES, BLOCK_BYTES)) {
		printf("fail bad arguments or no memory, expected DEVICE FIRST-BYTE BLOCKS\n");
		return 1;
	}
	first = strtoull(argv[2], NULL, 0);
	blocks = strtoull(argv[3], NULL, 0);

	for (;; usleep(RETRY_US)) {
		int fd = open(argv[1], O_RDWR | O_DIRECT);

		if (fd < 0)
			continue;
		while (step(fd, first + number % blocks * BLOCK_BYTES))
			;
		/* A removed disk keeps its name while a program has the disk open. */
		close(fd);
	}
}
