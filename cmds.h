/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The five live migration commands, one function each. nvme.txt describes them.
 */
#ifndef NVMEVF_CMDS_H
#define NVMEVF_CMDS_H

#include <linux/types.h>

struct nvme_id_ctrl;
struct nvme_secondary_ctrl_list;
struct pci_dev;

int nvmevf_cmd_identify(struct pci_dev *pdev, struct nvme_id_ctrl *id);
int nvmevf_cmd_identify_secondary(struct pci_dev *pdev,
				  struct nvme_secondary_ctrl_list *list);
int nvmevf_cmd_query_data_size(struct pci_dev *pdev, u32 *size);
int nvmevf_cmd_suspend(struct pci_dev *pdev);
int nvmevf_cmd_resume(struct pci_dev *pdev);
int nvmevf_cmd_save_data(struct pci_dev *pdev, void *buf, u32 size);
int nvmevf_cmd_load_data(struct pci_dev *pdev, void *buf, u32 size);

#endif /* NVMEVF_CMDS_H */
