// A strict reader of ClientHello messages. What it lets pass is still parsed in full by OpenSSL, or by the backend of a
// TLSRoute; it only has to be sure of the name.
#include "host/native/client_hello.h"

#define RECORD_HANDSHAKE 22
#define RECORD_MAX 16384
#define MESSAGE_CLIENT_HELLO 1
#define EXTENSION_SERVER_NAME 0
#define NAME_HOST 0
#define NAME_MAX_BYTES 255

// What is left of a vector. Reading past its end empties it and is remembered.
struct reader {
    struct slice rest;
    bool has_failed;
};

static struct slice take(struct reader *reader, size_t len)
{
    if (len > reader->rest.len) {
        reader->has_failed = true;
        reader->rest.len = 0;
        return slice_make("", 0);
    }
    struct slice taken = slice_sub(reader->rest, 0, len);
    reader->rest = slice_from(reader->rest, len);
    return taken;
}

static size_t take_number(struct reader *reader, size_t bytes)
{
    struct slice taken = take(reader, bytes);
    size_t number = 0;
    for (size_t i = 0; i < taken.len; i++)
        number = number << 8 | (unsigned char)taken.ptr[i];
    return number;
}

// A vector with its length before it.
static struct slice take_vector(struct reader *reader, size_t length_bytes, size_t min)
{
    size_t len = take_number(reader, length_bytes);
    reader->has_failed |= len < min;
    return take(reader, len);
}

// ---- records ------------------------------------------------------------------------------------------------------

// The handshake message, whole: in place when one record holds it, else put together in `scratch`.
static enum hello_result gather(struct slice bytes, char *scratch, struct slice *ret_message)
{
    size_t have = 0, wanted = 4; // the message's header at first
    struct slice message = {NULL, 0};
    while (have < wanted) {
        if (bytes.len && bytes.ptr[0] != RECORD_HANDSHAKE)
            return HELLO_MALFORMED;
        if (bytes.len > 1 && bytes.ptr[1] != 3)
            return HELLO_MALFORMED;
        if (bytes.len < 5)
            return HELLO_MORE;
        size_t len = (size_t)(unsigned char)bytes.ptr[3] << 8 | (unsigned char)bytes.ptr[4];
        if (len == 0 || len > RECORD_MAX)
            return HELLO_MALFORMED; // RFC 8446 section 5.1
        struct slice fragment = slice_sub(bytes, 5, len);
        bool is_whole_record = fragment.len == len;
        if (have + fragment.len > CLIENT_HELLO_MAX)
            return HELLO_TOO_LARGE;
        if (have == 0 && fragment.len)
            message = fragment;
        else if (fragment.len) {
            if (message.ptr != scratch)
                memcpy(scratch, message.ptr, have);
            message.ptr = scratch;
            memcpy(scratch + have, fragment.ptr, fragment.len);
        }
        have += fragment.len;
        message.len = have;
        if (have && message.ptr[0] != MESSAGE_CLIENT_HELLO)
            return HELLO_MALFORMED;
        if (have >= 4) {
            wanted = 4 + ((size_t)(unsigned char)message.ptr[1] << 16 | (size_t)(unsigned char)message.ptr[2] << 8 |
                          (unsigned char)message.ptr[3]);
            if (wanted > CLIENT_HELLO_MAX)
                return HELLO_TOO_LARGE;
        }
        if (have < wanted && !is_whole_record)
            return HELLO_MORE;
        bytes = slice_from(bytes, 5 + len);
    }
    if (have > wanted)
        return HELLO_MALFORMED; // nothing may follow before the server has spoken
    *ret_message = slice_from(message, 4);
    return HELLO_READY;
}

// ---- the message --------------------------------------------------------------------------------------------------

static bool is_host_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == ':'; // addresses are sent too, against RFC 6066
}

// RFC 6066 section 3: a list, in which one name of the one type that there is may stand.
static bool read_server_name(struct slice extension, struct slice *ret_name)
{
    struct reader outer = {extension, false};
    struct reader list = {take_vector(&outer, 2, 1), false};
    size_t type = take_number(&list, 1);
    struct slice name = take_vector(&list, 2, 1);
    if (outer.has_failed || outer.rest.len || list.has_failed || list.rest.len || type != NAME_HOST ||
        name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_host_byte((unsigned char)name.ptr[i]))
            return false;
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    *ret_name = name;
    return true;
}

static bool read_extensions(struct slice extensions, struct client_hello *ret_hello)
{
    struct reader reader = {extensions, false};
    bool has_name = false;
    while (reader.rest.len && !reader.has_failed) {
        size_t type = take_number(&reader, 2);
        struct slice body = take_vector(&reader, 2, 0);
        if (reader.has_failed)
            return false;
        if (type != EXTENSION_SERVER_NAME)
            continue;
        if (has_name || !read_server_name(body, &ret_hello->server_name))
            return false;
        has_name = true;
    }
    return !reader.has_failed;
}

enum hello_result client_hello_read(struct slice bytes, char scratch[CLIENT_HELLO_MAX], struct client_hello *ret_hello)
{
    struct slice message;
    enum hello_result result = gather(bytes, scratch, &message);
    if (result != HELLO_READY)
        return result;
    struct reader reader = {message, false};
    struct client_hello hello = {.server_name = {NULL, 0}};
    take(&reader, 2 + 32);                        // legacy_version, random
    struct slice id = take_vector(&reader, 1, 0); // legacy_session_id
    struct slice suites = take_vector(&reader, 2, 2);
    take_vector(&reader, 1, 1);                // compression methods
    bool has_extensions = reader.rest.len > 0; // none: an old client
    struct slice extensions = has_extensions ? take_vector(&reader, 2, 0) : slice_make("", 0);
    if (reader.has_failed || reader.rest.len || id.len > 32 || suites.len % 2 || !read_extensions(extensions, &hello))
        return HELLO_MALFORMED;
    *ret_hello = hello;
    return HELLO_READY;
}
