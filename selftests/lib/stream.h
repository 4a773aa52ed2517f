/* SPDX-License-Identifier: GPL-2.0-only */
/* Read and write migration streams, @chunk bytes at a time. */
#ifndef NVMEVF_TEST_STREAM_H
#define NVMEVF_TEST_STREAM_H

#include <stddef.h>
#include <linux/types.h>

#include "../../format.h"

/*
 * A stream begins with IDENTITY and ends with STATE and END. After IDENTITY, a stream that
 * was opened in PRE_COPY also has NAMESPACES; then STATE is not at STATE_AT.
 */
struct stream {
	unsigned char	*data;
	size_t		len;
};

#define IDENTITY_AT	sizeof(struct nvmevf_record)
#define STATE_AT	(IDENTITY_AT + sizeof(struct nvmevf_identity))
#define PAYLOAD_AT	(STATE_AT + sizeof(struct nvmevf_record))
#define END_SIZE	(sizeof(struct nvmevf_record) + sizeof(struct nvmevf_end))

/* Where a state of the standard's set begins: the Controller State data structure */
struct standard_header {
	__u16	version;
	__u8	attributes;		/* bit 0: suspended */
	__u8	rsvd[13];
	__u64	queues_size[2];		/* of the NVMe Controller State, in dwords */
	__u64	vendor_size[2];
};

/* Read a whole stream; return 0 or -errno. */
int stream_read(struct stream *s, int fd, size_t chunk);
/* Append to what @s has. -ENOMSG: the rest follows in STOP_COPY. */
int stream_read_more(struct stream *s, int fd, size_t chunk);
int stream_write(const struct stream *s, int fd, size_t chunk);
/* Return where the STATE record begins; its header need not be in the stream. */
size_t stream_state_at(const struct stream *s);
/* Return the bytes of controller state in the stream. */
__u64 stream_state_length(const struct stream *s);
/* Read or write one byte, depending on the direction of @fd; return 0 or -errno. */
int stream_transfer_byte(int fd);

#endif /* NVMEVF_TEST_STREAM_H */
