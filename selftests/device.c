// SPDX-License-Identifier: GPL-2.0-only
/*
 * Try a controller: which of the numbered requirements of nvme.txt does it meet?
 *
 *   device [-n NSID] [-t SECONDS] PF [REQUIREMENT...]
 *
 * The program uses those VFs of the PF that are bound to nvme-vfio-pci and that nobody has
 * open. It reads a namespace, and writes only to the one that -n names. It drives the VFs
 * as a guest and its VMM do, and sends the PF nothing but Identify and Get Log Page. What
 * only another command could show is not testable here. A step of a check that takes longer
 * than SECONDS ends the check.
 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "checks/checks.h"
#include "lib/sysfs.h"
#include "lib/trace.h"

#define DRIVER		"nvme-vfio-pci"
#define TRACKING	"only Track Send and Track Receive show it"

struct device device = { .max_pages = CHUNK_PAGES };
struct nvme n;
struct vf vf[VFS];

static struct requirement {
	unsigned int	number;
	unsigned int	sets;		/* that it is about */
	const char	*title;
	void		(*check)(void);	/* NULL: not testable here */
	/*
	 * With a check: numbers of other requirements, without which this one cannot be
	 * tried. Without a check: why this one cannot.
	 */
	const char	*needs;
	bool		wanted;		/* named by the user */
	/* The result, and a text that explains it */
	bool		done;
	enum result	result;
	char		text[1024];
} requirements[] = {
	/* chapter 1 */
	{ 1, VENDOR, "a VF fails the five commands", check_vf_refuses, "" },
	{ 2, VENDOR, "byte 3072 of Identify Controller announces the commands", check_byte, "" },
	{ 3, VENDOR, "the Commands Supported and Effects log lists the commands",
	  check_effects, "" },
	/* chapter 2 */
	{ 4, BOTH, "a command stops or runs no other VF than the one it names",
	  check_named_vf, "8 13" },
	{ 5, BOTH, "QUERY_DATA_SIZE is never 0, and exact for a suspended VF", check_size,
	  "29 30" },
	{ 6, BOTH, "QUERY_DATA_SIZE is not noticed by the VF", check_size_unnoticed, "5" },
	{ 7, BOTH, "SUSPEND finishes the commands that the VF has fetched", check_drained,
	  "8 13" },
	{ 8, BOTH, "after SUSPEND the VF does no DMA", check_no_dma, "29 31" },
	{ 9, BOTH, "after SUSPEND the VF raises no interrupt", check_no_interrupt, "8" },
	{ 10, BOTH, "after SUSPEND event requests stay outstanding", check_event_stays, "8 13" },
	{ 11, BOTH, "after SUSPEND registers are accessible", check_registers_accessible, "8" },
	{ 12, BOTH, "a suspended VF may be suspended again", NULL,
	  "the driver does not do that" },
	{ 13, BOTH, "RESUME takes up doorbells that were rung meanwhile", check_resume, "8" },
	{ 14, BOTH, "RESUME raises interrupts for entries that were not consumed",
	  check_resume_interrupts, "13" },
	{ 15, BOTH, "SAVE_DATA transfers what QUERY_DATA_SIZE said", check_save, "5 8" },
	{ 16, BOTH, "LOAD_DATA replaces all state by the one that was saved", check_load,
	  "13 15" },
	{ 17, BOTH, "after LOAD_DATA the VF stays suspended", check_load_quiet, "16" },
	{ 18, BOTH, "LOAD_DATA compares namespaces, and attaches and detaches none", NULL,
	  "a namespace would have to be detached from a VF" },
	{ 19, BOTH, "LOAD_DATA changes nothing for other controllers", check_others, "16" },
	{ 20, BOTH, "a command that fails changes nothing",
	  check_failure_changes_nothing, "16 24" },
	{ 21, VENDOR, "Invalid Controller Identifier if no VF has the index", NULL,
	  "the driver sends no such index" },
	{ 22, VENDOR, "Invalid Secondary Controller State if the VF is offline", NULL,
	  "a VF would have to be taken offline" },
	{ 23, VENDOR, "Command Sequence Error if the VF is not suspended", NULL,
	  "the driver does not send such a command" },
	{ 24, BOTH, "LOAD_DATA refuses a damaged state", check_damage, "16" },
	{ 25, VENDOR, "SAVE_DATA refuses a state that is larger than MDTS", NULL,
	  "the driver does not send it then" },
	{ 26, BOTH, "Internal Error if the VF has a fatal error", NULL,
	  "a VF would have to fail" },
	{ 27, BOTH, "Command Interrupted if the controller is busy", NULL,
	  "the controller cannot be kept busy from here, but see R28" },
	/* chapter 3 */
	{ 28, BOTH, "commands for several VFs at a time", check_concurrency, "16" },
	{ 29, BOTH, "each command completes in time", check_time,
	  "2 3 58 60" },
	{ 30, VENDOR, "the state fits in one command", check_fits, "29" },
	{ 31, BOTH, "a function level reset ends a suspension", check_reset_ends_suspension,
	  "29" },
	{ 32, BOTH, "a reset of the PF ends suspensions", NULL,
	  "it would reset all VFs of the PF" },
	{ 33, BOTH, "a SUSPEND that waits fails when the VF is reset", NULL,
	  "I/O would have to hang" },
	{ 34, BOTH, "the way from D3hot to D0, as No_Soft_Reset says", NULL,
	  "the driver keeps a suspended VF in D0" },
	{ 35, VENDOR, "a controller reset leaves a suspended VF suspended",
	  check_controller_reset, "8 13" },
	/* chapter 4 */
	{ 36, BOTH, "the state has the registers", check_registers, "16" },
	{ 37, BOTH, "the state has the queues", check_queues, "16" },
	{ 38, BOTH, "the state has completions without room in their queue",
	  check_full_queue, "16" },
	{ 39, BOTH, "the state has event requests and events", check_events, "16" },
	{ 40, BOTH, "the state has the features", check_features, "16" },
	{ 41, BOTH, "the state has the shadow doorbells", check_shadow_doorbells, "16" },
	{ 42, BOTH, "the state has the log of changed namespaces", NULL,
	  "a namespace would have to be changed" },
	{ 43, BOTH, "the state has the interrupts that are due", check_due_interrupts, "14 16" },
	{ 44, BOTH, "a state changes no features of other VFs", check_features_of_others,
	  "16" },
	{ 45, BOTH, "another VF presents the identity in the state", check_identity, "16" },
	{ 46, BOTH, "namespaces and the effects log are equal after a move",
	  check_namespaces, "16" },
	{ 47, BOTH, "LOAD_DATA refuses an identity that it cannot present", NULL,
	  "that takes the state of another model" },
	{ 48, BOTH, "the identity lasts through resets of controller and function",
	  check_identity_lasts, "45" },
	{ 49, BOTH, "a VF that was offline presents its own identity", NULL,
	  "a VF would have to be taken offline" },
	{ 50, BOTH, "LOAD_DATA refuses the identity of a controller that runs",
	  check_running_identity, "45" },
	{ 51, BOTH, "a VF that lost its identity does not run", check_taken_back, "45" },
	{ 52, BOTH, "a VF whose state has moved presents a new controller ID", check_new_id,
	  "45" },
	{ 53, BOTH, "to the host a VF keeps its own controller ID", check_id_for_host, "45" },
	{ 54, BOTH, "the power on hours go on", check_power_on_hours, "16" },
	{ 55, BOTH, "no event about namespaces is lost", NULL,
	  "a namespace would have to be changed" },
	{ 56, BOTH, "LOAD_DATA refuses zones, placement and reservations that differ", NULL,
	  "that takes two controllers" },
	{ 57, BOTH, "buffers in controller or host memory are saved", check_buffers, "" },
	/* chapter 8 */
	{ 58, STANDARD, "OACS of the PF announces the commands", check_hmlms, "" },
	{ 59, STANDARD, "the Secondary Controller List names the VFs", check_secondary, "" },
	{ 60, STANDARD, "there are version 0 and a UUID of the state", check_formats, "" },
	{ 61, STANDARD, "a VF fails the commands", check_vf_refuses_standard, "" },
	{ 62, STANDARD, "the vendor specific data has all that chapter 4 lists", NULL,
	  "R36 to R43 show it" },
	{ 63, STANDARD, "Set refuses a state whose parts contradict each other",
	  check_contradiction, "16" },
	{ 64, STANDARD, "a state is no larger than 16 MiB", check_header, "15" },
	{ 65, STANDARD, "the header of a state", check_header, "15" },
	{ 66, STANDARD, "Get consumes nothing", check_get_again, "13 15" },
	{ 67, STANDARD, "CSUP is set in each Get of a suspended VF", NULL, "R15 shows it" },
	{ 68, STANDARD, "a Set that has SEQIND 11b commits the state", NULL, "R16 shows it" },
	{ 69, STANDARD, "the I/O queues in the NVMe Controller State, with S0PT",
	  check_state_queues, "15" },
	{ 70, STANDARD, "after Set and Resume the VF is enabled and ready", check_registers,
	  "16" },
	{ 71, STANDARD, "a controller reset ends a suspension", check_controller_reset_resumes,
	  "8 13" },
	{ 72, STANDARD, "Get at another offset returns the same state", NULL, "R16 shows it" },
	{ 73, STANDARD, "Sanitize fails while a VF is suspended", NULL,
	  "it would erase the medium if it did not fail" },
	{ 74, STANDARD, "a VF fails Track Send and Track Receive", NULL, TRACKING },
	{ 75, STANDARD, "the log of writes has those of all kinds", NULL, TRACKING },
	{ 76, STANDARD, "the log lacks no memory that was written", NULL, TRACKING },
	{ 77, STANDARD, "a write enters the log after its data, and before its completion", NULL,
	  TRACKING },
	{ 78, STANDARD, "memory that is left out is reported later", NULL, TRACKING },
	{ 79, STANDARD, "the log is complete when the VF is suspended", NULL, TRACKING },
	{ 80, STANDARD, "an entry stays in the log until it was returned", NULL, TRACKING },
	{ 81, STANDARD, "the log outlasts resets and suspensions of the VF", NULL, TRACKING },
	{ 82, STANDARD, "tracking ends with a reset of the PF", NULL, TRACKING },
	{ 83, STANDARD, "a Track command that fails changes nothing", NULL, TRACKING },
	{ 84, STANDARD, "Track Receive is executed whatever the VF does", NULL, TRACKING },
	{ 85, STANDARD, "a Start begins with an empty log", NULL, TRACKING },
	{ 86, STANDARD, "ranges may overlap", NULL, TRACKING },
	{ 87, STANDARD, "a Start checks its ranges", NULL, TRACKING },
	{ 88, STANDARD, "a Start that finds too little memory tells what is possible", NULL,
	  TRACKING },
	{ 89, STANDARD, "Track commands name a VF that is tracked, or not", NULL, TRACKING },
	{ 90, STANDARD, "a Track Receive without room fails", NULL, TRACKING },
	{ 91, STANDARD, "granularity and bounds of what is reported", NULL, TRACKING },
	{ 92, STANDARD, "a VF that is offline is not suspended, and has no state", NULL,
	  "a VF would have to be taken offline" },
	{ 93, STANDARD, "Resume takes the identity back", NULL, "R51 shows it" },
};

static unsigned int patience;

/* Return the requirement with a number, or NULL. */
static struct requirement *find_requirement(unsigned int number)
{
	struct requirement *r;

	for (r = requirements; r < requirements + ARRAY_SIZE(requirements); r++)
		if (r->number == number)
			return r;
	return NULL;
}

/* Return the requirement that a user calls R and a number, or NULL. */
static struct requirement *named_requirement(const char *name)
{
	unsigned int number;
	char end;

	if (sscanf(name, "R%u%c", &number, &end) != 1)
		return NULL;
	return find_requirement(number);
}

/*
 * Run a check in a process of its own. A text that it writes goes to @text, after what it
 * was doing if the requirement is not met.
 */
static enum result run(void (*check)(void), char *text, size_t size)
{
	char line[512], now[512] = "", said[512] = "";
	long long deadline;
	bool late = false;
	int pipes[2], status;
	struct pollfd pfd;
	size_t length;
	FILE *lines;
	char *at;
	pid_t pid;

	must(pipe(pipes));
	pid = must(fork());
	if (!pid) {
		setpgid(0, 0);
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		check();
		exit(MET);
	}
	close(pipes[1]);
	lines = fdopen(pipes[0], "r");
	if (!lines)
		die("out of memory");
	/* Without a buffer, poll() tells whether there is a line. */
	setbuf(lines, NULL);
	pfd = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	deadline = running_ms() + 1000LL * patience;
	while (!late) {
		if (!must(poll(&pfd, 1, 100))) {
			late = running_ms() > deadline;
			continue;
		}
		if (!fgets(line, sizeof(line), lines))
			break;
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "> ", 2)) {
			snprintf(now, sizeof(now), "%s", line + 2);
			deadline = running_ms() + 1000LL * patience;
		} else if (!strncmp(line, "# ", 2) && !*said) {
			/* die() begins with file and line */
			at = strstr(line, ".c:");
			at = at ? strstr(at, ": ") : NULL;
			snprintf(said, sizeof(said), "%s", (at ?: line) + 2);
		}
	}
	fclose(lines);
	if (late) {
		snprintf(said, sizeof(said), "no end within %u s", patience);
		kill(-pid, SIGKILL);
	}
	must(waitpid(pid, &status, 0));
	if (!late && WIFSIGNALED(status))
		snprintf(said, sizeof(said), "signal %d", WTERMSIG(status));

	if (!late && WIFEXITED(status) && WEXITSTATUS(status) != NOT_MET) {
		snprintf(text, size, "%s", said);
		return WEXITSTATUS(status);
	}
	/* Both may begin with the address of the same VF. */
	length = strcspn(now, " ");
	if (length && now[length - 1] == ':' && !strncmp(now, said, length + 1))
		memmove(said, said + length + 1, strlen(said + length));
	snprintf(text, size, "%s%s%s", now, *now ? ": " : "", said);
	return NOT_MET;
}

/* Append the last command if it failed, as the driver's tracepoint has it. */
static void add_failed_command(char *text, size_t size)
{
	struct command last;

	if (last_command(NULL, &last) && last.error)
		snprintf(text + strlen(text), size - strlen(text),
			 "; the last command was %s of %s, with status %#x (%s)", last.verb,
			 last.vf, last.status, strerror(-last.error));
}

/*
 * Do the VFs still work? After a command that was not answered, nvme has reset the PF. Or a
 * VF is still suspended, and a reset does not end that.
 */
static void check_alive(void)
{
	unsigned int i;

	open_vfs(2);
	for (i = 0; i < 2; i++) {
		n.vf = &vf[i];
		doing("%s: enabling the controller", n.vf->bdf);
		nvme_enable(&n, 8, 8);
		cntlid(&n);
	}
}

static char dead[1024];		/* why no more can be tried */

static void evaluate(struct requirement *r)
{
	const char *at = r->needs;
	int length;
	unsigned int number;

	if (r->done)
		return;
	r->done = true;
	r->result = NOT_TESTABLE;
	if (!r->check) {
		snprintf(r->text, sizeof(r->text), "%s", r->needs);
		return;
	}
	for (; sscanf(at, "%u%n", &number, &length) == 1; at += length) {
		struct requirement *other = find_requirement(number);

		if (!(other->sets & device.set))
			continue;
		evaluate(other);
		if (other->result == NOT_MET)
			snprintf(r->text, sizeof(r->text), "R%u is not met", number);
		else if (other->result == NOT_TESTABLE)
			snprintf(r->text, sizeof(r->text), "%s", other->text);
		if (other->result != MET)
			return;
	}
	if (*dead) {
		snprintf(r->text, sizeof(r->text), "%s", dead);
		return;
	}

	fprintf(stderr, "R%u: %s\n", r->number, r->title);
	if (device.trace)
		trace_clear();
	r->result = run(r->check, r->text, sizeof(r->text));
	if (r->result == NOT_MET) {
		char text[512];

		add_failed_command(r->text, sizeof(r->text));
		if (run(check_alive, text, sizeof(text)) == NOT_MET)
			snprintf(dead, sizeof(dead), "the VFs do not start after R%u: %s",
				 r->number, text);
	}
}

/*
 * What there is to try
 */

static char candidate[16];

static void open_candidate(void)
{
	guest_init(&n);
	vf_open(vf, candidate, VF_ANY, n.mem, GUEST_MEM);
}

/* Find the VFs that the program may use, and print the others. */
static void find_vfs(void)
{
	char path[128], driver[64], text[512];
	unsigned int i;

	for (i = 0; device.vfs < VFS; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/virtfn%u", device.pf.bdf,
			 i);
		if (access(path, F_OK))
			break;
		sysfs_link_name(candidate, sizeof(candidate), path);
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", candidate);
		snprintf(driver, sizeof(driver), "no driver");
		if (!access(path, F_OK))
			sysfs_link_name(driver, sizeof(driver), path);
		if (strcmp(driver, DRIVER)) {
			printf("%s is left alone: bound to %s\n", candidate, driver);
			continue;
		}
		if (run(open_candidate, text, sizeof(text)) != MET) {
			printf("%s is left alone: %s\n", candidate, text);
			continue;
		}
		snprintf(device.vf[device.vfs++], sizeof(candidate), "%s", candidate);
	}
}

/* Read the command set from the stream's IDENTITY. */
static void find_set(void)
{
	unsigned char head[IDENTITY_AT + sizeof(struct nvmevf_identity)];
	struct nvmevf_identity *id = (void *)head + IDENTITY_AT;
	int fd;

	open_vfs(1);
	if (vf_set_state(n.vf, VFIO_DEVICE_STATE_PRE_COPY, &fd) ||
	    read(fd, head, sizeof(head)) != sizeof(head))
		not_testable("no stream");
	note("%u", id->command_set);
}

/* Remove the namespaces from @list that are not in @other. */
static void intersect(__u32 list[PAGE / 4], const __u32 other[PAGE / 4])
{
	unsigned int i, k, left = 0;

	for (i = 0; i < PAGE / 4 && list[i]; i++) {
		for (k = 0; k < PAGE / 4 && other[k] && other[k] != list[i]; k++)
			;
		if (k < PAGE / 4 && other[k])
			list[left++] = list[i];
	}
	memset(list + left, 0, PAGE - 4 * left);
}

/* Return why the checks cannot use a namespace, or NULL. */
static const char *refuse_namespace(__u32 nsid)
{
	struct answers a = { };
	const unsigned char *ns = a.answer->data, *format;
	__u64 bytes;

	ask_identify(&n, &a, 0x00, nsid);
	format = ns + 128 + 4 * (ns[26] & 0xf);
	memcpy(&bytes, ns, sizeof(bytes));
	bytes <<= format[2];
	if (format[0] | format[1] || ns[29] & 0x7)
		return "has metadata or protection";
	if (bytes < (device.write ? device.vfs : 1) * DISK_PART)
		return "is too small";
	return NULL;
}

/*
 * Find the first namespace that is attached to all VFs, or check the one that device.nsid
 * names. Tell its number, how many pages an I/O command may have, and if there is Compare.
 */
static void find_namespace(void)
{
	unsigned int i, pages = CHUNK_PAGES, compare = 1;
	const unsigned char *id;
	struct answers a = { };
	__u32 nsids[PAGE / 4];
	const char *why;

	guest_init(&n);
	n.vf = vf;
	for (i = 0; i < device.vfs; i++) {
		doing("%s: Identify", device.vf[i]);
		if (i)
			vf_close(vf);
		vf_open(vf, device.vf[i], VF_ANY, n.mem, GUEST_MEM);
		if (nvme_read64(&n, NVME_CAP) >> 48 & 0xf)
			not_testable("the VFs have no pages of 4 KiB");
		nvme_enable(&n, 8, 8);
		a.count = 0;
		ask_identify(&n, &a, 0x01, 0);
		ask_identify(&n, &a, 0x02, 0);
		id = a.answer[0].data;
		if (id[77] == 1)		/* MDTS */
			pages = 2;
		compare &= id[520];		/* ONCS */
		if (!i)
			memcpy(nsids, a.answer[1].data, sizeof(nsids));
		intersect(nsids, (void *)a.answer[1].data);
	}

	for (i = 0; i < PAGE / 4 && nsids[i]; i++) {
		if (device.nsid && nsids[i] != device.nsid)
			continue;
		why = refuse_namespace(nsids[i]);
		if (!why) {
			note("%u %u %u", nsids[i], pages, compare);
			return;
		}
		if (device.nsid)
			not_testable("namespace %u %s", device.nsid, why);
	}
	if (device.nsid)
		not_testable("namespace %u is not attached to all VFs", device.nsid);
	not_testable("no namespace that the checks can read is attached to all VFs");
}

static bool prepare(void)
{
	unsigned int compare;
	char text[512];
	int len;

	if (pf_identify(&device.pf, 0x01, 0, 0, device.id)) {
		fprintf(stderr, "device: Identify of %s failed\n", device.pf.bdf);
		return false;
	}
	if (device.id[3072] == 1)
		device.announced |= VENDOR;
	if (device.id[257] & 0x08)		/* OACS, HMLMS */
		device.announced |= STANDARD;
	for (len = 40; len && device.id[24 + len - 1] == ' '; len--)
		;
	printf("Controller %s: %.*s, firmware %.8s\n", device.pf.bdf, len, device.id + 24,
	       device.id + 64);
	find_vfs();
	if (device.vfs < 2) {
		fprintf(stderr, "device: %u free VFs of %s are bound to %s, expected 2 or more\n",
			device.vfs, device.pf.bdf, DRIVER);
		return false;
	}
	if (!device.announced) {
		fprintf(stderr, "device: %s announces no live migration, see nvme.txt, chapter 1\n",
			device.pf.bdf);
		return false;
	}

	device.set = device.announced & STANDARD ?: VENDOR;
	if (run(find_set, text, sizeof(text)) == MET)
		device.set = 1 << strtoul(text, NULL, 10);
	printf("Commands: %s\n", device.set == VENDOR ? "vendor specific" :
	       "Migration Send and Migration Receive");
	if (device.announced == BOTH)
		printf("The PF has both sets; the module's parameter command_set selects one.\n");

	if (run(find_namespace, text, sizeof(text)) != MET) {
		if (device.write) {
			fprintf(stderr, "device: %s\n", text);
			return false;
		}
		printf("Without I/O: %s\n", text);
		return true;
	}
	if (sscanf(text, "%u %u %u", &device.nsid, &device.max_pages, &compare) != 3)
		die("the namespace is \"%s\"", text);
	device.no_compare = !compare;
	printf("Namespace %u, %s\n", device.nsid,
	       device.write ? "which is written" : "which is read only");
	return true;
}

static int report(void)
{
	static const char * const words[] = { "met", "NOT MET", "not testable" };
	unsigned int count[ARRAY_SIZE(words)] = { };
	struct requirement *r;
	char number[8];

	printf("\n");
	for (r = requirements; r < requirements + ARRAY_SIZE(requirements); r++) {
		if (!r->done)
			continue;
		count[r->result]++;
		snprintf(number, sizeof(number), "R%u", r->number);
		printf("%-4s %-13s %s\n", number, words[r->result], r->title);
		if (*r->text)
			printf("%-18s %s\n", "", r->text);
	}
	printf("\n%u met, %u not met, %u not testable here\n", count[MET], count[NOT_MET],
	       count[NOT_TESTABLE]);
	return count[NOT_MET] ? 1 : 0;
}

static int print_usage(void)
{
	fprintf(stderr, "usage: device [-n NSID] [-t SECONDS] PF [REQUIREMENT...]\n"
		"Print which requirements of nvme.txt the controller PF meets: all of them, or those\n"
		"that are named, such as R8, and what these need. -n names a namespace to write to.\n"
		"A step that takes longer than SECONDS counts as failed.\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct requirement *r;
	int option, i;
	char path[64];

	patience = 2 * nvme_timeout() + 30;
	while ((option = getopt(argc, argv, "n:t:")) > 0) {
		if (option == 'n') {
			device.nsid = strtoul(optarg, NULL, 0);
			device.write = true;
		} else if (option == 't') {
			patience = strtoul(optarg, NULL, 0);
		} else {
			return print_usage();
		}
	}
	if (optind >= argc || (device.write && !device.nsid) || !patience)
		return print_usage();
	snprintf(device.pf.bdf, sizeof(device.pf.bdf), "%s", argv[optind]);
	for (i = optind + 1; i < argc; i++) {
		r = named_requirement(argv[i]);
		if (!r)
			return print_usage();
		r->wanted = true;
	}
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/nvme", device.pf.bdf);
	if (access(path, F_OK)) {
		fprintf(stderr, "device: %s is not bound to nvme\n", device.pf.bdf);
		return 2;
	}
	device.trace = trace_open_commands();
	if (!prepare()) {
		trace_close();
		return 2;
	}

	/* Other checks move a guest to another VF, if that is possible. */
	evaluate(find_requirement(45));
	device.one_vf = find_requirement(45)->result != MET;
	for (r = requirements; r < requirements + ARRAY_SIZE(requirements); r++)
		if (r->sets & device.set && (optind + 1 == argc || r->wanted))
			evaluate(r);
	trace_close();
	return report();
}
