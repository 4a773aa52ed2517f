/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A controller state in memory, laid out as the migration stream.
 */
#ifndef NVMEVF_IMAGE_H
#define NVMEVF_IMAGE_H

#include <linux/mm.h>
#include <linux/refcount.h>

#include "stream.h"

struct nvmevf_ctrl;

/* Records before the state. The head ends where the page of the state begins. */
struct nvmevf_image_head {
	struct nvmevf_record	identity_record;
	struct nvmevf_identity	identity;
	struct nvmevf_record	state_record;
};

/* Records after the state and its padding. */
struct nvmevf_image_tail {
	struct nvmevf_record	end_record;
	struct nvmevf_end	end;
};

/**
 * struct nvmevf_image - a controller state, with the stream around it
 * @refs: references; the last one frees the image
 * @state_size: bytes of controller state
 * @room: bytes that the memory can take of it, at least @state_size
 * @mem: the memory, see image.c
 */
struct nvmevf_image {
	refcount_t	refs;
	u32		state_size;
	u32		room;
	void		*mem;
};

static inline void *nvmevf_image_state(const struct nvmevf_image *image)
{
	return image->mem + PAGE_SIZE;
}

static inline struct nvmevf_image_head *
nvmevf_image_head(const struct nvmevf_image *image)
{
	return nvmevf_image_state(image) - sizeof(struct nvmevf_image_head);
}

struct nvmevf_image *nvmevf_image_alloc(u32 state_size);
struct nvmevf_image *nvmevf_image_get(struct nvmevf_image *image);
void nvmevf_image_put(struct nvmevf_image *image);
u64 nvmevf_image_stream_size(u32 state_size);
void nvmevf_image_begin(struct nvmevf_image *image,
			const struct nvmevf_identity *identity);
void nvmevf_image_resize(struct nvmevf_image *image, u32 state_size);
void nvmevf_image_finish(struct nvmevf_image *image);
int nvmevf_image_save(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image);
int nvmevf_image_load(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image);
u32 nvmevf_image_crc(u32 crc, const void *data, size_t len);

#endif /* NVMEVF_IMAGE_H */
