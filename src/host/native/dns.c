// c-ares on a libuv loop. c-ares says which sockets it waits for and until when; each gets a poll handle, all share one
// timer. Answers live in a table of entries, one a name, which also hold the questions that wait for them.
#include "host/native/dns.h"

#include "base/map.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKET_COUNT 256U
#define ENTRIES_MAX 4096U
#define HOST_BYTES_MAX 253U
#define ADDRESSES_MAX 32U
#define TTL_MIN_MS 5000
#define TTL_MAX_MS 300000
#define STALE_MS 60000 // how long an answer outlives its time when the servers fail
#define RETRY_MS 1000  // a failed name is asked again after this
#define TRY_TIMEOUT_MS 2000
#define TRIES 2

struct entry {
    struct entry *next; // of the bucket
    struct dns *dns;
    struct dns_query *waiting;
    bool is_under_way;
    bool is_failed; // the last question failed; `addresses` may still hold an earlier answer
    uint64_t expires_ms;
    uint64_t stale_until_ms;
    uint64_t retry_ms;
    struct dns_address *addresses; // malloc
    size_t count;
    char error[128];
    size_t host_len;
    char host[HOST_BYTES_MAX + 1];
};

struct dns_socket {
    uv_poll_t poll;
    struct dns *dns;
    struct dns_socket *next;
    ares_socket_t fd;
};

struct dns {
    uv_loop_t *loop;
    ares_channel channel;
    uv_timer_t timer;
    struct dns_socket *sockets;
    size_t handle_count; // open or closing
    bool is_closing;
    uint64_t seed;
    size_t entry_count;
    struct entry *buckets[BUCKET_COUNT];
};

// ---- handles --------------------------------------------------------------------------------------------------

static void release(struct dns *dns)
{
    if (--dns->handle_count == 0 && dns->is_closing)
        free(dns);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct dns_socket *closed = handle->data;
    release(closed->dns);
    free(closed);
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct dns *dns)
{
    struct timeval left;
    if (!ares_timeout(dns->channel, NULL, &left)) {
        uv_timer_stop(&dns->timer);
        return;
    }
    uint64_t ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1;
    uv_timer_start(&dns->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct dns *dns = timer->data;
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(dns);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *ready = poll->data;
    struct dns *dns = ready->dns;
    ares_socket_t fd = ready->fd;
    bool is_readable = status < 0 || (events & UV_READABLE);
    bool is_writable = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(dns->channel, is_readable ? fd : ARES_SOCKET_BAD, is_writable ? fd : ARES_SOCKET_BAD);
    set_timer(dns);
}

static struct dns_socket **find_socket(struct dns *dns, ares_socket_t fd)
{
    struct dns_socket **at = &dns->sockets;
    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

static struct dns_socket *add_socket(struct dns *dns, ares_socket_t fd)
{
    struct dns_socket *added = calloc(1, sizeof *added);
    if (!added)
        return NULL;
    if (uv_poll_init(dns->loop, &added->poll, fd) != 0) {
        free(added);
        return NULL;
    }
    added->poll.data = added;
    added->dns = dns;
    added->fd = fd;
    added->next = dns->sockets;
    dns->sockets = added;
    dns->handle_count++;
    return added;
}

// A socket that can't be watched is left to c-ares' time limit.
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = context;
    struct dns_socket **at = find_socket(dns, fd);
    if (readable || writable) {
        struct dns_socket *watched = *at ? *at : add_socket(dns, fd);
        if (watched)
            uv_poll_start(&watched->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket);
    } else if (*at) {
        struct dns_socket *closed = *at;
        *at = closed->next;
        uv_close((uv_handle_t *)&closed->poll, on_poll_closed);
    }
}

// ---- entries --------------------------------------------------------------------------------------------------

static uint64_t now_ms(const struct dns *dns)
{
    return uv_now(dns->loop);
}

static struct entry **bucket_of(struct dns *dns, struct slice host)
{
    return &dns->buckets[hash_bytes(host, dns->seed) % BUCKET_COUNT];
}

static bool is_idle(const struct entry *entry, uint64_t now)
{
    return !entry->is_under_way && !entry->waiting && now >= entry->stale_until_ms;
}

// Makes room: names that configurations of the past asked for.
static void sweep(struct dns *dns)
{
    uint64_t now = now_ms(dns);
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        for (struct entry **at = &dns->buckets[i]; *at;) {
            struct entry *entry = *at;
            if (!is_idle(entry, now)) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            free(entry->addresses);
            free(entry);
            dns->entry_count--;
        }
}

// `host` is lower case. NULL without memory.
static struct entry *find_entry(struct dns *dns, struct slice host)
{
    struct entry **bucket = bucket_of(dns, host);
    for (struct entry *entry = *bucket; entry; entry = entry->next)
        if (slice_eq(slice_make(entry->host, entry->host_len), host))
            return entry;
    if (dns->entry_count >= ENTRIES_MAX)
        sweep(dns);
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->dns = dns;
    entry->host_len = host.len;
    memcpy(entry->host, host.ptr, host.len);
    entry->next = *bucket;
    *bucket = entry;
    dns->entry_count++;
    return entry;
}

static struct dns_answer answer_of(const struct entry *entry, uint64_t now)
{
    bool is_usable = entry->count && now < entry->stale_until_ms;
    if (is_usable)
        return (struct dns_answer){entry->addresses, entry->count, {NULL, 0}, entry->is_failed};
    return (struct dns_answer){NULL, 0, slice_from_cstr(entry->error), false};
}

static void set_failed(struct entry *entry, const char *why)
{
    entry->is_failed = true;
    entry->retry_ms = now_ms(entry->dns) + RETRY_MS;
    snprintf(entry->error, sizeof entry->error, "DNS resolution failed: %s", why);
}

static size_t read_addresses(const struct ares_addrinfo *result, struct dns_address *addresses, int *ret_ttl_s)
{
    size_t count = 0;
    int ttl_s = TTL_MAX_MS / 1000;
    for (const struct ares_addrinfo_node *node = result->nodes; node && count < ADDRESSES_MAX; node = node->ai_next) {
        if ((node->ai_family != AF_INET && node->ai_family != AF_INET6) ||
            node->ai_addrlen > sizeof(struct sockaddr_in6))
            continue;
        addresses[count].len = (socklen_t)node->ai_addrlen;
        memcpy(&addresses[count].any, node->ai_addr, node->ai_addrlen);
        count++;
        if (node->ai_ttl < ttl_s)
            ttl_s = node->ai_ttl;
    }
    *ret_ttl_s = ttl_s;
    return count;
}

static void set_answer(struct entry *entry, const struct ares_addrinfo *result)
{
    struct dns_address found[ADDRESSES_MAX] = {0};
    int ttl_s = 0;
    size_t count = read_addresses(result, found, &ttl_s);
    struct dns_address *kept = count ? malloc(count * sizeof *kept) : NULL;
    if (!kept) {
        set_failed(entry, count ? "out of memory" : "the name has no address");
        return;
    }
    memcpy(kept, found, count * sizeof *kept);
    free(entry->addresses);
    uint64_t ttl_ms = ttl_s > 0 ? (uint64_t)ttl_s * 1000 : 0;
    ttl_ms = ttl_ms < TTL_MIN_MS ? TTL_MIN_MS : ttl_ms;
    entry->addresses = kept;
    entry->count = count;
    entry->is_failed = false;
    entry->expires_ms = now_ms(entry->dns) + ttl_ms;
    entry->stale_until_ms = entry->expires_ms + STALE_MS;
}

static void unlink_query(struct dns_query *query)
{
    if (!query->prev_next)
        return;
    *query->prev_next = query->next;
    if (query->next)
        query->next->prev_next = query->prev_next;
    query->prev_next = NULL;
    query->next = NULL;
}

static void link_query(struct dns_query **list, struct dns_query *query)
{
    query->next = *list;
    if (*list)
        (*list)->prev_next = &query->next;
    query->prev_next = list;
    *list = query;
}

// The questions are taken off first: a callback may ask again, or cancel its neighbours.
static void tell_waiting(struct entry *entry)
{
    struct dns_query *told = entry->waiting;
    entry->waiting = NULL;
    if (told)
        told->prev_next = &told;
    while (told) {
        struct dns_query *query = told;
        struct dns_answer answer = answer_of(entry, now_ms(entry->dns));
        unlink_query(query);
        query->done(query, &answer);
    }
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct entry *entry = context;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    entry->is_under_way = false;
    if (status == ARES_SUCCESS)
        set_answer(entry, result);
    else
        set_failed(entry, ares_strerror(status));
    if (result)
        ares_freeaddrinfo(result);
    tell_waiting(entry);
}

// ---- interface ------------------------------------------------------------------------------------------------

static void init_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

struct dns *dns_new(uv_loop_t *loop, struct slice *ret_why)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; // ares_library_init is not thread-safe
    pthread_once(&once, init_library);
    struct dns *dns = calloc(1, sizeof *dns);
    if (!dns) {
        *ret_why = SLICE("out of memory");
        return NULL;
    }
    struct ares_options options = {
        .timeout = TRY_TIMEOUT_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = dns,
    };
    int status =
        ares_init_options(&dns->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        *ret_why = slice_from_cstr(ares_strerror(status));
        free(dns);
        return NULL;
    }
    if (getrandom(&dns->seed, sizeof dns->seed, 0) < 0)
        dns->seed = uv_hrtime();
    dns->loop = loop;
    uv_timer_init(loop, &dns->timer);
    dns->timer.data = dns;
    dns->handle_count = 1;
    return dns;
}

void dns_free(struct dns *take_dns)
{
    struct dns *dns = take_dns;
    if (!dns)
        return;
    dns->is_closing = true;
    ares_destroy(dns->channel); // ends all questions with EDESTRUCTION, closes the sockets by on_socket_state
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        while (dns->buckets[i]) {
            struct entry *entry = dns->buckets[i];
            dns->buckets[i] = entry->next;
            while (entry->waiting)
                unlink_query(entry->waiting);
            free(entry->addresses);
            free(entry);
        }
    while (dns->sockets) {
        struct dns_socket *left = dns->sockets;
        dns->sockets = left->next;
        uv_close((uv_handle_t *)&left->poll, on_poll_closed);
    }
    uv_close((uv_handle_t *)&dns->timer, on_timer_closed);
}

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

static bool copy_host(struct slice host, char *ret_text)
{
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] <= ' ' || host.ptr[i] == 0x7f)
            return false;
        ret_text[i] = ascii_lower(host.ptr[i]);
    }
    ret_text[host.len] = '\0';
    return true;
}

// Answers without a cache: literals and localhost. The storage is the thread's own; answers are valid during a call.
static bool answer_at_once(struct slice name, const char *text, struct dns_answer *ret_answer)
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

static void ask(struct entry *entry)
{
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    entry->is_under_way = true;
    ares_getaddrinfo(entry->dns->channel, entry->host, NULL, &hints, on_answer, entry);
    set_timer(entry->dns);
}

enum dns_status dns_resolve(struct dns *dns, struct slice host, struct dns_query *query, struct dns_answer *ret_answer)
{
    char text[HOST_BYTES_MAX + 1];
    query->prev_next = NULL;
    if (!copy_host(host, text)) {
        *ret_answer = (struct dns_answer){.error = SLICE("DNS resolution failed: no valid host name")};
        return DNS_ANSWERED;
    }
    struct slice name = slice_make(text, host.len);
    if (answer_at_once(name, text, ret_answer))
        return DNS_ANSWERED;
    struct entry *entry = find_entry(dns, name);
    if (!entry) {
        *ret_answer = (struct dns_answer){.error = SLICE("DNS resolution failed: out of memory")};
        return DNS_ANSWERED;
    }
    uint64_t now = now_ms(dns);
    bool is_fresh = entry->count && now < entry->expires_ms;
    bool is_resting = entry->is_failed && now < entry->retry_ms;
    if (!is_fresh && !is_resting && !entry->is_under_way)
        ask(entry); // may answer at once, from /etc/hosts
    if (!is_fresh && entry->is_under_way) {
        link_query(&entry->waiting, query);
        return DNS_PENDING;
    }
    *ret_answer = answer_of(entry, now);
    return DNS_ANSWERED;
}

void dns_cancel(struct dns_query *query)
{
    unlink_query(query);
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
