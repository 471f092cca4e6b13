// SPDX-License-Identifier: MIT
#pragma once

/// \file
/// What processes share, above the runtime, for users to include at once.

#include <weir/ipc/names/name_list.hpp>
#include <weir/ipc/names/name_watch.hpp>
#include <weir/ipc/names/runtime_directory.hpp>
#include <weir/ipc/ring/byte_ring.hpp>
#include <weir/ipc/ring/named_ring.hpp>
#include <weir/ipc/ring/ring.hpp>
#include <weir/ipc/service/service.hpp>
#include <weir/ipc/shm/foreign_semaphore.hpp>
#include <weir/ipc/shm/link.hpp>
#include <weir/ipc/shm/link_stat.hpp>
#include <weir/ipc/shm/region.hpp>
#include <weir/ipc/shm/shared_semaphore.hpp>
#include <weir/ipc/topic/topic.hpp>
#include <weir/ipc/types/bounded_string.hpp>
#include <weir/ipc/types/bounded_vector.hpp>
#include <weir/ipc/types/layout.hpp>
#include <weir/ipc/types/validity.hpp>
#include <weir/version.hpp>
