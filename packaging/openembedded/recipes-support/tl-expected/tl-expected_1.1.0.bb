# SPDX-License-Identifier: MIT
SUMMARY = "std::expected for C++11, 14 and 17"
HOMEPAGE = "https://github.com/TartanLlama/expected"
LICENSE = "CC0-1.0"
LIC_FILES_CHKSUM = "file://COPYING;md5=65d3616852dbf7b1a6d4b53b00626032"

SRC_URI = "git://github.com/TartanLlama/expected.git;protocol=https;nobranch=1"
SRCREV = "292eff8bd8ee230a7df1d6a1c00c4ea0eb2f0362"

# A header and nothing to build.
do_configure[noexec] = "1"
do_compile[noexec] = "1"
do_install() {
    install -d ${D}${includedir}/tl
    install -m 0644 ${S}/include/tl/expected.hpp ${D}${includedir}/tl/
}
ALLOW_EMPTY:${PN} = "1"
