// The log sink: whole lines, nothing lost while there is room, nothing blocked when there is none, rotation.
#define _GNU_SOURCE
#include "host/log/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weir-logsink-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static struct slice path_of(const char *name, char *text)
{
    snprintf(text, 128, "%s/%s", folder, name);
    return slice_from_cstr(text);
}

// The whole file, NUL-terminated.
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 64 << 20);
    assert_non_null(file);
    assert_true(fread(text, 1, (64 << 20) - 1, file) < (64 << 20));
    fclose(file);
    return text;
}

static void wait_written(struct logsink *sink, uint64_t bytes)
{
    for (int i = 0; i < 1000 && logsink_written_bytes(sink) < bytes; i++)
        usleep(5000);
    assert_true(logsink_written_bytes(sink) >= bytes);
}

struct producer {
    struct logsink_channel *channel;
    int id;
    int lines;
    int refused;
};

static void *produce(void *context)
{
    struct producer *producer = context;
    char line[256];
    for (int i = 0; i < producer->lines; i++) {
        int len = snprintf(
            line, sizeof line, "%d %d %.*s\n", producer->id, i, i % 200,
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        while (!logsink_write(producer->channel, slice_make(line, (size_t)len))) {
            producer->refused++;
            usleep(1000);
        }
    }
    return NULL;
}

// Each producer's lines arrive whole and in order.
static void many_producers(void **state)
{
    (void)state;
    enum { PRODUCERS = 4, LINES = 50000 };
    struct logsink *sink = logsink_new();
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    char path[128];
    struct slice file = path_of("log", path);
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){logsink_open(sink, (unsigned)i, file), i, LINES, 0};
        assert_non_null(producers[i].channel);
        assert_ptr_equal(producers[i].channel, logsink_open(sink, (unsigned)i, file));
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_create(&threads[i], NULL, produce, &producers[i]);
    uint64_t refused = 0;
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        refused += (uint64_t)producers[i].refused;
    }
    assert_int_equal(logsink_lost_lines(sink), refused);
    logsink_free(sink);
    char *text = read_file(path);
    int next[PRODUCERS] = {0};
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        char *after;
        long id = strtol(line, &after, 10);
        long number = strtol(after, NULL, 10);
        assert_true(id >= 0 && id < PRODUCERS);
        assert_int_equal(number, next[id]++);
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(next[i], LINES);
    free(text);
}

static size_t resident_bytes(void)
{
    unsigned long all, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

// A writer that keeps up leaves most of a ring untouched, however much goes through it.
static void few_pages(void **state)
{
    (void)state;
    static char lines[10000];
    struct logsink *sink = logsink_new();
    char path[128];
    struct logsink_channel *channel = logsink_open(sink, 0, path_of("log", path));
    memset(lines, 'x', sizeof lines);
    lines[sizeof lines - 1] = '\n';
    size_t before = 0;
    for (unsigned batch = 0; batch < 30; batch++) {
        for (unsigned i = 0; i < 7; i++)
            assert_true(logsink_write(channel, slice_make(lines, sizeof lines)));
        wait_written(sink, sizeof lines * 7 * (batch + 1));
        if (batch == 2)
            before = resident_bytes();
    }
    assert_true(resident_bytes() - before < 512 * 1024 || resident_bytes() < before);
    logsink_free(sink);
}

// A line comes out soon though nothing follows it.
static void idle_line(void **state)
{
    (void)state;
    struct logsink *sink = logsink_new();
    char path[128];
    struct logsink_channel *channel = logsink_open(sink, 0, path_of("log", path));
    for (int i = 1; i < 4; i++) {
        assert_true(logsink_write(channel, SLICE("line\n")));
        wait_written(sink, 5 * (uint64_t)i);
        usleep(60000);
    }
    logsink_free(sink);
}

static void assert_file(const char *path, const char *wanted)
{
    char *text = read_file(path);
    assert_string_equal(text, wanted);
    free(text);
}

// A sink whose file was renamed after its first line.
static struct logsink *begin_renamed(char *path, char *moved, struct logsink_channel **ret_channel)
{
    struct logsink *sink = logsink_new();
    *ret_channel = logsink_open(sink, 0, path_of("log", path));
    path_of("log.1", moved);
    assert_true(logsink_write(*ret_channel, SLICE("old\n")));
    wait_written(sink, 4);
    assert_int_equal(rename(path, moved), 0);
    return sink;
}

static void rotation(void **state)
{
    (void)state;
    char path[128], moved[128];
    struct logsink_channel *channel;
    struct logsink *sink = begin_renamed(path, moved, &channel);
    logsink_reopen(sink);
    for (int i = 0; i < 1000 && access(path, F_OK) != 0; i++)
        usleep(5000);
    assert_true(logsink_write(channel, SLICE("new\n")));
    logsink_free(sink);
    assert_file(moved, "old\n");
    assert_file(path, "new\n");
}

// Nobody says that the file was renamed, or taken away.
static void rotation_unsaid(void **state)
{
    (void)state;
    char path[128], moved[128];
    struct logsink_channel *channel;
    struct logsink *sink = begin_renamed(path, moved, &channel);
    close(open(path, O_WRONLY | O_CREAT, 0600));
    usleep(1100000);
    assert_true(logsink_write(channel, SLICE("new\n")));
    wait_written(sink, 8);
    assert_file(moved, "old\n");
    assert_file(path, "new\n");
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 500 && access(path, F_OK) != 0; i++) {
        assert_true(logsink_write(channel, SLICE("more\n")));
        usleep(10000);
    }
    logsink_free(sink);
    char *text = read_file(path);
    assert_int_equal(strncmp(text, "more\n", 5), 0);
    free(text);
}

// A file that we were given is shared: each line stands behind what is there, whoever wrote that.
static void given_file(void **state)
{
    (void)state;
    char path[128];
    path_of("out", path);
    int before = dup(STDOUT_FILENO), given = open(path, O_WRONLY | O_CREAT, 0600);
    dup2(given, STDOUT_FILENO);
    struct logsink *sink = logsink_new();
    struct logsink_channel *channel = logsink_open(sink, 0, SLICE("/dev/stdout"));
    int other = open(path, O_WRONLY | O_APPEND);
    bool is_written = channel != NULL;
    for (uint64_t i = 1; i < 4 && is_written; i++) {
        is_written = write(other, "theirs\n", 7) == 7 && logsink_write(channel, SLICE("ours\n"));
        wait_written(sink, 5 * i);
    }
    logsink_free(sink);
    dup2(before, STDOUT_FILENO);
    close(before);
    close(other);
    close(given);
    assert_true(is_written);
    assert_file(path, "theirs\nours\ntheirs\nours\ntheirs\nours\n");
}

// Others find what one has opened.
static void found_again(void **state)
{
    (void)state;
    struct logsink *sink = logsink_new();
    char path[128];
    struct slice file = path_of("log", path);
    assert_null(logsink_find(sink, 0, file));
    struct logsink_channel *channel = logsink_open(sink, 0, file);
    assert_ptr_equal(logsink_find(sink, 0, file), channel);
    assert_null(logsink_find(sink, 1, file));
    assert_null(logsink_find(sink, 0, SLICE("/dev/stdout")));
    assert_true(logsink_is_to(channel, file));
    assert_false(logsink_is_to(channel, SLICE("/dev/stdout")));
    logsink_free(sink);
}

// A pipe that nobody reads: the producer goes on, what is lost is counted, what comes out is whole lines.
static void stuck_pipe(void **state)
{
    (void)state;
    struct logsink *sink = logsink_new();
    char path[128], line[1000];
    struct slice pipe = path_of("pipe", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    struct logsink_channel *channel = logsink_open(sink, 0, pipe);
    assert_non_null(channel);
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    uint64_t taken = 0, refused = 0;
    for (int i = 0; i < 3000; i++) {
        bool is_taken = logsink_write(channel, slice_make(line, sizeof line));
        taken += is_taken;
        refused += !is_taken;
        if (i % 100 == 0)
            usleep(1000);
    }
    assert_true(taken > 0 && refused > 0);
    assert_int_equal(logsink_lost_lines(sink), refused);
    char *got = calloc(1, 4 << 20);
    size_t len = 0;
    for (int i = 0; i < 400 && len < taken * sizeof line; i++) {
        ssize_t read_len = read(reader, got + len, (4 << 20) - len);
        len += read_len > 0 ? (size_t)read_len : 0;
        if (read_len <= 0)
            usleep(5000);
    }
    assert_int_equal(len, taken * sizeof line);
    for (size_t at = sizeof line - 1; at < len; at += sizeof line)
        assert_int_equal(got[at], '\n');
    free(got);
    // Now the reader is gone for good: the sink drops and counts, and ends at once.
    close(reader);
    for (int i = 0; i < 10; i++)
        logsink_write(channel, slice_make(line, sizeof line));
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < 1000 && logsink_lost_lines(sink) < refused + 10; i++)
        usleep(5000);
    assert_int_equal(logsink_lost_lines(sink), refused + 10);
    logsink_free(sink);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec < 2);
}

// A full disk stops no one.
static void full_disk(void **state)
{
    (void)state;
    struct logsink *sink = logsink_new();
    struct logsink_channel *channel = logsink_open(sink, 0, SLICE("/dev/full"));
    if (!channel) {
        logsink_free(sink);
        skip();
    }
    assert_true(logsink_write(channel, SLICE("line\n")));
    usleep(200000);
    logsink_free(sink);
}

static void refusals(void **state)
{
    (void)state;
    struct logsink *sink = logsink_new();
    char path[128];
    char *line = malloc(200000);
    memset(line, 'x', 200000);
    line[199999] = '\n';
    assert_null(logsink_open(sink, 0, SLICE("/no/such/folder/log")));
    assert_int_equal(errno, ENOENT);
    assert_null(logsink_open(sink, 0, SLICE("")));
    struct logsink_channel *channel = logsink_open(sink, 0, path_of("log", path));
    assert_false(logsink_write(channel, slice_make(line, 200000)));
    assert_int_equal(logsink_lost_lines(sink), 1);
    assert_true(logsink_write(channel, SLICE("")));
    logsink_free(sink);
    free(line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_producers), TEST(few_pages),   TEST(idle_line),  TEST(rotation),  TEST(rotation_unsaid),
        TEST(given_file),     TEST(found_again), TEST(stuck_pipe), TEST(full_disk), TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
