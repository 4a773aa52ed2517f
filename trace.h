/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: the arcs, commands and data of a migration, and how long they take.
 * Scripts depend on the names of events and fields.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nvme_vfio_pci

#if !defined(NVMEVF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NVMEVF_TRACE_H

#include <linux/pci.h>
#include <linux/tracepoint.h>
#include <linux/vfio.h>

#include "names.h"

/* The driver went along one arc, or failed to. */
TRACE_EVENT(nvmevf_arc,
	    TP_PROTO(struct pci_dev *pdev, enum vfio_device_mig_state from,
		     enum vfio_device_mig_state to, int error, u64 duration_ns),
	    TP_ARGS(pdev, from, to, error, duration_ns),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __string(from, nvmevf_state_name(from))
			     __string(to, nvmevf_state_name(to))
			     __field(int, error)
			     __field(u64, duration_ns)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __assign_str(from);
			   __assign_str(to);
			   __entry->error = error;
			   __entry->duration_ns = duration_ns;
	    ),
	    TP_printk("vf=%s from=%s to=%s error=%d duration_ns=%llu",
		      __get_str(vf), __get_str(from), __get_str(to),
		      __entry->error, __entry->duration_ns)
);

/* A command is about to be sent. */
TRACE_EVENT(nvmevf_command_begin,
	    TP_PROTO(struct pci_dev *pdev, enum nvmevf_verb verb, u8 opcode,
		     unsigned int bytes),
	    TP_ARGS(pdev, verb, opcode, bytes),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __string(verb, nvmevf_verb_name(verb))
			     __field(u8, opcode)
			     __field(unsigned int, bytes)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __assign_str(verb);
			   __entry->opcode = opcode;
			   __entry->bytes = bytes;
	    ),
	    TP_printk("vf=%s verb=%s opcode=%#x bytes=%u", __get_str(vf),
		      __get_str(verb), __entry->opcode, __entry->bytes)
);

/*
 * A command has ended. The status is 0 if the controller did not answer; then only
 * the error tells of the failure.
 */
TRACE_EVENT(nvmevf_command,
	    TP_PROTO(struct pci_dev *pdev, enum nvmevf_verb verb, u8 opcode,
		     unsigned int bytes, int error, unsigned int status,
		     u64 duration_ns),
	    TP_ARGS(pdev, verb, opcode, bytes, error, status, duration_ns),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __string(verb, nvmevf_verb_name(verb))
			     __field(u8, opcode)
			     __field(unsigned int, bytes)
			     __field(int, error)
			     __field(unsigned int, status)
			     __field(u64, duration_ns)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __assign_str(verb);
			   __entry->opcode = opcode;
			   __entry->bytes = bytes;
			   __entry->error = error;
			   __entry->status = status;
			   __entry->duration_ns = duration_ns;
	    ),
	    TP_printk("vf=%s verb=%s opcode=%#x bytes=%u error=%d status=%#x duration_ns=%llu",
		      __get_str(vf), __get_str(verb), __entry->opcode,
		      __entry->bytes, __entry->error, __entry->status,
		      __entry->duration_ns)
);

/* A read() or write() of a data_fd has moved bytes from an offset on, or failed. */
DECLARE_EVENT_CLASS(nvmevf_data,
		    TP_PROTO(struct pci_dev *pdev, u64 offset, size_t bytes,
			     int error),
		    TP_ARGS(pdev, offset, bytes, error),
		    TP_STRUCT__entry(__string(vf, pci_name(pdev))
				     __field(u64, offset)
				     __field(u64, bytes)
				     __field(int, error)
		    ),
		    TP_fast_assign(__assign_str(vf);
				   __entry->offset = offset;
				   __entry->bytes = bytes;
				   __entry->error = error;
		    ),
		    TP_printk("vf=%s offset=%llu bytes=%llu error=%d",
			      __get_str(vf), __entry->offset, __entry->bytes,
			      __entry->error)
);

DEFINE_EVENT(nvmevf_data, nvmevf_data_read,
	     TP_PROTO(struct pci_dev *pdev, u64 offset, size_t bytes, int error),
	     TP_ARGS(pdev, offset, bytes, error)
);

DEFINE_EVENT(nvmevf_data, nvmevf_data_write,
	     TP_PROTO(struct pci_dev *pdev, u64 offset, size_t bytes, int error),
	     TP_ARGS(pdev, offset, bytes, error)
);

/* The driver refused a stream. The log has the same message. */
TRACE_EVENT(nvmevf_refused,
	    TP_PROTO(struct pci_dev *pdev, int error, struct va_format *message),
	    TP_ARGS(pdev, error, message),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __field(int, error)
			     __vstring(message, message->fmt, message->va)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __entry->error = error;
			   __assign_vstr(message, message->fmt, message->va);
	    ),
	    TP_printk("vf=%s error=%d message=\"%s\"", __get_str(vf),
		      __entry->error, __get_str(message))
);

/* A function-level reset of the VF has ended its migration, if there was one. */
TRACE_EVENT(nvmevf_reset,
	    TP_PROTO(struct pci_dev *pdev),
	    TP_ARGS(pdev),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))),
	    TP_fast_assign(__assign_str(vf);),
	    TP_printk("vf=%s", __get_str(vf))
);

#endif /* NVMEVF_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
