// SPDX-License-Identifier: GPL-2.0-only
/* Make hostile streams out of good ones. */
#include "mutate.h"
#include "vf.h"

#define REFUSED_AS(text)	((struct verdict){ REFUSED, EINVAL, text })

static const struct verdict taken = { TAKEN, .load = true, .loaded = true };
static const struct verdict incomplete = {
	INCOMPLETE, EINVAL, "incomplete: no END record"
};

static const struct verdict bad_checksum = {
	REFUSED, EBADMSG, "checksum mismatch: calculated *, received *"
};

static const struct verdict too_large = {
	REFUSED, EFBIG, "* bytes of controller state, limit *"
};

static const struct verdict data_after_end = {
	REFUSED, EINVAL, "data after END", .load = true, .loaded = true
};

static const struct verdict unfit = { UNFIT, EINVAL };
/* The stream is well-formed, but the state is not. */
static const struct verdict refused_by_controller = { REFUSED, EINVAL, .load = true };
/* The header of the standard's state is bad, see state_verdict(). */
static const struct verdict bad_header = { REFUSED, EINVAL, .log_only = true };
static const struct verdict huge_header = { REFUSED, E2BIG, .log_only = true };

/* The first type that the driver does not know */
#define UNKNOWN_TYPE	5

#define UNKNOWN		"unknown record type * with flags *"
#define BAD_FLAGS	"record type * has flags *, expected 0"
#define BAD_LENGTH	"record type * has * bytes, expected *"
#define OTHER_MODEL	"source model \"*\", expected \"*\""
#define OTHER_FIRMWARE	"source firmware \"*\", expected \"*\""

static size_t end_at(const struct stream *s)
{
	return s->len - END_SIZE;
}

static struct nvmevf_record *record(struct stream *s, size_t at)
{
	return (void *)s->data + at;
}

static __u64 padded(__u64 len)
{
	return (len + NVMEVF_RECORD_ALIGN - 1) / NVMEVF_RECORD_ALIGN *
	       NVMEVF_RECORD_ALIGN;
}

static void append(struct stream *s, const void *data, size_t len)
{
	s->data = realloc(s->data, s->len + len);
	if (!s->data)
		die("out of memory");
	memcpy(s->data + s->len, data, len);
	s->len += len;
}

struct stream mutate_copy(const struct stream *from)
{
	struct stream s = {};

	append(&s, from->data, from->len);
	return s;
}

struct stream mutate_empty_records(size_t len)
{
	struct nvmevf_record r = { UNKNOWN_TYPE, NVMEVF_RECORD_OPTIONAL, 0 };
	struct stream s = { malloc(len), len };
	size_t at;

	if (!s.data)
		die("out of memory");
	for (at = 0; at < len; at += sizeof(r))
		memcpy(s.data + at, &r, sizeof(r));
	return s;
}

static void append_record(struct stream *s, __u32 type, __u32 flags, __u64 length,
			  size_t payload)
{
	struct nvmevf_record r = { type, flags, length };
	static unsigned char bytes[2 * OPTIONAL_MAX];

	append(s, &r, sizeof(r));
	memset(bytes, 0x55, payload);
	memset(bytes + payload, 0, padded(payload) - payload);
	append(s, bytes, padded(payload));
}

static void fix_checksum(struct stream *s, size_t end)
{
	struct nvmevf_end *e = (void *)s->data + end + sizeof(struct nvmevf_record);

	e->crc32c = crc32c(s->data, end);
}

void mutate_fix_checksum(struct stream *s)
{
	fix_checksum(s, end_at(s));
}

/* Hand over a stream. @fix: offset of the END record whose checksum must be right, or 0. */
static void try(struct mutate *m, const char *class, struct stream *s, size_t fix,
		struct verdict v)
{
	if (m->seen++ % m->step != m->first)
		return;
	if (fix)
		fix_checksum(s, fix);
	m->try(m, class, s, v);
}

/* Judge a stream whose STATE record claims @length bytes. */
static struct verdict false_length_verdict(const struct mutate *m, __u64 length,
					   bool fix)
{
	const struct stream *s = &m->good[0];
	__u64 real = stream_state_length(s);
	__u64 i;

	if (!length)
		return REFUSED_AS("controller state is empty");
	if (length > m->limit)
		return too_large;
	/* The driver takes the END record for state, and waits for more. */
	if (length > padded(real) + NVMEVF_RECORD_ALIGN)
		return incomplete;
	if (length > padded(real))
		return REFUSED_AS("*record type *");
	if (padded(length) < padded(real))
		return unfit;
	for (i = length; i < real; i++)
		if (s->data[PAYLOAD_AT + i])
			return REFUSED_AS("padding is not 0");
	if (!fix)
		return bad_checksum;
	/* The header of the standard's state has the length, too. */
	return vf_standard() ? bad_header : refused_by_controller;
}

/* Judge a stream in whose state the bit @bit was flipped. */
static struct verdict state_verdict(const struct mutate *m, const struct stream *s, size_t bit)
{
	const struct standard_header *h = (void *)(s->data + PAYLOAD_AT);

	/* A version, whether the VF was suspended, reserved bits, the two sizes */
	if (!vf_standard() || bit == 16 || bit >= 8 * sizeof(*h))
		return refused_by_controller;
	if (bit < 16)
		return bad_header;
	/* Nobody checks reserved bits. */
	if (bit < 8 * offsetof(struct standard_header, queues_size))
		return taken;
	if (h->queues_size[1] || h->vendor_size[1] || h->queues_size[0] > m->limit ||
	    h->vendor_size[0] > m->limit ||
	    sizeof(*h) + 4 * (h->queues_size[0] + h->vendor_size[0]) > m->limit)
		return huge_header;
	return bad_header;
}

static struct verdict identity_size_verdict(const struct mutate *m, __u64 size,
					    bool fix)
{
	if (size > m->limit)
		return too_large;
	return fix ? taken : bad_checksum;
}

/* The VF may have more queue pairs than the source. */
static struct verdict queue_pairs_verdict(const struct mutate *m, const struct stream *s,
					  bool fix)
{
	const struct nvmevf_identity *good_one = (void *)(m->good[0].data + IDENTITY_AT);
	const struct nvmevf_identity *bad_one = (void *)(s->data + IDENTITY_AT);

	if (bad_one->queue_pairs > good_one->queue_pairs)
		return REFUSED_AS("source VF has * queue pairs, this VF has *");
	return fix ? taken : bad_checksum;
}

/* The fields of all records, and how a changed one is refused. */
static const struct field {
	const char	*name;
	size_t		at, len;	/* at >= END_RECORD: in END */
	const char	*text;
} fields[] = {
#define END_RECORD	0x10000
#define FIELD(base, type, member, text)	\
	{ #type "." #member, (base) + offsetof(struct nvmevf_##type, member), \
	  sizeof(((struct nvmevf_##type *)0)->member), text }
	FIELD(0, record, type, "*record type *"),
	FIELD(0, record, flags, BAD_FLAGS),
	FIELD(0, record, length, BAD_LENGTH),
	FIELD(IDENTITY_AT, identity, magic,
	      "not a stream of this driver: magic *, expected *"),
	FIELD(IDENTITY_AT, identity, version, "stream version *, expected *"),
	FIELD(IDENTITY_AT, identity, vendor, "source device *, expected *"),
	FIELD(IDENTITY_AT, identity, device, "source device *, expected *"),
	FIELD(IDENTITY_AT, identity, subsystem_vendor, "source device *, expected *"),
	FIELD(IDENTITY_AT, identity, subsystem_device, "source device *, expected *"),
	FIELD(IDENTITY_AT, identity, msix_vectors,
	      "source VF has * interrupt vectors, expected *"),
	FIELD(IDENTITY_AT, identity, command_set, NULL),
	FIELD(IDENTITY_AT, identity, queue_pairs, NULL),
	FIELD(IDENTITY_AT, identity, model, OTHER_MODEL),
	FIELD(IDENTITY_AT, identity, firmware, OTHER_FIRMWARE),
	FIELD(IDENTITY_AT, identity, state_size, NULL),
	FIELD(IDENTITY_AT, identity, state_version,
	      "source state version *, expected 0"),
	FIELD(IDENTITY_AT, identity, cntlid, NULL),
	FIELD(IDENTITY_AT, identity, rsvd, "reserved field of IDENTITY is not 0"),
	FIELD(IDENTITY_AT, identity, state_uuid, NULL),
	FIELD(STATE_AT, record, type, "*record type *"),
	FIELD(STATE_AT, record, flags, BAD_FLAGS),
	FIELD(STATE_AT, record, length, NULL),
	FIELD(END_RECORD, record, type, "*record type *"),
	FIELD(END_RECORD, record, flags, BAD_FLAGS),
	FIELD(END_RECORD, record, length, BAD_LENGTH),
	FIELD(END_RECORD + sizeof(struct nvmevf_record), end, crc32c, NULL),
	FIELD(END_RECORD + sizeof(struct nvmevf_record), end, rsvd,
	      "reserved field of END is not 0"),
};

static struct verdict flip_verdict(const struct mutate *m, const struct field *f,
				   const struct stream *s, bool fix)
{
	if (f->text)
		return REFUSED_AS(f->text);
	if (!strcmp(f->name, "identity.command_set"))
		return REFUSED_AS(vf_standard() ?
				  "source command set *, expected 2 (standard)" :
				  "source command set *, expected 1 (vendor)");
	if (!strcmp(f->name, "identity.state_uuid"))
		return REFUSED_AS(vf_standard() ?
				  "source state UUID *, expected 6e766d65-7666-4c4d-8000-*" :
				  "source state UUID *, expected 00000000-*");
	/* The controller ID is for information. */
	if (!strcmp(f->name, "end.crc32c") || !strcmp(f->name, "identity.cntlid"))
		return fix ? taken : bad_checksum;
	if (!strcmp(f->name, "identity.queue_pairs"))
		return queue_pairs_verdict(m, s, fix);
	if (f->at < STATE_AT)
		return identity_size_verdict(m, *(__u64 *)(s->data + f->at), fix);
	return false_length_verdict(m, stream_state_length(s), fix);
}

/* Flip each bit of each field, with the old and with a new checksum. */
static void flips(struct mutate *m)
{
	const struct field *f;
	unsigned int bit;
	struct stream s;
	size_t at;
	int fix;

	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		for (bit = 0; bit < 8 * f->len; bit++) {
			for (fix = 0; fix < 2; fix++) {
				s = mutate_copy(&m->good[0]);
				at = f->at < END_RECORD ? f->at :
				     end_at(&s) + f->at - END_RECORD;
				s.data[at + bit / 8] ^= 1 << bit % 8;
				try(m, f->name, &s, fix ? end_at(&s) : 0,
				    flip_verdict(m, f, &s, fix));
				free(s.data);
			}
		}
	}
}

/* Flip bits of the state, with the old and with a new checksum. */
static void state_flips(struct mutate *m)
{
	size_t bits = 8 * stream_state_length(&m->good[0]);
	struct stream s;
	size_t i, bit;
	int fix;

	for (i = 0; i < 512; i++) {
		bit = i * bits / 512 + i % 8;
		for (fix = 0; fix < 2; fix++) {
			s = mutate_copy(&m->good[0]);
			s.data[PAYLOAD_AT + bit / 8] ^= 1 << bit % 8;
			try(m, "state bit", &s, fix ? end_at(&s) : 0,
			    fix ? state_verdict(m, &s, bit) : bad_checksum);
			free(s.data);
		}
	}
}

static void lengths(struct mutate *m)
{
	const __u64 at[] = { 0, STATE_AT, end_at(&m->good[0]) };
	unsigned int r, i, fix;
	struct stream s;

	for (r = 0; r < ARRAY_SIZE(at); r++) {
		__u64 real = record(&m->good[0], at[r])->length;
		const __u64 wrong[] = {
			0, 1, 7, 8, 9, real - 24, real - 16, real - 8, real - 1,
			real + 1, real + 7, real + 8, real + 9, real + 16,
			real + 24, real + 32, m->limit - 1, m->limit, m->limit + 1,
			2 * m->limit, 1ULL << 31, (1ULL << 32) - 1, 1ULL << 32,
			(1ULL << 32) + real, (1ULL << 32) - real, 1ULL << 62,
			(1ULL << 63) - 1, 1ULL << 63, (1ULL << 63) + real,
			~0ULL, ~0ULL - 1, ~0ULL - 6, ~0ULL - 7, ~0ULL - 8,
			~0ULL - 15, ~0ULL - real, -real, -STATE_AT,
			-at[r] - sizeof(struct nvmevf_record),
		};

		for (i = 0; i < ARRAY_SIZE(wrong); i++) {
			/* For some records, some of these are the real length. */
			for (fix = 0; fix < 2 && wrong[i] != real; fix++) {
				s = mutate_copy(&m->good[0]);
				record(&s, at[r])->length = wrong[i];
				try(m, "length", &s, fix ? end_at(&s) : 0,
				    at[r] == STATE_AT ?
				    false_length_verdict(m, wrong[i], fix) :
				    REFUSED_AS(BAD_LENGTH));
				free(s.data);
			}
		}
	}
}

/* Insert records of unknown types, in all places, with many flags and lengths. */
static void future_types(struct mutate *m)
{
	static const __u32 types[] = { 0, UNKNOWN_TYPE, 0x100, 0x7777, 0x80000001, ~0U };
	static const __u32 flags[] = { 0, 1, 2, 3, 0x80000000, 0x80000001 };
	static const __u64 lengths[] = {
		0, 1, 5, 8, 4096, OPTIONAL_MAX, OPTIONAL_MAX + 1, 1ULL << 32,
		~0ULL,
	};
	const size_t places[] = {
		0, STATE_AT, end_at(&m->good[0]), m->good[0].len,
	};
	const unsigned int total = ARRAY_SIZE(types) * ARRAY_SIZE(flags) *
				   ARRAY_SIZE(lengths) * ARRAY_SIZE(places);
	unsigned int i, rest;
	struct verdict v;
	struct stream s;

	for (i = 0; i < total; i++) {
		__u32 type, flag;
		__u64 length;
		size_t at;

		rest = i;
		type = types[rest % ARRAY_SIZE(types)];
		rest /= ARRAY_SIZE(types);
		flag = flags[rest % ARRAY_SIZE(flags)];
		rest /= ARRAY_SIZE(flags);
		length = lengths[rest % ARRAY_SIZE(lengths)];
		at = places[rest / ARRAY_SIZE(lengths)];

		s = (struct stream){};
		append(&s, m->good[0].data, at);
		append_record(&s, type, flag, length,
			      length > OPTIONAL_MAX + 1 ? 0 : length);
		append(&s, m->good[0].data + at, m->good[0].len - at);

		if (at == m->good[0].len)
			v = data_after_end;
		else if (flag != NVMEVF_RECORD_OPTIONAL)
			v = REFUSED_AS(UNKNOWN);
		else if (!at)
			v = REFUSED_AS("first record has type *, expected 1");
		else if (length > OPTIONAL_MAX)
			v = REFUSED_AS("optional record of * bytes, limit *");
		else
			v = taken;
		try(m, "future type", &s,
		    at == m->good[0].len ? 0 : end_at(&s), v);
		free(s.data);
	}
}

/*
 * Insert optional records before STATE and before END that reach their common limit, or
 * exceed the limit by the smallest amount.
 */
static void optional_totals(struct mutate *m)
{
	const size_t length[] = { 0, 8, 1000, OPTIONAL_MAX };
	const size_t header = sizeof(struct nvmevf_record);
	unsigned int i, more;
	struct stream s;
	size_t left, n;

	for (i = 0; i < 2 * ARRAY_SIZE(length); i++) {
		n = length[i / 2];
		more = i % 2;
		s = (struct stream){};
		append(&s, m->good[0].data, STATE_AT);
		for (left = OPTIONAL_TOTAL; left >= 2 * header + n; left -= header + n) {
			append_record(&s, UNKNOWN_TYPE, NVMEVF_RECORD_OPTIONAL, n, n);
			if (left > OPTIONAL_TOTAL / 2 &&
			    left - header - n <= OPTIONAL_TOTAL / 2)
				append(&s, m->good[0].data + STATE_AT,
				       end_at(&m->good[0]) - STATE_AT);
		}
		/* The last record has padding if it is one byte too long. */
		n = left - header + more;
		append_record(&s, UNKNOWN_TYPE, NVMEVF_RECORD_OPTIONAL, n, n);
		append(&s, m->good[0].data + end_at(&m->good[0]), END_SIZE);
		try(m, "optional total", &s, end_at(&s), more ?
		    REFUSED_AS("optional records of more than 1048576 bytes") : taken);
		free(s.data);
	}
}

static void bad_padding(struct mutate *m, size_t place, unsigned int len,
			unsigned int at)
{
	static const unsigned char values[] = { 0x01, 0x80, 0xff };
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		s = (struct stream){};
		append(&s, m->good[0].data, place);
		append_record(&s, UNKNOWN_TYPE, NVMEVF_RECORD_OPTIONAL, len, len);
		s.data[place + sizeof(struct nvmevf_record) + at] = values[i];
		append(&s, m->good[0].data + place, m->good[0].len - place);
		try(m, "padding", &s, end_at(&s), REFUSED_AS("padding is not 0"));
		free(s.data);
	}
}

/* Change each byte of paddings of all lengths. */
static void paddings(struct mutate *m)
{
	unsigned int len, at;

	for (len = 1; len < NVMEVF_RECORD_ALIGN; len++) {
		for (at = len; at < NVMEVF_RECORD_ALIGN; at++) {
			bad_padding(m, STATE_AT, len, at);
			bad_padding(m, end_at(&m->good[0]), len, at);
		}
	}
}

/*
 * Combine up to 4 records in each order: Identity, State, End, Optional ones and Unknown
 * ones that are not optional.
 */
static void sequence(struct mutate *m, unsigned int count, unsigned int number)
{
	struct verdict v = incomplete;
	char expected = 'I', kind;
	struct stream s = {};
	size_t end = 0;

	while (count--) {
		kind = "ISEOU"[number % 5];
		number /= 5;
		if (v.fate == TAKEN)
			v = data_after_end;
		else if (v.fate == REFUSED)
			;	/* the first refusal stays */
		else if (kind == 'U')
			v = REFUSED_AS(UNKNOWN);
		else if (kind == 'O' && expected == 'I')
			v = REFUSED_AS("first record has type *, expected 1");
		else if (kind != 'O' && kind != expected)
			v = REFUSED_AS("record type *, expected *");
		else if (kind == 'E')
			v = taken;
		else if (kind != 'O')
			expected = kind == 'I' ? 'S' : 'E';

		switch (kind) {
		case 'I':
			append(&s, m->good[0].data, STATE_AT);
			break;
		case 'S':
			append(&s, m->good[0].data + STATE_AT,
			       end_at(&m->good[0]) - STATE_AT);
			break;
		case 'E':
			end = end ?: s.len;
			append(&s, m->good[0].data + end_at(&m->good[0]), END_SIZE);
			break;
		default:
			append_record(&s, UNKNOWN_TYPE, kind == 'O', 24, 24);
		}
	}
	try(m, "sequence", &s, end, v);
	free(s.data);
}

static void sequences(struct mutate *m)
{
	unsigned int count, number, total = 5;

	for (count = 1; count <= 4; count++) {
		for (number = 0; number < total; number++)
			sequence(m, count, number);
		total *= 5;
	}
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Join the beginning of one guest's stream and the rest of the other's. */
static void splices(struct mutate *m)
{
	const size_t length_at = STATE_AT + offsetof(struct nvmevf_record, length);
	struct stream s;
	size_t at, len;
	int a;

	for (a = 0; a < 2; a++) {
		const struct stream *head = &m->good[a], *rest = &m->good[!a];

		/* After the checksum of one begins, the rest is a valid END. */
		len = min_size(end_at(head), end_at(rest));
		for (at = 1; at <= len; at += at < PAYLOAD_AT ? 1 : len / 200) {
			if (at > length_at && at < PAYLOAD_AT)
				continue;
			s = (struct stream){};
			append(&s, head->data, at);
			append(&s, rest->data + at, rest->len - at);
			if (memcmp(s.data, rest->data, at) == 0)
				;	/* the streams are equal up to here */
			else if (at <= length_at)
				try(m, "splice", &s, 0, bad_checksum);
			else
				try(m, "splice", &s, 0,
				    head->len > rest->len + NVMEVF_RECORD_ALIGN ?
				    incomplete : unfit);
			free(s.data);
		}
		/* Join whole records: all of one stream, and END of the other. */
		s = (struct stream){};
		append(&s, m->good[a].data, end_at(&m->good[a]));
		append(&s, m->good[!a].data + end_at(&m->good[!a]), END_SIZE);
		try(m, "splice", &s, 0, bad_checksum);
		free(s.data);
	}
}

/* Insert NAMESPACES before STATE, and flip each bit of it. */
static void namespaces(struct mutate *m)
{
	const size_t header = sizeof(struct nvmevf_record);
	size_t bit, bits = 8 * m->namespaces.len;
	struct verdict v;
	struct stream s;
	int fix;

	for (bit = 0; bit <= bits; bit++) {
		for (fix = 0; fix < 2; fix++) {
			s = (struct stream){};
			append(&s, m->good[0].data, STATE_AT);
			append(&s, m->namespaces.data, m->namespaces.len);
			append(&s, m->good[0].data + STATE_AT,
			       m->good[0].len - STATE_AT);
			if (bit < bits)
				s.data[STATE_AT + bit / 8] ^= 1 << bit % 8;

			v = fix ? taken : bad_checksum;
			if (bit < bits && bit / 8 >= header)
				v = REFUSED_AS("*");
			else if (bit / 8 >= offsetof(struct nvmevf_record, length) &&
				 bit < bits)
				v = unfit;
			else if (bit / 8 >= offsetof(struct nvmevf_record, flags) &&
				 bit < bits)
				v = REFUSED_AS("record type 4 has flags *, expected 0x1");
			/* else: another optional record, or the good one */
			try(m, "namespaces", &s, fix ? end_at(&s) : 0, v);
			free(s.data);
		}
	}
}

static void trailing_data(struct mutate *m)
{
	static const size_t sizes[] = { 1, 7, 8, 16, 24, 4096, 100000 };
	static unsigned char bytes[100000];
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		s = mutate_copy(&m->good[0]);
		append(&s, bytes, sizes[i]);
		try(m, "trailing", &s, 0, data_after_end);
		free(s.data);
	}
	s = mutate_copy(&m->good[0]);
	append(&s, m->good[1].data, m->good[1].len);
	try(m, "trailing", &s, 0, data_after_end);
	free(s.data);
}

/* Name another model or firmware in IDENTITY. */
static void other_controllers(struct mutate *m)
{
	static const char * const models[] = {
		"", "QEMU NVMe Ctr", "qemu nvme ctrl", "\n\"%s%n\\", "\xff\xfe",
	};
	struct nvmevf_identity *id;
	struct stream s;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(models); i++) {
		s = mutate_copy(&m->good[0]);
		id = (void *)s.data + IDENTITY_AT;
		if (i % 2) {
			memset(id->model, ' ', sizeof(id->model));
			memcpy(id->model, models[i / 2], strlen(models[i / 2]));
		} else {
			memset(id->firmware, 0, sizeof(id->firmware));
			memcpy(id->firmware, models[i / 2],
			       strnlen(models[i / 2], sizeof(id->firmware)));
		}
		try(m, "other controller", &s, end_at(&s),
		    REFUSED_AS(i % 2 ? OTHER_MODEL : OTHER_FIRMWARE));
		free(s.data);
	}
}

void mutate_all(struct mutate *m)
{
	flips(m);
	state_flips(m);
	lengths(m);
	future_types(m);
	optional_totals(m);
	paddings(m);
	sequences(m);
	splices(m);
	namespaces(m);
	trailing_data(m);
	other_controllers(m);
}
