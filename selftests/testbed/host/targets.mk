# SPDX-License-Identifier: GPL-2.0-only
#
# The targets for developers.
H := selftests/testbed/host

# Without bash, the error would be "no such file" for a script that exists.
ifeq ($(wildcard /bin/bash),)
$(error This needs Debian 12 or later on amd64 (x86-64), found no /bin/bash)
endif

.DEFAULT_GOAL := help
.PHONY: help modules check check-hosts check-newer check-one check-races check-device coverage bench figures \
	demo demo-one-host demo-newer-qemu soak golden lint clean distclean deb install tree check-deb check-tree

help:
	@echo 'make modules    compile nvme.ko with the hook, and nvme-vfio-pci.ko'
	@echo 'make check      run lint, and the tests in VMs, but for some long ones'
	@echo 'make check-one TEST=NAME'
	@echo '                run one kselftest, such as stream_test, or one step of check'
	@echo 'make check-hosts  run the tests of hosts, libvirt, driverctl, hot-plug and tracking'
	@echo 'make check-newer  move a guest with a newer libvirt and QEMU, from Debian backports'
	@echo 'make check-races  run the tests with threads for ten minutes on a kernel with KCSAN'
	@echo 'make check-device PF=0000:01:00.0 [NAMESPACE=1]'
	@echo '                try the controller of this machine: print which requirements of nvme.txt'
	@echo '                it meets. Without NAMESPACE nothing is written to a medium.'
	@echo 'make coverage   print which lines and branches of driver and hook the tests reach'
	@echo 'make soak       run the long tests, for about an hour; continue an interrupted run'
	@echo '                (NVMEVF_SET=standard: with this command set)'
	@echo 'make bench      measure what the driver costs: blackout, data_fd, memory, many VFs'
	@echo 'make figures    write the figures of the last make bench into the documents'
	@echo 'make golden     write the golden streams anew, after a change of the model'"'"'s state'
	@echo 'make lint       check style, spelling, and the links and figures of documents'
	@echo 'make demo       migrate a VM under I/O between two hosts and back'
	@echo 'make demo-one-host  migrate it within one host, and show where its blackout went'
	@echo 'make demo-newer-qemu  likewise, with a newer QEMU, from Debian backports'
	@echo '                (SET=standard or SET=vendor: with this command set. The latter two also'
	@echo '                take TRACK=device or TRACK=iommu: the VF or the IOMMU tracks memory.)'
	@echo 'make clean      remove the files of kbuild in this directory'
	@echo 'make distclean  remove the cache of VMs, compilers and modules, too'
	@echo
	@echo 'make deb        build the Debian package, for dkms'
	@echo 'make install    install nvme-vfs, which brings up VFs when the system starts'
	@echo 'make tree KERNEL=DIR'
	@echo '                add hook and driver to a kernel tree, as patches'
	@echo 'make check-deb  install, boot with and purge the package, in a VM'
	@echo 'make check-tree compile such kernel trees, for x86-64, arm64 and s390x'
	@echo
	@echo 'Requirements: Debian 12 or later on x86-64, root (to install packages and to'
	@echo 'set up a build root) and 15 GB of disk; no NVMe device and no KVM.'
	@echo 'selftests/testbed/README.md describes the test bed.'

modules:
	@$(H)/build modules

check:
	@$(H)/check

check-one:
	@$(H)/check-one $(TEST)

check-hosts:
	@$(H)/check hosts

check-newer:
	@$(H)/check-newer

check-races:
	@$(H)/check races

check-device:
	@$(H)/check-device $(if $(NAMESPACE),-n $(NAMESPACE)) $(PF) $(REQUIREMENTS)

coverage:
	@$(H)/coverage

demo_options = $(and $(SET),--set $(SET)) $(and $(TRACK),--track $(TRACK))

demo:
	@$(H)/demo $(demo_options)

demo-one-host:
	@$(H)/demo $(demo_options) one-host

demo-newer-qemu:
	@$(H)/demo $(demo_options) newer-qemu

soak:
	@$(H)/soak

golden:
	@$(H)/golden

bench:
	@$(H)/bench

# without a make bench, from doc/results.json
figures:
	@$(H)/figures.py --update $(wildcard $(or $(NVMEVF_CACHE),$(XDG_CACHE_HOME),$(HOME)/.cache)/nvme-vfio-pci/bench/results.json)

lint:
	@$(H)/lint

deb:
	@packaging/deb $(OUT)

prefix ?= /usr/local
install:
	install -D -t $(DESTDIR)$(prefix)/sbin packaging/nvme-vfs
	install -D -m 644 -t $(DESTDIR)$(prefix)/lib/systemd/system packaging/nvme-vfs@.service
	install -D -m 644 -t $(DESTDIR)$(prefix)/lib/udev/rules.d packaging/70-nvme-vfs.rules
	test -e $(DESTDIR)/etc/nvme-vfs.conf || \
		install -D -m 644 -t $(DESTDIR)/etc packaging/nvme-vfs.conf

tree:
	@packaging/tree "$(KERNEL)" $(OUT)

check-deb:
	@$(H)/check-deb

check-tree:
	@$(H)/check-tree

clean:
	rm -rf *.o *.ko *.mod *.mod.c .*.cmd modules.order Module.symvers .tmp_versions nvme

distclean: clean
	@$(H)/build --remove-all
