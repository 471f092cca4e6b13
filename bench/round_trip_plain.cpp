// SPDX-License-Identifier: MIT
//
// Plain calls: blocking receive, blocking send. The limit that every event loop is measured by.

#include "round_trip_endpoint.hpp"

namespace bench {

namespace {

template <class Calls>
class PlainEndpoint {
public:
    explicit PlainEndpoint(Ends ends) : ends_(ends) {}

    bool receive(ReceiveBuffer& buffer) { return is_message(Calls::receive(ends_.read_fd, buffer)); }
    void send(Message message) { check_sent(Calls::send(ends_.write_fd, message)); }

private:
    Ends ends_;
};

}  // namespace

Approach plain_calls(Transport transport) {
    return approach_on<PlainEndpoint>(transport);
}

}  // namespace bench
