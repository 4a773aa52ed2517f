// SPDX-License-Identifier: GPL-2.0-only
/*
 * A data_fd: what save.c, which is read, and load.c, which is written, share.
 */

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/pci.h>

#include "cmds.h"
#include "stream.h"
#include "trace.h"

/**
 * nvmevf_stream_init() - Open a data_fd
 * @stream: zeroed; the first member of what @fops->release frees
 * @ctrl: the VF's controller
 * @fops: its calls, of which release calls nvmevf_stream_release()
 * @flags: O_RDONLY or O_WRONLY
 *
 * Context: Process context, may sleep.
 *
 * Return: 0, with one reference to the file, or a negative errno.
 */
int nvmevf_stream_init(struct nvmevf_stream *stream, struct nvmevf_ctrl *ctrl,
		       const struct file_operations *fops, int flags)
{
	struct file *filp;

	filp = anon_inode_getfile("nvmevf_mig", fops, stream, flags);
	if (IS_ERR(filp))
		return PTR_ERR(filp);
	stream_open(file_inode(filp), filp);

	stream->filp = filp;
	stream->ctrl = ctrl;
	init_waitqueue_head(&stream->wait);
	mutex_init(&stream->io_lock);
	mutex_init(&stream->lock);
	return 0;
}

/**
 * nvmevf_stream_release() - Undo nvmevf_stream_init() when the file is closed
 * @stream: the stream
 *
 * Context: Process context, may sleep.
 */
void nvmevf_stream_release(struct nvmevf_stream *stream)
{
	mutex_destroy(&stream->lock);
	mutex_destroy(&stream->io_lock);
}

/**
 * nvmevf_stream_get_file() - Get the file of a data_fd, for the user
 * @stream: the stream
 *
 * Context: Any.
 *
 * Return: the file, with a reference of its own.
 */
struct file *nvmevf_stream_get_file(struct nvmevf_stream *stream)
{
	return get_file(stream->filp);
}

/**
 * nvmevf_stream_kill() - Make all calls on a data_fd fail with -ENODEV
 * @stream: the stream
 *
 * Context: Any. Does not wait: a call that has begun may still succeed.
 */
void nvmevf_stream_kill(struct nvmevf_stream *stream)
{
	WRITE_ONCE(stream->dead, true);
	wake_up_all(&stream->wait);
}

/**
 * nvmevf_stream_lock_io() - Take the lock of read() and write()
 * @stream: the stream
 * @nonblock: do not wait for another call
 *
 * Context: Process context, may sleep for as long as the copy of another call
 * takes, unless @nonblock.
 *
 * Return: 0; -EAGAIN or -ENODEV if @nonblock; -ERESTARTSYS.
 */
int nvmevf_stream_lock_io(struct nvmevf_stream *stream, bool nonblock)
{
	if (!nonblock)
		return mutex_lock_interruptible(&stream->io_lock) ?
		       -ERESTARTSYS : 0;
	if (mutex_trylock(&stream->io_lock))
		return 0;
	return READ_ONCE(stream->dead) ? -ENODEV : -EAGAIN;
}

/**
 * nvmevf_stream_errno() - Translate the error of a command for a data_fd
 * @error: 0 or a negative errno of the command set
 *
 * Return: @error, but -EIO for -EAGAIN, which read() would mean as "later".
 */
int nvmevf_stream_errno(int error)
{
	return error == -EAGAIN ? -EIO : error;
}

/**
 * nvmevf_stream_note() - Trace and count a read() or write() that ends
 * @stream: the stream
 * @rw: READ or WRITE
 * @bytes: bytes that the call moved, which @stream->pos includes
 * @error: 0 or a negative errno
 *
 * Context: Process context, with @stream->lock held: the VF may go away after the
 * stream has died.
 */
void nvmevf_stream_note(struct nvmevf_stream *stream, int rw, size_t bytes,
			int error)
{
	size_t offset = stream->pos - bytes;

	if (READ_ONCE(stream->dead))
		return;

	if (rw == READ)
		trace_nvmevf_data_read(stream->ctrl->vf, offset, bytes, error);
	else
		trace_nvmevf_data_write(stream->ctrl->vf, offset, bytes, error);
	nvmevf_stats_data(&stream->ctrl->stats, rw, bytes, error);
}
