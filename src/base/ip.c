#include "base/ip.h"

#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

// ---- IPv4 -----------------------------------------------------------------------------------------------------

static bool parse_v4(struct slice text, uint8_t ret_bytes[4])
{
    size_t count = 0;
    if (text.len == 0 || text.ptr[text.len - 1] == '.')
        return false;
    for (; text.ptr; count++) {
        uint64_t value;
        struct slice part = slice_split(&text, '.');
        if (count == 4 || part.len > 3 || (part.len > 1 && part.ptr[0] == '0') || !slice_to_u64(part, 255, &value))
            return false;
        ret_bytes[count] = (uint8_t)value;
    }
    return count == 4;
}

static size_t write_number(char *text, unsigned value, unsigned base)
{
    static const char digits[] = "0123456789abcdef";
    char reversed[8];
    size_t len = 0;
    do {
        reversed[len++] = digits[value % base];
        value /= base;
    } while (value);
    for (size_t i = 0; i < len; i++)
        text[i] = reversed[len - 1 - i];
    return len;
}

static size_t write_v4(const uint8_t *bytes, char *text)
{
    size_t len = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i)
            text[len++] = '.';
        len += write_number(text + len, bytes[i], 10);
    }
    return len;
}

// ---- IPv6 -----------------------------------------------------------------------------------------------------

static bool parse_group(struct slice text, uint8_t ret_bytes[2])
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 4)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (c >= '0' && c <= '9')
            value = value << 4 | (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (unsigned)(c - 'a' + 10);
        else
            return false;
    }
    ret_bytes[0] = (uint8_t)(value >> 8);
    ret_bytes[1] = (uint8_t)value;
    return true;
}

// The groups on one side of "::"; an IPv4 address may be the address's end. Gives how many bytes they are, -1: malformed.
static int parse_groups(struct slice text, bool is_end, uint8_t ret_bytes[16])
{
    int at = 0;
    if (text.len == 0)
        return 0;
    if (text.ptr[text.len - 1] == ':')
        return -1;
    while (text.ptr) {
        struct slice part = slice_split(&text, ':');
        if (!text.ptr && is_end && at <= 12 && parse_v4(part, ret_bytes + at))
            return at + 4;
        if (at == 16 || !parse_group(part, ret_bytes + at))
            return -1;
        at += 2;
    }
    return at;
}

static bool parse_v6(struct slice text, uint8_t ret_bytes[16])
{
    uint8_t tail[16];
    size_t gap = slice_find_slice(text, SLICE("::"));
    if (gap == SLICE_NOT_FOUND)
        return parse_groups(text, true, ret_bytes) == 16;
    memset(ret_bytes, 0, 16);
    int before = parse_groups(slice_sub(text, 0, gap), false, ret_bytes);
    int after = parse_groups(slice_from(text, gap + 2), true, tail);
    if (before < 0 || after < 0 || before + after > 14)
        return false;
    memset(ret_bytes + before, 0, (size_t)(16 - before));
    memcpy(ret_bytes + 16 - after, tail, (size_t)after);
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t group)
{
    return bytes[2 * group] == 0 && bytes[2 * group + 1] == 0;
}

// The longest run of two and more zero groups, the first of equals.
static void find_gap(const uint8_t *bytes, size_t *ret_from, size_t *ret_count)
{
    *ret_from = 8;
    *ret_count = 1;
    for (size_t i = 0; i < 8; i++) {
        size_t end = i;
        while (end < 8 && is_zero(bytes, end))
            end++;
        if (end - i > *ret_count) {
            *ret_from = i;
            *ret_count = end - i;
        }
        i = end > i ? end - 1 : i;
    }
}

static size_t write_v6(const uint8_t *bytes, char *text)
{
    size_t len = 0, gap, gap_count;
    find_gap(bytes, &gap, &gap_count);
    for (size_t i = 0; i < 8; i++) {
        if (i == gap) {
            text[len++] = ':';
            text[len++] = ':';
            i += gap_count - 1;
            continue;
        }
        if (i && i != gap + gap_count)
            text[len++] = ':';
        len += write_number(text + len, (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1], 16);
    }
    return len;
}

// ---- both -----------------------------------------------------------------------------------------------------

bool ip_parse(struct slice text, struct ip *ret_ip)
{
    struct ip ip = {.is_v4 = true};
    if (!parse_v4(text, ip.bytes)) {
        ip.is_v4 = false;
        if (!parse_v6(text, ip.bytes))
            return false;
        if (memcmp(ip.bytes, mapped, sizeof mapped) == 0) {
            ip.is_v4 = true;
            memmove(ip.bytes, ip.bytes + 12, 4);
        }
    }
    if (ip.is_v4)
        memset(ip.bytes + 4, 0, 12);
    *ret_ip = ip;
    return true;
}

static bool parse_port(struct slice text, uint16_t *ret_port)
{
    uint64_t port;
    if (text.len == 0 || text.len > 5 || !slice_to_u64(text, UINT16_MAX, &port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

bool ip_parse_port(struct slice text, struct ip *ret_ip, uint16_t *ret_port)
{
    *ret_port = 0;
    if (ip_parse(text, ret_ip))
        return true;
    size_t bracket = slice_find(text, ']');
    bool is_bracketed = text.len && text.ptr[0] == '[' && bracket != SLICE_NOT_FOUND;
    size_t end = is_bracketed ? bracket + 1 : slice_find(text, ':');
    if (end == SLICE_NOT_FOUND)
        return false;
    struct slice host = is_bracketed ? slice_sub(text, 1, bracket - 1) : slice_sub(text, 0, end);
    struct slice rest = slice_from(text, end);
    uint8_t bytes[16];
    if (is_bracketed ? !parse_v6(host, bytes) : !parse_v4(host, bytes))
        return false;
    if (rest.len && (rest.ptr[0] != ':' || !parse_port(slice_from(rest, 1), ret_port)))
        return false;
    return ip_parse(host, ret_ip);
}

size_t ip_write(const struct ip *ip, char text[IP_TEXT_MAX])
{
    return ip->is_v4 ? write_v4(ip->bytes, text) : write_v6(ip->bytes, text);
}

// ---- ranges ---------------------------------------------------------------------------------------------------

// The byte of a mask of so many bits.
static uint8_t mask_byte(size_t bits, size_t at)
{
    unsigned byte = 0xff;
    if (bits >= 8 * (at + 1))
        return 0xff;
    return (uint8_t)(bits <= 8 * at ? 0 : byte << (8 * (at + 1) - bits));
}

bool ip_range_parse(struct slice text, struct ip_range *ret_range)
{
    struct ip_range range;
    uint64_t bits;
    size_t slash = slice_find(text, '/');
    if (slash == SLICE_NOT_FOUND || !ip_parse(slice_sub(text, 0, slash), &range.base))
        return false;
    struct slice digits = slice_from(text, slash + 1);
    bool is_mapped = range.base.is_v4 && slice_find(slice_sub(text, 0, slash), ':') != SLICE_NOT_FOUND;
    if (is_mapped || digits.len > 3 || (digits.len > 1 && digits.ptr[0] == '0') ||
        !slice_to_u64(digits, range.base.is_v4 ? 32 : 128, &bits))
        return false;
    range.bits = (uint8_t)bits;
    for (size_t i = 0; i < sizeof range.base.bytes; i++)
        range.base.bytes[i] &= mask_byte(range.bits, i);
    *ret_range = range;
    return true;
}

bool ip_range_has(const struct ip_range *range, const struct ip *ip)
{
    if (range->base.is_v4 != ip->is_v4)
        return false;
    for (size_t i = 0; 8 * i < range->bits; i++)
        if ((ip->bytes[i] & mask_byte(range->bits, i)) != range->base.bytes[i])
            return false;
    return true;
}
