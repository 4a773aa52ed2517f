/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data_fd that a controller state is read from.
 */
#ifndef NVMEVF_SAVE_H
#define NVMEVF_SAVE_H

#include <linux/types.h>

struct nvmevf_ctrl;
struct nvmevf_identity;
struct nvmevf_image;
struct nvmevf_namespaces;
struct nvmevf_stream;
struct vfio_device;

struct nvmevf_stream *nvmevf_save_open(struct vfio_device *vdev,
				       struct nvmevf_ctrl *ctrl,
				       const struct nvmevf_identity *identity,
				       const struct nvmevf_namespaces *namespaces,
				       u32 state_size);
int nvmevf_save_start(struct nvmevf_stream *stream, u32 state_size);
void nvmevf_save_again(struct nvmevf_stream *stream,
		       struct nvmevf_image *image);
u32 nvmevf_save_state_size(const struct nvmevf_stream *stream);
u64 nvmevf_save_stream_size(const struct nvmevf_stream *stream, u32 state_size);
int nvmevf_save_close(struct nvmevf_stream *stream,
		      struct nvmevf_image **saved);

#endif /* NVMEVF_SAVE_H */
