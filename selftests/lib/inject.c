// SPDX-License-Identifier: GPL-2.0-only
/* Let allocations of the driver fail, by the kernel's fault injection. */
#include <unistd.h>

#include "inject.h"
#include "sysfs.h"
#include "util.h"

#define FAULTS		"/sys/kernel/debug/"

/* Bytes that a function has at most */
#define CODE		4096

static void put(const char *dir, const char *name, const char *text)
{
	char path[100];
	int ret;

	snprintf(path, sizeof(path), FAULTS "%s/%s", dir, name);
	ret = sysfs_write(path, text);
	if (ret)
		die("%s: %s", path, strerror(-ret));
}

static void put_address(const char *dir, const char *name, unsigned long address)
{
	char text[32];

	snprintf(text, sizeof(text), "%#lx", address);
	put(dir, name, text);
}

/* Read the next function in /proc/kallsyms; return false after the last. */
static bool next_function(FILE *f, unsigned long *address, char *line, int size)
{
	char type;

	while (f && fgets(line, size, f))
		if (sscanf(line, "%lx %c", address, &type) == 2 &&
		    (type == 't' || type == 'T'))
			return true;
	return false;
}

/* Find the driver's code. */
static void find_code(unsigned long *start, unsigned long *end)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long address;
	char line[300];

	*start = ~0UL;
	*end = 0;
	while (next_function(f, &address, line, sizeof(line))) {
		if (!strstr(line, "[nvme_vfio_pci]"))
			continue;
		if (address < *start)
			*start = address;
		/* The size of a function is not known. */
		if (address + CODE > *end)
			*end = address + CODE;
	}
	fclose(f);
	if (*start >= *end)
		die("cannot find the driver's code in /proc/kallsyms");
}

/* Find a function that the VFIO core exports. */
static void find_function(const char *name, unsigned long *start, unsigned long *end)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[300], *found;
	unsigned long address;

	*start = 0;
	while (next_function(f, &address, line, sizeof(line))) {
		found = strstr(line, name);
		if (found && strchr("\t\n", found[strlen(name)]) && found[-1] == ' ')
			*start = address;
	}
	*end = *start + CODE;
	rewind(f);
	while (next_function(f, &address, line, sizeof(line)))
		if (address > *start && address < *end)
			*end = address;
	fclose(f);
	if (!*start)
		die("cannot find %s in /proc/kallsyms", name);
}

bool inject_open(void)
{
	static const char * const kinds[] = { "failslab", "fail_page_alloc" };
	unsigned long start, end, core_start, core_end;
	unsigned int i;

	if (access(FAULTS "failslab/require-start", W_OK) ||
	    access("/proc/self/fail-nth", W_OK))
		return false;
	find_code(&start, &end);
	/* If memory is lacking there, the VFIO core warns of its own clean-up. */
	find_function("vfio_pci_core_register_device", &core_start, &core_end);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		put_address(kinds[i], "require-start", start);
		put_address(kinds[i], "require-end", end);
		put_address(kinds[i], "reject-start", core_start);
		put_address(kinds[i], "reject-end", core_end);
		put(kinds[i], "ignore-gfp-wait", "N");
		put(kinds[i], "verbose", "0");
	}
	put("fail_page_alloc", "ignore-gfp-highmem", "N");
	put("fail_page_alloc", "min-order", "0");
	/* Faults of copies from and to user space would count, too. */
	if (!access(FAULTS "fail_usercopy", F_OK))
		put("fail_usercopy", "require-end", "0");
	return true;
}

void inject_nth(const char *id, int n)
{
	char path[100], text[16];

	snprintf(path, sizeof(path), "/proc/%s/fail-nth", id);
	snprintf(text, sizeof(text), "%d", n);
	if (sysfs_write(path, text) && !strcmp(id, "self"))
		die("cannot write /proc/self/fail-nth");
}

int inject_left(const char *id)
{
	char path[100];
	FILE *f;
	int n = -1;

	snprintf(path, sizeof(path), "/proc/%s/fail-nth", id);
	f = fopen(path, "r");
	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}
