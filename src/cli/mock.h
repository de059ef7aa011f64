// The stand-in provider (`weir mock`): an OpenAI-shaped server on loopback with its own small epoll loop, made to be so
// much cheaper than what is measured with it that it does not show. Nothing of it is used on Weir's request path.
#ifndef WEIR_CLI_MOCK_H
#define WEIR_CLI_MOCK_H

#include "base/slice.h"

#define MOCK_DEFAULT_PORT 1976
#define MOCK_FAIL_MAX 16

struct mock_fail { // --fail: answer with `status` where header `name` is `value`
    struct slice name;
    struct slice value;
    uint16_t status;
};

struct mock_options {
    struct slice address; // IP literal
    uint16_t port;        // 0: a free one
    unsigned workers;
    int64_t latency_us;
    uint32_t tokens;
    uint32_t rate; // tokens a second; 0: as fast as possible
    size_t chunk_bytes;
    struct mock_fail fails[MOCK_FAIL_MAX];
    size_t fail_count;
};

struct mock;

struct mock_options mock_options_default(void);
// Listens and starts the threads, which take no signals. What `options` points to must outlive the mock. NULL after a
// message in errno's words in `ret_why`.
struct mock *mock_start(const struct mock_options *options, const char **ret_why);
uint16_t mock_port(const struct mock *mock);
// Ends all threads and closes all connections. Takes NULL.
void mock_stop(struct mock *mock);

#endif
