// SPDX-License-Identifier: GPL-2.0-only
/* Read and write files of sysfs. */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "sysfs.h"
#include "util.h"

bool sysfs_device_exists(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	return !access(path, F_OK);
}

int sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void sysfs_set(const char *path, const char *value)
{
	int ret = sysfs_write(path, value);

	if (ret)
		die("cannot write \"%s\" to %s: %s", value, path, strerror(-ret));
}

void sysfs_read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, size, file))
		die("cannot read %s: %s", path, strerror(errno));
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

void sysfs_link_name(char *name, size_t size, const char *path)
{
	char target[PATH_MAX];
	ssize_t len = must(readlink(path, target, sizeof(target) - 1));

	target[len] = '\0';
	snprintf(name, size, "%s", strrchr(target, '/') + 1);
}
