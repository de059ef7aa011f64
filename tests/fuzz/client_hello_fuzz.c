// The reader of ClientHello messages: the first byte says how much comes at a time. However it is cut, what is said must
// be the same; a name must be one, in the bytes; and a message that is let pass must not be longer than what came.
#include "host/native/client_hello.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static enum hello_result read_cut(struct slice bytes, size_t step, char *scratch, struct client_hello *hello)
{
    enum hello_result result = HELLO_MORE;
    for (size_t len = step; result == HELLO_MORE; len += step) {
        if (len > bytes.len)
            len = bytes.len;
        result = client_hello_read(slice_sub(bytes, 0, len), scratch, hello);
        if (len == bytes.len)
            break;
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char scratch[CLIENT_HELLO_MAX], other_scratch[CLIENT_HELLO_MAX];
    struct client_hello whole = {{NULL, 0}}, cut = {{NULL, 0}};
    if (size < 1)
        return 0;
    struct slice bytes = slice_make((const char *)data + 1, size - 1);
    enum hello_result result = client_hello_read(bytes, scratch, &whole);
    enum hello_result other = read_cut(bytes, (size_t)data[0] + 1, other_scratch, &cut);
    // Bytes behind the message are told only when they are there.
    REQUIRE(result == other || (result == HELLO_MALFORMED && other == HELLO_READY) ||
            (result == HELLO_TOO_LARGE && other != HELLO_MORE));
    if (result != HELLO_READY)
        return 0;
    REQUIRE(slice_eq(whole.server_name, cut.server_name));
    REQUIRE(whole.server_name.len <= 255 && whole.server_name.len < bytes.len);
    for (size_t i = 0; i < whole.server_name.len; i++)
        REQUIRE(whole.server_name.ptr[i] > ' ' && whole.server_name.ptr[i] < 127);
    return 0;
}
