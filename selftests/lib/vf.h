/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Use a virtual function through VFIO: registers, interrupts, DMA, migration.
 *
 * Functions that return nothing end the test when they fail. The others return a
 * negative errno, for tests to compare.
 */
#ifndef NVMEVF_TEST_VF_H
#define NVMEVF_TEST_VF_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/vfio.h>

#include "util.h"

#define VF_VECTORS	8

/* The address at which the VF sees the memory of vf_open(). */
#define VF_IOVA		0x40000000ULL

enum vf_api {
	VF_GROUP,		/* /dev/vfio/GROUP with a type1 container */
	VF_CDEV,		/* /dev/vfio/devices/vfioN with iommufd */
	VF_ANY,			/* the first that the kernel has */
};

struct vf {
	const char	*bdf;
	int		iommu;	/* container or iommufd */
	__u32		dev_id;	/* of iommufd */
	__u32		ioas_id;
	int		group;
	int		fd;
	void		*bar;
	size_t		bar_size;
	int		vectors;
	int		irq[VF_VECTORS];	/* eventfds */
};

/*
 * Return the address of a VF that is bound to the driver under test ($NVMEVF_DRIVER),
 * or NULL after the last.
 */
const char *vf_bdf(unsigned int index);
bool vf_api_present(enum vf_api api);
/* Return whether the driver was told to use the standard's command set ($NVMEVF_SET). */
bool vf_standard(void);
/* Return whether the PF has HMLMS: the standard's command set, whichever is used. */
bool vf_has_standard(const char *bdf);
/* Return whether the PF says in Identify Controller and in its log that VFs migrate. */
bool vf_firmware_migrates(const char *bdf);
/*
 * Return why a test must be skipped that needs @count VFs that can migrate and, if
 * @faults, take faults; or NULL, without any fault left.
 */
const char *vf_skip_reason(unsigned int count, enum vf_api api, bool faults);

/* Bind a VF that has no driver to the driver under test. */
void vf_bind(const char *bdf);
/* Unbind a VF, and bind it to @driver or, if NULL, to the driver under test. */
void vf_rebind(const char *bdf, const char *driver);
/* Open a VF and map @mem for its DMA. */
void vf_open(struct vf *vf, const char *bdf, enum vf_api api, void *mem,
	     size_t size);
void vf_close(struct vf *vf);
void vf_reset(struct vf *vf);
/* Enable bus mastering after a reset by other means. */
void vf_reset_done(struct vf *vf);
void vf_config_read(struct vf *vf, unsigned int at, void *data, size_t size);
void vf_config_write(struct vf *vf, unsigned int at, const void *data,
		     size_t size);
/* Return an eventfd that signals the host's request to close the VF. */
int vf_request_fd(struct vf *vf);
bool vf_irq_pending(struct vf *vf, int vector, int timeout_ms);

int vf_feature(struct vf *vf, __u32 feature, void *data, size_t size);
int vf_mig_flags(struct vf *vf);		/* or -errno */
long long vf_mig_data_size(struct vf *vf);	/* or -errno */
int vf_get_state(struct vf *vf);
/* Set the migration state. *@data_fd is -1 if the arc makes none; @data_fd may be NULL. */
int vf_set_state(struct vf *vf, unsigned int state, int *data_fd);
/* Set the migration state; end the test when that fails. */
void vf_enter_state(struct vf *vf, unsigned int state, int *data_fd);

bool vf_state_is_precopy(unsigned int state);
/* Does the driver return a data_fd on entry into @state? */
bool vf_state_has_stream(unsigned int state);

/*
 * Return the bytes of a stream that can be read in PRE_COPY. All VFs have the same
 * namespaces.
 */
size_t vf_initial_bytes(void);

/* Return how many controller states the driver holds in memory, of all VFs. */
unsigned int vf_images(void);

#endif /* NVMEVF_TEST_VF_H */
