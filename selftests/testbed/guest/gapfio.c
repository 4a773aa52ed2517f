// SPDX-License-Identifier: GPL-2.0-only
/*
 * gapfio - run gapload beside fio at a fixed rate
 *
 * Usage: gapfio DEVICE FIRST-BYTE BLOCKS > report
 *
 * fio reads and writes the blocks that follow those of gapload. The report is gapload's. If
 * one of the two ends, "fail REASON" follows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

#define BLOCK_BYTES	4096ULL
/* of reads, which write the guest's memory, and of writes */
#define RATE		"4m,1m"
#define OUTPUT		"/fio.out"

static pid_t start_fio(const char *device, const char *first, const char *blocks)
{
	unsigned long long size = strtoull(blocks, NULL, 0) * BLOCK_BYTES;
	char filename[64], place[64], room[64];
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;

	snprintf(filename, sizeof(filename), "--filename=%s", device);
	snprintf(place, sizeof(place), "--offset=%llu", strtoull(first, NULL, 0) + size);
	snprintf(room, sizeof(room), "--size=%llu", size);
	fd = open(OUTPUT, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl("/usr/bin/fio", "fio", "--name=rate", filename, place, room, "--rw=randrw",
	      "--rate=" RATE, "--bs=64k", "--direct=1", "--ioengine=libaio", "--iodepth=16",
	      "--time_based", "--runtime=1d", "--thread", "--disk_util=0", NULL);
	exit(127);
}

int main(int argc, char **argv)
{
	pid_t fio, gapload, ended;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
		die("bad arguments, expected DEVICE FIRST-BYTE BLOCKS");
	fio = start_fio(argv[1], argv[2], argv[3]);
	gapload = fork();
	if (!gapload) {
		execl("/gapload", "gapload", argv[1], argv[2], argv[3], NULL);
		exit(127);
	}
	if (fio < 0 || gapload < 0)
		die("no process: %s", strerror(errno));
	ended = wait(&status);
	die("%s ended with status %#x", ended == fio ? "fio" : "gapload", status);
}
