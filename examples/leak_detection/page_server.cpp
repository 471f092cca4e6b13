// SPDX-License-Identifier: MIT
//
// libmicrohttpd calls back: answer() for each request, read_stream() for what a stream has to send, end_stream() when
// its connection is over, however that came. All of it happens inside MHD_run, on the scheduler's thread.
#include "page_server.hpp"

#include "page_documents.hpp"

#include <algorithm>
#include <chrono>
#include <microhttpd.h>
#include <string_view>

namespace leak {

namespace {

using namespace std::chrono_literals;
using weir::Scheduler, weir::Task;

constexpr unsigned idle_connection_s = 30;
constexpr std::size_t block_bytes = 4'096;

// Scripts and styles come from here alone, and no other page may frame this one.
constexpr const char* content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void add_headers(MHD_Response* response, const char* type) {
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Content-Security-Policy", content_policy);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cache-Control", "no-store");
}

MHD_Response* response_of(std::span<const unsigned char> bytes, const char* type) {
    // The library does not write into what is to stay as it is, and says so in no type.
    void* const unchanged = const_cast<unsigned char*>(bytes.data());
    MHD_Response* const response =
        MHD_create_response_from_buffer(bytes.size(), unchanged, MHD_RESPMEM_PERSISTENT);
    if (response != nullptr) add_headers(response, type);
    return response;
}

ssize_t read_stream(void* context, std::uint64_t, char* buffer, std::size_t size) {
    auto& stream = *static_cast<PageServer::Stream*>(context);
    if (const std::size_t read = stream.read({buffer, size}); read > 0) return static_cast<ssize_t>(read);
    if (stream.server->ending()) return MHD_CONTENT_READER_END_OF_STREAM;
    stream.suspended = true;
    MHD_suspend_connection(stream.connection);
    return 0;
}

void end_stream(void* context) {
    auto& stream = *static_cast<PageServer::Stream*>(context);
    stream.connection = nullptr;
    stream.suspended = false;
}

MHD_Result answer_text(MHD_Connection* connection, unsigned status, std::string_view text, const char* header,
                       const char* value) {
    const std::span bytes{reinterpret_cast<const unsigned char*>(text.data()), text.size()};
    MHD_Response* const response = response_of(bytes, "text/plain; charset=utf-8");
    if (response == nullptr) return MHD_NO;
    if (header != nullptr) MHD_add_response_header(response, header, value);
    const MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

MHD_Result answer_stream(MHD_Connection* connection, PageServer& server) {
    PageServer::Stream* const stream = server.free_stream();
    if (stream == nullptr) {
        return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many viewers: try again later\n",
                           "Retry-After", "5");
    }
    MHD_Response* const response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block_bytes, read_stream, stream, end_stream);
    if (response == nullptr) return MHD_NO;
    stream->connection = connection;
    stream->suspended = false;
    stream->cursor = {};
    stream->text.clear();
    stream->sent = 0;
    add_headers(response, "text/event-stream");
    const MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);  // end_stream comes when the connection lets go of it too
    return queued;
}

MHD_Result answer(void* context, MHD_Connection* connection, const char* path, const char* method,
                  const char*, const char*, std::size_t* body_size, void** request) {
    static char seen;
    if (*request == nullptr) {  // the headers are there; the body may follow
        *request = &seen;
        return MHD_YES;
    }
    if (*body_size > 0) {  // thrown away
        *body_size = 0;
        return MHD_YES;
    }
    auto& server = *static_cast<PageServer*>(context);
    const std::string_view asked{method};
    if (asked != "GET" && asked != "HEAD") {
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n", "Allow",
                           "GET, HEAD");
    }
    if (std::string_view{path} == "/live") {
        if (asked == "GET") return answer_stream(connection, server);
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n", "Allow", "GET");
    }
    if (MHD_Response* const response = server.response_for(path); response != nullptr)
        return MHD_queue_response(connection, MHD_HTTP_OK, response);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is no such page\n", nullptr, nullptr);
}

// What clients do wrong is no trouble of ours.
void say_nothing(void*, const char*, va_list) {}

}  // namespace

std::size_t PageServer::Stream::read(std::span<char> bytes) {
    std::size_t size = 0;
    while (size < bytes.size()) {
        if (sent == text.view().size()) {
            sent = 0;
            if (!server->data_.next(cursor, text)) break;
        }
        const auto part = text.view().substr(sent, bytes.size() - size);
        std::copy(part.begin(), part.end(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        sent += part.size();
        size += part.size();
    }
    return size;
}

PageServer::Stream* PageServer::free_stream() {
    const auto found = std::find_if(streams_.begin(), streams_.end(),
                                    [](const Stream& stream) { return stream.connection == nullptr; });
    if (found == streams_.end()) return nullptr;
    found->server = this;
    return &*found;
}

MHD_Response* PageServer::response_for(const char* path) const {
    for (const Document& document : documents_) {
        if (std::string_view{document.path} == path) return document.response;
    }
    return nullptr;
}

weir::Result<void> PageServer::open(int listening_fd) {
    documents_ = {Document{"/", "text/html; charset=utf-8", page_html},
                  Document{"/page.css", "text/css; charset=utf-8", page_css},
                  Document{"/page.js", "text/javascript; charset=utf-8", page_js}};
    for (Document& document : documents_) {
        document.response = response_of(document.bytes, document.type);
        if (document.response == nullptr) return weir::failure(weir::Errc::no_memory, "the page");
    }
    daemon_ =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, answer, this,
                         MHD_OPTION_LISTEN_SOCKET, listening_fd, MHD_OPTION_CONNECTION_LIMIT, connections_max,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
                         idle_connection_s, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, nullptr, MHD_OPTION_END);
    if (daemon_ == nullptr) return weir::failure(weir::Errc::no_memory, "the page's HTTP server");
    const MHD_DaemonInfo* const info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr) return weir::failure(weir::Errc::unsupported, "the page's epoll descriptor");
    epoll_fd_ = info->epoll_fd;
    return {};
}

void PageServer::resume() {
    for (Stream& stream : streams_) {
        if (!stream.suspended) continue;
        stream.suspended = false;
        MHD_resume_connection(stream.connection);
    }
}

Task<> PageServer::serve(Scheduler&) {
    for (;;) {
        changed_.reset();
        MHD_run(daemon_);
        MHD_UNSIGNED_LONG_LONG left_ms = 0;
        const bool has_deadline = MHD_get_timeout(daemon_, &left_ms) == MHD_YES;
        const auto left = std::chrono::milliseconds{
            has_deadline ? std::min<MHD_UNSIGNED_LONG_LONG>(left_ms, 60'000) : 60'000};
        const auto woken =
            co_await weir::first_of(weir::readable(epoll_fd_), changed_.wait(), weir::sleep_for(left));
        if (!woken) co_return co_await weir::fail(woken.error());
        if (std::exchange(news_, false)) resume();
    }
}

void PageServer::close() {
    if (daemon_ != nullptr) {
        ending_ = true;
        resume();
        MHD_run(daemon_);  // what is suspended must not be when it ends
        MHD_run(daemon_);
        MHD_stop_daemon(daemon_);
        daemon_ = nullptr;
    }
    for (Document& document : documents_) {
        if (document.response != nullptr) MHD_destroy_response(std::exchange(document.response, nullptr));
    }
}

}  // namespace leak
