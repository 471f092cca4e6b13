// SPDX-License-Identifier: MIT
#pragma once

#include "io/temporary_directory.hpp"
#include "support/catch.hpp"

#include "weir/ipc/names/name_list.hpp"

#include "names/bound_name.hpp"

#include <optional>

namespace weir::test {

inline ipc::RuntimeDirectory runtime_directory_at(const TemporaryDirectory& temporary) {
    const auto made = ipc::RuntimeDirectory::at(temporary.path());
    REQUIRE(made.has_value());
    return *made;
}

/// A name that this process serves, as a LinkServer does, but to no client.
class BoundSocket {
public:
    BoundSocket(const ipc::RuntimeDirectory& directory, const Name& name, mode_t mode = 0600,
                std::int64_t group = -1)
        : path_(*directory.path_of(name, ipc::link_suffix)) {
        auto bound = ipc::bind_name(path_, {.mode = mode, .owner = -1, .group = group, .backlog = 2});
        REQUIRE(bound.has_value());
        bound_ = std::move(*bound);
    }
    BoundSocket(const BoundSocket&) = delete;
    BoundSocket& operator=(const BoundSocket&) = delete;
    ~BoundSocket() {
        if (bound_) close();
    }
    /// In good order.
    void close() {
        ipc::remove_name(path_);
        bound_.reset();
    }
    /// As the kernel does it for a process that was killed.
    void die() { bound_.reset(); }
    [[nodiscard]] int fd() const { return bound_->listener.get(); }
    [[nodiscard]] const char* path() const { return path_.c_str(); }

private:
    ipc::RuntimePath path_;
    std::optional<ipc::BoundName> bound_;
};

}  // namespace weir::test
