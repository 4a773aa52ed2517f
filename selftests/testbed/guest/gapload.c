// SPDX-License-Identifier: GPL-2.0-only
/*
 * gapload - does I/O on a disk that may go away, and says so each time that it is done
 *
 * Usage: gapload DEVICE FIRST-BYTE BLOCKS > report
 *
 * It writes a block, reads it back, and reports "done NUMBER", again and again. For how
 * long nothing was done is for the reader to say: this machine's clock may stand still
 * when the machine does. If DEVICE fails it reports "gone WHY" once, and goes on as soon
 * as there is one that works.
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
		printf("fail bad arguments, or no memory\n");
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
		/* a disk that has gone keeps its name until nobody has it open */
		close(fd);
	}
}
