/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VF whose commands are kept instead of sent.
 */
#ifndef NVMEVF_CMDS_KUNIT_H
#define NVMEVF_CMDS_KUNIT_H

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../cmds.h"

struct nvmevf_cmds_kunit {
	struct nvmevf_ctrl	ctrl;
	enum nvmevf_verb	verb;
	u8			sqe[64];
	void			*buf;
	unsigned int		len;
	unsigned int		sent;
	int			ret;
	u16			status;
	unsigned int		busy;		/* commands that fail at first */
	u16			busy_status;
	struct pci_dev		pdev;
};

/* Takes the place of nvmevf_cmds_send(). */
static inline int nvmevf_cmds_kunit_send(struct nvmevf_ctrl *ctrl,
					 enum nvmevf_verb verb,
					 const struct nvme_command *cmd,
					 void *buf, unsigned int len,
					 struct nvme_vf_result *res)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, ctrl, &seen->ctrl);
	seen->verb = verb;
	memcpy(seen->sqe, cmd, sizeof(seen->sqe));
	seen->buf = buf;
	seen->len = len;
	seen->sent++;
	if (seen->sent <= seen->busy) {
		*res = (struct nvme_vf_result){ 0, seen->busy_status };
		return -EIO;
	}
	*res = (struct nvme_vf_result){ 0x1234, seen->status };
	return seen->ret;
}

static inline int nvmevf_cmds_kunit_init(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen;

	seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seen);
	/* The command must set each byte. */
	memset(seen->sqe, 0xff, sizeof(seen->sqe));
	seen->pdev.dev.init_name = "kunit";
	seen->ctrl.vf = &seen->pdev;
	nvmevf_stats_init(&seen->ctrl.stats);
	ratelimit_default_init(&seen->ctrl.messages);
	test->priv = seen;
	kunit_activate_static_stub(test, nvmevf_cmds_send,
				   nvmevf_cmds_kunit_send);
	return 0;
}

#endif /* NVMEVF_CMDS_KUNIT_H */
