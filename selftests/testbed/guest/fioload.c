// SPDX-License-Identifier: GPL-2.0-only
/*
 * fioload - write and verify blocks with fio
 *
 * Usage: fioload DEVICE FIRST-BYTE BLOCKS < commands > report
 *
 * In each run fio writes every block once, in random order, and then verifies all
 * blocks. The header of a block contains the run's seed, the offset and the sequence
 * number, so fio detects damaged, old and misplaced data, and I/O errors.
 *
 * The reports have the format of ioload: a line "io ..." several times a second, with
 * the number of successful runs. After each run, a line "identity ..." tells what each
 * controller returns to Identify Controller. The line "reset" on stdin resets all
 * controllers; another line ends the load after the current run, and then the line
 * "end ..." follows. fio measures the longest time of one I/O, which is
 * known after a run. The other figures come from the block layer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <linux/types.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define DEPTH		"16"
#define OUTPUT		"/fio.out"
#define CONTROLLERS	4

/* Fields of fio's terse output, version 3: longest completion times in microseconds. */
#define READ_MAX	14
#define WRITE_MAX	55

static char filename[64], offset[64], size[64], stat_path[128];
static unsigned long long reads, writes, in_flight, longest_ms;
static unsigned int runs;

static void report(const char *what, unsigned int lost, unsigned int corrupt)
{
	printf("%s ios=%llu writes=%llu reads=%llu lost=%u corrupt=%u errors=%u in_flight=%llu runs=%u longest_ms=%llu\n",
	       what, reads + writes, writes, reads, lost, corrupt,
	       lost || corrupt, in_flight, runs, longest_ms);
}

static void read_stat(void)
{
	FILE *f = fopen(stat_path, "r");

	if (!f || fscanf(f, "%llu %*u %*u %*u %llu %*u %*u %*u %llu", &reads,
			 &writes, &in_flight) != 3)
		die("%s: reading the block layer's figures failed", stat_path);
	fclose(f);
}

/* Exit if commands are in flight and none completes in STALL_MS. */
static void check_stalled(void)
{
	static unsigned long long last_ios, last_ms;

	if (!in_flight || reads + writes != last_ios) {
		last_ios = reads + writes;
		last_ms = now_ms();
	} else if (now_ms() - last_ms > STALL_MS) {
		report("io", in_flight, 0);
		die("%llu commands did not complete in %d s", in_flight,
		    STALL_MS / 1000);
	}
}

static pid_t start_fio(void)
{
	char seed[32];
	pid_t pid;
	int fd;

	/* Use a new seed, so that blocks of an earlier run do not verify. */
	snprintf(seed, sizeof(seed), "--randseed=%u", runs + 1);
	pid = fork();
	if (pid)
		return pid;

	fd = open(OUTPUT, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execl("/usr/bin/fio", "fio", "--name=soak", filename, offset, size, seed,
	      "--rw=randwrite", "--bs=4k", "--direct=1", "--ioengine=libaio",
	      "--iodepth=" DEPTH, "--verify=crc32c", "--verify_fatal=1",
	      "--thread", "--disk_util=0", "--output-format=terse",
	      "--terse-version=3", NULL);
	printf("cannot run fio: %s\n", strerror(errno));
	exit(127);
}

static void add_longest(const char *line)
{
	unsigned long long ms;
	int field = 0;

	for (; line; line = strchr(line, ';'), field++) {
		if (field)
			line++;
		ms = strtoull(line, NULL, 10) / 1000;
		if ((field == READ_MAX || field == WRITE_MAX) && ms > longest_ms)
			longest_ms = ms;
	}
	if (field <= WRITE_MAX)
		die("fio reported %d fields, expected more than %d", field, WRITE_MAX);
}

static void end_run(int status)
{
	char line[4096], result[4096] = "";
	FILE *f = fopen(OUTPUT, "r");
	bool bad = status;

	while (f && fgets(line, sizeof(line), f)) {
		if (line[0] == '3' && line[1] == ';') {
			strcpy(result, line);
			continue;
		}
		/* fio prints other lines only on errors. */
		printf("corrupt fio: %s", line);
		bad = true;
	}
	if (f)
		fclose(f);
	if (bad) {
		report("io", 0, 1);
		die("fio ended with status %#x", status);
	}
	add_longest(result);
	runs++;
}

/* Report what the controllers are, with a checksum of all data (FNV-1a). */
static void report_identities(void)
{
	static unsigned char id[4096];
	struct nvme_admin_cmd cmd = {
		.opcode = 0x06,		/* Identify */
		.addr = (unsigned long)id,
		.data_len = sizeof(id),
		.cdw10 = 1,		/* Controller */
	};
	unsigned int i, k, sum;
	char path[32];
	int fd;

	for (i = 0; i < CONTROLLERS; i++) {
		snprintf(path, sizeof(path), "/dev/nvme%u", i);
		fd = open(path, O_RDWR);
		if (fd < 0)
			continue;
		if (ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd))
			die("%s: Identify Controller failed", path);
		close(fd);
		for (k = 0, sum = 0x811c9dc5; k < sizeof(id); k++)
			sum = (sum ^ id[k]) * 0x01000193;
		printf("identity nvme%u serial=%.20s subnqn=%.64s cntlid=%u mdts=%u data=%08x\n",
		       i, id + 4, id + 768, id[78] | id[79] << 8, id[77], sum);
	}
}

static void reset_controllers(void)
{
	unsigned int i;
	char path[64];
	int fd;

	for (i = 0; i < CONTROLLERS; i++) {
		snprintf(path, sizeof(path), "/sys/class/nvme/nvme%u/reset_controller", i);
		fd = open(path, O_WRONLY);
		if (fd < 0)
			continue;
		if (write(fd, "1", 1) != 1)
			die("%s: %s", path, strerror(errno));
		close(fd);
		printf("reset nvme%u\n", i);
	}
}

/* Execute a command from stdin, if there is one. Return whether it ends the load. */
static bool command(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[16] = "";

	if (!poll(&in, 1, 0))
		return false;
	if (read(STDIN_FILENO, line, sizeof(line) - 1) < 0 || strncmp(line, "reset", 5))
		return true;
	reset_controllers();
	return false;
}

int main(int argc, char **argv)
{
	bool end = false;
	int status;
	pid_t fio;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
		die("usage: %s DEVICE FIRST-BYTE BLOCKS", argv[0]);
	snprintf(filename, sizeof(filename), "--filename=%s", argv[1]);
	snprintf(offset, sizeof(offset), "--offset=%llu",
		 strtoull(argv[2], NULL, 0));
	snprintf(size, sizeof(size), "--size=%llu",
		 strtoull(argv[3], NULL, 0) * 4096);
	snprintf(stat_path, sizeof(stat_path), "/sys/block/%s/stat",
		 strrchr(argv[1], '/') + 1);

	printf("start fio, depth=" DEPTH " blocks=%s\n", argv[3]);
	do {
		fio = start_fio();
		while (!waitpid(fio, &status, WNOHANG)) {
			read_stat();
			report("io", 0, 0);
			check_stalled();
			end = end || command();
			usleep(REPORT_MS * 1000);
		}
		end_run(status);
		report_identities();
	} while (!end);
	read_stat();
	report("end", 0, 0);
}
