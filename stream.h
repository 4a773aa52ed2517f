/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A data_fd, in either direction.
 */
#ifndef NVMEVF_STREAM_H
#define NVMEVF_STREAM_H

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
 *	@io_lock and the state_mutex of the VF. It is held while commands run,
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
int nvmevf_stream_lock_io(struct nvmevf_stream *stream, bool nonblock);
int nvmevf_stream_errno(int error);
void nvmevf_stream_note(struct nvmevf_stream *stream, int rw, size_t bytes,
			int error);

#endif /* NVMEVF_STREAM_H */
