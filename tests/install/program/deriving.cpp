// SPDX-License-Identifier: MIT
//
// A user's program with exceptions and RTTI on, against libraries built without either: it derives from a public
// polymorphic class, and asks the language which class an object has.
#include <weir/backend/backend.hpp>
#include <weir/version.hpp>

#include <cstdio>
#include <stdexcept>
#include <typeinfo>

namespace {

class Counting final : public weir::Backend {
public:
    const char* name() const noexcept override { return "counting"; }
    long attempt(weir::Operation& /*operation*/) noexcept override { return ++calls_; }
    long submit(weir::Operation& /*operation*/) noexcept override { return 0; }
    void cancel(weir::Operation& /*operation*/) noexcept override {}
    void forget(weir::DescriptorEntry& /*entry*/) noexcept override {}
    weir::Result<void> wait(weir::Instant /*until*/) noexcept override { return {}; }
    std::size_t in_flight() const noexcept override { return 0; }
    int poll_fd() const noexcept override { return -1; }
    const weir::Instant* clock() const noexcept override { return nullptr; }
    void end() noexcept override {}

private:
    long calls_ = 0;
};

void tell(weir::Backend& backend) {
    if (dynamic_cast<Counting*>(&backend) == nullptr || typeid(backend) != typeid(Counting)) {
        throw std::runtime_error("the backend lost its type");
    }
    throw std::runtime_error(backend.name());
}

}  // namespace

int main() {
    Counting backend;
    try {
        tell(backend);
    } catch (const std::runtime_error& error) {
        const weir::Version version = weir::library_version();
        std::printf("%s on weir %d.%d.%d\n", error.what(), version.major_number, version.minor_number,
                    version.patch_number);
        return 0;
    }
    return 1;
}
