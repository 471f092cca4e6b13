// SPDX-License-Identifier: MIT
//
// Making: under the lock file, which serialises makers and removers. What an earlier maker left goes; the bells are
// made; the file is made beside its path, with all its pages, its head, owner and mode, and renamed. A maker that is
// killed leaves something that nobody takes for a ring.
//
// Opening needs no lock but that of the side. The bells are opened, and then the file has to be at its path still: so
// they are its own and not those of a later ring, since a remover takes the file away first.
#include "weir/ipc/ring/named_ring_file.hpp"

#include "sys/lock_file.hpp"
#include "sys/ownership.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <new>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace weir::ipc {
namespace {

constexpr const char* opening = "named ring open";
constexpr const char* making = "named ring, making it";
constexpr const char* removing = "named ring remove";
constexpr const char* looking = "named ring, looking at it";

constexpr std::string_view items_suffix = ".items";
constexpr std::string_view space_suffix = ".space";
constexpr int looks_max = 200;  // each half a millisecond, while another process makes or removes it

constexpr std::array<char, 8> magic_now{'w', 'e', 'i', 'r', 'r', 'i', 'n', 'g'};
constexpr std::uint32_t version_now = 1;

using Boot = std::array<std::uint8_t, 16>;

// What is fixed from the making on. The same on all machines of one byte order.
struct Head {
    std::array<char, 8> magic = magic_now;
    std::uint32_t version = version_now;
    std::uint32_t units = 0;
    std::uint32_t unit_bytes = 0;
    std::uint32_t reserved = 0;
    std::uint64_t record_size = 0;
    std::uint64_t layout = 0;
    std::uint64_t file_size = 0;
    Boot boot{};
    std::uint64_t sum = 0;  // of all before
};
static_assert(sizeof(Head) == 72 && offsetof(Head, sum) == 64);

using Holder = ring::Holder<ring::MachineAtomics>;
constexpr std::size_t holders_offset = cache_line;
constexpr std::size_t words_offset = holders_offset + 2 * sizeof(Holder);
constexpr std::size_t data_offset = 1024;
static_assert(sizeof(Head) <= holders_offset);
static_assert(words_offset + 2 * sizeof(NamedRingFile::SharedWords) <= data_offset);
static_assert(data_offset % cache_line == 0);

constexpr std::size_t index_of(RingSide side) noexcept {
    return side == RingSide::writer ? 0 : 1;
}
constexpr RingSide other(RingSide side) noexcept {
    return side == RingSide::writer ? RingSide::reader : RingSide::writer;
}
constexpr std::size_t holder_offset(RingSide side) noexcept {
    return holders_offset + index_of(side) * sizeof(Holder);
}
constexpr std::size_t side_offset(RingSide side) noexcept {
    return words_offset + index_of(side) * sizeof(NamedRingFile::SharedWords);
}

// FNV-1a: Fowler, Noll and Vo.
std::uint64_t sum_of(const Head& head) noexcept {
    std::array<unsigned char, offsetof(Head, sum)> bytes{};
    std::memcpy(bytes.data(), &head, bytes.size());
    std::uint64_t sum = 0xcbf2'9ce4'8422'2325;
    for (const unsigned char byte : bytes) sum = (sum ^ byte) * 0x100'0000'01b3;
    return sum;
}

// Zero where there is no /proc. What is missing only at this moment is an error: a ring must not be made with a start
// that it does not have, nor one be taken for older than it is.
Result<Boot> boot_of_now(const char* operation) noexcept {
    Boot boot{};
    const Fd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    const bool lacking = !file && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    if (lacking) return failure(Error::from_errno(operation, errno));
    char text[40] = "";
    if (!file || ::read(file.get(), text, sizeof(text) - 1) < 36) return boot;
    std::size_t digits = 0;
    for (const char letter : text) {
        const int value = letter >= '0' && letter <= '9'   ? letter - '0'
                          : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                                                           : -1;
        if (value < 0 || digits / 2 >= boot.size()) continue;
        boot[digits / 2] = static_cast<std::uint8_t>(boot[digits / 2] * 16 + value);
        ++digits;
    }
    return boot;
}

Result<RuntimePath> with(const RuntimePath& path, std::string_view suffix) noexcept {
    RuntimePath longer = path;
    const auto appended = longer.append(suffix);
    if (!appended) return failure(appended.error());
    return longer;
}

bool lock(int fd, std::size_t first, std::size_t count, short type) noexcept {
    struct flock range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = static_cast<off_t>(first);
    range.l_len = static_cast<off_t>(count);
    return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}
bool is_locked(int fd, RingSide side) noexcept {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = static_cast<off_t>(index_of(side));
    range.l_len = 1;
    return ::fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

template <class T>
bool read_at(int fd, std::size_t offset, T& into) noexcept {
    return ::pread(fd, &into, sizeof(into), static_cast<off_t>(offset)) == static_cast<ssize_t>(sizeof(into));
}

struct PlainHolder {
    std::uint32_t generation;
    std::uint32_t pid;
};
static_assert(offsetof(Holder, pid) == offsetof(PlainHolder, pid));

// Who took the side writes its pid a moment later: until then the one of a holder that has ended stands there, or none.
// 0 if it stays so for ten milliseconds.
Error in_use(int fd, const char* operation, RingSide side) noexcept {
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 500'000};
    Error error{.code = Errc::in_use, .operation = operation};
    for (int look = 0; look < 20 && error.a == 0; ++look) {
        PlainHolder holder{};
        const bool read = read_at(fd, holder_offset(side), holder);
        const auto pid = static_cast<pid_t>(holder.pid);
        const bool lives = read && pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
        if (lives)
            error.a = holder.pid;
        else
            ::nanosleep(&pause, nullptr);
    }
    return error;
}

// An error of open(2) at the path of a ring or a bell.
Error open_error(const char* operation, int error) noexcept {
    const bool other_kind = error == ELOOP || error == EISDIR || error == ENXIO;
    if (other_kind) return {.code = Errc::wrong_kind, .system_errno = error, .operation = operation};
    return Error::from_errno(operation, error);
}

// The head of what lies there, if all of it can be believed.
Result<Head> read_head(int fd, const char* operation) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return failure(Error::from_errno(operation, errno));
    if (!S_ISREG(status.st_mode)) return failure(Errc::wrong_kind, operation);
    Head head;
    if (!read_at(fd, 0, head)) return failure(Errc::corrupt, "named ring, which is cut off");
    if (head.magic != magic_now) return failure(Errc::wrong_kind, operation);
    if (head.version != version_now)
        return failure(Errc::mismatch, "named ring, version", version_now, head.version);
    const bool sound = head.sum == sum_of(head) && std::has_single_bit(head.units) && head.unit_bytes > 0 &&
                       head.file_size == data_offset + std::uint64_t{head.units} * head.unit_bytes;
    if (!sound) return failure(Errc::corrupt, "named ring, its head");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size != head.file_size)
        return failure(Errc::mismatch, "named ring, size of its file", head.file_size, size);
    // A page that is not there could fail to be made when it is touched.
    constexpr std::uint64_t block = 512;
    if (static_cast<std::uint64_t>(status.st_blocks) * block < size)
        return failure(Errc::corrupt, "named ring, which has holes");
    return head;
}

Result<Head> check(int fd, const RingShape& shape, const NamedRingAccess& access) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) < 0) return failure(Error::from_errno(opening, errno));
    const bool trusted = status.st_uid == ::geteuid() || status.st_uid == 0 ||
                         static_cast<std::int64_t>(status.st_uid) == access.owner;
    if (!trusted) return failure(Errc::denied, "named ring open, which another user made", status.st_uid);
    WEIR_TRY(const Head head, read_head(fd, opening));
    WEIR_TRY(const Boot now, boot_of_now(opening));
    if (head.boot != now)
        return failure(Errc::mismatch, "named ring open, which was made before the machine started");
    if (head.record_size != shape.record_size)
        return failure(Errc::mismatch, "named ring open, record size", shape.record_size, head.record_size);
    if (head.layout != shape.layout)
        return failure(Errc::mismatch, "named ring open, record layout", shape.layout, head.layout);
    if (head.unit_bytes != shape.unit_bytes)
        return failure(Errc::mismatch, "named ring open, slot size", shape.unit_bytes, head.unit_bytes);
    if (shape.units != 0 && head.units != shape.units)
        return failure(Errc::mismatch, "named ring open, depth", shape.units, head.units);
    return head;
}

Result<void> make_bell(const RuntimePath& path, const NamedRingAccess& access) noexcept {
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return failure(Error::from_errno(making, errno));
    if (::mkfifo(path.c_str(), S_IRUSR | S_IWUSR) < 0) return failure(Error::from_errno(making, errno));
    const long set = sys::set_ownership(path.c_str(), access.owner, access.group, access.mode);
    if (set < 0) return failure(Error::from_errno(making, static_cast<int>(-set)));
    return {};
}

Result<void> fill_file(int fd, const RingShape& shape, const NamedRingAccess& access) noexcept {
    WEIR_TRY(const Boot boot, boot_of_now(making));
    Head head{.units = shape.units,
              .unit_bytes = shape.unit_bytes,
              .record_size = shape.record_size,
              .layout = shape.layout,
              .file_size = data_offset + shape.bytes(),
              .boot = boot};
    head.sum = sum_of(head);
    // fallocate() would raise SIGXFSZ beyond this limit, which ends a process that did not expect it.
    if (rlimit limit{}; ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < head.file_size)
        return failure(Errc::too_large, "named ring, RLIMIT_FSIZE", head.file_size, limit.rlim_cur);
    int status;
    do {
        status = ::posix_fallocate(fd, 0, static_cast<off_t>(head.file_size));
    } while (status == EINTR);
    if (status != 0) {
        Error error = Error::from_errno(making, status);
        if (error.code == Errc::no_memory) error.a = head.file_size;
        return failure(error);
    }
    if (::pwrite(fd, &head, sizeof(head), 0) != static_cast<ssize_t>(sizeof(head)))
        return failure(Error::from_errno(making, errno));
    const long set = sys::set_ownership(fd, access.owner, access.group, access.mode);
    if (set < 0) return failure(Error::from_errno(making, static_cast<int>(-set)));
    return {};
}

// Under the lock. Somebody may have made it before we had that.
Result<void> make(const RuntimePath& path, const RingShape& shape, const NamedRingAccess& access) noexcept {
    if (::access(path.c_str(), F_OK) == 0) return {};
    WEIR_TRY(const RuntimePath items, with(path, items_suffix));
    WEIR_TRY(const RuntimePath space, with(path, space_suffix));
    for (const RuntimePath* const bell : {&items, &space}) {
        const auto made = make_bell(*bell, access);
        if (!made) return failure(made.error());
    }
    const RuntimePath begun = path.beside();
    if (::unlink(begun.c_str()) < 0 && errno != ENOENT) return failure(Error::from_errno(making, errno));
    const Fd fd(::open(begun.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return failure(Error::from_errno(making, errno));
    Result<void> made = fill_file(fd.get(), shape, access);
    if (made && ::rename(begun.c_str(), path.c_str()) < 0) made = failure(Error::from_errno(making, errno));
    if (!made) ::unlink(begun.c_str());
    return made;
}

void remove_bells(const RuntimePath& path) noexcept {
    for (const std::string_view suffix : {items_suffix, space_suffix}) {
        const auto bell = with(path, suffix);
        if (bell) ::unlink(bell->c_str());
    }
}

// Makes it, or waits a moment for another process that does. What was made so far goes again on an error.
Result<void> make_locked(const RuntimePath& path, const RingShape& shape,
                         const NamedRingAccess& access) noexcept {
    WEIR_TRY(const Fd held, sys::take_lock(path.c_str(), making));
    const auto made = make(path, shape, access);
    if (!made) remove_bells(path);
    sys::remove_lock(path.c_str());
    return made;
}

Result<RuntimePath> path_in(const RuntimeDirectory* directory, const Name& name) noexcept {
    if (directory != nullptr) return directory->path_of(name, ring_suffix);
    WEIR_TRY(const RuntimeDirectory found, RuntimeDirectory::find());
    const auto made = found.make();
    if (!made) return failure(made.error());
    return found.path_of(name, ring_suffix);
}

Result<void> shape_is_possible(const RingShape& shape) noexcept {
    if (!std::has_single_bit(shape.units))
        return failure(Errc::invalid, "named ring open, whose depth is no power of two", shape.units);
    if (shape.bytes() < ring::ring_bytes_min && shape.record_size == 0)
        return failure(Errc::invalid, "named ring open, of less than 64 bytes", shape.bytes());
    if (shape.bytes() > ring::ring_bytes_max)
        return failure(Errc::too_large, opening, shape.bytes(), ring::ring_bytes_max);
    return {};
}

}  // namespace

Result<NamedRingFile> NamedRingFile::open(const Name& name, const RingShape& shape, RingSide side,
                                          const NamedRingAccess& access) noexcept {
    if (shape.units != 0) {
        const auto possible = shape_is_possible(shape);
        if (!possible) return failure(possible.error());
    }
    WEIR_TRY(const RuntimePath path, path_in(access.directory, name));
    constexpr timespec pause{.tv_sec = 0, .tv_nsec = 500'000};
    Error last{.code = Errc::in_use, .operation = opening};
    for (int look = 0; look < looks_max; ++look) {
        NamedRingFile ring;
        ring.file_ = Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!ring.file_) {
            if (errno != ENOENT) return failure(open_error(opening, errno));
            if (shape.units == 0) return failure(Errc::not_found, opening);
            const auto made = make_locked(path, shape, access);
            if (made) continue;
            if (made.error() != Errc::in_use) return failure(made.error());
            last = made.error();
            ::nanosleep(&pause, nullptr);
            continue;
        }
        WEIR_TRY(const Head head, check(ring.file_.get(), shape, access));
        if (!lock(ring.file_.get(), index_of(side), 1, F_WRLCK)) {
            if (errno != EAGAIN && errno != EACCES) return failure(Error::from_errno(opening, errno));
            last = in_use(ring.file_.get(), opening, side);
            // Whoever removes it has both sides for a moment.
            if (sys::still_at(path.c_str(), ring.file_.get())) return failure(last);
            continue;
        }
        const auto bells = ring.open_bells(path, side);
        if (!sys::still_at(path.c_str(), ring.file_.get())) continue;
        if (!bells) return failure(bells.error());
        ring.units_ = head.units;
        const auto taken = ring.take(side);
        if (!taken) return failure(taken.error());
        return ring;
    }
    return failure(last);
}

Result<void> NamedRingFile::open_bells(const RuntimePath& path, RingSide side) noexcept {
    WEIR_TRY(const RuntimePath items, with(path, items_suffix));
    WEIR_TRY(const RuntimePath space, with(path, space_suffix));
    const bool writes = side == RingSide::writer;
    bell_ = writes ? space : items;
    const RuntimePath& peers = writes ? items : space;
    // For reading alone, so that it has an end when the peer is gone; the peer's for both, so that it has a reader.
    heard_ = Fd(::open(bell_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (heard_) rung_ = Fd(::open(peers.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (!rung_ && errno == ENOENT) return failure(Errc::corrupt, "named ring open, whose bells are missing");
    if (!rung_) return failure(open_error(opening, errno));
    for (const int fd : {heard_.get(), rung_.get()}) {
        struct stat status {};
        if (::fstat(fd, &status) < 0) return failure(Error::from_errno(opening, errno));
        if (!S_ISFIFO(status.st_mode)) return failure(Errc::wrong_kind, "named ring open, its bells");
    }
    return {};
}

// Everything is checked: from here on we are the writer, or the reader.
Result<void> NamedRingFile::take(RingSide side) noexcept {
    side_ = side;
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0) return failure(Error::from_errno(opening, errno));
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file_.get(), 0);
    if (memory == MAP_FAILED) {
        Error error = Error::from_errno("named ring open, mapping it", errno);
        if (error.code == Errc::no_memory) error.a = size;
        return failure(error);
    }
    mapping_ = Mapping(memory, size);
    void* const place = mapping_.data() + holder_offset(side);
    ring::take_side<ring::MachineAtomics>(*std::launder(static_cast<Holder*>(place)),
                                          static_cast<std::uint32_t>(::getpid()));
    return {};
}

NamedRingFile::SharedWords& NamedRingFile::words(RingSide side) const noexcept {
    void* const place = mapping_.data() + side_offset(side);
    return *std::launder(static_cast<SharedWords*>(place));
}
NamedRingFile::SharedWords& NamedRingFile::own() const noexcept {
    return words(side_);
}
const NamedRingFile::SharedWords& NamedRingFile::peer() const noexcept {
    return words(other(side_));
}
std::byte* NamedRingFile::data() const noexcept {
    return mapping_.data() + data_offset;
}
std::uint32_t NamedRingFile::generation() const noexcept {
    if (!mapping_) return 0;
    const void* const place = mapping_.data() + holder_offset(side_);
    return std::launder(static_cast<const Holder*>(place))->generation.load(std::memory_order_relaxed) - 1;
}
bool NamedRingFile::has_peer() const noexcept {
    return is_locked(file_.get(), other(side_));
}

void NamedRingFile::ring() const noexcept {
    const char one = 1;
    // It can fail only when the FIFO is full of rings that nobody heard.
    [[maybe_unused]] const auto written = ::write(rung_.get(), &one, 1);
}

Result<Fd> NamedRingFile::hold_bell() const noexcept {
    Fd fd(::open(bell_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (fd) return fd;
    // No reader: another FIFO than the one that we hear.
    if (errno == ENOENT || errno == ENXIO)
        return failure(Errc::corrupt, "named ring, whose bell was removed");
    return failure(Error::from_errno("named ring, its bell", errno));
}

void NamedRingFile::close() noexcept {
    mapping_.unmap();
    heard_.close();
    rung_.close();
    file_.close();  // and with it the lock
}

Result<void> NamedRingFile::remove(const RuntimeDirectory& directory, const Name& name) noexcept {
    WEIR_TRY(const RuntimePath path, directory.path_of(name, ring_suffix));
    WEIR_TRY(const Fd held, sys::take_lock(path.c_str(), removing));
    Result<void> removed;
    const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file && errno != ENOENT) {
        removed = failure(open_error(removing, errno));
    } else if (!file) {
        removed = failure(Errc::not_found, removing);
    } else if (!lock(file.get(), 0, 2, F_WRLCK)) {
        const RingSide side = is_locked(file.get(), RingSide::writer) ? RingSide::writer : RingSide::reader;
        removed = failure(in_use(file.get(), removing, side));
    } else if (::unlink(path.c_str()) < 0) {
        removed = failure(Error::from_errno(removing, errno));
    }
    if (removed || removed.error() == Errc::not_found) {
        ::unlink(path.beside().c_str());
        remove_bells(path);
    }
    sys::remove_lock(path.c_str());
    return removed;
}

Result<NamedRingStat> NamedRingFile::look(const RuntimeDirectory& directory, const Name& name) noexcept {
    WEIR_TRY(const RuntimePath path, directory.path_of(name, ring_suffix));
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return failure(open_error(looking, errno));
    WEIR_TRY(const Head head, read_head(fd.get(), looking));
    struct stat status {};
    if (::fstat(fd.get(), &status) < 0) return failure(Error::from_errno(looking, errno));
    NamedRingStat stat{.record_size = head.record_size,
                       .layout = head.layout,
                       .file_size = head.file_size,
                       .units = head.units,
                       .uid = status.st_uid,
                       .writer = {},
                       .reader = {}};
    // The reader first: what the writer writes meanwhile only adds to the fill.
    for (const RingSide side : {RingSide::reader, RingSide::writer}) {
        NamedRingSide& told = side == RingSide::writer ? stat.writer : stat.reader;
        PlainHolder holder{};
        const std::size_t words = side_offset(side);
        const bool read = read_at(fd.get(), holder_offset(side), holder) &&
                          read_at(fd.get(), words + offsetof(SharedWords, cursor), told.cursor) &&
                          read_at(fd.get(), words + offsetof(SharedWords, epoch), told.epoch);
        if (!read) return failure(Errc::corrupt, "named ring, which is cut off");
        told.held = is_locked(fd.get(), side);
        told.pid = holder.pid;
        told.generation = holder.generation;
    }
    return stat;
}

}  // namespace weir::ipc
