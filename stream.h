/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The migration stream: its format, which nvme.txt describes, and the data_fd that
 * it goes through.
 */
#ifndef NVMEVF_STREAM_H
#define NVMEVF_STREAM_H

#include <linux/types.h>

/* The format. The selftests include it, too. */

#define NVMEVF_STREAM_MAGIC	0x4d4c4656454d564eULL	/* "NVMEVFLM" */
#define NVMEVF_STREAM_VERSION	1

enum nvmevf_record_type {
	NVMEVF_RECORD_IDENTITY	= 1,
	NVMEVF_RECORD_STATE	= 2,
	NVMEVF_RECORD_END	= 3,
};

/* A receiver that does not know the type skips the record. */
#define NVMEVF_RECORD_OPTIONAL	0x1

/* Zeroes pad each payload to a multiple of these bytes. */
#define NVMEVF_RECORD_ALIGN	8

struct nvmevf_record {
	__le32	type;
	__le32	flags;
	__le64	length;		/* bytes of payload without padding */
};

struct nvmevf_identity {
	__le64	magic;
	__le16	version;
	__le16	vendor;		/* PCI IDs of the VF */
	__le16	device;
	__le16	subsystem_vendor;
	__le16	subsystem_device;
	__le16	msix_vectors;
	__le32	state_size;	/* estimate of the bytes in STATE */
	__u8	model[40];	/* MN and FR of the PF's Identify Controller */
	__u8	firmware[8];
	__le16	queue_pairs;	/* 0: not known */
	__u8	rsvd[6];
};

struct nvmevf_end {
	__le32	crc32c;		/* CRC-32C of all bytes before the END record */
	__le32	rsvd;
};

#ifdef __KERNEL__

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/wait.h>

struct nvmevf_ctrl;
struct nvmevf_image;

/**
 * struct nvmevf_stream - a data_fd, in either direction
 * @filp: its file
 * @ctrl: controller of the VF; only valid while not @dead, under @lock
 * @wait: for @dead, and for what save.c waits for
 * @dead: all calls fail with -ENODEV
 * @io_lock: Serializes read() and write(). It is held while user memory is
 *	copied, which can take forever, so nothing else waits for it.
 * @lock: Protects the members below and those of save.c and load.c. Nests inside
 *	@io_lock and the state_mutex of the VF. It is held while LOAD_DATA runs,
 *	but not while user memory is copied.
 * @error: negative errno with which read() or write() failed for good, or 0
 * @pos: bytes read or written so far
 * @image: the controller state, or NULL
 */
struct nvmevf_stream {
	struct file		*filp;
	struct nvmevf_ctrl	*ctrl;
	wait_queue_head_t	wait;
	bool			dead;
	struct mutex		io_lock;	/* one call at a time */

	struct mutex		lock;		/* the rest */
	int			error;
	size_t			pos;
	struct nvmevf_image	*image;
};

int nvmevf_stream_init(struct nvmevf_stream *stream, struct nvmevf_ctrl *ctrl,
		       const struct file_operations *fops, int flags);
void nvmevf_stream_release(struct nvmevf_stream *stream);
struct file *nvmevf_stream_get_file(struct nvmevf_stream *stream);
void nvmevf_stream_kill(struct nvmevf_stream *stream);
int nvmevf_stream_errno(int error);
void nvmevf_stream_note(struct nvmevf_stream *stream, int rw, size_t bytes,
			int error);

#endif /* __KERNEL__ */

#endif /* NVMEVF_STREAM_H */
