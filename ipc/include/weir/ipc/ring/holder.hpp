// SPDX-License-Identifier: MIT
//
// Who writes one side of a ring that outlives its processes, and who did before.
//
// Only whoever holds the side's lock, which the kernel lets go when it dies, writes these words. They decide nothing: a
// rival is told the pid, and a generation that has changed says that another process took over.
#pragma once

#include "weir/ipc/ring/words.hpp"

namespace weir::ipc::ring {

/// On a line of its own: it is looked at from outside.
template <class Word>
struct BasicHolder {
    alignas(cache_line) Word generation{0};  ///< how often the side was taken
    Word pid{0};                             ///< by whom last
};
template <class Atomics>
using Holder = BasicHolder<typename Atomics::Word>;
static_assert(sizeof(Holder<MachineAtomics>) == cache_line);

/// Takes the side, whose lock is held. Killed in between, its taker counts and has the pid of the one before.
template <class Atomics>
void take_side(Holder<Atomics>& holder, std::uint32_t pid) noexcept {
    Atomics::store_relaxed(holder.generation, Atomics::load_relaxed(holder.generation) + 1, Site::holder);
    Atomics::store_relaxed(holder.pid, pid, Site::holder);
}

}  // namespace weir::ipc::ring
