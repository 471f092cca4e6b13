# SPDX-License-Identifier: MIT
SUMMARY = "An embedded, coroutine-based IPC runtime"
DESCRIPTION = "One single-threaded scheduler on io_uring or epoll, and one await model for pipes, sockets, message \
queues, signals, timers, child processes and shared-memory rings. Nothing is allocated after start-up."
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=2b525dfd85e685c5b66b4b717c07bd29"

inherit meson pkgconfig externalsrc
EXTERNALSRC = "${WEIR_TREE}"
EXTERNALSRC_SYMLINKS = ""

DEPENDS = "tl-expected"
PACKAGECONFIG ??= "io-uring"
PACKAGECONFIG[io-uring] = "-Dio_uring=enabled,-Dio_uring=disabled,liburing"
EXTRA_OEMESON = "-Dtests=false -Dexamples=false -Dflatbuffers=disabled -Dweb=disabled -Dsd_bus=disabled"

# Programs that use weir need its libraries alone; the tool that looks into them is for whoever wants it.
PACKAGES =+ "${PN}-tools"
FILES:${PN}-tools = "${bindir}/weir"
FILES:${PN}-dev += "${datadir}/weir/gdb ${libdir}/cmake"
