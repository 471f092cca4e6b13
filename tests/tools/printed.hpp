// SPDX-License-Identifier: MIT
#pragma once

#include "support/catch.hpp"

#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

namespace weir::test {

/// What a command of the program `weir` prints, caught in a file that a forked child may write too.
class Printed {
public:
    Printed() : file_(std::tmpfile()) { REQUIRE(file_ != nullptr); }
    Printed(const Printed&) = delete;
    Printed& operator=(const Printed&) = delete;
    ~Printed() { std::fclose(file_); }

    [[nodiscard]] std::FILE* file() const { return file_; }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::fflush(file_);
        std::rewind(file_);
        std::string text;
        for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
        std::vector<std::string> lines;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) lines.push_back(line);
        return lines;
    }
    /// The one line that begins with `begin`; empty if there is none or several.
    [[nodiscard]] std::string line(const std::string& begin) const {
        std::string found;
        for (const std::string& each : lines()) {
            if (each.rfind(begin, 0) != 0) continue;
            if (!found.empty()) return {};
            found = each;
        }
        return found;
    }

private:
    std::FILE* file_;
};

}  // namespace weir::test
