// SPDX-License-Identifier: MIT
//
// A build without libmicrohttpd.
#include "page_server.hpp"

namespace leak {

weir::Result<void> PageServer::open(int) {
    return weir::failure(weir::Errc::unsupported, "the page, in a build without libmicrohttpd");
}

weir::Task<> PageServer::serve(weir::Scheduler&) {
    co_return co_await weir::fail(weir::Errc::unsupported, "the page, in a build without libmicrohttpd");
}

void PageServer::close() {}

}  // namespace leak
