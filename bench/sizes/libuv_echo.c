// SPDX-License-Identifier: MIT
//
// examples/pipe_echo.cpp as one writes it with libuv: for tools/sizes.
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static uv_pipe_t input;
static uv_pipe_t output;
static char bytes[512];
static uv_write_t writing;

static void read_on(void);

static void lend(uv_handle_t* handle, size_t wanted, uv_buf_t* buffer) {
    (void)handle;
    (void)wanted;
    *buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_written(uv_write_t* request, int status) {
    (void)request;
    if (status != 0) exit(1);
    read_on();
}

static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    if (size == UV_EOF) exit(0);
    if (size < 0) exit(1);
    if (size == 0) return;
    uv_read_stop(stream);  // until it is written, as the buffer is one
    const uv_buf_t got = uv_buf_init(buffer->base, (unsigned)size);
    if (uv_write(&writing, (uv_stream_t*)&output, &got, 1, on_written) != 0) exit(1);
}

static void read_on(void) {
    if (uv_read_start((uv_stream_t*)&input, lend, on_read) != 0) exit(1);
}

int main(void) {
    uv_loop_t* loop = uv_default_loop();
    if (loop == NULL || uv_pipe_init(loop, &input, 0) != 0 || uv_pipe_init(loop, &output, 0) != 0) return 1;
    if (uv_pipe_open(&input, STDIN_FILENO) != 0 || uv_pipe_open(&output, STDOUT_FILENO) != 0) return 1;
    read_on();
    return uv_run(loop, UV_RUN_DEFAULT);
}
