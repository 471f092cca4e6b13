// SPDX-License-Identifier: MIT
#include "weir/sys/message.hpp"

#include "weir/core/assert.hpp"

#include <cstring>

namespace weir::sys {

void DescriptorMessage::attach(std::span<const int> descriptors) noexcept {
    WEIR_ASSERT(descriptors.size() <= message_descriptors_max);
    if (descriptors.empty()) return;
    header().msg_control = control_.data();
    header().msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const control = CMSG_FIRSTHDR(&header());
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(control), descriptors.data(), descriptors.size_bytes());
}

void DescriptorMessage::make_room(std::size_t descriptors) noexcept {
    WEIR_ASSERT(descriptors <= message_descriptors_max);
    header().msg_control = descriptors > 0 ? control_.data() : nullptr;
    // CMSG_LEN and not CMSG_SPACE, whose padding would be room for one more.
    header().msg_controllen = descriptors > 0 ? CMSG_LEN(descriptors * sizeof(int)) : 0;
}

std::size_t DescriptorMessage::take(std::span<Fd> into) noexcept {
    std::size_t count = 0;
    for (cmsghdr* control = CMSG_FIRSTHDR(&header()); control != nullptr;
         control = CMSG_NXTHDR(&header(), control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t came = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < came; ++i) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(control) + i * sizeof(int), sizeof(number));
            Fd fd(number);
            if (count < into.size()) into[count++] = std::move(fd);
        }
    }
    return count;
}

}  // namespace weir::sys
