# SPDX-License-Identifier: MIT
################################################################################
#
# weir
#
################################################################################

WEIR_VERSION = 0.1.0
# The tree that this file is in.
WEIR_SITE = $(realpath $(BR2_EXTERNAL_WEIR_PATH)/../..)
WEIR_SITE_METHOD = local
WEIR_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude /build
WEIR_LICENSE = MIT
WEIR_LICENSE_FILES = LICENSE
WEIR_INSTALL_STAGING = YES
WEIR_DEPENDENCIES = host-pkgconf tl-expected
WEIR_CONF_OPTS = \
	-Dtests=false \
	-Dexamples=false \
	-Dflatbuffers=disabled \
	-Dweb=disabled \
	-Dsd_bus=disabled

ifeq ($(BR2_PACKAGE_LIBURING),y)
WEIR_DEPENDENCIES += liburing
WEIR_CONF_OPTS += -Dio_uring=enabled
else
WEIR_CONF_OPTS += -Dio_uring=disabled
endif

$(eval $(meson-package))
