/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Identity of the controller of a VF, and which other controller's state it takes.
 */
#ifndef NVMEVF_CTRL_H
#define NVMEVF_CTRL_H

#include "cmds.h"
#include "format.h"

/**
 * struct nvmevf_namespaces - the namespaces that are attached to a VF
 * @count: how many
 * @next: the first that was not compared with one of the source
 * @ns: in order of their NSIDs
 */
struct nvmevf_namespaces {
	unsigned int		count;
	unsigned int		next;
	struct nvmevf_namespace	ns[];
};

/* As many as an optional record can have */
#define NVMEVF_NAMESPACES_MAX	1024

void nvmevf_ctrl_init(struct nvmevf_ctrl *ctrl, struct pci_dev *vf);
int nvmevf_ctrl_identity(struct nvmevf_ctrl *ctrl,
			 struct nvmevf_identity *identity);
int nvmevf_ctrl_namespaces(struct nvmevf_ctrl *ctrl,
			   const struct nvmevf_identity *identity,
			   struct nvmevf_namespaces **namespaces);
int nvmevf_ctrl_accept(struct nvmevf_ctrl *ctrl,
		       const struct nvmevf_identity *own,
		       const struct nvmevf_identity *source);
int nvmevf_ctrl_accept_namespace(struct nvmevf_ctrl *ctrl,
				 struct nvmevf_namespaces *own,
				 const struct nvmevf_namespace *source);
__printf(3, 4) int nvmevf_ctrl_refuse(struct nvmevf_ctrl *ctrl, int error,
				      const char *fmt, ...);

#endif /* NVMEVF_CTRL_H */
