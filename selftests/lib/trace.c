// SPDX-License-Identifier: GPL-2.0-only
/* What the driver does on the inside, by way of kprobe events and tracepoints. */
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>

#include "trace.h"
#include "util.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define GROUP		"nvmevf_test"
#define INSTANCE	TRACEFS "instances/" GROUP "/"
#define SYSTEM		"nvme_vfio_pci"
#define EVENTS		TRACEFS "instances/" SYSTEM "_test/"
#define CALLS		TRACEFS "instances/" SYSTEM "_calls/"

static const char * const probes[] = {
	"p:" GROUP "/identify nvmevf_cmd_identify",
	"p:" GROUP "/query nvmevf_cmd_query_data_size",
	"p:" GROUP "/suspend nvmevf_cmd_suspend",
	"p:" GROUP "/resume nvmevf_cmd_resume",
	"p:" GROUP "/save nvmevf_cmd_save_data",
	"p:" GROUP "/load nvmevf_cmd_load_data",
	"p:" GROUP "/refuse nvmevf_stream_refuse error=$arg2:s32 format=+0($arg3):string",
};

static bool put(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | flags);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return good;
}

bool trace_open(void)
{
	unsigned int i;

	/* What a test that died may have left. */
	trace_close();
	if (access(TRACEFS "kprobe_events", W_OK))
		return false;
	for (i = 0; i < sizeof(probes) / sizeof(*probes); i++)
		if (!put(TRACEFS "kprobe_events", O_APPEND, probes[i]))
			die("no kprobe: %s", probes[i]);
	must(mkdir(INSTANCE, 0700));
	/* An order of events that holds for all CPUs. */
	if (!put(INSTANCE "trace_clock", 0, "counter") ||
	    !put(INSTANCE "buffer_size_kb", 0, "4096") ||
	    !put(INSTANCE "events/" GROUP "/enable", 0, "1"))
		die("no tracing");
	return true;
}

bool events_open(void)
{
	events_close();
	if (access(TRACEFS "events/" SYSTEM, F_OK))
		return false;
	must(mkdir(EVENTS, 0700));
	if (!put(EVENTS "trace_clock", 0, "counter") ||
	    !put(EVENTS "events/" SYSTEM "/enable", 0, "1"))
		die("no tracing");
	return true;
}

void events_close(void)
{
	rmdir(EVENTS);
}

void events_clear(void)
{
	close(must(open(EVENTS "trace", O_WRONLY | O_TRUNC)));
}

void trace_close(void)
{
	rmdir(INSTANCE);
	put(TRACEFS "kprobe_events", O_APPEND, "-:" GROUP "/");
}

void trace_clear(void)
{
	close(must(open(INSTANCE "trace", O_WRONLY | O_TRUNC)));
}

/* COMM-PID [CPU] FLAGS TIME: EVENT: (FUNCTION) error=ERROR format="FORMAT" */
static void add_event(FILE *out, char *line, pid_t pid)
{
	char *cpu = strstr(line, " ["), *event, *args, *format, *p;

	if (*line == '#' || !cpu)
		return;
	for (p = cpu; p > line && p[-1] != '-'; p--)
		;
	if (pid && atoi(p) != pid)
		return;
	event = strstr(cpu, ": ") + 2;
	args = strchr(event, ':');
	*args++ = '\0';
	fputs(event, out);
	format = strstr(args, "format=\"");
	if (format) {
		*strrchr(format, '"') = '\0';
		fprintf(out, " %d %s", atoi(strstr(args, "error=") + 6),
			format + 8);
	}
	fputc('\n', out);
}

char *trace_read(pid_t pid)
{
	FILE *in = fopen(INSTANCE "trace", "r");
	char *line = NULL, *result;
	size_t room = 0, len;
	FILE *out = open_memstream(&result, &len);

	if (!in || !out)
		die("cannot read the trace");
	while (getline(&line, &room, in) >= 0)
		add_event(out, line, pid);
	free(line);
	fclose(in);
	fclose(out);
	return result;
}

/* What follows process, CPU, flags and time. */
char *events_read(void)
{
	FILE *in = fopen(EVENTS "trace", "r");
	char *line = NULL, *result, *event;
	size_t room = 0, len;
	FILE *out = open_memstream(&result, &len);

	if (!in || !out)
		die("cannot read the trace");
	while (getline(&line, &room, in) >= 0) {
		event = strstr(line, ": nvmevf_");
		if (*line != '#' && event)
			fputs(event + 2, out);
	}
	free(line);
	fclose(in);
	fclose(out);
	return result;
}

char *events_format(const char *event)
{
	char path[128], *text = calloc(1, 8192);
	int fd;

	snprintf(path, sizeof(path), TRACEFS "events/" SYSTEM "/%s/format", event);
	fd = open(path, O_RDONLY);
	if (!text || fd < 0 || read(fd, text, 8191) <= 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
	return text;
}

void calls_open(void)
{
	calls_close();
	must(mkdir(CALLS, 0700));
	if (!put(CALLS "set_ftrace_filter", 0, ":mod:" SYSTEM) ||
	    !put(CALLS "current_tracer", 0, "function"))
		die("no function tracer");
}

void calls_close(void)
{
	rmdir(CALLS);
}

void calls_clear(void)
{
	close(must(open(CALLS "trace", O_WRONLY | O_TRUNC)));
}

unsigned int calls_count(void)
{
	FILE *in = fopen(CALLS "trace", "r");
	unsigned int count = 0;
	char *line = NULL;
	size_t room = 0;

	if (!in)
		die("cannot read the trace");
	while (getline(&line, &room, in) >= 0)
		count += *line != '#';
	free(line);
	fclose(in);
	return count;
}

static int kmsg = -1;

void log_open(void)
{
	if (kmsg < 0)
		kmsg = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	must(lseek(kmsg, 0, SEEK_END));
}

bool log_has(const char *text)
{
	char line[8192];
	ssize_t len;

	/* A line at a time; what was overwritten meanwhile is skipped. */
	while ((len = read(kmsg, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[len > 0 ? len : 0] = '\0';
		if (strstr(line, text))
			return true;
	}
	return false;
}
