/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Make thousands of hostile streams out of two good ones, and say how each must be
 * refused.
 */
#ifndef NVMEVF_TEST_MUTATE_H
#define NVMEVF_TEST_MUTATE_H

#include "stream.h"
#include "util.h"

/* The limit of one optional record. */
#define OPTIONAL_MAX	65536
/* The limit of all optional records of a stream, with headers and padding. */
#define OPTIONAL_TOTAL	(1 << 20)

enum fate {
	TAKEN,
	REFUSED,	/* by write() */
	INCOMPLETE,	/* by the arc out of RESUMING */
	UNFIT,		/* by either: the damage decides what is parsed next */
};

struct verdict {
	enum fate	fate;
	int		error;
	const char	*text;	/* pattern of the message for fnmatch(3), NULL: any */
	bool		log_only;	/* the message is no event */
	bool		load;	/* LOAD_DATA is sent, and may fail */
	bool		loaded;	/* ... and succeeds */
};

struct mutate {
	struct stream	good[2];	/* of two guests */
	struct stream	namespaces;	/* a NAMESPACES record that the VF accepts */
	__u64		limit;		/* bytes of state that the driver takes */
	/* Use every @step-th stream, beginning with the @first. */
	unsigned int	step, first;
	unsigned int	seen;
	/* Called for each of these. */
	void		(*try)(struct mutate *m, const char *class,
			       const struct stream *s, struct verdict v);
};

void mutate_all(struct mutate *m);
struct stream mutate_copy(const struct stream *from);
/* Return records without payload, @len bytes in all, that a receiver must skip. */
struct stream mutate_empty_records(size_t len);
/* Set the checksum in the END record, the last of @s. */
void mutate_fix_checksum(struct stream *s);

#endif /* NVMEVF_TEST_MUTATE_H */
