// SPDX-License-Identifier: GPL-2.0-only
/* Read and write migration streams. */
#include <fcntl.h>
#include <unistd.h>

#include "stream.h"
#include "util.h"

int stream_read_more(struct stream *s, int fd, size_t chunk)
{
	size_t room = s->len;
	ssize_t n;

	do {
		if (room - s->len < chunk) {
			room += 65536 + chunk;
			s->data = realloc(s->data, room);
			if (!s->data)
				die("out of memory");
		}
		n = read(fd, s->data + s->len, chunk);
		if (n < 0)
			return -errno;
		s->len += n;
	} while (n);
	return 0;
}

int stream_read(struct stream *s, int fd, size_t chunk)
{
	int ret;

	s->data = NULL;
	s->len = 0;
	ret = stream_read_more(s, fd, chunk);
	if (ret) {
		free(s->data);
		s->data = NULL;
	}
	return ret;
}

size_t stream_state_at(const struct stream *s)
{
	const struct nvmevf_record *record = (void *)s->data + STATE_AT;

	if (s->len < PAYLOAD_AT || record->type != NVMEVF_RECORD_NAMESPACES)
		return STATE_AT;
	return PAYLOAD_AT + record->length;
}

__u64 stream_state_length(const struct stream *s)
{
	const struct nvmevf_record *record = (void *)s->data + stream_state_at(s);

	return record->length;
}

int stream_write(const struct stream *s, int fd, size_t chunk)
{
	size_t done = 0;
	ssize_t n;

	while (done < s->len) {
		n = write(fd, s->data + done,
			  s->len - done < chunk ? s->len - done : chunk);
		if (n < 0)
			return -errno;
		if (!n)
			die("write() returned 0");
		done += n;
	}
	return 0;
}

int stream_transfer_byte(int fd)
{
	char byte = 0;
	int ret;

	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		ret = read(fd, &byte, 1);
	else
		ret = write(fd, &byte, 1);
	return ret < 0 ? -errno : 0;
}
