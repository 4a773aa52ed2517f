/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what a migration does, and how long each part of it takes.
 * People's scripts name their fields.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM nvme_vfio_pci

#if !defined(NVMEVF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define NVMEVF_TRACE_H

#include <linux/nvme-vf-lm.h>
#include <linux/pci.h>
#include <linux/tracepoint.h>
#include <linux/vfio.h>

/* Has programs that read the formats find numbers in them, not these names. */
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_ERROR);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_STOP);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_RUNNING);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_STOP_COPY);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_RESUMING);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_RUNNING_P2P);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_PRE_COPY);
TRACE_DEFINE_ENUM(VFIO_DEVICE_STATE_PRE_COPY_P2P);
TRACE_DEFINE_ENUM(nvme_admin_identify);
TRACE_DEFINE_ENUM(nvme_vf_query_data_size);
TRACE_DEFINE_ENUM(nvme_vf_suspend);
TRACE_DEFINE_ENUM(nvme_vf_resume);
TRACE_DEFINE_ENUM(nvme_vf_save_data);
TRACE_DEFINE_ENUM(nvme_vf_load_data);

#define nvmevf_show_state(state)					\
	__print_symbolic(state,						\
			 { VFIO_DEVICE_STATE_ERROR, "ERROR" },		\
			 { VFIO_DEVICE_STATE_STOP, "STOP" },		\
			 { VFIO_DEVICE_STATE_RUNNING, "RUNNING" },	\
			 { VFIO_DEVICE_STATE_STOP_COPY, "STOP_COPY" },	\
			 { VFIO_DEVICE_STATE_RESUMING, "RESUMING" },	\
			 { VFIO_DEVICE_STATE_RUNNING_P2P, "RUNNING_P2P" }, \
			 { VFIO_DEVICE_STATE_PRE_COPY, "PRE_COPY" },	\
			 { VFIO_DEVICE_STATE_PRE_COPY_P2P, "PRE_COPY_P2P" })

#define nvmevf_show_opcode(opcode)					\
	__print_symbolic(opcode,					\
			 { nvme_admin_identify, "IDENTIFY" },		\
			 { nvme_vf_query_data_size, "QUERY_DATA_SIZE" }, \
			 { nvme_vf_suspend, "SUSPEND" },		\
			 { nvme_vf_resume, "RESUME" },			\
			 { nvme_vf_save_data, "SAVE_DATA" },		\
			 { nvme_vf_load_data, "LOAD_DATA" })

/* One step from state to state has ended, well or not. */
TRACE_EVENT(nvmevf_arc,
	    TP_PROTO(struct pci_dev *pdev, unsigned int from, unsigned int to,
		     int error, u64 duration_ns),
	    TP_ARGS(pdev, from, to, error, duration_ns),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __field(unsigned int, from)
			     __field(unsigned int, to)
			     __field(int, error)
			     __field(u64, duration_ns)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __entry->from = from;
			   __entry->to = to;
			   __entry->error = error;
			   __entry->duration_ns = duration_ns;
	    ),
	    TP_printk("vf=%s from=%s to=%s error=%d duration_ns=%llu",
		      __get_str(vf), nvmevf_show_state(__entry->from),
		      nvmevf_show_state(__entry->to), __entry->error,
		      __entry->duration_ns)
);

/*
 * A command has ended. Where the controller did not fail it, but there was no
 * answer, the status is 0, and only the error tells.
 */
TRACE_EVENT(nvmevf_command,
	    TP_PROTO(struct pci_dev *pdev, u8 opcode, unsigned int bytes,
		     int error, unsigned int status, u64 duration_ns),
	    TP_ARGS(pdev, opcode, bytes, error, status, duration_ns),
	    TP_STRUCT__entry(__string(vf, pci_name(pdev))
			     __field(u8, opcode)
			     __field(unsigned int, bytes)
			     __field(int, error)
			     __field(unsigned int, status)
			     __field(u64, duration_ns)
	    ),
	    TP_fast_assign(__assign_str(vf);
			   __entry->opcode = opcode;
			   __entry->bytes = bytes;
			   __entry->error = error;
			   __entry->status = status;
			   __entry->duration_ns = duration_ns;
	    ),
	    TP_printk("vf=%s opcode=%s bytes=%u error=%d status=%#x duration_ns=%llu",
		      __get_str(vf), nvmevf_show_opcode(__entry->opcode),
		      __entry->bytes, __entry->error, __entry->status,
		      __entry->duration_ns)
);

/* A read() or write() of a data_fd: what it has moved, from where on. */
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

/* A stream that arrived is not for this VF; the message is the log's. */
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

/* The VF was reset: it runs, and a migration that was under way is over. */
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
