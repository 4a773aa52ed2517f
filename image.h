/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A controller state in memory, with the end of the migration stream.
 */
#ifndef NVMEVF_IMAGE_H
#define NVMEVF_IMAGE_H

#include <linux/refcount.h>

#include "format.h"

struct nvmevf_ctrl;

/* Records after the state and its padding. */
struct nvmevf_image_tail {
	struct nvmevf_record	end_record;
	struct nvmevf_end	end;
};

/**
 * struct nvmevf_image - a controller state, with the end of the stream
 * @refs: references; the last one frees the image
 * @state_size: bytes of controller state
 * @room: bytes that the memory can take of it, at least @state_size
 * @state: the memory, page aligned; padding and the tail follow the state
 */
struct nvmevf_image {
	refcount_t	refs;
	u32		state_size;
	u32		room;
	void		*state;
};

struct nvmevf_image *nvmevf_image_alloc(u32 state_size);
struct nvmevf_image *nvmevf_image_get(struct nvmevf_image *image);
void nvmevf_image_put(struct nvmevf_image *image);
u64 nvmevf_image_size(u32 state_size);
void nvmevf_image_finish(struct nvmevf_image *image, u32 crc);
int nvmevf_image_save(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image);
int nvmevf_image_load(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image);
u32 nvmevf_image_crc(u32 crc, const void *data, size_t len);

#endif /* NVMEVF_IMAGE_H */
