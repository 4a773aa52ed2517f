/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* The interface of /dev/nvme-vf-test, which calls linux/nvme-vf.h for a test. */
#ifndef NVME_VF_TEST_H
#define NVME_VF_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

enum nvme_vf_test_function {
	NVME_VF_TEST_SUBMIT,
	NVME_VF_TEST_MAX_TRANSFER,
	NVME_VF_TEST_EPOCH,
	NVME_VF_TEST_CHECK_MIGRATION,
};

/**
 * struct nvme_vf_test - one call
 * @function: in: the function to call, of enum nvme_vf_test_function
 * @domain: in: PCI domain of the function to call it for
 * @bus: in: PCI bus
 * @devfn: in: PCI device and function, as PCI_DEVFN()
 * @cmd: in: the command
 * @buf: in: address of the data; 0: the call has no data
 * @len: in: bytes of data, as the call gets it
 * @ret: out: what the function returned
 * @value: out: result of the command, limit, or epoch
 * @status: out: status of the command
 * @rsvd: 0
 */
struct nvme_vf_test {
	__u32	function;
	__u16	domain;
	__u8	bus;
	__u8	devfn;
	__u8	cmd[64];
	__u64	buf;
	__u32	len;
	__s32	ret;
	__u64	value;
	__u32	status;
	__u32	rsvd;
};

#define NVME_VF_TEST_CALL	_IOWR('N', 0x80, struct nvme_vf_test)

#endif /* NVME_VF_TEST_H */
