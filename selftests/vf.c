// SPDX-License-Identifier: GPL-2.0-only
/* A virtual function through VFIO: registers, interrupts, DMA, migration. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vf.h"

void await_thread(pthread_t thread, const char *what, int seconds)
{
	long long deadline = ran_ms() + 1000LL * seconds;

	while (pthread_tryjoin_np(thread, NULL)) {
		if (ran_ms() > deadline)
			die("%s takes longer than %d s", what, seconds);
		usleep(1000);
	}
}

bool is_there(const char *bdf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	return !access(path, F_OK);
}

static const char *driver_name(void)
{
	return getenv("NVMEVF_DRIVER") ?: "nvme-vfio-pci";
}

const char *vf_bdf(unsigned int index)
{
	const char *bdf = NULL;
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern),
		 "/sys/bus/pci/drivers/%s/????:??:??.?", driver_name());
	if (!glob(pattern, 0, NULL, &found) && index < found.gl_pathc)
		bdf = strrchr(found.gl_pathv[index], '/') + 1;
	return bdf;
}

bool vf_api_present(enum vf_api api)
{
	return api == VF_ANY ||
	       !access(api == VF_CDEV ? "/dev/vfio/devices" : "/dev/vfio/vfio",
		       F_OK);
}

int sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Where sysfs has the nvme controller that is the PF. */
static void find_controller(char *path, size_t size, const struct pf *pf)
{
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/nvme/nvme*",
		 pf->bdf);
	if (glob(pattern, 0, NULL, &found))
		die("%s has no driver", pf->bdf);
	snprintf(path, size, "%s", found.gl_pathv[0]);
	globfree(&found);
}

static int open_controller(const struct pf *pf)
{
	char sys[64], path[64];

	find_controller(sys, sizeof(sys), pf);
	snprintf(path, sizeof(path), "/dev%s", strrchr(sys, '/'));
	return must(open(path, O_RDWR));
}

static void link_name(char *name, size_t size, const char *path)
{
	char target[PATH_MAX];
	ssize_t len = must(readlink(path, target, sizeof(target) - 1));

	target[len] = '\0';
	snprintf(name, size, "%s", strrchr(target, '/') + 1);
}

/* How a VF and its PF belong together. */
struct relation {
	char	vf[16], pf[16];
	int	index;		/* counted from 1, as the PF does */
};

/*
 * The links go first when a VF is removed, and its user may be there for long
 * after that. So what was found is kept.
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
	link_name(r->pf, sizeof(r->pf), path);
	do {
		snprintf(path, sizeof(path),
			 "/sys/bus/pci/devices/%s/virtfn%d", r->pf, r->index++);
		link_name(name, sizeof(name), path);
	} while (strcmp(name, bdf));
	return r;
}

static void find_pf(struct pf *pf, const char *vf_bdf)
{
	snprintf(pf->bdf, sizeof(pf->bdf), "%s", find_relation(vf_bdf)->pf);
}

int pf_admin(const struct pf *pf, struct nvme_admin_cmd *cmd)
{
	int fd = open_controller(pf);
	int ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, cmd);

	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool vf_firmware_migrates(const char *bdf)
{
	unsigned char id[4096] = {};
	struct nvme_admin_cmd cmd = {
		.opcode = 0x06,		/* Identify */
		.cdw10 = 1,		/* Controller */
		.addr = (uintptr_t)id,
		.data_len = sizeof(id),
	};
	struct pf pf;

	find_pf(&pf, bdf);
	if (pf_admin(&pf, &cmd))
		die("%s: Identify Controller of its PF failed", bdf);
	return id[3072] == 1;
}

static bool set_fault(const char *bdf, enum vf_command command,
		      enum vf_fault fault, __u32 value, __u32 times)
{
	struct nvme_admin_cmd cmd = {
		.opcode = 0x09,		/* Set Features */
		.cdw10 = 0xc0,		/* vendor specific, the model's */
		.cdw11 = find_relation(bdf)->index | command << 16 | (__u32)fault << 24,
		.cdw12 = value,
		.cdw13 = times,
	};
	struct pf pf;

	find_pf(&pf, bdf);
	return !pf_admin(&pf, &cmd);
}

bool vf_fault(const char *bdf, enum vf_command command, enum vf_fault fault,
	      __u32 value)
{
	return set_fault(bdf, command, fault, value, 0);
}

bool vf_fault_once(const char *bdf, enum vf_command command, enum vf_fault fault,
		   __u32 value)
{
	return set_fault(bdf, command, fault, value, 1);
}

void vf_no_faults(const char *bdf)
{
	static const enum vf_command commands[] = {
		VF_QUERY, VF_SUSPEND, VF_RESUME, VF_SAVE, VF_LOAD,
	};
	unsigned int i;

	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		vf_fault(bdf, commands[i], VF_FAULT_NONE, 0);
}

const char *vf_unfit(unsigned int count, enum vf_api api, bool faults)
{
	unsigned int i;

	if (!vf_bdf(count - 1))
		return "too few VFs are bound to the driver";
	if (!vf_api_present(api))
		return "this kernel has no such API";
	if (!vf_firmware_migrates(vf_bdf(0)))
		return "the firmware cannot migrate";
	if (faults && !vf_fault(vf_bdf(0), VF_QUERY, VF_FAULT_NONE, 0))
		return "the firmware cannot be made to misbehave";
	for (i = 0; faults && i < count; i++)
		vf_no_faults(vf_bdf(i));
	return NULL;
}

struct secondary {
	__u16	id, primary;
	__u8	online, rsvd[3];
	__u16	vf, queues, vectors, rsvd2[9];
};

static void get_secondaries(const struct pf *pf, void *list)
{
	struct nvme_admin_cmd cmd = {
		.opcode = 0x06,		/* Identify */
		.cdw10 = 0x15,		/* Secondary Controller List */
		.addr = (uintptr_t)list,
		.data_len = 4096,
	};

	if (pf_admin(pf, &cmd))
		die("%s: no Secondary Controller List", pf->bdf);
}

static void set_parameter(const char *path, const char *value)
{
	int ret = sysfs_write(path, value);

	if (ret)
		die("%s to %s: %s", value, path, strerror(-ret));
}

static void numvfs_path(char *path, size_t size, const struct pf *pf)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/sriov_numvfs", pf->bdf);
}

static void read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "r");

	if (!file || !fgets(line, size, file))
		die("%s: %s", path, strerror(errno));
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

void pf_open(struct pf *pf, const char *vf_bdf)
{
	char path[64];

	find_pf(pf, vf_bdf);
	get_secondaries(pf, pf->vfs);
	numvfs_path(path, sizeof(path), pf);
	read_line(path, pf->numvfs, sizeof(pf->numvfs));
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
	set_parameter(path, "0");
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
		read_line(path, state, sizeof(state));
		if (!strcmp(state, "live"))
			break;
		if (time(NULL) > deadline)
			die("%s is %s", sys, state);
		usleep(1000);
	}
}

void pf_set_timeout(const struct pf *pf, unsigned int seconds)
{
	char sys[64], path[128], text[16];

	snprintf(text, sizeof(text), "%u", seconds);
	set_parameter("/sys/module/nvme_core/parameters/admin_timeout", text);

	/* Newer kernels have one for each controller, too. */
	find_controller(sys, sizeof(sys), pf);
	snprintf(path, sizeof(path), "%s/admin_timeout", sys);
	snprintf(text, sizeof(text), "%u", 1000 * seconds);
	if (!access(path, F_OK))
		set_parameter(path, text);
}

void pf_reset(const struct pf *pf)
{
	int fd = open_controller(pf);

	must(ioctl(fd, NVME_IOCTL_RESET));
	close(fd);
}

#define NVME_DRIVER	"/sys/bus/pci/drivers/nvme/"

void pf_unbind(const struct pf *pf)
{
	set_parameter(NVME_DRIVER "unbind", pf->bdf);
}

void pf_bind(const struct pf *pf)
{
	set_parameter(NVME_DRIVER "bind", pf->bdf);
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

void pf_offline(const struct pf *pf, const char *vf_bdf)
{
	const struct secondary *vfs = (const void *)pf->vfs;

	/* The first entry is the number of the others. */
	if (!virt_mgmt(pf, &vfs[find_relation(vf_bdf)->index], 0x7, 0))
		die("%s does not go offline", vf_bdf);
}

void pf_bring_back(const struct pf *pf)
{
	const struct secondary *was = (const void *)pf->vfs;
	struct secondary now[4096 / sizeof(struct secondary)];
	int i;

	get_secondaries(pf, now);
	for (i = 1; i <= pf->vfs[0]; i++)
		if (was[i].online && !now[i].online &&
		    !(virt_mgmt(pf, &was[i], 0x008, was[i].queues) &&
		      virt_mgmt(pf, &was[i], 0x108, was[i].vectors) &&
		      virt_mgmt(pf, &was[i], 0x9, 0)))
			die("VF %u does not come online", was[i].vf);
}

static void open_group(struct vf *vf, void *mem, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem,
		.iova = VF_IOVA,
		.size = size,
	};
	char path[64], group[16];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
		 vf->bdf);
	link_name(group, sizeof(group), path);
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);

	vf->iommu = must(open("/dev/vfio/vfio", O_RDWR));
	vf->group = must(open(path, O_RDWR));
	must(ioctl(vf->group, VFIO_GROUP_SET_CONTAINER, &vf->iommu));
	must(ioctl(vf->iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	must(ioctl(vf->iommu, VFIO_IOMMU_MAP_DMA, &map));
	vf->fd = must(ioctl(vf->group, VFIO_GROUP_GET_DEVICE_FD, vf->bdf));
}

static void open_cdev(struct vf *vf, void *mem, size_t size)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
	};
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.user_va = (uintptr_t)mem,
		.iova = VF_IOVA,
		.length = size,
	};
	char path[64], pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern),
		 "/sys/bus/pci/devices/%s/vfio-dev/vfio*", vf->bdf);
	if (glob(pattern, 0, NULL, &found))
		die("%s: no VFIO device", vf->bdf);
	snprintf(path, sizeof(path), "/dev/vfio/devices%s",
		 strrchr(found.gl_pathv[0], '/'));
	globfree(&found);

	vf->group = -1;
	vf->iommu = must(open("/dev/iommu", O_RDWR));
	vf->fd = must(open(path, O_RDWR));
	bind.iommufd = vf->iommu;
	must(ioctl(vf->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	must(ioctl(vf->iommu, IOMMU_IOAS_ALLOC, &alloc));
	map.ioas_id = alloc.out_ioas_id;
	must(ioctl(vf->iommu, IOMMU_IOAS_MAP, &map));
	attach.pt_id = alloc.out_ioas_id;
	must(ioctl(vf->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

static __u64 config_offset(struct vf *vf)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};

	must(ioctl(vf->fd, VFIO_DEVICE_GET_REGION_INFO, &config));
	return config.offset;
}

void vf_config_read(struct vf *vf, unsigned int at, void *data, size_t size)
{
	must(pread(vf->fd, data, size, config_offset(vf) + at));
}

void vf_config_write(struct vf *vf, unsigned int at, const void *data,
		     size_t size)
{
	must(pwrite(vf->fd, data, size, config_offset(vf) + at));
}

/* DMA and interrupts need the VF to be a bus master. */
static void enable_bus_master(struct vf *vf)
{
	__u16 command;

	vf_config_read(vf, PCI_COMMAND, &command, 2);
	command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	vf_config_write(vf, PCI_COMMAND, &command, 2);
}

static void enable_irqs(struct vf *vf)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	struct {
		struct vfio_irq_set	set;
		int			fd[VF_VECTORS];
	} irqs = {
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	int i;

	must(ioctl(vf->fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	vf->vectors = info.count < VF_VECTORS ? info.count : VF_VECTORS;
	if (!vf->vectors)
		die("%s: no MSI-X", vf->bdf);
	for (i = 0; i < vf->vectors; i++) {
		vf->irq[i] = must(eventfd(0, EFD_NONBLOCK));
		irqs.fd[i] = vf->irq[i];
	}
	irqs.set.count = vf->vectors;
	irqs.set.argsz = sizeof(irqs.set) + vf->vectors * sizeof(int);
	must(ioctl(vf->fd, VFIO_DEVICE_SET_IRQS, &irqs));
}

static void bind_to(const char *bdf, const char *driver)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override",
		 bdf);
	set_parameter(path, driver);
	set_parameter("/sys/bus/pci/drivers_probe", bdf);
}

void vf_bind(const char *bdf)
{
	bind_to(bdf, driver_name());
}

void vf_rebind(const char *bdf, const char *driver)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	if (!access(path, F_OK))
		set_parameter(path, bdf);
	bind_to(bdf, driver ?: driver_name());
}

void vf_open(struct vf *vf, const char *bdf, enum vf_api api, void *mem,
	     size_t size)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};

	if (api == VF_ANY)
		api = vf_api_present(VF_GROUP) ? VF_GROUP : VF_CDEV;
	vf->bdf = bdf;
	if (api == VF_CDEV)
		open_cdev(vf, mem, size);
	else
		open_group(vf, mem, size);

	must(ioctl(vf->fd, VFIO_DEVICE_GET_REGION_INFO, &bar));
	vf->bar_size = bar.size;
	vf->bar = must(mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    vf->fd, bar.offset));
	enable_bus_master(vf);
	enable_irqs(vf);
}

void vf_close(struct vf *vf)
{
	int i;

	for (i = 0; i < vf->vectors; i++)
		close(vf->irq[i]);
	munmap(vf->bar, vf->bar_size);
	close(vf->fd);
	if (vf->group >= 0)
		close(vf->group);
	close(vf->iommu);
}

void vf_reset_done(struct vf *vf)
{
	enable_bus_master(vf);
}

void vf_reset(struct vf *vf)
{
	must(ioctl(vf->fd, VFIO_DEVICE_RESET));
	vf_reset_done(vf);
}

int vf_request_fd(struct vf *vf)
{
	struct {
		struct vfio_irq_set	set;
		int			fd;
	} irq = {
		.set.argsz = sizeof(irq),
		.set.flags = VFIO_IRQ_SET_DATA_EVENTFD |
			     VFIO_IRQ_SET_ACTION_TRIGGER,
		.set.index = VFIO_PCI_REQ_IRQ_INDEX,
		.set.count = 1,
		.fd = must(eventfd(0, EFD_NONBLOCK)),
	};

	must(ioctl(vf->fd, VFIO_DEVICE_SET_IRQS, &irq));
	return irq.fd;
}

bool vf_irq_pending(struct vf *vf, int vector, int timeout_ms)
{
	struct pollfd pfd = { .fd = vf->irq[vector], .events = POLLIN };
	eventfd_t count;

	return must(poll(&pfd, 1, timeout_ms)) == 1 &&
	       !eventfd_read(vf->irq[vector], &count);
}

int vf_feature(struct vf *vf, __u32 feature, void *data, size_t size)
{
	struct {
		struct vfio_device_feature	head;
		__u64				data[8];
	} arg = {
		.head.argsz = sizeof(arg.head) + size,
		.head.flags = feature,
	};

	memcpy(arg.data, data, size);
	if (ioctl(vf->fd, VFIO_DEVICE_FEATURE, &arg))
		return -errno;
	memcpy(data, arg.data, size);
	return 0;
}

int vf_mig_flags(struct vf *vf)
{
	struct vfio_device_feature_migration mig = {};
	int ret;

	ret = vf_feature(vf, VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_MIGRATION, &mig, sizeof(mig));
	return ret ?: (int)mig.flags;
}

long long vf_mig_data_size(struct vf *vf)
{
	struct vfio_device_feature_mig_data_size size = {};
	int ret;

	ret = vf_feature(vf, VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, &size,
			 sizeof(size));
	return ret ?: (long long)size.stop_copy_length;
}

int vf_get_state(struct vf *vf)
{
	struct vfio_device_feature_mig_state mig = {};
	int ret;

	ret = vf_feature(vf, VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &mig,
			 sizeof(mig));
	return ret ?: (int)mig.device_state;
}

int vf_set_state(struct vf *vf, unsigned int state, int *data_fd)
{
	struct vfio_device_feature_mig_state mig = {
		.device_state = state,
		.data_fd = -1,
	};
	int ret;

	ret = vf_feature(vf, VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &mig,
			 sizeof(mig));
	if (data_fd)
		*data_fd = mig.data_fd;
	else if (mig.data_fd >= 0)
		close(mig.data_fd);
	return ret;
}

void vf_go(struct vf *vf, unsigned int state, int *data_fd)
{
	int ret = vf_set_state(vf, state, data_fd);

	if (ret)
		die("%s: cannot go to state %u: %s", vf->bdf, state,
		    strerror(-ret));
}

unsigned int vf_images(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "r");
	unsigned int count = 0;
	char line[512];

	if (!f)
		die("/proc/vmallocinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, "nvmevf_");
	fclose(f);
	return count;
}

int stream_read_on(struct stream *s, int fd, size_t chunk)
{
	size_t room = s->len;
	ssize_t n;

	do {
		if (room - s->len < chunk) {
			room += 65536 + chunk;
			s->data = realloc(s->data, room);
			if (!s->data)
				die("no memory");
		}
		n = read(fd, s->data + s->len, chunk);
		if (n < 0)
			return -errno;
		s->len += n;
	} while (n);
	return 0;
}

int stream_read(struct stream *s, int fd, size_t chunk)
{
	int ret;

	s->data = NULL;
	s->len = 0;
	ret = stream_read_on(s, fd, chunk);
	if (ret) {
		free(s->data);
		s->data = NULL;
	}
	return ret;
}

__u64 stream_state_length(const struct stream *s)
{
	const struct nvmevf_record *record = (void *)s->data + STATE_AT;

	return record->length;
}

int stream_write(const struct stream *s, int fd, size_t chunk)
{
	size_t done = 0;
	ssize_t n;

	while (done < s->len) {
		n = write(fd, s->data + done,
			  s->len - done < chunk ? s->len - done : chunk);
		if (n < 0)
			return -errno;
		if (!n)
			die("write() takes nothing");
		done += n;
	}
	return 0;
}

int stream_touch(int fd)
{
	char byte = 0;
	int ret;

	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		ret = read(fd, &byte, 1);
	else
		ret = write(fd, &byte, 1);
	return ret < 0 ? -errno : 0;
}

__u32 crc32c(const void *data, size_t len)
{
	static __u32 table[256];
	const __u8 *p = data;
	__u32 crc = ~0;
	int i, bit;

	for (i = 0; !table[255] && i < 256; i++) {
		table[i] = i;
		for (bit = 0; bit < 8; bit++)
			table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0x82f63b78 : 0);
	}
	while (len--)
		crc = (crc >> 8) ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

long long now_ns(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_MONOTONIC, &now));
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

long long now_ms(void)
{
	return now_ns() / 1000000;
}

#define TICK_MS		100
#define STANDSTILL_MS	1000

static void *keep_ticking(void *unused)
{
	for (;;) {
		usleep(1000 * TICK_MS);
		ran_ms();
	}
	return NULL;
}

long long ran_ms(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static long long last, stood_still;
	static pid_t ticking;
	pthread_t thread;
	long long now;

	pthread_mutex_lock(&lock);
	now = now_ms();
	if (ticking != getpid()) {
		ticking = getpid();
		last = now;
		if (pthread_create(&thread, NULL, keep_ticking, NULL))
			die("no thread");
	}
	/* There was a tick just now, but for who stood still. */
	if (now - last > STANDSTILL_MS)
		stood_still += now - last - STANDSTILL_MS;
	last = now;
	now -= stood_still;
	pthread_mutex_unlock(&lock);
	return now;
}
