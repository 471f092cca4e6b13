// SPDX-License-Identifier: MIT
//
// An object that counts how many of its kind are alive, and notices being destroyed twice or copied in secret.
#pragma once

#include <utility>

namespace weir::test {

class Counted {
public:
    explicit Counted(int number_of = 0) noexcept : number(number_of), self_(this) { ++live; }
    Counted(const Counted& other) noexcept : number(other.number), self_(this) {
        ++live;
        ++copies;
    }
    Counted(Counted&& other) noexcept : number(std::exchange(other.number, -1)), self_(this) { ++live; }
    Counted& operator=(const Counted&) = delete;
    Counted& operator=(Counted&&) = delete;
    ~Counted() {
        if (self_ != this) ++strays;  // copied as bytes, or dead already
        self_ = nullptr;
        --live;
    }

    int number;
    static inline int live = 0;
    static inline int copies = 0;
    static inline int strays = 0;

private:
    Counted* volatile self_;
};

}  // namespace weir::test
