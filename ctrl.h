/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Identity of the controller of a VF, and which other controller's state it takes.
 */
#ifndef NVMEVF_CTRL_H
#define NVMEVF_CTRL_H

#include "cmds.h"

struct nvmevf_identity;
struct pci_dev;

void nvmevf_ctrl_init(struct nvmevf_ctrl *ctrl, struct pci_dev *vf);
int nvmevf_ctrl_identity(struct nvmevf_ctrl *ctrl,
			 struct nvmevf_identity *identity);
int nvmevf_ctrl_accept(struct nvmevf_ctrl *ctrl,
		       const struct nvmevf_identity *own,
		       const struct nvmevf_identity *source);
__printf(3, 4) int nvmevf_ctrl_refuse(struct nvmevf_ctrl *ctrl, int error,
				      const char *fmt, ...);

#endif /* NVMEVF_CTRL_H */
