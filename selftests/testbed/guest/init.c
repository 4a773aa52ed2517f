// SPDX-License-Identifier: GPL-2.0-only
/*
 * init - load modules and run a workload in the guest
 *
 * Usage: init [PROGRAM [BLOCKS [NVME-CORE-PARAMETER [FIRST-BYTE [FREE]]]]]
 *
 * init loads the modules that /modules lists, waits for an NVMe namespace or a virtio
 * disk, and runs PROGRAM (default: ioload) on BLOCKS (default: 4096) blocks of the
 * disk, from FIRST-BYTE on (default: 32 MiB). With FREE, it first fills all but FREE MiB of
 * the available memory with data that cannot be compressed. Kernel messages go to ttyS0;
 * commands and reports use ttyS1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void load_modules(const char *parameter)
{
	FILE *list = fopen("/modules", "r");
	char path[256], nvme_core[128];

	/*
	 * Use all paths of a multipath namespace. The long timeouts let the workload
	 * detect stalled commands: after a pause of the machine, commands may still end.
	 */
	snprintf(nvme_core, sizeof(nvme_core),
		 "iopolicy=round-robin io_timeout=600 admin_timeout=600 %s", parameter);
	while (list && fgets(path, sizeof(path), list)) {
		const char *args = "";
		int fd;

		path[strcspn(path, "\n")] = '\0';
		if (strstr(path, "nvme-core"))
			args = nvme_core;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, args, 0))
			printf("fail %s: %s\n", path, strerror(errno));
		close(fd);
	}
}

static void use_serial_port(const char *port)
{
	int fd = open(port, O_RDWR);
	struct termios tio;

	tcgetattr(fd, &tio);
	tio.c_lflag &= ~ECHO;
	tcsetattr(fd, TCSANOW, &tio);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static unsigned long available_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	unsigned long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %lu kB", &kib);
	if (f)
		fclose(f);
	return kib;
}

/* The memory remains in use as long as init runs. */
static void fill_memory(unsigned long keep_mib)
{
	unsigned long kib = available_kib(), keep_kib = keep_mib << 10;
	unsigned long long number = 1, *word, *end;
	size_t size;

	if (kib <= keep_kib) {
		printf("fail %lu KiB of memory are available, %lu are to remain\n", kib, keep_kib);
		return;
	}
	size = (kib - keep_kib) << 10;
	word = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (word == MAP_FAILED) {
		printf("fail no memory to fill\n");
		return;
	}
	for (end = word + size / sizeof(*word); word < end; word++) {
		/* xorshift */
		number ^= number << 13;
		number ^= number >> 7;
		number ^= number << 17;
		*word = number;
	}
}

int main(int argc, char **argv)
{
	const char *load = argc > 1 ? argv[1] : "/ioload";
	const char *blocks = argc > 2 ? argv[2] : "4096";
	const char *first = argc > 4 ? argv[4] : "0x2000000";
	static const char *const devices[] = {
		"/dev/nvme0n1", "/dev/nvme1n1", "/dev/nvme2n1", "/dev/nvme3n1", "/dev/vda",
	};
	const char *device = devices[0];

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	use_serial_port("/dev/ttyS1");
	load_modules(argc > 3 ? argv[3] : "");
	if (argc > 5)
		fill_memory(strtoul(argv[5], NULL, 0));

	/*
	 * The number in the name of the namespace depends on which controller is ready
	 * first. If no disk appears, the workload reports the failure.
	 */
	for (int i = 0; i < 1200 && access(device, F_OK); i++) {
		usleep(25 * 1000);
		device = devices[i % 5];
	}
	if (!fork()) {
		execl(load, load, device, first, blocks, NULL);
		_exit(127);
	}
	wait(NULL);
	reboot(RB_POWER_OFF);
}
