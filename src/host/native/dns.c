// c-ares on a libuv loop. c-ares says which sockets it waits for and until when; each gets a poll handle, all share one
// timer. Answers live in a table of entries, one a name, which also hold the questions that wait for them.
#include "host/native/dns.h"

#include "base/map.h"
#include "host/native/dns_name.h"

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
#define ADDRESSES_MAX 32U
#define TTL_MIN_MS 5000
#define TTL_MAX_MS 300000
#define STALE_MS 60000 // how long an answer outlives its time when the servers fail
#define RETRY_MS 1000  // a failed name is asked again after this
#define TRY_TIMEOUT_MS 2000
#define TRIES 2
#define OTHER_MS 50       // that one family's addresses wait for the other's (RFC 8305 section 3)
#define STALE_WAIT_MS 500 // that an earlier answer waits for a newer one (RFC 8767 section 5)

struct entry;

// Of one family.
struct question {
    struct entry *entry;
    int family;
    bool is_under_way;
    int status;     // c-ares'; of the last answer
    int64_t ttl_ms; // of `found`
    size_t count;
    struct dns_address found[ADDRESSES_MAX / 2];
};

struct entry {
    struct entry *next; // of the bucket
    struct dns *dns;
    struct dns_query *waiting;
    struct question *questions; // two, IPv6 first; malloc, while one of them is under way
    uint64_t hurry_ms;          // who waits is told then, whatever is there; 0: only when all has come
    bool is_hurried;            // that time has passed: nobody waits any more while there is something to be told
    bool is_telling;            // those who waited; they may ask for more
    bool is_failed;             // the last questions failed; `addresses` may still hold an earlier answer
    uint64_t answered_ms;
    uint64_t expires_ms;
    uint64_t stale_until_ms;
    uint64_t retry_ms;
    struct dns_address *addresses; // malloc
    size_t count;
    char error[128];
    size_t host_len;
    char host[DNS_NAME_MAX + 1];
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
    uv_timer_t hurry;
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
    return !entry->questions && !entry->waiting && !entry->is_telling && now >= entry->stale_until_ms;
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

static bool is_usable(const struct entry *entry, uint64_t now)
{
    return entry->count && now < entry->stale_until_ms;
}

static struct dns_answer answer_of(const struct entry *entry, uint64_t now)
{
    if (is_usable(entry, now))
        return (struct dns_answer){entry->addresses, entry->count, {NULL, 0}, entry->is_failed};
    return (struct dns_answer){NULL, 0, slice_from_cstr(entry->error), false};
}

static void set_failed(struct entry *entry, const char *why)
{
    entry->is_failed = true;
    entry->retry_ms = now_ms(entry->dns) + RETRY_MS;
    snprintf(entry->error, sizeof entry->error, "DNS resolution failed: %s", why);
}

static void keep_address(struct question *question, const void *address, size_t len)
{
    if (question->count == ADDRESSES_MAX / 2 || len > sizeof(struct sockaddr_in6))
        return;
    struct dns_address *kept = &question->found[question->count++];
    kept->len = (socklen_t)len;
    memcpy(&kept->any, address, len);
}

static void read_addresses(struct question *question, const struct ares_addrinfo *result)
{
    int ttl_s = TTL_MAX_MS / 1000;
    for (const struct ares_addrinfo_node *node = result->nodes; node; node = node->ai_next) {
        if (node->ai_family != question->family)
            continue;
        keep_address(question, node->ai_addr, node->ai_addrlen);
        ttl_s = node->ai_ttl < ttl_s ? node->ai_ttl : ttl_s;
    }
    question->ttl_ms = (int64_t)(ttl_s > 0 ? ttl_s : 0) * 1000;
}

// Takes over what the questions have found so far. The second may come when the first has been told of already.
static void set_answer(struct entry *entry)
{
    const struct question *questions = entry->questions;
    size_t count = questions[0].count + questions[1].count;
    struct dns_address *kept = malloc(count * sizeof *kept);
    int64_t ttl_ms = TTL_MAX_MS;
    if (!kept) {
        set_failed(entry, "out of memory");
        return;
    }
    free(entry->addresses);
    entry->addresses = kept;
    entry->count = count;
    for (size_t i = 0; i < 2; i++) {
        if (questions[i].count && questions[i].ttl_ms < ttl_ms)
            ttl_ms = questions[i].ttl_ms;
        memcpy(kept, questions[i].found, questions[i].count * sizeof *kept);
        kept += questions[i].count;
    }
    entry->is_failed = false;
    entry->answered_ms = now_ms(entry->dns);
    entry->expires_ms = entry->answered_ms + (uint64_t)(ttl_ms > TTL_MIN_MS ? ttl_ms : TTL_MIN_MS);
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
    entry->is_telling = true;
    if (told)
        told->prev_next = &told;
    while (told) {
        struct dns_query *query = told;
        struct dns_answer answer = answer_of(entry, now_ms(entry->dns));
        unlink_query(query);
        query->done(query, &answer);
    }
    entry->is_telling = false;
}

// Names that are known not to have addresses of one family are found by the other alone.
static void settle(struct entry *entry)
{
    const struct question *questions = entry->questions;
    if (questions[0].count + questions[1].count)
        set_answer(entry);
    else
        set_failed(entry, questions[0].status == ARES_SUCCESS && questions[1].status == ARES_SUCCESS
                              ? "the name has no address"
                              : ares_strerror(questions[1].status == ARES_SUCCESS ? questions[0].status
                                                                                  : questions[1].status));
}

static void set_hurry(struct entry *entry, uint64_t in_ms);

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct question *question = context;
    struct entry *entry = question->entry;
    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return;
    question->is_under_way = false;
    question->status = status;
    if (status == ARES_SUCCESS)
        read_addresses(question, result);
    if (result)
        ares_freeaddrinfo(result);
    if (entry->questions[0].is_under_way || entry->questions[1].is_under_way) {
        if (question->count && !entry->is_hurried)
            set_hurry(entry, OTHER_MS);
        return;
    }
    settle(entry);
    free(entry->questions);
    entry->questions = NULL;
    entry->hurry_ms = 0;
    tell_waiting(entry);
}

// ---- those who do not wait for all --------------------------------------------------------------------------------

static void on_hurry(uv_timer_t *timer);

static void set_hurry(struct entry *entry, uint64_t in_ms)
{
    struct dns *dns = entry->dns;
    uint64_t at_ms = now_ms(dns) + in_ms;
    if (entry->hurry_ms == 0 || at_ms < entry->hurry_ms)
        entry->hurry_ms = at_ms;
    if (!uv_is_active((uv_handle_t *)&dns->hurry) || uv_timer_get_due_in(&dns->hurry) > in_ms)
        uv_timer_start(&dns->hurry, on_hurry, in_ms, 0);
}

// Tells what there is: the addresses of one family, or an answer that is out of date. With neither all go on waiting.
static void hurry(struct entry *entry)
{
    bool has_found = entry->questions[0].count + entry->questions[1].count > 0;
    entry->hurry_ms = 0;
    if (has_found)
        set_answer(entry);
    else if (is_usable(entry, now_ms(entry->dns)))
        entry->is_failed = true;
    else
        return;
    entry->is_hurried = true;
    tell_waiting(entry);
}

// The entry whose time comes first; NULL: there is none.
static struct entry *find_hurried(const struct dns *dns)
{
    struct entry *first = NULL;
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        for (struct entry *entry = dns->buckets[i]; entry; entry = entry->next)
            if (entry->hurry_ms && (!first || entry->hurry_ms < first->hurry_ms))
                first = entry;
    return first;
}

static void on_hurry(uv_timer_t *timer)
{
    struct dns *dns = timer->data;
    uint64_t now = now_ms(dns);
    struct entry *entry;
    while ((entry = find_hurried(dns)) && entry->hurry_ms <= now)
        hurry(entry);
    if (entry)
        uv_timer_start(&dns->hurry, on_hurry, entry->hurry_ms - now, 0);
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
    uv_timer_init(loop, &dns->hurry);
    dns->timer.data = dns->hurry.data = dns;
    dns->handle_count = 2;
    return dns;
}

bool dns_set_servers(struct dns *dns, const char *servers)
{
    return ares_set_servers_ports_csv(dns->channel, servers) == ARES_SUCCESS;
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
            free(entry->questions);
            free(entry->addresses);
            free(entry);
        }
    while (dns->sockets) {
        struct dns_socket *left = dns->sockets;
        dns->sockets = left->next;
        uv_close((uv_handle_t *)&left->poll, on_poll_closed);
    }
    uv_close((uv_handle_t *)&dns->timer, on_timer_closed);
    uv_close((uv_handle_t *)&dns->hurry, on_timer_closed);
}

// Names of the hosts file are not asked of servers, in no family.
static bool read_hosts_file(struct entry *entry)
{
    for (size_t i = 0; i < 2; i++) {
        struct question *question = &entry->questions[i];
        struct hostent *found = NULL;
        if (ares_gethostbyname_file(entry->dns->channel, entry->host, question->family, &found) != ARES_SUCCESS)
            continue;
        for (char **address = found->h_addr_list; *address; address++) {
            struct dns_address kept = {0};
            kept.any.sa_family = (sa_family_t)question->family;
            memcpy(question->family == AF_INET6 ? (void *)&kept.v6.sin6_addr : (void *)&kept.v4.sin_addr, *address,
                   (size_t)found->h_length);
            keep_address(question, &kept.any, question->family == AF_INET6 ? sizeof kept.v6 : sizeof kept.v4);
        }
        ares_free_hostent(found);
    }
    return entry->questions[0].count + entry->questions[1].count > 0;
}

// May answer at once, from the hosts file.
static void ask(struct entry *entry)
{
    entry->questions = calloc(2, sizeof *entry->questions);
    entry->is_hurried = false;
    if (!entry->questions) {
        set_failed(entry, "out of memory");
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        entry->questions[i].entry = entry;
        entry->questions[i].family = i == 0 ? AF_INET6 : AF_INET;
    }
    if (read_hosts_file(entry)) {
        set_answer(entry);
        free(entry->questions);
        entry->questions = NULL;
        return;
    }
    entry->questions[0].is_under_way = entry->questions[1].is_under_way = true;
    for (size_t i = 0; i < 2 && entry->questions; i++) { // the last answer frees them
        const struct ares_addrinfo_hints hints = {.ai_family = entry->questions[i].family, .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(entry->dns->channel, entry->host, NULL, &hints, on_answer, &entry->questions[i]);
    }
    set_timer(entry->dns);
    if (entry->questions && is_usable(entry, now_ms(entry->dns)))
        set_hurry(entry, STALE_WAIT_MS);
}

enum dns_status dns_resolve(struct dns *dns, struct slice host, uint64_t refresh_ms, struct dns_query *query,
                            struct dns_answer *ret_answer)
{
    char text[DNS_NAME_MAX + 1];
    query->prev_next = NULL;
    if (!dns_name_copy(host, text)) {
        *ret_answer = (struct dns_answer){.error = SLICE("DNS resolution failed: no valid host name")};
        return DNS_ANSWERED;
    }
    struct slice name = slice_make(text, host.len);
    if (dns_name_answer(name, text, ret_answer))
        return DNS_ANSWERED;
    struct entry *entry = find_entry(dns, name);
    if (!entry) {
        *ret_answer = (struct dns_answer){.error = SLICE("DNS resolution failed: out of memory")};
        return DNS_ANSWERED;
    }
    uint64_t now = now_ms(dns);
    bool is_fresh = entry->count && now < (refresh_ms ? entry->answered_ms + refresh_ms : entry->expires_ms);
    bool is_resting = entry->is_failed && now < entry->retry_ms;
    if (!is_fresh && !is_resting && !entry->questions)
        ask(entry);
    if (!is_fresh && entry->questions && !(entry->is_hurried && is_usable(entry, now))) {
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
