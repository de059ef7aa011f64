// A strict reader: what a sender may not write is refused, so that nobody is taken for somebody else.
#include "host/native/proxy_header.h"

#include <string.h>

#define LINE_MAX_BYTES 107 // of version 1, CR LF included (section 2.1)
#define FIXED_BYTES 16     // of version 2 (section 2.2)

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n"; // 12 bytes and the literal's NUL

// Whether `bytes` begin so, or could still.
static enum proxy_result begins(struct slice bytes, struct slice with)
{
    size_t len = bytes.len < with.len ? bytes.len : with.len;
    if (memcmp(bytes.ptr, with.ptr, len) != 0)
        return PROXY_ABSENT;
    return len < with.len ? PROXY_MORE : PROXY_READY;
}

// ---- version 1 ----------------------------------------------------------------------------------------------------

// Decimal, without leading zeros.
static bool read_port(struct slice text, uint16_t *ret_port)
{
    uint64_t port;
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0') || !slice_to_u64(text, UINT16_MAX, &port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

// An address as its family says it is. IPv4 inside IPv6 is fine: the family is the socket's.
static bool read_ip(struct slice text, bool is_v4, struct ip *ret_ip)
{
    return (slice_find(text, ':') == SLICE_NOT_FOUND) == is_v4 && ip_parse(text, ret_ip);
}

// "TCP4 1.2.3.4 5.6.7.8 1000 80", words with one blank between them.
static bool read_words(struct slice line, struct proxy_header *header)
{
    struct slice family = slice_split(&line, ' ');
    bool is_v4 = slice_eq(family, SLICE("TCP4"));
    if (slice_eq(family, SLICE("UNKNOWN")))
        return true; // whatever follows is to be ignored
    if (!is_v4 && !slice_eq(family, SLICE("TCP6")))
        return false;
    header->has_addresses = true;
    return line.ptr && read_ip(slice_split(&line, ' '), is_v4, &header->source.ip) && line.ptr &&
           read_ip(slice_split(&line, ' '), is_v4, &header->destination.ip) && line.ptr &&
           read_port(slice_split(&line, ' '), &header->source.port) && line.ptr &&
           read_port(slice_split(&line, ' '), &header->destination.port) && !line.ptr;
}

static enum proxy_result read_line(struct slice bytes, struct proxy_header *ret_header)
{
    struct slice line = slice_sub(bytes, 0, LINE_MAX_BYTES);
    size_t end = slice_find(line, '\n');
    if (end == SLICE_NOT_FOUND)
        return line.len == LINE_MAX_BYTES ? PROXY_MALFORMED : PROXY_MORE;
    struct proxy_header header = {.len = end + 1};
    size_t first = slice_find(line, '\r');
    if (first + 1 != end || !read_words(slice_sub(line, 6, end - 7), &header))
        return PROXY_MALFORMED;
    *ret_header = header;
    return PROXY_READY;
}

// ---- version 2 ----------------------------------------------------------------------------------------------------

static uint16_t number_at(struct slice bytes, size_t at)
{
    return (uint16_t)((unsigned)(unsigned char)bytes.ptr[at] << 8 | (unsigned char)bytes.ptr[at + 1]);
}

// An address of the wire; one inside IPv6 becomes plain, as in text.
static struct ip ip_at(struct slice bytes, size_t at, bool is_v4)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct ip ip = {.is_v4 = is_v4 || memcmp(bytes.ptr + at, mapped, sizeof mapped) == 0};
    if (ip.is_v4)
        memcpy(ip.bytes, bytes.ptr + at + (is_v4 ? 0 : sizeof mapped), 4);
    else
        memcpy(ip.bytes, bytes.ptr + at, 16);
    return ip;
}

static bool read_addresses(struct slice block, bool is_v4, struct proxy_header *header)
{
    size_t size = is_v4 ? 4 : 16;
    if (block.len < 2 * size + 4)
        return false;
    header->has_addresses = true;
    header->source.ip = ip_at(block, 0, is_v4);
    header->destination.ip = ip_at(block, size, is_v4);
    header->source.port = number_at(block, 2 * size);
    header->destination.port = number_at(block, 2 * size + 2);
    return true;
}

// What follows the addresses (TLVs) is skipped; a listener serves streams, so that a family of datagrams is wrong.
static bool read_block(unsigned char family, struct slice block, struct proxy_header *header)
{
    switch (family) {
    case 0x00: // UNSPEC
        return true;
    case 0x11:
        return read_addresses(block, true, header);
    case 0x21:
        return read_addresses(block, false, header);
    case 0x31: // a UNIX socket: two paths
        return block.len >= 216;
    default:
        return false;
    }
}

static enum proxy_result read_binary(struct slice bytes, struct proxy_header *ret_header)
{
    if (bytes.len > 12 && bytes.ptr[12] != 0x20 && bytes.ptr[12] != 0x21)
        return PROXY_MALFORMED;
    if (bytes.len < FIXED_BYTES)
        return PROXY_MORE;
    bool is_local = bytes.ptr[12] == 0x20;
    struct proxy_header header = {.len = FIXED_BYTES + (size_t)number_at(bytes, 14)};
    if (header.len > PROXY_HEADER_MAX)
        return PROXY_MALFORMED;
    if (bytes.len < header.len)
        return PROXY_MORE;
    struct slice block = slice_sub(bytes, FIXED_BYTES, header.len - FIXED_BYTES);
    // LOCAL is the balancer itself, which checks our health: its block is skipped whatever it says.
    if (!is_local && !read_block((unsigned char)bytes.ptr[13], block, &header))
        return PROXY_MALFORMED;
    *ret_header = header;
    return PROXY_READY;
}

enum proxy_result proxy_header_read(struct slice bytes, struct proxy_header *ret_header)
{
    enum proxy_result result = begins(bytes, SLICE("PROXY "));
    if (result == PROXY_READY)
        return read_line(bytes, ret_header);
    if (result == PROXY_ABSENT)
        result = begins(bytes, slice_make(signature, 12));
    return result == PROXY_READY ? read_binary(bytes, ret_header) : result;
}
