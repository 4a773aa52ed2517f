// SPDX-License-Identifier: GPL-2.0-only
/* Observe the driver by its tracepoints, the function tracer and the kernel's log. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>
#include <sys/stat.h>

#include "trace.h"
#include "util.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define SYSTEM		"nvme_vfio_pci"
#define EVENTS		TRACEFS "instances/" SYSTEM "_test/"
#define CALLS		TRACEFS "instances/" SYSTEM "_calls/"

static void put(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY));

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("cannot write \"%s\" to %s: %s", text, path, strerror(errno));
	close(fd);
}

static bool open_instance(void)
{
	/* A test that died may have left its instance. */
	trace_close();
	if (access(TRACEFS "events/" SYSTEM, F_OK))
		return false;
	must(mkdir(EVENTS, 0700));
	/* A counter orders the events of all CPUs. */
	put(EVENTS "trace_clock", "counter");
	put(EVENTS "buffer_size_kb", "8192");
	return true;
}

bool trace_open(void)
{
	if (!open_instance())
		return false;
	put(EVENTS "events/" SYSTEM "/enable", "1");
	return true;
}

bool trace_open_commands(void)
{
	if (!open_instance())
		return false;
	put(EVENTS "events/" SYSTEM "/nvmevf_command/enable", "1");
	return true;
}

bool trace_open_steps(void)
{
	if (!trace_open_commands())
		return false;
	put(EVENTS "events/" SYSTEM "/nvmevf_command_begin/enable", "1");
	put(EVENTS "events/" SYSTEM "/nvmevf_refused/enable", "1");
	return true;
}

void trace_close(void)
{
	rmdir(EVENTS);
}

void trace_clear(void)
{
	close(must(open(EVENTS "trace", O_WRONLY | O_TRUNC)));
}

/*
 * Call @add for each line of a trace that contains @marker, from the third character of the
 * marker on: its first two separate the line from what came before.
 */
static void visit_lines(const char *path, const char *marker,
			void (*add)(char *text, void *arg), void *arg)
{
	FILE *in = fopen(path, "r");
	char *line = NULL, *at;
	size_t room = 0;

	if (!in)
		die("cannot read %s: %s", path, strerror(errno));
	while (getline(&line, &room, in) >= 0) {
		at = strstr(line, marker);
		if (*line != '#' && at)
			add(at + 2, arg);
	}
	free(line);
	fclose(in);
}

/* Call @add for each event: what follows process, CPU, flags and time. */
static void visit_events(void (*add)(char *event, void *arg), void *arg)
{
	visit_lines(EVENTS "trace", ": nvmevf_", add, arg);
}

static void add_event(char *event, void *arg)
{
	fputs(event, arg);
}

struct steps {
	FILE		*out;
	const char	*bdf;
};

static void add_step(char *event, void *arg)
{
	const struct steps *s = arg;
	char *message, verb[16];
	int error;

	if (s->bdf && !strstr(event, s->bdf))
		return;
	if (sscanf(event, "nvmevf_command_begin: vf=%*s verb=%15s", verb) == 1)
		fprintf(s->out, "%s\n", verb);
	if (sscanf(event, "nvmevf_refused: vf=%*s error=%d", &error) == 1) {
		message = strstr(event, "message=\"") + strlen("message=\"");
		message[strcspn(message, "\n")] = '\0';
		if (*message && message[strlen(message) - 1] == '"')
			message[strlen(message) - 1] = '\0';
		fprintf(s->out, "refused %d %s\n", error, message);
	}
}

char *trace_read(void)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	visit_events(add_event, out);
	fclose(out);
	return text;
}

char *trace_steps(const char *bdf)
{
	char *text;
	size_t len;
	struct steps steps = { open_memstream(&text, &len), bdf };

	visit_events(add_step, &steps);
	fclose(steps.out);
	return text;
}

struct pending {
	const char	*verb;
	int		count;
};

static void count_pending(char *event, void *arg)
{
	struct pending *p = arg;
	char verb[16];

	if (sscanf(event, "nvmevf_command_begin: vf=%*s verb=%15s", verb) == 1)
		p->count += !strcmp(verb, p->verb);
	else if (sscanf(event, "nvmevf_command: vf=%*s verb=%15s", verb) == 1)
		p->count -= !strcmp(verb, p->verb);
}

unsigned int trace_pending(enum fault_command command)
{
	static const struct {
		enum fault_command	command;
		const char		*verb;
	} verbs[] = {
		{ COMMAND_QUERY, "size" }, { COMMAND_SUSPEND, "suspend" },
		{ COMMAND_RESUME, "resume" }, { COMMAND_SAVE, "save" },
		{ COMMAND_LOAD, "load" },
	};
	struct pending pending = { };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].command == command)
			pending.verb = verbs[i].verb;
	if (!pending.verb)
		die("command %#x has no verb", command);
	visit_events(count_pending, &pending);
	return pending.count;
}

char *trace_format(const char *event)
{
	char path[128], *text = calloc(1, 8192);
	int fd;

	snprintf(path, sizeof(path), TRACEFS "events/" SYSTEM "/%s/format", event);
	fd = open(path, O_RDONLY);
	if (!text || fd < 0 || read(fd, text, 8191) <= 0)
		die("cannot read %s: %s", path, strerror(errno));
	close(fd);
	return text;
}

void calls_open(void)
{
	calls_close();
	must(mkdir(CALLS, 0700));
	put(CALLS "set_ftrace_filter", ":mod:" SYSTEM);
	put(CALLS "current_tracer", "function");
}

void calls_close(void)
{
	rmdir(CALLS);
}

void calls_clear(void)
{
	close(must(open(CALLS "trace", O_WRONLY | O_TRUNC)));
}

static void count_line(char *text, void *arg)
{
	++*(unsigned int *)arg;
}

unsigned int calls_count(void)
{
	unsigned int count = 0;

	visit_lines(CALLS "trace", ": ", count_line, &count);
	return count;
}

#define ALLOCATIONS	TRACEFS "instances/" SYSTEM "_allocations/"

void allocations_open(void)
{
	char pid[16];

	allocations_close();
	must(mkdir(ALLOCATIONS, 0700));
	/* The kernel allocates so often that the driver's events would be overwritten. */
	snprintf(pid, sizeof(pid), "%d", gettid());
	put(ALLOCATIONS "set_event_pid", pid);
	put(ALLOCATIONS "events/kmem/kmalloc/enable", "1");
	put(ALLOCATIONS "events/kmem/kmem_cache_alloc/enable", "1");
}

void allocations_close(void)
{
	rmdir(ALLOCATIONS);
}

void allocations_clear(void)
{
	close(must(open(ALLOCATIONS "trace", O_WRONLY | O_TRUNC)));
}

unsigned int allocations_count(void)
{
	unsigned int count = 0;

	visit_lines(ALLOCATIONS "trace", ": call_site=nvmevf_", count_line, &count);
	return count;
}

#define SENT		TRACEFS "instances/" SYSTEM "_sent/"

bool sent_open(unsigned int controller)
{
	char filter[64];

	sent_close();
	if (access(TRACEFS "events/nvme/nvme_setup_cmd", F_OK))
		return false;
	must(mkdir(SENT, 0700));
	snprintf(filter, sizeof(filter), "ctrl_id == %u && qid == 0", controller);
	put(SENT "events/nvme/nvme_setup_cmd/filter", filter);
	put(SENT "events/nvme/nvme_setup_cmd/enable", "1");
	return true;
}

void sent_close(void)
{
	rmdir(SENT);
}

void sent_clear(void)
{
	close(must(open(SENT "trace", O_WRONLY | O_TRUNC)));
}

struct sent {
	char		*last;
	size_t		size;
	unsigned int	count;
};

static void add_sent(char *text, void *arg)
{
	struct sent *sent = arg;

	sent->count++;
	text[strcspn(text, "\n")] = '\0';
	if (sent->last)
		snprintf(sent->last, sent->size, "%s", text);
}

unsigned int sent_read(char *last, size_t size)
{
	struct sent sent = { last, size };

	visit_lines(SENT "trace", ", nsid=", add_sent, &sent);
	return sent.count;
}

static int kmsg = -1;

int log_mark(void)
{
	int mark = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));

	must(lseek(mark, 0, SEEK_END));
	return mark;
}

static bool has_line(int mark, const char *pattern)
{
	char line[8192], anywhere[256];
	ssize_t len;

	snprintf(anywhere, sizeof(anywhere), "*%s*", pattern);

	/* Each read() returns one line; EPIPE: the next one was overwritten. */
	while ((len = read(mark, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[len > 0 ? len : 0] = '\0';
		if (!fnmatch(anywhere, line, 0))
			return true;
	}
	return false;
}

void log_await(int mark, const char *pattern)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (!has_line(mark, pattern))
		pause_until(deadline, pattern);
	close(mark);
}

void log_open(void)
{
	if (kmsg >= 0)
		close(kmsg);
	kmsg = log_mark();
}

bool log_has(const char *pattern)
{
	return has_line(kmsg, pattern);
}
