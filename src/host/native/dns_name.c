// Literals and localhost.
#include "host/native/dns_name.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool parse_literal(const char *host, struct dns_address *ret_address)
{
    *ret_address = (struct dns_address){0};
    if (inet_pton(AF_INET, host, &ret_address->v4.sin_addr) == 1) {
        ret_address->v4.sin_family = AF_INET;
        ret_address->len = sizeof ret_address->v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &ret_address->v6.sin6_addr) == 1) {
        ret_address->v6.sin6_family = AF_INET6;
        ret_address->len = sizeof ret_address->v6;
        return true;
    }
    return false;
}

// RFC 6761 section 6.3: never asked of a server.
static bool is_localhost(struct slice host)
{
    return slice_eq(host, SLICE("localhost")) || slice_ends_with(host, SLICE(".localhost"));
}

bool dns_name_copy(struct slice host, char ret_text[DNS_NAME_MAX + 1])
{
    if (host.len == 0 || host.len > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] <= ' ' || host.ptr[i] == 0x7f)
            return false;
        ret_text[i] = ascii_lower(host.ptr[i]);
    }
    ret_text[host.len] = '\0';
    return true;
}

// The storage is the thread's own.
bool dns_name_answer(struct slice name, const char *text, struct dns_answer *ret_answer)
{
    static _Thread_local struct dns_address own[2];
    size_t count = 0;
    if (is_localhost(name)) {
        parse_literal("127.0.0.1", &own[count++]);
        parse_literal("::1", &own[count++]);
    } else if (parse_literal(text, &own[0])) {
        count = 1;
    }
    *ret_answer = (struct dns_answer){own, count, {NULL, 0}, false};
    return count > 0;
}

struct slice dns_address_print(const struct dns_address *address, uint16_t port, char *text, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_v6 = address->any.sa_family == AF_INET6;
    const void *bytes = is_v6 ? (const void *)&address->v6.sin6_addr : (const void *)&address->v4.sin_addr;
    inet_ntop(address->any.sa_family, bytes, host, sizeof host);
    int len = snprintf(text, cap, is_v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    return slice_make(text, len < 0 ? 0 : (size_t)len < cap ? (size_t)len : cap ? cap - 1 : 0);
}
