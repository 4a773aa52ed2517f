/* SPDX-License-Identifier: GPL-2.0-only */
/* Run a guest on a VF, and migrate it to another. */
#ifndef NVMEVF_TEST_GUEST_H
#define NVMEVF_TEST_GUEST_H

#include "nvme.h"
#include "stream.h"
#include "vf.h"

/* Allocate the guest's memory. */
void guest_init(struct nvme *n);
/* Allocate the guest's memory and open @count VFs for it; the guest runs on the first. */
void guest_open(struct nvme *n, struct vf *vf, unsigned int count,
		enum vf_api api);

/* Open the first two VFs; the guest runs on @src. */
void guest_open_pair(struct nvme *n, struct vf *src, struct vf *dst,
		     enum vf_api api);

/*
 * Migrate step by step. The VF must not write the guest's memory while the VF is
 * suspended; guest_save() and guest_load() check that.
 */
void guest_precopy(struct nvme *n, struct stream *s);	/* to PRE_COPY */
void guest_suspend(struct nvme *n);	/* to RUNNING_P2P or PRE_COPY_P2P */
void guest_save(struct nvme *n, struct stream *s);	/* to STOP_COPY */
/* Do the two halves of guest_save(). */
void guest_stop_copy(struct nvme *n, struct stream *s);
void guest_read_state(struct nvme *n, struct stream *s);
void guest_load(struct nvme *n, struct vf *vf, const struct stream *s);
/* Migrate to another VF, and reset the first one. */
void guest_migrate(struct nvme *n, struct vf *vf);
/* Save a copy of the guest's memory, and compare with it. */
void guest_freeze(struct nvme *n);
void guest_check_frozen(struct nvme *n, const char *when);
/* Return from STOP_COPY or PRE_COPY to RUNNING on the same VF. */
void guest_roll_back(struct nvme *n);
/* Restart after a reset of the controller, and check the disk. */
void guest_restart(struct nvme *n);

#endif /* NVMEVF_TEST_GUEST_H */
