// SPDX-License-Identifier: MIT
//
// Everything a service needs of the runtime, in one include.
#pragma once

#include "weir/core/bytes.hpp"
#include "weir/core/error.hpp"
#include "weir/core/inline_vector.hpp"
#include "weir/core/name.hpp"
#include "weir/core/report.hpp"
#include "weir/core/result.hpp"
#include "weir/core/time.hpp"
#include "weir/coro/channel.hpp"
#include "weir/coro/deadline.hpp"
#include "weir/coro/event.hpp"
#include "weir/coro/group.hpp"
#include "weir/coro/join.hpp"
#include "weir/coro/mutex.hpp"
#include "weir/coro/semaphore.hpp"
#include "weir/coro/sleep.hpp"
#include "weir/coro/task.hpp"
#include "weir/io/pipe.hpp"
#include "weir/scheduler/run_main.hpp"
#include "weir/scheduler/scheduler.hpp"
#include "weir/version.hpp"
