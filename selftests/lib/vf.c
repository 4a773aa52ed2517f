// SPDX-License-Identifier: GPL-2.0-only
/* Use a virtual function through VFIO: registers, interrupts, DMA, migration. */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <unistd.h>
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "fault.h"
#include "pf.h"
#include "stream.h"
#include "sysfs.h"
#include "util.h"
#include "vf.h"

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

bool vf_standard(void)
{
	static int standard = -1;
	char set[16] = "";
	FILE *f;

	if (standard < 0) {
		f = fopen("/sys/module/nvme_vfio_pci/parameters/command_set", "r");
		standard = f && fscanf(f, "%15s", set) == 1 && !strcmp(set, "standard");
		if (f)
			fclose(f);
	}
	return standard;
}

/* Read Identify Controller of the PF of a VF. */
static void identify_pf(const char *bdf, unsigned char id[4096])
{
	struct pf pf;

	pf_find(&pf, bdf);
	if (pf_identify(&pf, 1, 0, 0, id))
		die("%s: Identify Controller of its PF failed", bdf);
}

bool vf_has_standard(const char *bdf)
{
	unsigned char id[4096];

	identify_pf(bdf, id);
	return id[257] & 0x8;	/* OACS bit 11 */
}

bool vf_firmware_migrates(const char *bdf)
{
	static const __u8 commands[] = {
#define COMMAND(name, opcode)	(opcode),
#include "../testbed/qemu/faults.def"
	};
	unsigned char id[4096] = {};
	__u32 effects[1024] = {};
	struct nvme_admin_cmd get_log = {
		.opcode = 0x02,
		.nsid = ~0U,
		/* Commands Supported and Effects; dwords - 1 */
		.cdw10 = 0x05 | (ARRAY_SIZE(effects) - 1) << 16,
		.addr = (uintptr_t)effects,
		.data_len = sizeof(effects),
	};
	unsigned int i;
	struct pf pf;

	if (vf_standard())
		return vf_has_standard(bdf);

	identify_pf(bdf, id);
	pf_find(&pf, bdf);
	if (id[3072] != 1 || pf_admin(&pf, &get_log))
		return false;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!(effects[commands[i]] & 1))
			return false;
	return true;
}

const char *vf_skip_reason(unsigned int count, enum vf_api api, bool faults)
{
	unsigned int i;

	if (!vf_bdf(count - 1))
		return "too few VFs are bound to the driver";
	if (!vf_api_present(api))
		return "this kernel has no such API";
	if (!vf_firmware_migrates(vf_bdf(0)))
		return "the firmware cannot migrate";
	if (faults && !fault_set(vf_bdf(0), COMMAND_QUERY, FAULT_NONE, 0))
		return "the firmware cannot be made to misbehave";
	for (i = 0; faults && i < count; i++)
		fault_clear_all(vf_bdf(i));
	return NULL;
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
	sysfs_link_name(group, sizeof(group), path);
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
		die("%s: no VFIO device found", vf->bdf);
	snprintf(path, sizeof(path), "/dev/vfio/devices%s",
		 strrchr(found.gl_pathv[0], '/'));
	globfree(&found);

	vf->group = -1;
	vf->iommu = must(open("/dev/iommu", O_RDWR));
	vf->fd = must(open(path, O_RDWR));
	bind.iommufd = vf->iommu;
	must(ioctl(vf->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	vf->dev_id = bind.out_devid;
	must(ioctl(vf->iommu, IOMMU_IOAS_ALLOC, &alloc));
	vf->ioas_id = alloc.out_ioas_id;
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
		die("%s: no MSI-X vectors found", vf->bdf);
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
	sysfs_set(path, driver);
	sysfs_set("/sys/bus/pci/drivers_probe", bdf);
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
		sysfs_set(path, bdf);
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

void vf_enter_state(struct vf *vf, unsigned int state, int *data_fd)
{
	int ret = vf_set_state(vf, state, data_fd);

	if (ret)
		die("%s: cannot enter state %u: %s", vf->bdf, state,
		    strerror(-ret));
}

bool vf_state_is_precopy(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_PRE_COPY ||
	       state == VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

bool vf_state_has_stream(unsigned int state)
{
	return vf_state_is_precopy(state) || state == VFIO_DEVICE_STATE_STOP_COPY ||
	       state == VFIO_DEVICE_STATE_RESUMING;
}

size_t vf_initial_bytes(void)
{
	static size_t bytes;

	if (!bytes)
		bytes = PAYLOAD_AT + pf_vf_namespaces(vf_bdf(0)) *
			sizeof(struct nvmevf_namespace);
	return bytes;
}

unsigned int vf_images(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "r");
	unsigned int count = 0;
	char line[512];

	if (!f)
		die("cannot open /proc/vmallocinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		count += !!strstr(line, "[nvme_vfio_pci]");
	fclose(f);
	return count;
}
