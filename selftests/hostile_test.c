// SPDX-License-Identifier: GPL-2.0-only
/*
 * Thousands of streams that nobody should load. Each is refused with its error
 * and its line in the log, and unless it says otherwise here, the VF never hears
 * of it.
 *
 * A refused stream is left by a reset, which takes its time. So all VFs that there
 * are work side by side, and with less than 8 of them only a sample of the streams
 * is tried.
 */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define OPTIONAL_MAX	65536

#define ALL_VFS		8	/* so many are enough for all streams */
#define SAMPLE		32	/* else every so many-th */

enum fate {
	TAKEN,
	REFUSED,	/* by write() */
	INCOMPLETE,	/* by the way out of RESUMING */
	UNFIT,		/* by one of the two: what is damaged decides what is next */
};

struct verdict {
	enum fate	fate;
	int		error;
	const char	*text;	/* how the message begins, NULL: of any kind */
	bool		load;	/* the controller is asked, and maybe refuses */
};

static const struct verdict taken = { TAKEN, .load = true };
static const struct verdict incomplete = { INCOMPLETE, EINVAL, "ends before its end" };
static const struct verdict damaged = { REFUSED, EBADMSG, "damaged" };
static const struct verdict too_large = { REFUSED, EFBIG, "%" };
static const struct verdict goes_on = { REFUSED, EINVAL, "goes on", .load = true };
static const struct verdict unfit = { UNFIT, EINVAL };
/* The driver can't see it, the controller does. */
static const struct verdict not_a_state = { REFUSED, EINVAL, .load = true };

#define NOT_KNOWN	"record type %u with flags %#x is not known"
#define REFUSED_AS(text)	((struct verdict){ REFUSED, EINVAL, text })

/* The good streams of two guests, and pieces of them. */
static struct stream good[2];
static __u64 limit;		/* bytes of state that one command can carry */

/* What one process does, on one VF. */
struct run {
	struct vf	vf;
	unsigned int	step, first;
	unsigned int	seen, tried, wrong;
	struct verdict	*verdicts;	/* of those tried */
};

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
		die("no memory");
	memcpy(s->data + s->len, data, len);
	s->len += len;
}

static struct stream copy(const struct stream *from)
{
	struct stream s = {};

	append(&s, from->data, from->len);
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

static void wrong(struct run *run, const char *class, const char *what,
		  long want, long got)
{
	run->wrong++;
	printf("# %s (stream %u): %s: want %ld, got %ld\n", class, run->seen,
	       what, want, got);
}

/* A VF that nothing was loaded into is as it was after its reset. */
static bool is_loaded(struct vf *vf)
{
	struct nvme n = { .vf = vf };

	return nvme_read32(&n, NVME_CC);
}

static void try_one(struct run *run, const char *class, const struct stream *s,
		    struct verdict v)
{
	static const size_t chunks[] = { 1, 13, 64, 4096 };
	/* Mostly at once: many small pieces take their time. */
	size_t chunk = run->tried % 8 ? s->len ?: 1 :
		       chunks[run->tried / 8 % ARRAY_SIZE(chunks)];
	int fd, ret, out;
	char byte = 0;

	if (s->len > OPTIONAL_MAX)
		chunk = s->len / 2;
	vf_reset(&run->vf);
	ret = vf_set_state(&run->vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		die("%s: no RESUMING: %s", class, strerror(-ret));

	ret = stream_write(s, fd, chunk);
	if (v.fate == UNFIT)
		v.fate = ret ? REFUSED : INCOMPLETE;
	if (ret != (v.fate == REFUSED ? -v.error : 0))
		wrong(run, class, "write()", -v.error, ret);
	/* There is no second try. */
	if (v.fate == REFUSED && (write(fd, &byte, 1) != -1 || errno != v.error))
		wrong(run, class, "next write()", v.error, errno);

	out = v.fate == TAKEN ? VFIO_DEVICE_STATE_STOP : VFIO_DEVICE_STATE_RESUMING;
	ret = vf_set_state(&run->vf, VFIO_DEVICE_STATE_STOP, NULL);
	if (ret != -v.error)
		wrong(run, class, "RESUMING -> STOP", -v.error, ret);
	ret = vf_get_state(&run->vf);
	if (ret != out)
		wrong(run, class, "state", out, ret);
	ret = is_loaded(&run->vf);
	if (ret != (v.fate == TAKEN || v.text == goes_on.text))
		wrong(run, class, "loaded", !ret, ret);
	close(fd);

	run->verdicts = realloc(run->verdicts, (run->tried + 1) * sizeof(v));
	run->verdicts[run->tried++] = v;
}

/* @fix: where the END record is whose checksum is to be right, or 0 */
static void try(struct run *run, const char *class, struct stream *s, size_t fix,
		struct verdict v)
{
	if (run->seen++ % run->step == run->first) {
		if (fix)
			fix_checksum(s, fix);
		try_one(run, class, s, v);
	}
}

/* What becomes of a stream whose STATE record claims a @length. */
static struct verdict lie_verdict(const struct stream *s, __u64 length, bool fix)
{
	__u64 real = stream_state_length(s);
	__u64 i;

	if (!length)
		return REFUSED_AS("empty state");
	if (length > limit)
		return too_large;
	/* The END record becomes state, and after it there is too little. */
	if (length > padded(real) + NVMEVF_RECORD_ALIGN)
		return incomplete;
	if (length > padded(real))
		return REFUSED_AS("record type");
	if (padded(length) < padded(real))
		return unfit;
	for (i = length; i < real; i++)
		if (s->data[PAYLOAD_AT + i])
			return REFUSED_AS("padding");
	return fix ? not_a_state : damaged;
}

static struct verdict identity_size_verdict(__u64 size, bool fix)
{
	if (size > limit)
		return too_large;
	return fix ? taken : damaged;
}

/* Fewer than the target has are fine. */
static struct verdict queue_pairs_verdict(const struct stream *s, bool fix)
{
	const struct nvmevf_identity *good_one = (void *)(good[0].data + IDENTITY_AT);
	const struct nvmevf_identity *bad_one = (void *)(s->data + IDENTITY_AT);

	if (bad_one->queue_pairs > good_one->queue_pairs)
		return REFUSED_AS("of a VF with %u queue pairs");
	return fix ? taken : damaged;
}

/* All but the state itself. */
static const struct field {
	const char	*name;
	size_t		at, len;	/* at: END_RECORD and on: in the END record */
	const char	*text;
} fields[] = {
#define END_RECORD	0x10000
#define FIELD(base, type, member, text)	\
	{ #type "." #member, (base) + offsetof(struct nvmevf_##type, member), \
	  sizeof(((struct nvmevf_##type *)0)->member), text }
	FIELD(0, record, type, "record type"),
	FIELD(0, record, flags, "record type %u with flags"),
	FIELD(0, record, length, "record type %u of"),
	FIELD(IDENTITY_AT, identity, magic, "not of an NVMe VF"),
	FIELD(IDENTITY_AT, identity, version, "version"),
	FIELD(IDENTITY_AT, identity, vendor, "of a device"),
	FIELD(IDENTITY_AT, identity, device, "of a device"),
	FIELD(IDENTITY_AT, identity, subsystem_vendor, "of a device"),
	FIELD(IDENTITY_AT, identity, subsystem_device, "of a device"),
	FIELD(IDENTITY_AT, identity, msix_vectors, "of a VF with"),
	FIELD(IDENTITY_AT, identity, state_size, NULL),
	FIELD(IDENTITY_AT, identity, model, "of a model"),
	FIELD(IDENTITY_AT, identity, firmware, "of firmware"),
	FIELD(IDENTITY_AT, identity, queue_pairs, NULL),
	FIELD(IDENTITY_AT, identity, rsvd, "reserved"),
	FIELD(STATE_AT, record, type, "record type"),
	FIELD(STATE_AT, record, flags, "record type %u with flags"),
	FIELD(STATE_AT, record, length, NULL),
	FIELD(END_RECORD, record, type, "record type"),
	FIELD(END_RECORD, record, flags, "record type %u with flags"),
	FIELD(END_RECORD, record, length, "record type %u of"),
	FIELD(END_RECORD + sizeof(struct nvmevf_record), end, crc32c, NULL),
	FIELD(END_RECORD + sizeof(struct nvmevf_record), end, rsvd, "reserved"),
};

static struct verdict flip_verdict(const struct field *f, const struct stream *s,
				   bool fix)
{
	if (f->text)
		return REFUSED_AS(f->text);
	if (!strcmp(f->name, "end.crc32c"))
		return fix ? taken : damaged;
	if (!strcmp(f->name, "identity.queue_pairs"))
		return queue_pairs_verdict(s, fix);
	if (f->at < STATE_AT)
		return identity_size_verdict(*(__u32 *)(s->data + f->at), fix);
	return lie_verdict(&good[0], stream_state_length(s), fix);
}

/* Each bit of all but the state, with the checksum as it was and with a new one. */
static void flips(struct run *run)
{
	const struct field *f;
	unsigned int bit;
	struct stream s;
	size_t at;
	int fix;

	for (f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		for (bit = 0; bit < 8 * f->len; bit++) {
			for (fix = 0; fix < 2; fix++) {
				s = copy(&good[0]);
				at = f->at < END_RECORD ? f->at :
				     end_at(&s) + f->at - END_RECORD;
				s.data[at + bit / 8] ^= 1 << bit % 8;
				try(run, f->name, &s, fix ? end_at(&s) : 0,
				    flip_verdict(f, &s, fix));
				free(s.data);
			}
		}
	}
}

/* Bits of the state: damage on the way, and malice that has a good checksum. */
static void state_flips(struct run *run)
{
	size_t bits = 8 * stream_state_length(&good[0]);
	struct stream s;
	size_t i, bit;
	int fix;

	for (i = 0; i < 512; i++) {
		bit = i * bits / 512 + i % 8;
		for (fix = 0; fix < 2; fix++) {
			s = copy(&good[0]);
			s.data[PAYLOAD_AT + bit / 8] ^= 1 << bit % 8;
			try(run, "state bit", &s, fix ? end_at(&s) : 0,
			    fix ? not_a_state : damaged);
			free(s.data);
		}
	}
}

static void lengths(struct run *run)
{
	const __u64 at[] = { 0, STATE_AT, end_at(&good[0]) };
	unsigned int r, i, fix;
	struct stream s;

	for (r = 0; r < ARRAY_SIZE(at); r++) {
		__u64 real = record(&good[0], at[r])->length;
		const __u64 lies[] = {
			0, 1, 7, 8, 9, real - 24, real - 16, real - 8, real - 1,
			real + 1, real + 7, real + 8, real + 9, real + 16,
			real + 24, real + 32, limit - 1, limit, limit + 1,
			2 * limit, 1ULL << 31, (1ULL << 32) - 1, 1ULL << 32,
			(1ULL << 32) + real, (1ULL << 32) - real, 1ULL << 62,
			(1ULL << 63) - 1, 1ULL << 63, (1ULL << 63) + real,
			~0ULL, ~0ULL - 1, ~0ULL - 6, ~0ULL - 7, ~0ULL - 8,
			~0ULL - 15, ~0ULL - real, -real, -STATE_AT,
			-at[r] - sizeof(struct nvmevf_record),
		};

		for (i = 0; i < ARRAY_SIZE(lies); i++) {
			/* Not all are lies about all records. */
			for (fix = 0; fix < 2 && lies[i] != real; fix++) {
				s = copy(&good[0]);
				record(&s, at[r])->length = lies[i];
				try(run, "length", &s, fix ? end_at(&s) : 0,
				    at[r] == STATE_AT ?
				    lie_verdict(&good[0], lies[i], fix) :
				    REFUSED_AS("record type %u of"));
				free(s.data);
			}
		}
	}
}

/* Types of the future, in all places, with all kinds of flags and lengths. */
static void future_types(struct run *run)
{
	static const __u32 types[] = { 0, 4, 0x100, 0x7777, 0x80000001, ~0U };
	static const __u32 flags[] = { 0, 1, 2, 3, 0x80000000, 0x80000001 };
	static const __u64 lengths[] = {
		0, 1, 5, 8, 4096, OPTIONAL_MAX, OPTIONAL_MAX + 1, 1ULL << 32,
		~0ULL,
	};
	const size_t places[] = {
		0, STATE_AT, end_at(&good[0]), good[0].len,
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
		append(&s, good[0].data, at);
		append_record(&s, type, flag, length,
			      length > OPTIONAL_MAX + 1 ? 0 : length);
		append(&s, good[0].data + at, good[0].len - at);

		if (at == good[0].len)
			v = goes_on;
		else if (flag != NVMEVF_RECORD_OPTIONAL)
			v = REFUSED_AS(NOT_KNOWN);
		else if (!at)
			v = REFUSED_AS("begins with");
		else if (length > OPTIONAL_MAX)
			v = REFUSED_AS("optional record of");
		else
			v = taken;
		try(run, "future type", &s,
		    at == good[0].len ? 0 : end_at(&s), v);
		free(s.data);
	}
}

static void bad_padding(struct run *run, size_t place, unsigned int len,
			unsigned int at)
{
	static const unsigned char values[] = { 0x01, 0x80, 0xff };
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		s = (struct stream){};
		append(&s, good[0].data, place);
		append_record(&s, 4, NVMEVF_RECORD_OPTIONAL, len, len);
		s.data[place + sizeof(struct nvmevf_record) + at] = values[i];
		append(&s, good[0].data + place, good[0].len - place);
		try(run, "padding", &s, end_at(&s), REFUSED_AS("padding"));
		free(s.data);
	}
}

/* Each byte of paddings of all lengths. */
static void paddings(struct run *run)
{
	unsigned int len, at;

	for (len = 1; len < NVMEVF_RECORD_ALIGN; len++) {
		for (at = len; at < NVMEVF_RECORD_ALIGN; at++) {
			bad_padding(run, STATE_AT, len, at);
			bad_padding(run, end_at(&good[0]), len, at);
		}
	}
}

/*
 * Identity, State, End, Optional and Unneeded records, up to 4 of them, in each
 * order: reordered, repeated, left out, and more than there should be.
 */
static void sequence(struct run *run, unsigned int count, unsigned int number)
{
	struct verdict v = incomplete;
	char expected = 'I', kind;
	struct stream s = {};
	size_t end = 0;

	while (count--) {
		kind = "ISEOU"[number % 5];
		number /= 5;
		if (v.fate == TAKEN)
			v = goes_on;
		else if (v.fate == REFUSED)
			;	/* as it was */
		else if (kind == 'U')
			v = REFUSED_AS(NOT_KNOWN);
		else if (kind == 'O' && expected == 'I')
			v = REFUSED_AS("begins with");
		else if (kind != 'O' && kind != expected)
			v = REFUSED_AS("record type %u where");
		else if (kind == 'E')
			v = taken;
		else if (kind != 'O')
			expected = kind == 'I' ? 'S' : 'E';

		switch (kind) {
		case 'I':
			append(&s, good[0].data, STATE_AT);
			break;
		case 'S':
			append(&s, good[0].data + STATE_AT,
			       end_at(&good[0]) - STATE_AT);
			break;
		case 'E':
			end = end ?: s.len;
			append(&s, good[0].data + end_at(&good[0]), END_SIZE);
			break;
		default:
			append_record(&s, 4, kind == 'O', 24, 24);
		}
	}
	try(run, "sequence", &s, end, v);
	free(s.data);
}

static void sequences(struct run *run)
{
	unsigned int count, number, total = 5;

	for (count = 1; count <= 4; count++) {
		for (number = 0; number < total; number++)
			sequence(run, count, number);
		total *= 5;
	}
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The beginning of the one guest's stream, the rest of the other's. */
static void splices(struct run *run)
{
	const size_t length_at = STATE_AT + offsetof(struct nvmevf_record, length);
	struct stream s;
	size_t at, len;
	int a;

	for (a = 0; a < 2; a++) {
		const struct stream *head = &good[a], *rest = &good[!a];

		/* Where the checksum of the one begins, the rest is its own. */
		len = min_size(end_at(head), end_at(rest));
		for (at = 1; at <= len; at += at < PAYLOAD_AT ? 1 : len / 200) {
			if (at > length_at && at < PAYLOAD_AT)
				continue;
			s = (struct stream){};
			append(&s, head->data, at);
			append(&s, rest->data + at, rest->len - at);
			if (memcmp(s.data, rest->data, at) == 0)
				;	/* not told apart until here */
			else if (at <= length_at)
				try(run, "splice", &s, 0, damaged);
			else
				try(run, "splice", &s, 0,
				    head->len > rest->len + NVMEVF_RECORD_ALIGN ?
				    incomplete : unfit);
			free(s.data);
		}
		/* Record by record: the state of the one is the other's */
		s = (struct stream){};
		append(&s, good[a].data, end_at(&good[a]));
		append(&s, good[!a].data + end_at(&good[!a]), END_SIZE);
		try(run, "splice", &s, 0, damaged);
		free(s.data);
	}
}

static void trailing(struct run *run)
{
	static const size_t sizes[] = { 1, 7, 8, 16, 24, 4096, 100000 };
	static unsigned char bytes[100000];
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		s = copy(&good[0]);
		append(&s, bytes, sizes[i]);
		try(run, "trailing", &s, 0, goes_on);
		free(s.data);
	}
	s = copy(&good[0]);
	append(&s, good[1].data, good[1].len);
	try(run, "trailing", &s, 0, goes_on);
	free(s.data);
}

/* Guests of controllers that are not like this one. */
static void strangers(struct run *run)
{
	static const char * const models[] = {
		"", "QEMU NVMe Ctr", "qemu nvme ctrl", "\n\"%s%n\\", "\xff\xfe",
	};
	struct nvmevf_identity *id;
	struct stream s;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(models); i++) {
		s = copy(&good[0]);
		id = (void *)s.data + IDENTITY_AT;
		if (i % 2) {
			memset(id->model, ' ', sizeof(id->model));
			memcpy(id->model, models[i / 2], strlen(models[i / 2]));
		} else {
			memset(id->firmware, 0, sizeof(id->firmware));
			memcpy(id->firmware, models[i / 2],
			       strnlen(models[i / 2], sizeof(id->firmware)));
		}
		try(run, "stranger", &s, end_at(&s),
		    REFUSED_AS(i % 2 ? "of a model" : "of firmware"));
		free(s.data);
	}
}

static void (*const classes[])(struct run *run) = {
	flips, state_flips, lengths, future_types, paddings, sequences, splices,
	trailing, strangers,
};

static bool is_other_command(const char *event)
{
	return *event && strcmp(event, "load") && strncmp(event, "refused", 7);
}

/* Each refusal with its line for the log, and each LOAD_DATA, in order. */
static void check_trace(struct run *run)
{
	char *trace = trace_steps(run->vf.bdf), *rest = trace, *line;
	char want[80];
	unsigned int i;

	for (i = 0; i < run->tried; i++) {
		const struct verdict *v = &run->verdicts[i];

		do {
			line = strsep(&rest, "\n");
		} while (line && is_other_command(line));
		if (v->load) {
			if (!line || strcmp(line, "load"))
				die("stream %u: no LOAD_DATA, but %s", i, line);
			if (v->text)
				line = strsep(&rest, "\n");
		}
		if (v->text || (v->error && !v->load)) {
			snprintf(want, sizeof(want), "refused -%d %s", v->error,
				 v->text ?: "");
			if (!line || strncmp(line, want, strlen(want)))
				die("stream %u: want \"%s\" in the log, not \"%s\"",
				    i, want, line);
		}
	}
	while ((line = strsep(&rest, "\n")))
		if (*line && !is_other_command(line))
			die("\"%s\" too much", line);
	free(trace);
}

static void *some_memory(void)
{
	return must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* Tells its parent through @count how many streams it tried. */
static void work(unsigned int worker, unsigned int vfs, unsigned int *count)
{
	struct run run = {
		.step = vfs * (vfs < ALL_VFS ? SAMPLE : 1),
		.first = worker,
	};
	unsigned int i;

	vf_open(&run.vf, vf_bdf(worker), VF_ANY, some_memory(), PAGE);
	for (i = 0; i < ARRAY_SIZE(classes); i++)
		classes[i](&run);
	vf_close(&run.vf);
	*count = run.tried;
	check_trace(&run);
	exit(run.wrong ? 1 : 0);
}

/* kB */
static long unreclaimable(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

FIXTURE(hostile)
{
	struct nvme n;
	struct vf vf[2];	/* the guest is saved, on the first */
};

FIXTURE_SETUP(hostile)
{
	const char *why = vf_skip_reason(2, VF_ANY, false);
	int i;

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	for (i = 0; i < 2; i++) {
		if (i)
			vf_reset(&self->vf[0]);
		memset(self->n.seq, 0, sizeof(self->n.seq));
		nvme_start(&self->n, i ? 1 : NVME_QUEUES, 8, 8);
		io_submit(&self->n, &self->n.queue[1], 6);
		nvme_ring(&self->n, &self->n.queue[1]);
		guest_suspend(&self->n);
		guest_save(&self->n, &good[i]);
	}
}

FIXTURE_TEARDOWN(hostile)
{
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	trace_close();
}

/* The second guest was told nothing, and goes on. */
static void go_on(struct nvme *n, struct vf *vf)
{
	vf_reset(vf);
	guest_load(n, vf, &good[1]);
	io_wait(n);
	io_check(n);
}

static int write_identity(struct vf *vf, __u32 state_size)
{
	struct stream s = copy(&good[0]);
	struct nvmevf_identity *id = (void *)s.data + IDENTITY_AT;
	int fd, ret;

	vf_reset(vf);
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		die("no RESUMING: %s", strerror(-ret));
	id->state_size = state_size;
	s.len = STATE_AT;
	ret = stream_write(&s, fd, s.len);
	close(fd);
	free(s.data);
	return ret;
}

/* Whoever has too much state is told so before the guest stops. */
static void find_limit(struct vf *vf)
{
	for (limit = 16384; !write_identity(vf, 2 * limit); limit *= 2)
		if (limit > 1U << 30)
			die("no limit");
	if (write_identity(vf, limit + 1) != -EFBIG)
		die("%llu bytes are too much, but not %llu", 2 * limit, limit + 1);
}

TEST_F(hostile, streams)
{
	unsigned int i, vfs = 0, total = 0;
	struct timespec began, ended;
	unsigned int *count;
	long before, after;
	pid_t pid[ALL_VFS];
	int status;

	if (!trace_open())
		SKIP(return, "this kernel has no tracefs");
	find_limit(&self->vf[1]);
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	count = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	while (vfs < ALL_VFS && vf_bdf(vfs))
		vfs++;
	before = unreclaimable();
	clock_gettime(CLOCK_MONOTONIC, &began);
	fflush(stdout);
	for (i = 0; i < vfs; i++) {
		pid[i] = must(fork());
		if (!pid[i])
			work(i, vfs, &count[i]);
	}
	for (i = 0; i < vfs; i++) {
		must(waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		total += count[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	after = unreclaimable();
	TH_LOG("%u streams on %u VFs in %ld s, limit %llu, slab %+ld kB", total,
	       vfs, (long)(ended.tv_sec - began.tv_sec), limit, after - before);
	EXPECT_LE(vfs < ALL_VFS ? 100 : 5000, total);

	/*
	 * All gone again: 400 bytes of each stream are noticed. A few streams
	 * leave less than all else does; of these kmemleak tells.
	 */
	EXPECT_EQ(0, vf_images());
	if (vfs == ALL_VFS)
		EXPECT_GE(1024 + total / 10, after - before);

	for (i = 0; i < 2; i++)
		vf_open(&self->vf[i], vf_bdf(i), VF_ANY, self->n.mem, GUEST_MEM);
	go_on(&self->n, &self->vf[1]);
}

/* After each byte there is no way out; after the last there is. */
TEST_F(hostile, truncated)
{
	const struct stream *s = &good[1];
	struct vf *vf = &self->vf[1];
	char *events, *e;
	size_t i;
	int fd;

	if (!trace_open())
		SKIP(return, "this kernel has no tracefs");
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
	trace_clear();
	for (i = 0; i < s->len; i++) {
		ASSERT_EQ(-EINVAL, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL))
			TH_LOG("%zu of %zu bytes", i, s->len);
		ASSERT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(vf));
		ASSERT_FALSE(is_loaded(vf));
		ASSERT_EQ(1, write(fd, s->data + i, 1));
	}
	TH_LOG("%zu streams that end too early", s->len);
	ASSERT_TRUE(is_loaded(vf));
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
	events = trace_steps(NULL);
	for (e = events, i = 0; !strncmp(e, "refused -22 ends before", 22);
	     e = strchr(e, '\n') + 1)
		i++;
	EXPECT_EQ(s->len, i);
	EXPECT_STREQ("load\n", e);
	free(events);

	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	self->n.vf = vf;
	io_wait(&self->n);
	io_check(&self->n);
}

/* Has the log a line with @text since @fd was opened or read? */
static bool is_logged(int fd, const char *bdf, const char *text)
{
	char line[8192], start[64];
	bool found = false;
	ssize_t len;

	snprintf(start, sizeof(start), "%s: migration stream refused: ", bdf);
	while ((len = read(fd, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		if (len <= 0)
			continue;
		line[len] = '\0';
		found |= strstr(line, start) && strstr(line, text);
	}
	return found;
}

/* The log says why, unless it was flooded. */
TEST_F(hostile, log)
{
	static const struct {
		size_t		at;
		unsigned char	flip;
		const char	*text;
	} cases[] = {
		{ 0, 4, "record type 5 with flags 0x0 is not known" },
		{ 0, 2, "record type 3 where 1 belongs" },
		{ 4, 1, "record type 1 with flags 0x1" },
		{ 8, 1, "record type 1 of 81 bytes, not 80" },
		{ IDENTITY_AT, 1, "not of an NVMe VF, magic 0x4d4c4656454d564f" },
		{ IDENTITY_AT + 8, 3, "version 2, not 1" },
		{ IDENTITY_AT + 23, 0x80, "bytes of state, but one command carries " },
		{ IDENTITY_AT + 24, 1, "of a model \"" },
		{ IDENTITY_AT + 64, 1, "of firmware \"" },
		{ PAYLOAD_AT, 1, "damaged, checksum 0x" },
	};
	struct run run = { .vf = self->vf[1] };
	time_t end;
	unsigned int i;
	struct stream s;
	int fd, log;

	log = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	must(lseek(log, 0, SEEK_END));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		s = copy(&good[0]);
		s.data[cases[i].at] ^= cases[i].flip;
		end = time(NULL) + PATIENCE;
		do {
			ASSERT_GE(end, time(NULL))
				TH_LOG("not in the log: %s", cases[i].text);
			vf_reset(&run.vf);
			ASSERT_EQ(0, vf_set_state(&run.vf,
						  VFIO_DEVICE_STATE_RESUMING,
						  &fd));
			EXPECT_GT(0, stream_write(&s, fd, s.len));
			close(fd);
		} while (!is_logged(log, run.vf.bdf, cases[i].text));
		free(s.data);
	}
	close(log);
	go_on(&self->n, &self->vf[1]);
}

TEST_HARNESS_MAIN
