// Opens many event streams at once and reads them all to the end, in one thread, so that a proxy's cost for each event
// can be told. Prints one JSON object: streams, events, bytes, reads, time to the first event and gaps between events.
//
// Usage: sse_load PORT STREAMS EVENTS RATE [BODY_FILE]
//   Each stream asks the mock provider for EVENTS events, RATE of them a second (0: as fast as possible).
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_MS 60000

struct stream {
    int fd;
    bool is_sent;
    bool is_over;
    unsigned tail; // the last four bytes that came, for marks that are split between reads
    int64_t begun_us;
    int64_t first_us; // 0: no event yet
    int64_t last_us;
};

struct tally {
    uint64_t events, bytes, reads, done, failed;
    uint32_t *firsts; // time to the first event, a stream
    size_t first_count;
    uint32_t *gaps; // time between reads with events
    size_t gap_count, gap_cap;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int open_connection(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

// Counts ends of events, and whether the end of a chunked body came; marks may be split between reads.
static uint64_t count_events(struct stream *stream, const char *data, size_t len)
{
    uint64_t events = 0;
    unsigned tail = stream->tail;
    for (size_t i = 0; i < len; i++) {
        tail = tail << 8 | (unsigned char)data[i];
        events += (tail & 0xffff) == 0x0a0a;                   // "\n\n"
        stream->is_over |= i + 3 >= len && tail == 0x0d0a0d0a; // "\r\n\r\n" at the end of a read: the last chunk
    }
    stream->tail = tail;
    return events;
}

static void note_events(struct tally *tally, struct stream *stream, uint64_t events)
{
    int64_t now = now_us();
    tally->events += events;
    if (!stream->first_us) {
        stream->first_us = now;
        tally->firsts[tally->first_count++] = (uint32_t)(now - stream->begun_us);
    } else if (tally->gap_count < tally->gap_cap) {
        tally->gaps[tally->gap_count++] = (uint32_t)(now - stream->last_us);
    }
    stream->last_us = now;
}

static void end_stream(struct tally *tally, struct stream *stream, bool is_failed)
{
    close(stream->fd);
    stream->fd = -1;
    tally->done++;
    tally->failed += is_failed;
}

static void read_stream(struct tally *tally, struct stream *stream)
{
    char data[65536];
    ssize_t got = recv(stream->fd, data, sizeof data, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        end_stream(tally, stream, true);
        return;
    }
    tally->reads++;
    tally->bytes += (uint64_t)got;
    uint64_t events = count_events(stream, data, (size_t)got);
    if (events)
        note_events(tally, stream, events);
    if (stream->is_over && stream->first_us)
        end_stream(tally, stream, false);
    else
        stream->is_over = false; // it was the end of the head
}

static void send_request(struct tally *tally, struct stream *stream, const char *request, size_t len)
{
    if (send(stream->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len) {
        end_stream(tally, stream, true);
        return;
    }
    stream->is_sent = true;
    stream->begun_us = now_us();
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(uint32_t *values, size_t count, double share)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)(share * (double)(count - 1))];
}

static char *make_request(const char *events, const char *rate, const char *body_file, size_t *ret_len)
{
    static char body[1 << 16] =
        "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    FILE *file = body_file ? fopen(body_file, "rb") : NULL;
    if (file) {
        body[fread(body, 1, sizeof body - 1, file)] = 0;
        fclose(file);
    }
    size_t cap = strlen(body) + 1024;
    char *request = malloc(cap);
    int len = snprintf(request, cap,
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                       "x-mock-tokens: %s\r\nx-mock-rate: %s\r\nContent-Length: %zu\r\n\r\n%s",
                       events, rate, strlen(body), body);
    *ret_len = (size_t)len;
    return request;
}

static void run(struct stream *streams, int count, uint16_t port, const char *request, size_t len, struct tally *tally)
{
    int epoll = epoll_create1(0);
    int opened = 0;
    int64_t begun = now_us();
    while (tally->done < (uint64_t)count && now_us() - begun < GIVE_UP_MS * 1000LL) {
        // Open in small groups, so that the listener's queue is never the thing that is measured.
        for (int i = 0; i < 16 && opened < count; i++, opened++) {
            struct stream *stream = &streams[opened];
            stream->fd = open_connection(port);
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = stream};
            if (stream->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, stream->fd, &event) < 0)
                tally->done++, tally->failed++;
        }
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, opened < count ? 1 : 100);
        for (int i = 0; i < ready; i++) {
            struct stream *stream = events[i].data.ptr;
            if (stream->fd >= 0 && !stream->is_sent && events[i].events & EPOLLOUT)
                send_request(tally, stream, request, len);
            if (stream->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_stream(tally, stream);
        }
    }
    close(epoll);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: sse_load PORT STREAMS EVENTS RATE [BODY_FILE]\n");
        return 2;
    }
    int count = (int)strtol(argv[2], NULL, 10);
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    struct stream *streams = calloc((size_t)count, sizeof *streams);
    size_t gaps = (size_t)count * (size_t)strtol(argv[3], NULL, 10);
    struct tally tally = {
        .firsts = calloc((size_t)count, sizeof(uint32_t)), .gaps = calloc(gaps + 1, sizeof(uint32_t)), .gap_cap = gaps};
    size_t len;
    char *request = make_request(argv[3], argv[4], argc > 5 ? argv[5] : NULL, &len);
    int64_t begun = now_us();
    run(streams, count, (uint16_t)strtol(argv[1], NULL, 10), request, len, &tally);
    printf("{\"streams\": %d, \"failed\": %llu, \"seconds\": %.3f, \"events\": %llu, \"bytes\": %llu, \"reads\": %llu, "
           "\"first_p50_us\": %u, \"first_p99_us\": %u, \"gap_p50_us\": %u, \"gap_p99_us\": %u}\n",
           count, (unsigned long long)(tally.failed + ((uint64_t)count - tally.done)), (double)(now_us() - begun) / 1e6,
           (unsigned long long)tally.events, (unsigned long long)tally.bytes, (unsigned long long)tally.reads,
           quantile(tally.firsts, tally.first_count, 0.5), quantile(tally.firsts, tally.first_count, 0.99),
           quantile(tally.gaps, tally.gap_count, 0.5), quantile(tally.gaps, tally.gap_count, 0.99));
    return 0;
}
