/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Control the physical function. Functions that return nothing end the test when
 * they fail.
 */
#ifndef NVMEVF_TEST_PF_H
#define NVMEVF_TEST_PF_H

#include <stdbool.h>
#include <linux/nvme_ioctl.h>

/*
 * A reset of the PF takes its VFs offline, and their queues and vectors with them.
 * pf_open() saves what each VF has, pf_restore_vfs() restores it.
 */
struct pf {
	char		bdf[16];
	char		numvfs[16];
	unsigned char	vfs[4096];	/* Secondary Controller List */
};

/* A private namespace that the administrator of the test bed has attached to no controller */
#define SPARE_NSID	2

/* Find the PF of a VF, without what pf_open() saves. */
void pf_find(struct pf *pf, const char *vf_bdf);
/* Return the VF's number, counted from 1 as the PF does. */
int pf_vf_index(const char *vf_bdf);
/* Return the controller ID of the VF, and the number of namespaces attached to the VF. */
__u16 pf_vf_cntlid(const char *vf_bdf);
unsigned int pf_vf_namespaces(const char *vf_bdf);
/* Return whether the Secondary Controller List begins with VFs of another PF. */
bool pf_lists_others(const struct pf *pf);
/* Send Identify; return the status or -errno. */
int pf_identify(const struct pf *pf, __u8 cns, __u32 nsid, __u16 cntid, void *data);
void pf_open(struct pf *pf, const char *vf_bdf);
/* Return N of nvmeN, the PF's controller. */
unsigned int pf_controller(const struct pf *pf);
/* Open the device file of the controller. */
int pf_open_device(const struct pf *pf);
/* Send an admin command; return its status or -errno. */
int pf_admin(const struct pf *pf, struct nvme_admin_cmd *cmd);
/* Limit the time of an admin command; commands for VFs may take twice that. */
void pf_set_timeout(const struct pf *pf, unsigned int seconds);
/* Take one VF offline, even if the VF is in use. */
void pf_take_vf_offline(const struct pf *pf, const char *vf_bdf);
/* Give a VF that is offline a number of queue pairs, and bring it online. */
void pf_start_vf(const struct pf *pf, const char *vf_bdf, unsigned int queues);
/* Attach a namespace to a VF, or detach it. */
void pf_set_attached(const struct pf *pf, const char *vf_bdf, __u32 nsid, bool attached);
/* Reset the controller. */
void pf_reset(const struct pf *pf);
/* Reset the PCI function, which removes the VFs from the bus until the kernel restores them. */
void pf_reset_function(const struct pf *pf);
/*
 * Have the port above the PF report a fatal error, and wait until the kernel has reset the
 * bus below the port. The kernel needs aer_inject: pf_can_inject_errors().
 */
void pf_fatal_error(const struct pf *pf);
bool pf_can_inject_errors(void);
/* Reset the NVM subsystem; return 0 or -errno. The nvme driver does not notice by itself. */
int pf_reset_subsystem(const struct pf *pf);
/* Unbind the nvme driver from the PF, or bind it and wait until it is ready. */
void pf_unbind(const struct pf *pf);
void pf_bind(const struct pf *pf);
/* Wait until a reset by the nvme driver has ended. */
void pf_await_live(const struct pf *pf);
/* Remove all VFs, or create those that pf_open() found, without a driver; return 0 or -errno. */
int pf_remove_vfs(const struct pf *pf);
int pf_add_vfs(const struct pf *pf);
/* Remove the VFs from the bus, or restore them, without notice to their drivers. */
void pf_set_vf_enable(const struct pf *pf, bool enable);
/* Bring the VFs online with the resources that they had at pf_open(). */
void pf_restore_vfs(const struct pf *pf);

#endif /* NVMEVF_TEST_PF_H */
