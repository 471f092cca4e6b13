// SPDX-License-Identifier: MIT
#pragma once

#include <weir/ipc/service/service.hpp>

#include "io/temporary_directory.hpp"

namespace weir::test {

struct AddRequest {
    std::int32_t left;
    std::int32_t right;
};
struct AddReply {
    std::int64_t sum;
};
using Adder = ipc::Service<AddRequest, AddReply>;
inline constexpr ipc::ServiceName adder{"test/adder"};

/// A runtime directory of its own for one test.
struct Place {
    Place() : directory(*ipc::RuntimeDirectory::at(temporary.path())) {}
    [[nodiscard]] ipc::ServiceOptions served(ipc::ServiceOptions options = {}) const {
        options.link.directory = &directory;
        return options;
    }
    [[nodiscard]] ipc::ServiceClientOptions opened(ipc::ServiceClientOptions options = {}) const {
        options.link.directory = &directory;
        return options;
    }
    [[nodiscard]] ipc::ServiceClientOptions reconnecting() const {
        return opened({.successor = ipc::Successor::await});
    }

    TemporaryDirectory temporary;
    ipc::RuntimeDirectory directory;
};

}  // namespace weir::test
