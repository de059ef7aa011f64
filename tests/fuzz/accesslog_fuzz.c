// Access-log formats: the first line is the format, as text and as JSON; the rest fills a record. A JSON line must be
// valid JSON and one line.
#include "observe/accesslog.h"

#include "base/map.h"
#include "json/json.h"

#include <stdlib.h>

static void fill(struct record *record, struct slice rest, struct fields *fields, struct arena *arena)
{
    fields_add(fields, arena, SLICE("a"), slice_split(&rest, '\n'));
    *record = (struct record){
        .start_unix_us = (int64_t)hash_bytes(rest, 1),
        .duration_us = (int64_t)rest.len,
        .upstream_time_us = 7,
        .method = SLICE("POST"),
        .path = rest,
        .request = fields,
        .response = fields,
        .status = 200,
        .details = rest,
        .downstream_remote_address = slice_sub(rest, 0, 30),
        .metadata = {{.key = SLICE("s"), .type = RECORD_STRING, .text = rest},
                     {.key = SLICE("n"), .type = RECORD_NUMBER}},
        .metadata_count = 2,
    };
    if (rest.len >= sizeof(double))
        memcpy(&record->metadata[1].number, rest.ptr, sizeof(double));
}

static void write_line(const struct accesslog *log, const struct record *record, bool is_json)
{
    struct buf buf;
    size_t error_at;
    buf_init(&buf, (size_t)1 << 20);
    if (log && accesslog_write(log, record, &buf)) {
        if (buf.len == 0 || buf.ptr[buf.len - 1] != '\n')
            abort();
        if (is_json && json_validate(buf_slice(&buf), &error_at) != JSON_OK)
            abort();
        if (is_json && slice_find(buf_slice(&buf), '\n') != buf.len - 1)
            abort();
    }
    buf_fini(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make((const char *)data, size);
    struct slice format = slice_split(&rest, '\n');
    struct config_log_field field = {.name = SLICE("f"), .format = {.text = format}};
    struct config_log json = {.format = LOG_JSON, .fields = &field, .field_count = 1};
    struct config_log text = {.format = LOG_TEXT, .text = {.text = format}};
    static struct record record;
    struct fields fields = {0};
    struct findings findings;
    struct arena arena;
    arena_init(&arena, 4096, (size_t)1 << 22);
    findings_init(&findings, &arena);
    fill(&record, rest, &fields, &arena);
    write_line(accesslog_new(&arena, &json, &findings), &record, true);
    write_line(accesslog_new(&arena, &text, &findings), &record, false);
    arena_fini(&arena);
    return 0;
}
