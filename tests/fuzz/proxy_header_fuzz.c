// The reader of PROXY headers: the first byte says how much comes at a time. However it is cut, what is said is the same,
// and a header is never longer than what came, or than the limit.
#include "host/native/proxy_header.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static enum proxy_result read_cut(struct slice bytes, size_t step, struct proxy_header *ret_header)
{
    for (size_t len = step; len < bytes.len; len += step) {
        enum proxy_result result = proxy_header_read(slice_sub(bytes, 0, len), ret_header);
        if (result != PROXY_MORE)
            return result;
    }
    return proxy_header_read(bytes, ret_header);
}

static void require_endpoint(const struct proxy_endpoint *end)
{
    char text[IP_TEXT_MAX];
    struct ip again;
    REQUIRE(ip_parse(slice_make(text, ip_write(&end->ip, text)), &again));
    REQUIRE(again.is_v4 == end->ip.is_v4 && memcmp(again.bytes, end->ip.bytes, sizeof again.bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole = {.len = 0}, cut = {.len = 0};
    if (size < 1)
        return 0;
    struct slice bytes = slice_make((const char *)data + 1, size - 1);
    enum proxy_result result = proxy_header_read(bytes, &whole);
    REQUIRE(read_cut(bytes, (size_t)data[0] + 1, &cut) == result);
    if (result != PROXY_READY)
        return 0;
    REQUIRE(whole.len == cut.len && whole.len >= 15 && whole.len <= bytes.len && whole.len <= PROXY_HEADER_MAX);
    REQUIRE(whole.has_addresses == cut.has_addresses);
    if (whole.has_addresses) {
        require_endpoint(&whole.source);
        require_endpoint(&whole.destination);
    }
    return 0;
}
