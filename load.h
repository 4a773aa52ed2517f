/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data_fd that a controller state is written to.
 */
#ifndef NVMEVF_LOAD_H
#define NVMEVF_LOAD_H

#include <linux/types.h>

struct nvmevf_ctrl;
struct nvmevf_identity;
struct nvmevf_stream;

struct nvmevf_stream *nvmevf_load_open(struct nvmevf_ctrl *ctrl,
				       const struct nvmevf_identity *identity,
				       u32 max_state_size, u64 epoch);
int nvmevf_load_complete(struct nvmevf_stream *stream);
void nvmevf_load_close(struct nvmevf_stream *stream);

#endif /* NVMEVF_LOAD_H */
