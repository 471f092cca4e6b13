// SPDX-License-Identifier: MIT
#include "settings.hpp"

#include "detector_model.hpp"
#include "line_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace leak {

namespace {

constexpr std::size_t file_bytes_max = 4'096;
static_assert(LineServer::clients_most == 16, "the texts say so");

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Gives what is wrong with the line.
SettingsError take_line(std::string_view line, Settings& settings) {
    static constexpr std::string_view blanks = " \t\r";
    const auto take_word = [&line] {
        line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
        const auto word = line.substr(0, line.find_first_of(blanks));
        line.remove_prefix(word.size());
        return word;
    };
    SettingsError error;
    const auto name = take_word();
    if (name.empty() || name.starts_with('#')) return error;
    const auto value = take_word();
    if (!take_word().empty()) return error.append_quoted(name).append(" has more than one value");
    if (name == "threshold") {
        settings.threshold = number<double>(value);
        const bool good = settings.threshold && *settings.threshold > 0 && *settings.threshold <= factor_max;
        return good ? error
                    : error.append("threshold: ")
                          .append_quoted(value)
                          .append(", expected a number above 0 and up to 1000000");
    }
    if (name == "clients") {
        settings.clients = number<std::uint32_t>(value);
        const bool good =
            settings.clients && *settings.clients >= 1 && *settings.clients <= LineServer::clients_most;
        return good ? error
                    : error.append("clients: ")
                          .append_quoted(value)
                          .append(", expected a whole number from 1 to 16");
    }
    return error.append_quoted(name).append(" is no setting, expected threshold or clients");
}

}  // namespace

SettingsError read_settings(const char* path, Settings& settings) {
    SettingsError error;
    error.append(path).append(": ");
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error.append("cannot be opened: ").append(std::strerror(errno));
    std::array<char, file_bytes_max + 1> bytes;
    struct stat status {};
    const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    const auto size = regular ? ::read(fd, bytes.data(), bytes.size()) : -1;
    ::close(fd);
    if (!regular) return error.append("is no regular file");
    if (size < 0) return error.append("cannot be read");
    if (static_cast<std::size_t>(size) > file_bytes_max)
        return error.append("is longer than ").append(file_bytes_max).append(" bytes");

    std::string_view rest{bytes.data(), static_cast<std::size_t>(size)};
    Settings taken = settings;
    for (unsigned number = 1; !rest.empty(); ++number) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto wrong = take_line(line, taken);
        if (wrong.empty()) continue;
        error.clear();
        return error.append(path).append(':').append(number).append(": ").append(wrong.view());
    }
    settings = taken;
    return {};
}

}  // namespace leak
