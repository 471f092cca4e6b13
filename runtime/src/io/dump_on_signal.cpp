// SPDX-License-Identifier: MIT
#include "weir/io/dump_on_signal.hpp"

namespace weir {

Task<> dump_on_signal(Scheduler& scheduler, int signal, int fd) {
    WEIR_CO_TRY(auto signals, SignalSet::block({signal}));
    for (;;) {
        WEIR_CO_CHECK(signals.next());
        scheduler.dump(fd);
    }
}

}  // namespace weir
