/*
 * QEMU NVM Express: live migration of virtual functions
 *
 * What a controller (NvmeCtrl) has for it, see lm.c.inc.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_NVME_LM_H
#define HW_NVME_LM_H

#include "block/aio.h"
#include "block/nvme.h"
#include "system/dma-watch.h"

/* The opcodes, and the codes of the verbs of the standard's commands */
enum NvmeLmOpcode {
    NVME_ADM_CMD_TRACK_SEND     = 0x3d,
    NVME_ADM_CMD_TRACK_RECV     = 0x3e,
    NVME_ADM_CMD_MIGRATION_SEND = 0x41,
    NVME_ADM_CMD_MIGRATION_RECV = 0x42,
#define COMMAND(name, opcode) NVME_ADM_CMD_LM_##name = opcode,
#define VERB(name, code) NVME_ADM_CMD_LM_##name = code,
#include "faults.def"
};

/* All opcodes and codes in faults.def are C0h to FFh */
#define NVME_LM_OPCODES 0x40

typedef enum NvmeLmFaultKind {
#define FAULT(name, kind) NVME_LM_FAULT_##name = kind,
#include "faults.def"
    NVME_LM_NR_FAULTS,
} NvmeLmFaultKind;

typedef struct NvmeLmFault {
    bool     on;
    uint32_t value;
    uint32_t left;          /* commands; 0: no limit */
} NvmeLmFault;

/*
 * The phase of a VF in its live migration. A PF is RUNNING or FAILED. The
 * predicates below compare phases, so the order matters.
 */
typedef enum NvmeLmPhase {
    NVME_LM_RUNNING = 0,
    NVME_LM_SUSPENDING,     /* fetches nothing, finishes outstanding commands */
    NVME_LM_SUSPENDED,
    NVME_LM_SAVED,          /* suspended, and the state has been saved */
    NVME_LM_RESET,          /* during a function level reset */
    NVME_LM_FAILED,         /* does nothing until it is reset */
} NvmeLmPhase;

/* Granules of memory, see lm-track.c.inc */
typedef struct NvmeLmGranules {
    uint64_t first;
    uint64_t last;
} NvmeLmGranules;

/* What a VF has written: the log of Track Receive, see lm-track.c.inc */
typedef struct NvmeLmTrack {
    GTree          *log;        /* NULL: the VF is not tracked */
    NvmeLmGranules *ranges;
    uint32_t       nr;          /* of ranges */
    unsigned       shift;       /* of an address to its granule */
    uint64_t       bits;        /* that the log may have */
} NvmeLmTrack;

/* The same as tests know it, see lm-truth.c.inc */
typedef struct NvmeLmTruth {
    DMAWatch   watch;
    GHashTable *pages;          /* written since they were read, or NULL */
    GHashTable *unreported;     /* written since they were reported */
    uint64_t   written;
    uint64_t   dirtied;
    uint64_t   reported;
    uint64_t   missed;
} NvmeLmTruth;

typedef struct NvmeLm {
    NvmeLmPhase phase;
    QEMUBH      *bh;        /* of a VF: completes a SUSPEND */
    int64_t     since;      /* when SUSPENDING began, in ns */
    int64_t     back;       /* when RESET ends, in ms; 0: it ends by itself */
    uint32_t    random;     /* of a VF: state of its jitter; 0: no jitter */
    uint32_t    broken;     /* of a VF: requirement that it does not meet; or 0 */
    uint32_t    queried;    /* QUERY's size while suspended, until it is used */
    NvmeLmFault faults[NVME_LM_OPCODES][NVME_LM_NR_FAULTS];
    QEMUTimer   *timer;     /* of a PF: executes delayed commands */
    QEMUTimer   *io_timer;  /* of a VF: executes I/O commands held back */

    /* of a VF: the standard's commands, see lm-std.c.inc */
    bool        std;        /* suspended by Migration Send */
    bool        received;   /* has received a state that is not committed */
    uint8_t     *image;     /* what Get returns while suspended, or NULL */
    uint64_t    image_size;
    unsigned    image_parts;
    uint8_t     *seq;       /* what Set has received, or NULL: no sequence */
    uint64_t    seq_size;
    unsigned    seq_parts;
    uint64_t    seq_declared;   /* by the header; 0: not received */

    NvmeLmTrack track;      /* of a VF */
    NvmeLmTruth truth;

    /* of a VF: its identity, and what became of it. See lm-id.c.inc. */
    NvmeIdCtrl  own;        /* id_ctrl has what the VF presents */
    uint32_t    ioqpairs;   /* that the VF presents; 0: what it has */
    bool        started;    /* enabled since its last function level reset */
    bool        away;       /* saved or loaded, and not resumed since */
    bool        lost;       /* stopped, and another VF has got the identity */
    NvmeIdCtrl  lost_id;    /* the identity that was lost */
    uint32_t    lost_ioqpairs;
    bool        attached;   /* has been given its first namespaces */

    /* features that hw/nvme has for each namespace, not for each controller */
    bool        cache_off;
    uint32_t    err_rec[NVME_MAX_NAMESPACES + 1];
} NvmeLm;

struct NvmeCtrl;
struct NvmeRequest;
struct NvmeCtrl *nvme_lm_next_ctrl(struct NvmeCtrl *n, int *cntlid);
struct NvmeCtrl *nvme_lm_find_ctrl(struct NvmeCtrl *n, uint16_t cntlid);
void nvme_lm_set_write_cache(struct NvmeCtrl *n, bool on);
void nvme_lm_track_mark(struct NvmeCtrl *n, hwaddr addr, hwaddr len);
void nvme_lm_track_req(struct NvmeCtrl *n, struct NvmeRequest *req);
void nvme_lm_track_store(struct NvmeCtrl *n, hwaddr addr, uint32_t value);

/* Whether the controller is a VF that can migrate */
static inline bool nvme_lm_is_vf(const NvmeLm *lm)
{
    return lm->bh != NULL;
}

/* Whether the controller must not fetch commands */
static inline bool nvme_lm_stopped(const NvmeLm *lm)
{
    return lm->phase > NVME_LM_RUNNING;
}

/* Whether the controller must not write to guest memory or interrupt */
static inline bool nvme_lm_quiet(const NvmeLm *lm)
{
    return lm->phase > NVME_LM_SUSPENDING;
}

/* Whether SUSPEND is complete: no command of the VF is in flight */
static inline bool nvme_lm_idle(const NvmeLm *lm)
{
    return lm->phase == NVME_LM_SUSPENDED || lm->phase == NVME_LM_SAVED;
}

/* Whether the VF is to break this requirement of nvme.txt */
static inline bool nvme_lm_breaks(const NvmeLm *lm, uint32_t requirement)
{
    return lm->broken == requirement;
}

/* Call this when a command of the controller has finished */
static inline void nvme_lm_req_done(const NvmeLm *lm)
{
    if (lm->phase == NVME_LM_SUSPENDING) {
        qemu_bh_schedule(lm->bh);
    }
}

#endif /* HW_NVME_LM_H */
