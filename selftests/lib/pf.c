// SPDX-License-Identifier: GPL-2.0-only
/* Control the physical function: admin commands, resets, its VFs. */
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <sys/ioctl.h>

#include "pf.h"
#include "sysfs.h"
#include "trace.h"
#include "util.h"

/* Find the PF's nvme controller in sysfs. */
static void find_controller(char *path, size_t size, const struct pf *pf)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/nvme/nvme*",
		 pf->bdf);
	if (glob(pattern, 0, NULL, &found))
		die("%s: no nvme controller found", pf->bdf);
	snprintf(path, size, "%s", found.gl_pathv[0]);
	globfree(&found);
}

int pf_open_device(const struct pf *pf)
{
	char sys[64], path[64];

	find_controller(sys, sizeof(sys), pf);
	snprintf(path, sizeof(path), "/dev%s", strrchr(sys, '/'));
	return must(open(path, O_RDWR));
}

unsigned int pf_controller(const struct pf *pf)
{
	unsigned int number;
	char sys[64];

	find_controller(sys, sizeof(sys), pf);
	if (sscanf(strrchr(sys, '/'), "/nvme%u", &number) != 1)
		die("%s: the controller has no number", sys);
	return number;
}

/* A VF, its PF, and its number. */
struct relation {
	char	vf[16], pf[16];
	int	index;		/* counted from 1, as the PF does */
};

/*
 * Keep what was found: when a VF is removed, the links go first, and its user may stay for
 * long.
 */
static const struct relation *find_relation(const char *bdf)
{
	static struct relation known[64];
	struct relation *r = known;
	char path[64], name[16];

	while (r->index && strcmp(r->vf, bdf))
		r++;
	if (r->index)
		return r;

	snprintf(r->vf, sizeof(r->vf), "%s", bdf);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/physfn", bdf);
	sysfs_link_name(r->pf, sizeof(r->pf), path);
	do {
		snprintf(path, sizeof(path),
			 "/sys/bus/pci/devices/%s/virtfn%d", r->pf, r->index++);
		sysfs_link_name(name, sizeof(name), path);
	} while (strcmp(name, bdf));
	return r;
}

void pf_find(struct pf *pf, const char *vf_bdf)
{
	snprintf(pf->bdf, sizeof(pf->bdf), "%s", find_relation(vf_bdf)->pf);
}

int pf_vf_index(const char *vf_bdf)
{
	return find_relation(vf_bdf)->index;
}

int pf_admin(const struct pf *pf, struct nvme_admin_cmd *cmd)
{
	int fd = pf_open_device(pf);
	int ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, cmd);

	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

struct secondary {
	__u16	id, primary;
	__u8	online, rsvd[3];
	__u16	vf, queues, vectors, rsvd2[9];
};

int pf_identify(const struct pf *pf, __u8 cns, __u32 nsid, __u16 cntid, void *data)
{
	struct nvme_admin_cmd cmd = {
		.opcode = 0x06,		/* Identify */
		.nsid = nsid,
		.cdw10 = cntid << 16 | cns,
		.addr = (uintptr_t)data,
		.data_len = 4096,
	};

	return pf_admin(pf, &cmd);
}

/* Read the part of the Secondary Controller List that begins with the ID @cntid. */
static void get_secondaries(const struct pf *pf, __u16 cntid, void *list)
{
	if (pf_identify(pf, 0x15, 0, cntid, list))
		die("%s: reading the Secondary Controller List failed", pf->bdf);
}

static void numvfs_path(char *path, size_t size, const struct pf *pf)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/sriov_numvfs", pf->bdf);
}

void pf_open(struct pf *pf, const char *vf_bdf)
{
	char path[64];

	pf_find(pf, vf_bdf);
	get_secondaries(pf, 0, pf->vfs);
	numvfs_path(path, sizeof(path), pf);
	sysfs_read_line(path, pf->numvfs, sizeof(pf->numvfs));
}

int pf_remove_vfs(const struct pf *pf)
{
	char path[64];

	numvfs_path(path, sizeof(path), pf);
	return sysfs_write(path, "0");
}

int pf_add_vfs(const struct pf *pf)
{
	char path[64];

	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/sriov_drivers_autoprobe", pf->bdf);
	sysfs_set(path, "0");
	numvfs_path(path, sizeof(path), pf);
	return sysfs_write(path, pf->numvfs);
}

void pf_await_live(const struct pf *pf)
{
	time_t deadline = time(NULL) + PATIENCE;
	char sys[64], path[128], state[16];

	find_controller(sys, sizeof(sys), pf);
	snprintf(path, sizeof(path), "%s/state", sys);
	for (;;) {
		sysfs_read_line(path, state, sizeof(state));
		if (!strcmp(state, "live"))
			break;
		if (time(NULL) > deadline)
			die("%s is %s, expected live", sys, state);
		usleep(1000);
	}
}

void pf_set_timeout(const struct pf *pf, unsigned int seconds)
{
	char sys[64], path[128], text[16];

	snprintf(text, sizeof(text), "%u", seconds);
	sysfs_set("/sys/module/nvme_core/parameters/admin_timeout", text);

	/* Newer kernels also have a parameter for each controller. */
	find_controller(sys, sizeof(sys), pf);
	snprintf(path, sizeof(path), "%s/admin_timeout", sys);
	snprintf(text, sizeof(text), "%u", 1000 * seconds);
	if (!access(path, F_OK))
		sysfs_set(path, text);
}

void pf_reset(const struct pf *pf)
{
	int fd = pf_open_device(pf);

	must(ioctl(fd, NVME_IOCTL_RESET));
	close(fd);
}

void pf_reset_function(const struct pf *pf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", pf->bdf);
	sysfs_set(path, "1");
}

int pf_reset_subsystem(const struct pf *pf)
{
	int fd = pf_open_device(pf);
	int ret = ioctl(fd, NVME_IOCTL_SUBSYS_RESET) ? -errno : 0;

	close(fd);
	return ret;
}

void pf_set_vf_enable(const struct pf *pf, bool enable)
{
	unsigned int at = PCI_CFG_SPACE_SIZE;
	__u32 header = 0;
	__u16 control;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", pf->bdf);
	fd = must(open(path, O_RDWR));
	while (must(pread(fd, &header, 4, at)) == 4 &&
	       PCI_EXT_CAP_ID(header) != PCI_EXT_CAP_ID_SRIOV) {
		at = PCI_EXT_CAP_NEXT(header);
		if (!at)
			die("%s: there is no SR-IOV capability", path);
	}
	must(pread(fd, &control, 2, at + PCI_SRIOV_CTRL));
	control &= ~PCI_SRIOV_CTRL_VFE;
	if (enable)
		control |= PCI_SRIOV_CTRL_VFE;
	must(pwrite(fd, &control, 2, at + PCI_SRIOV_CTRL));
	close(fd);
}

#define AER_INJECT	"/dev/aer_inject"

bool pf_can_inject_errors(void)
{
	return !access(AER_INJECT, W_OK) ||
	       (!system("modprobe -q aer_inject") && !access(AER_INJECT, W_OK));
}

void pf_fatal_error(const struct pf *pf)
{
	/* the kernel's struct aer_error_inj */
	struct {
		__u8	bus, device, function;
		__u32	uncorrectable, correctable, header_log[4], domain;
	} error = { .uncorrectable = PCI_ERR_UNC_DLP };
	char path[64], device[PATH_MAX];
	unsigned int bus, dev, fn;
	int fd, mark;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", pf->bdf);
	if (!realpath(path, device))
		die("%s: %s", path, strerror(errno));
	*strrchr(device, '/') = '\0';
	if (sscanf(strrchr(device, '/'), "/%x:%x:%x.%x", &error.domain, &bus, &dev,
		   &fn) != 4)
		die("%s is below %s, expected a port", pf->bdf, device);
	error.bus = bus;
	error.device = dev;
	error.function = fn;

	mark = log_mark();
	fd = must(open(AER_INJECT, O_WRONLY));
	must(write(fd, &error, sizeof(error)));
	close(fd);
	log_await(mark, "device recovery successful");
}

#define NVME_DRIVER	"/sys/bus/pci/drivers/nvme/"

void pf_unbind(const struct pf *pf)
{
	sysfs_set(NVME_DRIVER "unbind", pf->bdf);
}

void pf_bind(const struct pf *pf)
{
	sysfs_set(NVME_DRIVER "bind", pf->bdf);
}

static bool virt_mgmt(const struct pf *pf, const struct secondary *vf,
		      __u32 action, __u32 count)
{
	struct nvme_admin_cmd cmd = {
		.opcode = 0x1c,		/* Virtualization Management */
		.cdw10 = vf->id << 16 | action,
		.cdw11 = count,
	};

	return !pf_admin(pf, &cmd);
}

/* Return the controller ID of the PF. */
static __u16 own_cntlid(const struct pf *pf)
{
	char path[96], line[16];

	find_controller(path, sizeof(path), pf);
	strcat(path, "/cntlid");
	sysfs_read_line(path, line, sizeof(line));
	return atoi(line);
}

bool pf_lists_others(const struct pf *pf)
{
	const struct secondary *vfs = (const void *)pf->vfs;

	return pf->vfs[0] && vfs[1].primary != own_cntlid(pf);
}

__u16 pf_vf_cntlid(const char *vf_bdf)
{
	struct secondary list[4096 / sizeof(struct secondary)];
	/* The first entry contains the number of entries, up to 127. */
	const __u8 *count = (const void *)list;
	unsigned int i, next = 0;
	struct pf pf;
	__u16 own;

	pf_find(&pf, vf_bdf);
	own = own_cntlid(&pf);
	do {
		get_secondaries(&pf, next, list);
		for (i = 1; i <= *count; i++) {
			if (list[i].vf == find_relation(vf_bdf)->index &&
			    list[i].primary == own)
				return list[i].id;
			next = list[i].id + 1;
		}
	} while (*count == ARRAY_SIZE(list) - 1);
	die("%s: the Secondary Controller List lacks %s", pf.bdf, vf_bdf);
}

unsigned int pf_vf_namespaces(const char *vf_bdf)
{
	__u16 cntlid = pf_vf_cntlid(vf_bdf), ctrls[2048];
	unsigned int i, count = 0;
	__u32 nsids[1024];
	struct pf pf;

	pf_find(&pf, vf_bdf);
	if (pf_identify(&pf, 0x10, 0, 0, nsids))
		die("%s: reading the Allocated Namespace ID list failed", pf.bdf);
	for (i = 0; i < 1024 && nsids[i]; i++) {
		if (pf_identify(&pf, 0x12, nsids[i], cntlid, ctrls))
			die("%s: reading the controllers of namespace %u failed",
			    pf.bdf, nsids[i]);
		count += ctrls[0] && ctrls[1] == cntlid;
	}
	return count;
}

void pf_take_vf_offline(const struct pf *pf, const char *vf_bdf)
{
	const struct secondary *vfs = (const void *)pf->vfs;

	/* The first entry contains the number of entries. */
	if (!virt_mgmt(pf, &vfs[find_relation(vf_bdf)->index], 0x7, 0))
		die("%s: taking the VF offline failed", vf_bdf);
}

void pf_start_vf(const struct pf *pf, const char *vf_bdf, unsigned int queues)
{
	const struct secondary *vf = (const void *)pf->vfs;

	vf += find_relation(vf_bdf)->index;
	if (!virt_mgmt(pf, vf, 0x008, queues) || !virt_mgmt(pf, vf, 0x108, vf->vectors) ||
	    !virt_mgmt(pf, vf, 0x9, 0))
		die("%s: bringing the VF online with %u queue pairs failed", vf_bdf, queues);
}

void pf_set_attached(const struct pf *pf, const char *vf_bdf, __u32 nsid, bool attached)
{
	__u16 list[2048] = { 1, pf_vf_cntlid(vf_bdf) };
	struct nvme_admin_cmd cmd = {
		.opcode = 0x15,		/* Namespace Attachment */
		.nsid = nsid,
		.cdw10 = !attached,
		.addr = (uintptr_t)list,
		.data_len = sizeof(list),
	};
	int status = pf_admin(pf, &cmd);

	/* Namespace Already Attached, or Not Attached */
	if (status && (status & 0x7ff) != (attached ? 0x118 : 0x11a))
		die("%s: Namespace Attachment failed: %#x", vf_bdf, status);
}

void pf_restore_vfs(const struct pf *pf)
{
	const struct secondary *was = (const void *)pf->vfs;
	struct secondary now[4096 / sizeof(struct secondary)];
	int i;

	get_secondaries(pf, 0, now);
	for (i = 1; i <= pf->vfs[0]; i++)
		if (was[i].online && !now[i].online &&
		    !(virt_mgmt(pf, &was[i], 0x008, was[i].queues) &&
		      virt_mgmt(pf, &was[i], 0x108, was[i].vectors) &&
		      virt_mgmt(pf, &was[i], 0x9, 0)))
			die("VF %u: bringing the VF online failed", was[i].vf);
}
