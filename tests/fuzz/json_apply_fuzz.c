// Body changes: lines of `path=value` or `-path`, an empty line, then the body. Whatever they are, the result is a valid
// object, in which the last change of each path shows.
#include "json/json.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

#define CHANGES_MAX 8

// One line as a change. False when it is none.
static bool read_change(struct slice line, struct arena *arena, struct json_change *ret_change)
{
    struct slice why, name = line, value = {NULL, 0};
    struct json_path *path = ARENA_NEW(arena, struct json_path);
    size_t at, equals = slice_find(line, '=');
    if (slice_starts_with(line, SLICE("-"))) {
        name = slice_from(line, 1);
    } else {
        if (equals == SLICE_NOT_FOUND)
            return false;
        name = slice_sub(line, 0, equals);
        value = slice_from(line, equals + 1);
        if (json_validate(value, &at) != JSON_OK)
            return false;
    }
    if (!path || !json_path_parse(name, arena, path, &why))
        return false;
    *ret_change = (struct json_change){path, value};
    return true;
}

// The value at a path of the result; false when it is not there.
static bool find(struct slice object, const struct json_path *path, struct arena *arena, struct slice *ret_value)
{
    for (size_t i = 0; i < path->count; i++) {
        const struct json_names *names = json_names_new(arena, &path->names[i], 1);
        struct json_member member;
        struct json_scan scan = json_scan_object(object, names, &member);
        if (scan.status != JSON_OK || member.count != 1)
            return false;
        object = slice_sub(object, member.value.from, member.value.to - member.value.from);
    }
    *ret_value = object;
    return true;
}

static void check_last(struct slice result, const struct json_change *change, struct arena *arena)
{
    struct slice value;
    bool is_found = find(result, change->path, arena, &value);
    if (!change->value.ptr) {
        REQUIRE(!is_found);
        return;
    }
    REQUIRE(is_found);
}

static void check_applied(struct slice body, const struct json_change *changes, size_t count, struct arena *arena)
{
    struct slice *pieces, duplicate;
    size_t piece_count, bytes, other_count, other_bytes;
    bool is_applied = json_apply(body, changes, count, arena, &pieces, &piece_count, &bytes, &duplicate);
    static const struct slice wanted[] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("model")};
    const struct json_names *names = json_names_new(arena, wanted, 3);
    struct json_member members[3];
    struct json_scan scan = json_scan_object(body, names, members);
    struct slice *others;
    bool is_same = json_apply_scanned(&scan, names, members, changes, count, arena, &others, &other_count, &other_bytes,
                                      &duplicate);
    REQUIRE(is_applied == is_same);
    if (!is_applied)
        return;
    struct slice result = arena_join(arena, pieces, piece_count);
    REQUIRE(result.len == bytes && slice_eq(result, arena_join(arena, others, other_count)));
    struct json_scan after = json_scan_object(result, NULL, NULL);
    // A value may nest what is valid on its own too deeply.
    REQUIRE(after.status == JSON_OK || after.status == JSON_DEPTH);
    if (count && after.status == JSON_OK)
        check_last(result, &changes[count - 1], arena);
    if (!count)
        REQUIRE(slice_eq(result, body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make((const char *)data, size);
    struct json_change changes[CHANGES_MAX];
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 16384, SIZE_MAX);
    while (rest.ptr) {
        struct slice line = slice_split(&rest, '\n');
        if (!line.len)
            break;
        if (count < CHANGES_MAX && read_change(line, &arena, &changes[count]))
            count++;
    }
    if (rest.ptr && json_scan_object(rest, NULL, NULL).status == JSON_OK)
        check_applied(rest, changes, count, &arena);
    arena_fini(&arena);
    return 0;
}
