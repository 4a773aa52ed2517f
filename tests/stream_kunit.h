/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VF, and streams that nvme.txt describes, for the tests of save.c and load.c.
 * The streams are made without the structures and functions of the driver.
 */
#ifndef NVMEVF_STREAM_KUNIT_H
#define NVMEVF_STREAM_KUNIT_H

#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/mman.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/unaligned.h>
#include <linux/vfio.h>

#include "../cmds.h"
#include "../format.h"

#define STATE		"a state of 21 bytes.."
#define STATE_SIZE	21
#define MAX_STATE_SIZE	4096
#define USER_SIZE	(2 * SZ_64K)

/* Offsets in the stream that nvmevf_stream_kunit_good() makes */
enum {
	AT_IDENTITY	= 0,
	AT_STATE	= 120,
	PAYLOAD		= AT_STATE + 16,
	AT_PADDING	= AT_STATE + 16 + STATE_SIZE,
	AT_END		= AT_STATE + 16 + 24,
	GOOD_SIZE	= AT_END + 24,
};

struct nvmevf_stream_kunit {
	struct nvmevf_ctrl	ctrl;
	struct nvmevf_cmd_set	set;
	struct pci_dev		pdev;
	struct vfio_device	vdev;
	struct nvmevf_identity	identity;	/* of the VF */
	struct nvmevf_stream	*stream;
	void __user		*user;
	u8			*bytes;		/* a stream */
	size_t			len;
	unsigned int		loads;
	int			load_error;
	u64			epoch;		/* of the PF */
	int			epoch_error;
};

/* Make a VF, and memory that a user could have. */
static inline int nvmevf_stream_kunit_init(struct kunit *test)
{
	struct nvmevf_stream_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->bytes = kunit_kzalloc(test, USER_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->bytes);
	t->user = (void __user *)
		kunit_vm_mmap(test, NULL, 0, USER_SIZE, PROT_READ | PROT_WRITE,
			      MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, (__force long)t->user, 0,
			    "no user memory");

	t->pdev.dev.init_name = "kunit";
	t->ctrl.vf = &t->pdev;
	t->ctrl.set = &t->set;
	nvmevf_stats_init(&t->ctrl.stats);
	ratelimit_default_init(&t->ctrl.messages);
	t->identity = (struct nvmevf_identity) {
		.magic = cpu_to_le64(NVMEVF_STREAM_MAGIC),
		.version = cpu_to_le16(NVMEVF_STREAM_VERSION),
		.vendor = cpu_to_le16(0x8086),
		.device = cpu_to_le16(0x1457),
		.subsystem_vendor = cpu_to_le16(0x1111),
		.subsystem_device = cpu_to_le16(0x2222),
		.msix_vectors = cpu_to_le16(5),
		.command_set = cpu_to_le16(NVMEVF_COMMAND_SET_VENDOR),
		.queue_pairs = cpu_to_le16(3),
		.model = "a model",
		.firmware = "1.0",
		.cntlid = cpu_to_le16(0x123),
	};
	test->priv = t;
	return 0;
}

/* Calculate the CRC-32C bit by bit. */
static inline u32 nvmevf_stream_kunit_crc(const u8 *p, size_t len)
{
	u32 crc = ~0;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static inline void nvmevf_stream_kunit_add(struct nvmevf_stream_kunit *t,
					   u32 type, u32 flags, u64 length,
					   const void *payload)
{
	u8 *p = t->bytes + t->len;

	put_unaligned_le32(type, p);
	put_unaligned_le32(flags, p + 4);
	put_unaligned_le64(length, p + 8);
	memset(p + 16, 0, round_up(length, 8));
	if (payload)
		memcpy(p + 16, payload, length);
	t->len += 16 + round_up(length, 8);
}

/* Add IDENTITY at the offsets of nvme.txt. */
static inline void nvmevf_stream_kunit_add_identity(struct nvmevf_stream_kunit *t)
{
	u8 p[104] = { };

	memcpy(p, "NVMEVFLM", 8);
	put_unaligned_le16(1, p + 8);
	put_unaligned_le16(0x8086, p + 10);
	put_unaligned_le16(0x1457, p + 12);
	put_unaligned_le16(0x1111, p + 14);
	put_unaligned_le16(0x2222, p + 16);
	put_unaligned_le16(5, p + 18);
	put_unaligned_le16(1, p + 20);
	put_unaligned_le16(3, p + 22);
	memcpy(p + 24, "a model", 7);
	memcpy(p + 64, "1.0", 3);
	put_unaligned_le64(STATE_SIZE, p + 72);
	put_unaligned_le16(0x123, p + 82);
	nvmevf_stream_kunit_add(t, 1, 0, sizeof(p), p);
}

static inline void nvmevf_stream_kunit_add_state(struct nvmevf_stream_kunit *t)
{
	nvmevf_stream_kunit_add(t, 2, 0, STATE_SIZE, STATE);
}

static inline void nvmevf_stream_kunit_add_end(struct nvmevf_stream_kunit *t)
{
	u8 p[8] = { };

	put_unaligned_le32(nvmevf_stream_kunit_crc(t->bytes, t->len), p);
	nvmevf_stream_kunit_add(t, 3, 0, sizeof(p), p);
}

static inline void nvmevf_stream_kunit_good(struct nvmevf_stream_kunit *t)
{
	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_end(t);
}

#endif /* NVMEVF_STREAM_KUNIT_H */
