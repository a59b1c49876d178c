# build: the program. test: all tests; as root, those of the kernel too.
# test-vm: the kernel's tests on other kernels. measure: figures against
# yardsticks, on a quiet host. lint: what must be clean.

.PHONY: build test test-vm measure lint tools

GO ?= go

build:
	CGO_ENABLED=0 $(GO) build ./cmd/bench
	CGO_ENABLED=0 $(GO) build ./cmd/checkconfig

# What a test finds missing it skips, unless it is named here: as root on a
# host of our own, nothing that these stand for may go untested.
ifeq ($(shell id -u),0)
export PLIMSOLL_REQUIRE ?= linux,root,cgroup,timens,userns-overlay,binutils,setpriv,loop,overlay,fuse-overlayfs,btrfs,zfs,xfs-reflink,loop-ext4,loop-xfs,vfs
endif

# One package at a time: tests look whether the host is as it was before, and
# others' mounts and cgroups would come and go meanwhile. The race detector
# needs a C compiler.
test: tools
	$(GO) test -race -p 1 -timeout 15m ./...

# The kernel's tests on Debian's kernel with unified cgroups, in QEMU's software
# emulation, as root and as an ordinary user. RELEASE=bullseye is 5.10,
# trixie 6.12; CGROUP=v1 or hybrid mounts the hierarchies so. What systemd
# delegates is tested in machines whose process 1 is this host's systemd, the
# controllers that only v1 has in one that mounts them, thin pools in one that
# has the modules; VM_THIN="-run Thin" tests all of those, ten minutes long. crun
# has a machine, for it refuses hybrid cgroups, as this host may have. test-vm
# leaves out vm-storage, which tells in some minutes whether storages work on that
# kernel (VM_STORAGE= tests there all that make test does, in half an hour).
# OpenZFS has to be compiled, which takes twenty minutes of a processor the first
# time: make vm-zfs tests it, and is left out, too.
# A table tells what is proven where: a test that every machine skipped is run
# here, and if it is skipped here too, that is a failure.
RELEASE ?= bookworm
CGROUP ?= v2
VM_OUT ?= vm
VM_PACKAGES ?= $(sort $(dir $(shell find ./isolate ./hostcheck ./runner/local -name '*_linux_test.go'))) ./cmd/checkconfig
VM_PROGRAMS = newuidmap,newgidmap,setpriv,dmsetup,lvm,thin_check,mkfs.ext4,mkfs.xfs,mkfs.btrfs,fuse-overlayfs,fusermount3
VM_THIN ?= -short -run 'TestThin(Pool|RemoveInUse|Yanked|Killed)|TestDMThin/(clones|model)'
VM_SKIP ?= OnStorage|PoolThatCannotBeBuilt|PoolsOnDevice|DeviceThatIsRefused|UsersImage|TestPlace|NeverCold|PoolsMakeRoom|FullWorkDirectory|AgainstFio
VM_STORAGE ?= -short -run 'WorkloadsOnStorage|PoolThatCannotBeBuilt|Test(Overlay|FuseOverlayfs|Btrfs|XFSReflink|LoopExt4|VFS)$$/changes'
VM_REQUIRE ?= linux,root
ifeq ($(RELEASE)-$(CGROUP),bookworm-v2)
VM_REQUIRE = linux,root,cgroup,timens,userns-overlay,swap,setpriv
endif
VM_RUN = $(GO) run ./internal/vmtest/cmd/vmtest run -release $(RELEASE) -timeout 5m -kill-after 10m
VM_MACHINES = plain thin v1 systemd crun
.PHONY: $(VM_MACHINES:%=vm-%) vm-storage vm-zfs
test-vm:
	@$(MAKE) --no-print-directory tools TOOLS="qemu-system-x86_64:qemu-system-x86 busybox:busybox-static mkfs.ext4:e2fsprogs xz:xz-utils newuidmap:uidmap \
		dmsetup:dmsetup lvm:lvm2 thin_check:thin-provisioning-tools mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs fuse-overlayfs:fuse-overlayfs \
		dbus-daemon:dbus systemctl:systemd runc:runc crun:crun"
	@mkdir -p $(VM_OUT)
	@$(MAKE) --no-print-directory -k -O -j$(shell nproc) $(VM_MACHINES:%=vm-%); machines=$$?; \
	PLIMSOLL_REQUIRE= $(GO) run ./internal/vmtest/cmd/vmtest skips -in $(VM_OUT) -here host.json \
		plain/root.json plain/user.json systemd/root.json systemd/user.json v1/root.json thin/root.json crun/root.json \
		$(foreach m,storage zfs,$(if $(wildcard $(VM_OUT)/$(m)/root.json),$(m)/root.json)) && exit $$machines
# Root's and the user's machine keep two processors busy; more beside them would
# test patience.
$(filter-out vm-plain,$(VM_MACHINES:%=vm-%)): | vm-plain
vm-plain:
	$(VM_RUN) -out $(VM_OUT)/plain -cgroup $(CGROUP) -swap 256 -skip '$(VM_SKIP)' -with $(VM_PROGRAMS) -require $(VM_REQUIRE) -require-user linux $(VM_PACKAGES)
vm-systemd:
	$(VM_RUN) -out $(VM_OUT)/systemd -cgroup $(CGROUP) -init systemd -run 'Systemd|Scope' -require linux,root -require-user linux ./isolate/cgroup/scope ./runner/local
vm-v1:
	$(VM_RUN) -out $(VM_OUT)/v1 -cgroup v1 -users root -require linux,root ./isolate/cgroup
vm-crun:
	$(VM_RUN) -out $(VM_OUT)/crun -cgroup v2 -users root -with runc,crun -run TestOnBridge -require linux,root,runc,crun ./runner/local
vm-storage:
	$(VM_RUN) -out $(VM_OUT)/storage -cgroup $(CGROUP) -users root -with $(VM_PROGRAMS) -require root,loop,overlay,fuse-overlayfs,btrfs,xfs-reflink,loop-ext4,vfs $(VM_STORAGE) ./storagebench ./runner/local
vm-thin:
	$(VM_RUN) -out $(VM_OUT)/thin -cgroup $(CGROUP) -users root -with dmsetup,lvm,mkfs.ext4 -require root,dm-thin,lvm-thin $(VM_THIN) ./storagebench
# The tools of OpenZFS are in Debian's contrib, its modules there as source. The
# machine has a zfs-fuse besides, where this host has: OpenZFS goes before. It
# wants a host that does nothing else: a full pool waits for the disk a hundred
# times. VM_ZFS="-run ZFS" has more sets of changes and more kills.
VM_ZFS ?= -short -run 'ZFS|OnAFile/zfs|TestOperations/zfs|TestWorkloadsOnStorage/zfs'
vm-zfs:
	@$(MAKE) --no-print-directory tools TOOLS="qemu-system-x86_64:qemu-system-x86 busybox:busybox-static mkfs.ext4:e2fsprogs xz:xz-utils cc:gcc,libc6-dev"
	$(VM_RUN) -timeout 40m -kill-after 60m -out $(VM_OUT)/zfs -cgroup v2 -users root -openzfs -with zfs-fuse,cp,mkfs.ext4 -require root,zfs,openzfs $(VM_ZFS) ./storagebench ./storagebench/operation ./runner/local

measure: tools
	PLIMSOLL_MEASURE=1 $(GO) test -run 'Measure|Kill|Interrupt' -v -count=1 -p 1 -timeout 2h ./...

# Programs that tests use, and the Debian packages that have them. Root on a
# system with apt-get gets what is missing; others skip those tests.
TOOLS = cc:gcc,libc6-dev as:binutils \
	aarch64-linux-gnu-as:binutils-aarch64-linux-gnu x86_64-linux-gnu-as:binutils-x86-64-linux-gnu \
	qemu-aarch64-static:qemu-user-static runc:runc crun:crun bwrap:bubblewrap \
	fio:fio busybox:busybox-static newuidmap:uidmap setpriv:util-linux strace:strace \
	mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs fuse-overlayfs:fuse-overlayfs zpool:zfs-fuse

tools:
	@missing=; \
	for tool in $(TOOLS); do \
		command -v $${tool%%:*} >/dev/null || missing="$$missing $$(echo $${tool#*:} | tr , ' ')"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q; \
		known=$$(for package in $$missing; do apt-cache show $$package >/dev/null 2>&1 && echo $$package; done); \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$known && [ "$$(echo $$known)" = "$$(echo $$missing)" ] && exit 0; \
	fi; \
	echo "some tests will be skipped for want of, or of some of:$$missing"

# What is pure builds and runs on macOS too; what measures, on both architectures.
lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	CGO_ENABLED=0 GOARCH=amd64 $(GO) build ./...
	CGO_ENABLED=0 GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./profiles ./runner ./reports/... ./cmd/bench
