/* SPDX-License-Identifier: GPL-2.0-only */
/* Have the device model misbehave. */
#ifndef NVMEVF_TEST_FAULT_H
#define NVMEVF_TEST_FAULT_H

#include <stdbool.h>
#include <linux/types.h>

enum vf_command {
	VF_QUERY	= 0xc4,
	VF_SUSPEND	= 0xc8,
	VF_RESUME	= 0xcc,
	VF_SAVE		= 0xd2,
	VF_LOAD		= 0xd5,
};

enum vf_fault {
	VF_FAULT_NONE		= 0,	/* removes all faults of the command */
	VF_FAULT_DELAY		= 1,	/* ms */
	VF_FAULT_STATUS		= 2,	/* status of the failure */
	VF_FAULT_NEVER		= 3,	/* no answer */
	VF_FAULT_SIZE		= 4,	/* QUERY: bytes of state of a running VF */
	VF_FAULT_SIZE_IDLE	= 5,	/* ... of a suspended one */
	VF_FAULT_DAMAGE		= 6,	/* SAVE, LOAD: offset of a byte */
	VF_FAULT_LENGTH		= 7,	/* SAVE, LOAD: bytes that are transferred */
	VF_FAULT_FAIL		= 8,	/* of the controller: 0 the PF's, 1 the VF's */
	VF_FAULT_OFFLINE	= 9,	/* the VF is */
};

/*
 * Set a fault for each such command to this VF. Return false if the controller has
 * no such faults, i.e. is not the device model.
 */
bool vf_fault(const char *bdf, enum vf_command command, enum vf_fault fault,
	      __u32 value);
/* Set a fault for the next such command only. */
bool vf_fault_once(const char *bdf, enum vf_command command, enum vf_fault fault,
		   __u32 value);
/* Remove all faults of all commands to this VF. */
void vf_no_faults(const char *bdf);

#endif /* NVMEVF_TEST_FAULT_H */
