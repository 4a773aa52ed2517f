// SPDX-License-Identifier: GPL-2.0-only
/*
 * Identity of the controller of a VF: choose its command set, describe it for
 * the migration stream, compare it with the controller that a stream is from.
 */

#include <linux/array_size.h>
#include <linux/minmax.h>
#include <linux/moduleparam.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ctrl.h"
#include "format.h"
#include "trace.h"

static bool allow_firmware_mismatch;
module_param(allow_firmware_mismatch, bool, 0644);
MODULE_PARM_DESC(allow_firmware_mismatch,
		 "Accept the state of a controller with another firmware revision (default: no)");

static char *command_set = "auto";
module_param(command_set, charp, 0444);
MODULE_PARM_DESC(command_set,
		 "Commands that migrate VFs: auto (the standard's if complete, else the vendor's), standard, vendor (default: auto)");

/* In the order of preference */
static const struct nvmevf_cmd_set * const nvmevf_ctrl_sets[] = {
	&nvmevf_cmds_std,
	&nvmevf_cmds_vendor,
};

/* Optional Admin Command Support: Virtualization Management, with its lists */
#define NVMEVF_OACS_VIRT_MGMT	BIT(7)

/*
 * Check that the PF, whose Identify Controller is @id, has all of @set. If it has not,
 * return -EOPNOTSUPP, and what is missing in @missing, if that is worth a message.
 */
static int nvmevf_ctrl_check_set(struct nvmevf_ctrl *ctrl,
				 const struct nvmevf_cmd_set *set,
				 const struct nvme_id_ctrl *id,
				 struct nvme_secondary_ctrl *secondary,
				 const char **missing)
{
	int ret;

	ret = set->check(ctrl, id);
	if (ret)
		return ret;

	ctrl->pf_cntlid = le16_to_cpu(id->cntlid);
	if (secondary && le16_to_cpu(id->oacs) & NVMEVF_OACS_VIRT_MGMT) {
		ret = nvmevf_cmds_find_secondary(ctrl, pci_iov_vf_id(ctrl->vf) + 1,
						 secondary);
		if (ret)
			return ret;
	}
	if (!set->find_format)
		return 0;

	if (le16_to_cpu(secondary->scid) == NVMEVF_CNTLID_UNKNOWN) {
		*missing = "PF does not report the controller ID of the VF";
		return -EOPNOTSUPP;
	}
	return set->find_format(ctrl, &ctrl->format, missing);
}

/**
 * nvmevf_ctrl_identity() - Describe which controllers may take the state of a VF
 * @ctrl: the VF's controller, which can migrate
 * @identity: receives the IDENTITY record, but for the size of the state
 *
 * The PF is asked anew, because another firmware may run since the last time.
 *
 * Context: Process context, sleeps until its commands have ended.
 *
 * Return: 0; -EOPNOTSUPP if the PF has lost the command set; -ENOMEM; a negative
 * errno of nvme_submit_vf_cmd().
 */
int nvmevf_ctrl_identity(struct nvmevf_ctrl *ctrl,
			 struct nvmevf_identity *identity)
{
	struct nvme_secondary_ctrl secondary = {
		.scid = cpu_to_le16(NVMEVF_CNTLID_UNKNOWN),
	};
	const char *missing = "command set is gone";
	struct pci_dev *vf = ctrl->vf;
	struct nvme_id_ctrl *id;
	int ret;

	id = kzalloc_obj(*id, GFP_KERNEL);
	if (!id)
		return -ENOMEM;

	ret = nvmevf_cmds_identify_ctrl(ctrl, id);
	if (ret)
		goto out_free;

	ret = nvmevf_ctrl_check_set(ctrl, ctrl->set, id, &secondary, &missing);
	if (ret == -EOPNOTSUPP)
		nvmevf_ctrl_err(ctrl, "cannot migrate: %s\n", missing);
	if (ret)
		goto out_free;

	/* Without formats, version and UUID are 0. */
	*identity = (struct nvmevf_identity) {
		.magic = cpu_to_le64(NVMEVF_STREAM_MAGIC),
		.version = cpu_to_le16(NVMEVF_STREAM_VERSION),
		.vendor = cpu_to_le16(vf->vendor),
		.device = cpu_to_le16(vf->device),
		.subsystem_vendor = cpu_to_le16(vf->subsystem_vendor),
		.subsystem_device = cpu_to_le16(vf->subsystem_device),
		.msix_vectors = cpu_to_le16(max(pci_msix_vec_count(vf), 0)),
		.command_set = cpu_to_le16(ctrl->set->id),
		.queue_pairs = secondary.nvq,
		.state_version = cpu_to_le16(ctrl->format.version),
		.cntlid = secondary.scid,
	};
	memcpy(identity->model, id->mn, sizeof(identity->model));
	memcpy(identity->firmware, id->fr, sizeof(identity->firmware));
	memcpy(identity->state_uuid, ctrl->format.uuid,
	       sizeof(identity->state_uuid));

out_free:
	kfree(id);
	return ret;
}

/* What Identify returns about namespaces */
struct nvmevf_ctrl_ns_data {
	__le32				nsids[NVME_IDENTIFY_DATA_SIZE / sizeof(__le32)];
	union {
		__le16			cntlids[NVME_IDENTIFY_DATA_SIZE / sizeof(__le16)];
		struct nvme_id_ns	id;
		u8			descs[NVME_IDENTIFY_DATA_SIZE];
	};
};

/* Copy the UUID from a list of identifiers, which may be malformed. */
static void nvmevf_ctrl_copy_uuid(u8 *uuid, const u8 *descs)
{
	const struct nvme_ns_id_desc *desc;
	unsigned int at, next;

	for (at = 0; at + sizeof(*desc) <= NVME_IDENTIFY_DATA_SIZE; at = next) {
		desc = (const void *)(descs + at);
		next = at + sizeof(*desc) + desc->nidl;
		if (!desc->nidl || next > NVME_IDENTIFY_DATA_SIZE)
			return;
		if (desc->nidt == NVME_NIDT_UUID &&
		    desc->nidl == NVME_NIDT_UUID_LEN)
			memcpy(uuid, desc + 1, NVME_NIDT_UUID_LEN);
	}
}

/* Describe a namespace that is attached. What the PF does not tell remains 0. */
static int nvmevf_ctrl_describe_ns(struct nvmevf_ctrl *ctrl, u32 nsid,
				   struct nvmevf_ctrl_ns_data *data,
				   struct nvmevf_namespace *ns)
{
	const struct nvme_id_ns *id = &data->id;
	const struct nvme_lbaf *lbaf;
	int ret;

	*ns = (struct nvmevf_namespace) { .nsid = cpu_to_le32(nsid) };
	ret = nvmevf_cmds_identify_ns(ctrl, NVME_ID_CNS_NS_PRESENT, nsid, 0,
				      &data->id);
	if (!ret) {
		lbaf = &id->lbaf[nvme_lbaf_index(id->flbas)];
		ns->metadata_size = lbaf->ms;
		ns->lba_shift = lbaf->ds;
		if (id->flbas & NVME_NS_FLBAS_META_EXT)
			ns->flags = NVMEVF_NAMESPACE_EXTENDED;
		ns->blocks = id->nsze;
		memcpy(ns->nguid, id->nguid, sizeof(ns->nguid));
		memcpy(ns->eui64, id->eui64, sizeof(ns->eui64));
		ns->protection = id->dps;
	} else if (ret != -EOPNOTSUPP) {
		return ret;
	}

	ret = nvmevf_cmds_identify_ns(ctrl, NVME_ID_CNS_NS_DESC_LIST, nsid, 0,
				      data->descs);
	if (!ret)
		nvmevf_ctrl_copy_uuid(ns->uuid, data->descs);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* Add a namespace of the subsystem if it is attached to the VF. */
static int nvmevf_ctrl_add_ns(struct nvmevf_ctrl *ctrl, u16 cntlid, u32 nsid,
			      struct nvmevf_ctrl_ns_data *data,
			      struct nvmevf_namespaces *list)
{
	int ret;

	ret = nvmevf_cmds_identify_ns(ctrl, NVME_ID_CNS_CTRL_NS_LIST, nsid,
				      cntlid, data->cntlids);
	if (ret)
		return ret;

	/* The first entry is the number of IDs, which ascend from @cntlid on. */
	if (!data->cntlids[0] || le16_to_cpu(data->cntlids[1]) != cntlid)
		return 0;
	if (list->count == NVMEVF_NAMESPACES_MAX)
		return -EOPNOTSUPP;

	return nvmevf_ctrl_describe_ns(ctrl, nsid, data,
				       &list->ns[list->count++]);
}

static int nvmevf_ctrl_list_ns(struct nvmevf_ctrl *ctrl, u16 cntlid,
			       struct nvmevf_ctrl_ns_data *data,
			       struct nvmevf_namespaces *list)
{
	u32 nsid = 0, next;
	unsigned int i;
	int ret;

	do {
		ret = nvmevf_cmds_identify_ns(ctrl, NVME_ID_CNS_NS_PRESENT_LIST,
					      nsid, 0, data->nsids);
		if (ret)
			return ret;

		for (i = 0; i < ARRAY_SIZE(data->nsids); i++) {
			next = le32_to_cpu(data->nsids[i]);
			if (!next)
				return 0;
			/* The loops must end, whatever the PF returns. */
			if (next <= nsid)
				return -EOPNOTSUPP;
			nsid = next;
			ret = nvmevf_ctrl_add_ns(ctrl, cntlid, nsid, data, list);
			if (ret)
				return ret;
		}
	} while (nsid < NVME_NSID_ALL - 1);
	return 0;
}

/**
 * nvmevf_ctrl_namespaces() - Describe the namespaces that are attached to a VF
 * @ctrl: the VF's controller
 * @identity: what nvmevf_ctrl_identity() said about the VF
 * @namespaces: receives the namespaces, for kvfree(), or NULL if the PF cannot tell
 *
 * Context: Process context, sleeps until its commands have ended.
 *
 * Return: 0; -ENOMEM; a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_ctrl_namespaces(struct nvmevf_ctrl *ctrl,
			   const struct nvmevf_identity *identity,
			   struct nvmevf_namespaces **namespaces)
{
	u16 cntlid = le16_to_cpu(identity->cntlid);
	struct nvmevf_ctrl_ns_data *data;
	struct nvmevf_namespaces *list;
	int ret = -ENOMEM;

	*namespaces = NULL;
	if (cntlid == NVMEVF_CNTLID_UNKNOWN)
		return 0;

	data = kzalloc_obj(*data, GFP_KERNEL);
	list = kvzalloc(struct_size(list, ns, NVMEVF_NAMESPACES_MAX),
			GFP_KERNEL_ACCOUNT);
	if (data && list)
		ret = nvmevf_ctrl_list_ns(ctrl, cntlid, data, list);
	kfree(data);
	if (!ret) {
		*namespaces = list;
		return 0;
	}

	kvfree(list);
	if (ret != -EOPNOTSUPP)
		return ret;
	pci_dbg(ctrl->vf, "PF does not tell which namespaces are attached\n");
	return 0;
}

/**
 * nvmevf_ctrl_refuse() - Refuse a migration stream, with one line in the log
 * @ctrl: controller of the VF that the stream was written to
 * @error: negative errno
 * @fmt: what was found and what was expected, without a newline
 *
 * Context: Any.
 *
 * Return: @error.
 */
int nvmevf_ctrl_refuse(struct nvmevf_ctrl *ctrl, int error, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	trace_nvmevf_refused(ctrl->vf, error, &vaf);
	nvmevf_ctrl_err(ctrl, "migration stream refused: %pV\n", &vaf);
	va_end(args);

	return error;
}

static const char *nvmevf_ctrl_set_name(const struct nvmevf_identity *identity)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nvmevf_ctrl_sets); i++)
		if (nvmevf_ctrl_sets[i]->id == le16_to_cpu(identity->command_set))
			return nvmevf_ctrl_sets[i]->name;
	return "unknown";
}

/**
 * nvmevf_ctrl_accept() - Decide if a VF takes the state of another controller
 * @ctrl: the VF's controller
 * @own: its identity
 * @source: identity of the controller that the state is from, not checked yet
 *
 * Context: Any.
 *
 * Return: 0, or -EINVAL with one line in the log that names the difference.
 */
int nvmevf_ctrl_accept(struct nvmevf_ctrl *ctrl,
		       const struct nvmevf_identity *own,
		       const struct nvmevf_identity *source)
{
	if (source->magic != own->magic)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "not a stream of this driver: magic %#llx, expected %#llx",
					  le64_to_cpu(source->magic),
					  le64_to_cpu(own->magic));
	if (source->version != own->version)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "stream version %u, expected %u",
					  le16_to_cpu(source->version),
					  le16_to_cpu(own->version));
	if (source->command_set != own->command_set)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source command set %u (%s), expected %u (%s)",
					  le16_to_cpu(source->command_set),
					  nvmevf_ctrl_set_name(source),
					  le16_to_cpu(own->command_set),
					  nvmevf_ctrl_set_name(own));
	if (source->state_version != own->state_version)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source state version %u, expected %u",
					  le16_to_cpu(source->state_version),
					  le16_to_cpu(own->state_version));
	if (memcmp(source->state_uuid, own->state_uuid, sizeof(own->state_uuid)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source state UUID %pUb, expected %pUb",
					  source->state_uuid, own->state_uuid);
	if (source->vendor != own->vendor || source->device != own->device ||
	    source->subsystem_vendor != own->subsystem_vendor ||
	    source->subsystem_device != own->subsystem_device)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source device %04x:%04x (%04x:%04x), expected %04x:%04x (%04x:%04x)",
					  le16_to_cpu(source->vendor),
					  le16_to_cpu(source->device),
					  le16_to_cpu(source->subsystem_vendor),
					  le16_to_cpu(source->subsystem_device),
					  le16_to_cpu(own->vendor),
					  le16_to_cpu(own->device),
					  le16_to_cpu(own->subsystem_vendor),
					  le16_to_cpu(own->subsystem_device));
	if (memcmp(source->model, own->model, sizeof(own->model)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source model \"%*pE\", expected \"%*pE\"",
					  (int)sizeof(source->model), source->model,
					  (int)sizeof(own->model), own->model);
	if (memcmp(source->firmware, own->firmware, sizeof(own->firmware)) &&
	    !READ_ONCE(allow_firmware_mismatch))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source firmware \"%*pE\", expected \"%*pE\"",
					  (int)sizeof(source->firmware),
					  source->firmware,
					  (int)sizeof(own->firmware),
					  own->firmware);
	if (source->msix_vectors != own->msix_vectors)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source VF has %u interrupt vectors, expected %u",
					  le16_to_cpu(source->msix_vectors),
					  le16_to_cpu(own->msix_vectors));
	if (own->queue_pairs &&
	    le16_to_cpu(source->queue_pairs) > le16_to_cpu(own->queue_pairs))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "source VF has %u queue pairs, this VF has %u",
					  le16_to_cpu(source->queue_pairs),
					  le16_to_cpu(own->queue_pairs));
	if (memchr_inv(source->rsvd, 0, sizeof(source->rsvd)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "reserved field of IDENTITY is not 0");
	return 0;
}

static int nvmevf_ctrl_compare_ns(struct nvmevf_ctrl *ctrl,
				  const struct nvmevf_namespace *own,
				  const struct nvmevf_namespace *source)
{
	u32 nsid = le32_to_cpu(own->nsid);

	/* A PF to which the namespace is not attached does not tell the UUID. */
	if (memchr_inv(source->uuid, 0, sizeof(source->uuid)) &&
	    memchr_inv(own->uuid, 0, sizeof(own->uuid)) &&
	    memcmp(source->uuid, own->uuid, sizeof(own->uuid)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %u: source UUID %pUb, this VF has %pUb",
					  nsid, source->uuid, own->uuid);
	if (memcmp(source->nguid, own->nguid, sizeof(own->nguid)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %u: source NGUID %16phN, this VF has %16phN",
					  nsid, source->nguid, own->nguid);
	if (memcmp(source->eui64, own->eui64, sizeof(own->eui64)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %u: source EUI64 %8phN, this VF has %8phN",
					  nsid, source->eui64, own->eui64);
	if (source->blocks != own->blocks)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %u: source has %llu logical blocks, this VF has %llu",
					  nsid, le64_to_cpu(source->blocks),
					  le64_to_cpu(own->blocks));
	if (source->lba_shift != own->lba_shift ||
	    source->metadata_size != own->metadata_size ||
	    source->flags != own->flags || source->protection != own->protection)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %u: source format 2^%u+%u bytes, flags %#x, protection %#x, this VF has 2^%u+%u bytes, flags %#x, protection %#x",
					  nsid, source->lba_shift,
					  le16_to_cpu(source->metadata_size),
					  source->flags, source->protection,
					  own->lba_shift,
					  le16_to_cpu(own->metadata_size),
					  own->flags, own->protection);
	if (memchr_inv(source->rsvd, 0, sizeof(source->rsvd)))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "reserved field of NAMESPACES is not 0");
	return 0;
}

/**
 * nvmevf_ctrl_accept_namespace() - Compare the next namespace of the source
 * @ctrl: the VF's controller
 * @own: namespaces of the VF; those before @own->next have been compared
 * @source: a namespace of the source, not checked yet, or NULL after the last
 *
 * Context: Any.
 *
 * Return: 0, or -EINVAL with one line in the log that names the difference.
 */
int nvmevf_ctrl_accept_namespace(struct nvmevf_ctrl *ctrl,
				 struct nvmevf_namespaces *own,
				 const struct nvmevf_namespace *source)
{
	u64 source_nsid = source ? le32_to_cpu(source->nsid) : U64_MAX;
	u64 own_nsid = U64_MAX;

	if (own->next < own->count)
		own_nsid = le32_to_cpu(own->ns[own->next].nsid);
	if (own_nsid < source_nsid)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %llu of this VF is not attached to the source",
					  own_nsid);
	if (own_nsid > source_nsid)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "namespace %llu of the source is not attached to this VF",
					  source_nsid);
	if (!source)
		return 0;
	return nvmevf_ctrl_compare_ns(ctrl, &own->ns[own->next++], source);
}

/* Choose the first command set that the PF has and that the user permits. */
static int nvmevf_ctrl_choose_set(struct nvmevf_ctrl *ctrl, const char **missing)
{
	struct nvme_secondary_ctrl secondary = {
		.scid = cpu_to_le16(NVMEVF_CNTLID_UNKNOWN),
	};
	const struct nvmevf_cmd_set *set;
	bool permitted = false;
	struct nvme_id_ctrl *id;
	unsigned int i;
	int ret;

	id = kzalloc_obj(*id, GFP_KERNEL);
	if (!id)
		return -ENOMEM;

	ret = nvmevf_cmds_identify_ctrl(ctrl, id);
	if (ret)
		goto out_free;

	ret = -EOPNOTSUPP;
	for (i = 0; i < ARRAY_SIZE(nvmevf_ctrl_sets); i++) {
		set = nvmevf_ctrl_sets[i];
		if (strcmp(command_set, "auto") && strcmp(command_set, set->name))
			continue;
		permitted = true;
		ret = nvmevf_ctrl_check_set(ctrl, set, id, set->find_format ?
					    &secondary : NULL, missing);
		if (!ret)
			ctrl->set = set;
		if (!ret && set->track_limits)
			set->track_limits(ctrl, id, &ctrl->track);
		if (ret != -EOPNOTSUPP)
			break;
	}
	if (!permitted)
		*missing = "parameter command_set is not auto, standard or vendor";

out_free:
	kfree(id);
	return ret;
}

/**
 * nvmevf_ctrl_init() - Find out if and how the controller of a VF migrates
 * @ctrl: zeroed
 * @vf: the PCI function, which need not be a VF
 *
 * A function that cannot migrate can still be assigned, so the reason why not is
 * one line in the log and no error. @ctrl->set is NULL then. @ctrl->track.runs is 0 if
 * what the VF writes cannot be tracked.
 *
 * Context: Process context, sleeps until its commands have ended.
 */
void nvmevf_ctrl_init(struct nvmevf_ctrl *ctrl, struct pci_dev *vf)
{
	const char *missing = "controller does not support it";
	u64 epoch;
	int ret;

	ctrl->vf = vf;
	nvmevf_stats_init(&ctrl->stats);
	ratelimit_default_init(&ctrl->messages);

	if (!vf->is_virtfn) {
		pci_info(vf, "migration off: not a virtual function\n");
		return;
	}

	if (nvme_vf_epoch(vf, &epoch)) {
		pci_info(vf, "migration off: PF is not bound to nvme\n");
		return;
	}

	ret = nvmevf_ctrl_choose_set(ctrl, &missing);
	if (ret == -EOPNOTSUPP)
		pci_info(vf, "migration off: %s\n", missing);
	else if (ret)
		pci_info(vf, "migration off: controller cannot be asked (%pe)\n",
			 ERR_PTR(ret));

	/*
	 * Without this option, VFIO fails each report, and with it the migration of a user
	 * who relies on the log.
	 */
	if (ctrl->track.runs && !IS_ENABLED(CONFIG_IOMMUFD_DRIVER)) {
		ctrl->track.runs = 0;
		pci_info(vf, "dirty page tracking off: kernel has no CONFIG_IOMMUFD_DRIVER\n");
	}
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/ctrl_kunit.c"
#endif
