/* SPDX-License-Identifier: GPL-2.0-only */
/* Read and write files of sysfs. Functions that return nothing end the test when they fail. */
#ifndef NVMEVF_TEST_SYSFS_H
#define NVMEVF_TEST_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

/* Return whether the PCI function exists. */
bool sysfs_device_exists(const char *bdf);
/* Write @text; return 0 or -errno. */
int sysfs_write(const char *path, const char *text);
void sysfs_set(const char *path, const char *value);
/* Read the first line, without its end. */
void sysfs_read_line(const char *path, char *line, int size);
/* Read the last component of a symbolic link's target. */
void sysfs_link_name(char *name, size_t size, const char *path);

#endif /* NVMEVF_TEST_SYSFS_H */
