// SPDX-License-Identifier: MIT
//
// The live page: a static page, and a stream of server-sent events for each viewer.
//
// HTTP is spoken by libmicrohttpd, which has no thread here: its epoll descriptor is awaited with weir::readable and
// it is run when that is ready, when there is news, and when its own deadline comes. A stream that has been told all is
// suspended until there is more. Everything has a limit: connections, their memory, streams among them, how long an
// idle connection may stay. The library takes its memory from the heap, at most connections_max x connection_bytes and
// some bookkeeping.
//
// In a build without the library open() says so.
#pragma once

#include "live_data.hpp"

#include <weir/weir.hpp>

#include <array>
#include <cstddef>

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

namespace leak {

class PageServer {
public:
    static constexpr std::size_t streams_max = 8;
    static constexpr unsigned connections_max = streams_max + 8;
    static constexpr std::size_t connection_bytes = 16 * 1'024;

    explicit PageServer(const LiveData& data) : data_(data) {}
    PageServer(const PageServer&) = delete;
    PageServer& operator=(const PageServer&) = delete;
    ~PageServer() { close(); }

    /// Takes over a listening socket. Errors: unsupported (not built), no_memory.
    weir::Result<void> open(int listening_fd);

    /// Serves until it is stopped.
    weir::Task<> serve(weir::Scheduler& scheduler);

    /// There is something new in the data.
    void wake() {
        news_ = true;
        changed_.set();
    }

    /// Gives viewers what can be sent at once, and ends all connections.
    void close();

    // For the library's callbacks.
    struct Stream {
        PageServer* server = nullptr;
        MHD_Connection* connection = nullptr;  // null: free
        bool suspended = false;
        LiveCursor cursor;
        LiveData::EventText text;
        std::size_t sent = 0;  // of `text`

        /// Fills `bytes` with events; gives how many bytes. 0: there is nothing new, and the stream is suspended.
        std::size_t read(std::span<char> bytes);
    };
    struct Document {
        const char* path;
        const char* type;
        std::span<const unsigned char> bytes;
        MHD_Response* response = nullptr;
    };
    bool ending() const { return ending_; }
    Stream* free_stream();
    MHD_Response* response_for(const char* path) const;

private:
    void resume();

    const LiveData& data_;
    MHD_Daemon* daemon_ = nullptr;
    int epoll_fd_ = -1;
    bool ending_ = false;
    bool news_ = false;  // since streams were resumed
    std::array<Stream, streams_max> streams_{};
    std::array<Document, 3> documents_{};
    weir::Event changed_;
};

}  // namespace leak
