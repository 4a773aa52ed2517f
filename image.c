// SPDX-License-Identifier: GPL-2.0-only
/*
 * A controller state in memory, laid out as the end of the migration stream:
 *
 *    state
 *      |
 *      | state ....... | 0 | tail |
 *      |               |   | END  |
 *
 * The controller writes the state to, and reads it from, page aligned memory. read()
 * and write() copy each byte once. The records before the state are in save.c.
 */

#include <linux/align.h>
#include <linux/crc32c.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "cmds.h"
#include "image.h"

static_assert(sizeof(struct nvmevf_record) == 16);
static_assert(sizeof(struct nvmevf_identity) == 104);
static_assert(offsetof(struct nvmevf_identity, model) == 24);
static_assert(offsetof(struct nvmevf_identity, state_size) == 72);
static_assert(offsetof(struct nvmevf_identity, state_uuid) == 88);
static_assert(sizeof(struct nvmevf_end) == NVMEVF_RECORD_ALIGN);
static_assert(sizeof(struct nvmevf_namespace) == 64);
static_assert(offsetof(struct nvmevf_namespace, uuid) == 32);
static_assert(offsetof(struct nvmevf_namespace, protection) == 56);

static struct nvmevf_image_tail *
nvmevf_image_tail(const struct nvmevf_image *image)
{
	return image->state + ALIGN(image->state_size, NVMEVF_RECORD_ALIGN);
}

/**
 * nvmevf_image_size() - Return the length of the stream from the state on
 * @state_size: bytes of controller state
 *
 * Return: bytes.
 */
u64 nvmevf_image_size(u32 state_size)
{
	return ALIGN((u64)state_size, NVMEVF_RECORD_ALIGN) +
	       sizeof(struct nvmevf_image_tail);
}

/**
 * nvmevf_image_alloc() - Allocate an image
 * @state_size: bytes of controller state
 *
 * The memory is zeroed and charged to the caller.
 *
 * Context: Process context, may sleep.
 *
 * Return: the image with one reference, or NULL.
 */
struct nvmevf_image *nvmevf_image_alloc(u32 state_size)
{
	struct nvmevf_image *image;

	image = kzalloc_obj(*image, GFP_KERNEL_ACCOUNT);
	if (!image)
		return NULL;

	refcount_set(&image->refs, 1);
	image->state_size = state_size;
	image->room = state_size;
	image->state = __vmalloc(nvmevf_image_size(state_size),
				 GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!image->state) {
		kfree(image);
		return NULL;
	}

	return image;
}

/**
 * nvmevf_image_get() - Take a reference to an image
 * @image: the image or NULL
 *
 * Context: Any.
 *
 * Return: @image.
 */
struct nvmevf_image *nvmevf_image_get(struct nvmevf_image *image)
{
	if (image)
		refcount_inc(&image->refs);
	return image;
}

/**
 * nvmevf_image_put() - Drop a reference to an image
 * @image: the image or NULL
 *
 * Context: Process context, may sleep.
 */
void nvmevf_image_put(struct nvmevf_image *image)
{
	if (!image || !refcount_dec_and_test(&image->refs))
		return;

	vfree(image->state);
	kfree(image);
}

/**
 * nvmevf_image_crc() - Extend a CRC-32C
 * @crc: CRC of the bytes before @data, 0 if there are none
 * @data: bytes
 * @len: number of bytes
 *
 * Return: the CRC of all bytes up to the last of @data.
 */
u32 nvmevf_image_crc(u32 crc, const void *data, size_t len)
{
	return ~crc32c(~crc, data, len);
}

/**
 * nvmevf_image_finish() - Write the padding and the records after the state
 * @image: the image, with the state
 * @crc: CRC of the stream before the state
 */
void nvmevf_image_finish(struct nvmevf_image *image, u32 crc)
{
	struct nvmevf_image_tail *tail = nvmevf_image_tail(image);
	void *pad = image->state + image->state_size;

	/* The controller may have written up to the end of the last dword. */
	memset(pad, 0, (void *)tail - pad);
	crc = nvmevf_image_crc(crc, image->state, (void *)tail - image->state);
	*tail = (struct nvmevf_image_tail) {
		.end_record.type = cpu_to_le32(NVMEVF_RECORD_END),
		.end_record.length = cpu_to_le64(sizeof(tail->end)),
		.end.crc32c = cpu_to_le32(crc),
	};
}

/**
 * nvmevf_image_save() - Read the state of a VF into an image
 * @ctrl: controller of the VF, which is suspended
 * @image: the image
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of the command set.
 */
int nvmevf_image_save(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image)
{
	return ctrl->set->save(ctrl, image->state, image->state_size);
}

/**
 * nvmevf_image_load() - Write the state in an image to a VF
 * @ctrl: controller of the VF, which is suspended
 * @image: the image
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of the command set.
 */
int nvmevf_image_load(struct nvmevf_ctrl *ctrl, struct nvmevf_image *image)
{
	return ctrl->set->load(ctrl, image->state, image->state_size);
}
