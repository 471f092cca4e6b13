// SPDX-License-Identifier: MIT
#include "weir/io/pipe.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr Pending::Kind reading{"pipe read", &OperationWait::visit_fd};
constexpr Pending::Kind writing{"pipe write", &OperationWait::visit_fd};
constexpr StreamVerbs verbs{Operation::Verb::read, Operation::Verb::write, &reading, &writing};

}  // namespace

Result<PipeReader> PipeReader::adopt(int fd) noexcept {
    return adopt_as<PipeReader>(fd, handle_kind::pipe_reader, "adopt pipe reader");
}
Read PipeReader::read(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}
ReadExactly PipeReader::read_exactly(Bytes buffer) noexcept {
    return {*this, verbs, buffer};
}

Result<PipeWriter> PipeWriter::adopt(int fd) noexcept {
    return adopt_as<PipeWriter>(fd, handle_kind::pipe_writer, "adopt pipe writer");
}
Write PipeWriter::write(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}
WriteAll PipeWriter::write_all(ConstBytes bytes) noexcept {
    return {*this, verbs, bytes};
}

Result<Pipe> Pipe::create() noexcept {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return failure(Error::from_errno("pipe2", errno));
    return Pipe{PipeReader(Fd(ends[0])), PipeWriter(Fd(ends[1]))};
}

}  // namespace weir
