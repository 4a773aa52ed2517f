/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PF with namespaces, in the place of nvmevf_cmds_identify_ns(). The VF has the
 * controller ID 123h.
 */
#ifndef NVMEVF_NAMESPACES_KUNIT_H
#define NVMEVF_NAMESPACES_KUNIT_H

#include <kunit/static_stub.h>
#include <linux/nvme.h>
#include <linux/unaligned.h>

#define VF_CNTLID	0x123

static struct nvmevf_namespaces_kunit {
	unsigned int	count;
	struct {
		u32	nsid;
		bool	attached;	/* to the VF */
		bool	of_pf;		/* attached to the PF, which tells the UUID then */
	} ns[2000];
	u8		fails;		/* the CNS that fails with @error */
	int		error;
	unsigned int	sent;
} nvmevf_namespaces_kunit_pf;

static int nvmevf_namespaces_kunit_identify(struct nvmevf_ctrl *ctrl, u8 cns,
					    u32 nsid, u16 cntid, void *data)
{
	struct nvmevf_namespaces_kunit *pf = &nvmevf_namespaces_kunit_pf;
	unsigned int i, n = 0;
	u8 *p = data;

	pf->sent++;
	if (cns == pf->fails)
		return pf->error;

	memset(p, 0, 4096);
	if (cns == 0x10) {
		for (i = 0; i < pf->count && n < 1024; i++)
			if (pf->ns[i].nsid > nsid)
				put_unaligned_le32(pf->ns[i].nsid, p + 4 * n++);
		return 0;
	}

	for (i = 0; i < pf->count && pf->ns[i].nsid != nsid; i++)
		;
	if (i == pf->count)
		return -EOPNOTSUPP;

	switch (cns) {
	case 0x12:
		/* Another controller has all namespaces. */
		if (pf->ns[i].attached && cntid <= VF_CNTLID)
			put_unaligned_le16(VF_CNTLID, p + 2 * ++n);
		put_unaligned_le16(VF_CNTLID + 1, p + 2 * ++n);
		put_unaligned_le16(n, p);
		return 0;
	case 0x11:
		put_unaligned_le64(0x123456789a + nsid, p);
		p[26] = 0x11;			/* FLBAS: format 1, extended */
		p[29] = 0x09;			/* DPS: type 1, first bytes */
		memcpy(p + 104, "a NGUID 16 bytes", 16);
		memcpy(p + 120, "an EUI64", 8);
		put_unaligned_le32(0x00090000, p + 128);
		put_unaligned_le32(0x000c0008, p + 132);
		return 0;
	case 0x03:
		if (!pf->ns[i].of_pf)
			return -EOPNOTSUPP;
		p[0] = 2;			/* NGUID */
		p[1] = 16;
		p[20] = 3;			/* UUID */
		p[21] = 16;
		memcpy(p + 24, "a UUID, 16 bytes", 16);
		return 0;
	}
	return -EIO;
}

/* Begin with three namespaces: one of VF and PF, one of the PF, one of the VF. */
static void nvmevf_namespaces_kunit_start(struct kunit *test)
{
	nvmevf_namespaces_kunit_pf = (struct nvmevf_namespaces_kunit) {
		.count = 3,
		.ns = { { 1, true, true }, { 2, false, true }, { 0x708, true, false } },
	};
	kunit_activate_static_stub(test, nvmevf_cmds_identify_ns,
				   nvmevf_namespaces_kunit_identify);
}

/* The payload of NAMESPACES for them */
static const u8 nvmevf_namespaces_kunit_payload[128] = {
	0x01, 0x00, 0x00, 0x00, 0x08, 0x00, 0x0c, 0x01,
	0x9b, 0x78, 0x56, 0x34, 0x12, 0x00, 0x00, 0x00,
	'a', ' ', 'N', 'G', 'U', 'I', 'D', ' ', '1', '6', ' ', 'b', 'y', 't', 'e', 's',
	'a', ' ', 'U', 'U', 'I', 'D', ',', ' ', '1', '6', ' ', 'b', 'y', 't', 'e', 's',
	'a', 'n', ' ', 'E', 'U', 'I', '6', '4',
	0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,

	0x08, 0x07, 0x00, 0x00, 0x08, 0x00, 0x0c, 0x01,
	0xa2, 0x7f, 0x56, 0x34, 0x12, 0x00, 0x00, 0x00,
	'a', ' ', 'N', 'G', 'U', 'I', 'D', ' ', '1', '6', ' ', 'b', 'y', 't', 'e', 's',
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	'a', 'n', ' ', 'E', 'U', 'I', '6', '4',
	0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

#endif /* NVMEVF_NAMESPACES_KUNIT_H */
