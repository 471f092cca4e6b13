// SPDX-License-Identifier: MIT
#include <weir/ipc/shm/region.hpp>

#include "io/running.hpp"
#include "support/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::test;
using ipc::Mapping;
using ipc::Region;

Region made(std::size_t size) {
    auto region = Region::create(size, "test");
    INFO(Running::text_of_error(region));
    REQUIRE(region.has_value());
    return std::move(*region);
}
Fd copy_of(const Region& region) {
    return Fd(::fcntl(region.fd(), F_DUPFD_CLOEXEC, 0));
}
std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find("memfd:test") != std::string::npos;
    return count;
}

TEST_CASE("a region has all its pages from the first moment, and is closed on exec") {
    const Region region = made(100'000);
    struct stat status {};
    REQUIRE(::fstat(region.fd(), &status) == 0);
    CHECK(status.st_size == 100'000);
    CHECK(status.st_blocks * 512 >= 100'000);
    CHECK((::fcntl(region.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(code_of(Region::create(0, "test")) == Errc::invalid);
}

TEST_CASE("what is written through one mapping is read through the other") {
    const Region region = made(8192);
    auto writable = region.map_writable();
    auto readable = region.map_read_only();
    REQUIRE((writable.has_value() && readable.has_value()));
    CHECK(readable->data()[8191] == std::byte{0});
    writable->data()[8191] = std::byte{7};
    CHECK(readable->data()[8191] == std::byte{7});
}

TEST_CASE("a region can neither shrink nor grow") {
    const Region region = made(8192);
    CHECK(::ftruncate(region.fd(), 4096) == -1);
    CHECK(::ftruncate(region.fd(), 16384) == -1);
}

TEST_CASE("once sealed nobody gets write access, while the mapping made before goes on writing") {
    const Region region = made(8192);
    auto before = region.map_writable();
    REQUIRE(before.has_value());
    const auto sealed = region.seal();
    INFO(Running::text_of_error(sealed));
    REQUIRE(sealed.has_value());
    CHECK(code_of(region.map_writable()) == Errc::denied);
    CHECK(::pwrite(region.fd(), "x", 1, 0) == -1);
    CHECK(::fallocate(region.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1);
    CHECK(::fcntl(region.fd(), F_ADD_SEALS, F_SEAL_WRITE) == -1);
    auto after = region.map_read_only();
    REQUIRE(after.has_value());
    CHECK(::mprotect(after->data(), after->size(), PROT_READ | PROT_WRITE) == -1);
    before->data()[0] = std::byte{9};
    CHECK(after->data()[0] == std::byte{9});
}

TEST_CASE("a seal that somebody forbade beforehand is an error") {
    const Region region = made(4096);
    REQUIRE(::fcntl(region.fd(), F_ADD_SEALS, F_SEAL_SEAL) == 0);
    CHECK(code_of(region.seal()) == Errc::denied);
}

TEST_CASE("a received region is taken if it is what it should be") {
    const Region region = made(4096);
    auto taken = Region::received(copy_of(region), 4096, Region::Sealed::size);
    REQUIRE(taken.has_value());
    CHECK(taken->size() == 4096);
    CHECK(code_of(Region::received(copy_of(region), 4096, Region::Sealed::writes)) == Errc::denied);
    REQUIRE(region.seal().has_value());
    CHECK(Region::received(copy_of(region), 4096, Region::Sealed::writes).has_value());
}

TEST_CASE("a received region of another size is refused with both sizes, and closed") {
    const Region region = made(4096);
    Fd copy = copy_of(region);
    const int number = copy.get();
    const auto taken = Region::received(std::move(copy), 8192, Region::Sealed::size);
    REQUIRE(code_of(taken) == Errc::mismatch);
    CHECK(taken.error().a == 8192);
    CHECK(taken.error().b == 4096);
    CHECK(::fcntl(number, F_GETFD) == -1);
}

TEST_CASE("a received descriptor that is no sealed memory of ordinary pages is refused") {
    CHECK(code_of(Region::received(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), 4096,
                                   Region::Sealed::size)) == Errc::wrong_kind);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const Fd writing(ends[1]);
    CHECK(code_of(Region::received(Fd(ends[0]), 4096, Region::Sealed::size)) == Errc::wrong_kind);
    // With a hole in it: right in everything else.
    Fd sparse(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::ftruncate(sparse.get(), 4096) == 0);
    REQUIRE(::fcntl(sparse.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    CHECK(code_of(Region::received(std::move(sparse), 4096, Region::Sealed::size)) == Errc::wrong_kind);
    Fd unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::fallocate(unsealed.get(), 0, 0, 4096) == 0);
    CHECK(code_of(Region::received(std::move(unsealed), 4096, Region::Sealed::size)) == Errc::denied);
}

TEST_CASE("mappings are gone from the address space with their owners") {
    const std::size_t before = mappings();
    for (int i = 0; i < 1'000; ++i) {
        auto region = Region::create(4096, "test");
        REQUIRE(region.has_value());
        auto writable = region->map_writable();
        auto readable = region->map_read_only();
        REQUIRE((writable.has_value() && readable.has_value()));
        Mapping moved = std::move(*writable);
        moved = std::move(*readable);
    }
    CHECK(mappings() == before);
}

TEST_CASE("what runs out while a region is made is named by the error") {
    const auto descriptors = run_in_child([] {
        const rlimit few{3, 3};
        ::setrlimit(RLIMIT_NOFILE, &few);
        return code_of(Region::create(4096, "test")) == Errc::no_files ? 0 : 1;
    });
    CHECK(descriptors.exit_status == 0);
    const auto file_size = run_in_child([] {
        const rlimit small{4096, 4096};
        ::setrlimit(RLIMIT_FSIZE, &small);
        const auto region = Region::create(8192, "test");
        return code_of(region) == Errc::too_large && region.error().b == 4096 ? 0 : 1;
    });
    CHECK(file_size.signal == 0);
    CHECK(file_size.exit_status == 0);
}

}  // namespace
