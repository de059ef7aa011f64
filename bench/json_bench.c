// How fast the scanner reads a chat body, beside yyjson. Prints the best of several rounds in GB/s:
//   json_bench [text file]
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yyjson.h>

#include "json/json.h"

#define ROUNDS 9
#define ROUND_BYTES (64U << 20)

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fill(struct buf *body, size_t bytes, const char *unit)
{
    buf_printf(body,
               "{\"messages\":[{\"role\":\"system\",\"content\":\"You are terse.\"},{\"role\":\"user\",\"content\":\"");
    while (body->len < bytes)
        buf_append(body, slice_from_cstr(unit));
    buf_printf(body, "\"}],\"temperature\":0.7,\"max_tokens\":1024,\"stream\":true,"
                     "\"stream_options\":{\"include_usage\":true},\"model\":\"gpt-4o\"}");
}

static bool scan_once(struct slice text, const struct json_names *names)
{
    struct json_member members[4];
    struct json_scan scan = json_scan_object(text, names, members);
    return scan.status == JSON_OK;
}

static bool yyjson_once(struct slice text)
{
    yyjson_doc *doc = yyjson_read(text.ptr, text.len, 0);
    bool is_read = doc && yyjson_obj_get(yyjson_doc_get_root(doc), "model");
    yyjson_doc_free(doc);
    return is_read;
}

static double rate(struct slice text, const struct json_names *names)
{
    size_t times = ROUND_BYTES / text.len + 1;
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s();
        for (size_t i = 0; i < times; i++)
            if (!(names ? scan_once(text, names) : yyjson_once(text)))
                exit(1);
        double gb_s = (double)times * (double)text.len / (now_s() - start) / 1e9;
        best = gb_s > best ? gb_s : best;
    }
    return best;
}

static void compare(const char *title, struct slice text, const struct json_names *names)
{
    double ours = rate(text, names), theirs = rate(text, NULL);
    printf("%-28s %8zu bytes  scan %6.2f GB/s  yyjson %6.2f GB/s  %.2fx\n", title, text.len, ours, theirs,
           ours / theirs);
}

static const struct {
    const char *title;
    size_t bytes;
    const char *unit;
} bodies[] = {
    {"chat 1 KB, \\\" each 23", 1100, "a phrase of some \\\"words "},
    {"chat 32 KB, \\\" each 23", 32 << 10, "a phrase of some \\\"words "},
    {"chat 32 KB, plain", 32 << 10, "a phrase of some plain words "},
    {"chat 32 KB, lines of code", 32 << 10, "if (x)\\n\\treturn \\\"y\\\";\\n"},
    {"chat 32 KB, Chinese", 32 << 10, "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C"},
    {"chat 32 KB, \\u escapes", 32 << 10, "\\u4f60\\u597d\\uff0c"},
    {"chat 32 KB, accents", 32 << 10, "une phrase tr\xC3\xA8s ordinaire, d\xC3\xA9j\xC3\xA0 vue; "},
    {"chat 1 MB, \\\" each 23", 1 << 20, "a phrase of some \\\"words "},
    {"many small messages", 32 << 10, "\"},{\"role\":\"user\",\"content\":\"Yes, go on"},
    {"embedding input of tokens", 32 << 10, "\"},[1012,55,982,20111,4],{\"a\":\""},
};

static void compare_file(const char *path, const struct json_names *names)
{
    FILE *file = fopen(path, "rb");
    struct buf text;
    char piece[65536];
    size_t got;
    if (!file)
        exit(1);
    buf_init(&text, SIZE_MAX);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        buf_append(&text, slice_make(piece, got));
    fclose(file);
    compare(path, buf_slice(&text), names);
    buf_fini(&text);
}

int main(int argc, char **argv)
{
    static const struct slice wanted[] = {SLICE_INIT("model"), SLICE_INIT("backend"), SLICE_INIT("stream"),
                                          SLICE_INIT("stream_options")};
    struct arena arena;
    arena_init(&arena, 4096, 1 << 20);
    const struct json_names *names = json_names_new(&arena, wanted, 4);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct buf body;
        buf_init(&body, SIZE_MAX);
        fill(&body, bodies[i].bytes, bodies[i].unit);
        compare(bodies[i].title, buf_slice(&body), names);
        buf_fini(&body);
    }
    for (int i = 1; i < argc; i++)
        compare_file(argv[i], names);
    arena_fini(&arena);
    return 0;
}
