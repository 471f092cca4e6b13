// SPDX-License-Identifier: MIT
#include "record_writer.hpp"

#include <unistd.h>

namespace leak {

weir::Result<void> Reporter::open() {
    WEIR_TRY(pipe_, weir::PipeWriter::adopt(STDOUT_FILENO));
    return {};
}

weir::Task<> Reporter::tell(weir::Scheduler&, Record record) {
    const EncodedRecord encoded{record};
    WEIR_CO_TRY(const auto lock, mutex_.lock());
    WEIR_CO_CHECK(pipe_.write_all(encoded.bytes()));
}

weir::Task<> Reporter::notice(weir::Scheduler&, Notice::Kind kind, BoundedText<Notice::text_bytes_max> text) {
    const EncodedRecord encoded{Notice{.kind = kind, .text = text}};
    WEIR_CO_TRY(const auto lock, mutex_.lock());
    WEIR_CO_CHECK(pipe_.write_all(encoded.bytes()));
}

}  // namespace leak
