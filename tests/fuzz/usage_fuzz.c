// Usage of a JSON body: the second byte says where the text is cut; whole and cut must tell the same. The same text is also
// given as an event of a stream.
#include "usage/reader.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static struct usage_reader *read_in_steps(struct arena *arena, enum usage_shape shape, struct slice text, size_t step)
{
    struct usage_reader *reader = usage_reader_new(arena, shape, NULL);
    REQUIRE(reader);
    for (; text.len; text = slice_from(text, step))
        usage_reader_piece(reader, slice_sub(text, 0, step), false);
    usage_reader_piece(reader, (struct slice){NULL, 0}, true);
    return reader;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size < 2)
        return 0;
    enum usage_shape shape = data[0] % (USAGE_SHAPE_MEDIA + 1);
    struct slice text = slice_make((const char *)data + 2, size - 2);
    arena_init(&arena, 8192, 1 << 20);
    struct usage_reader *whole = read_in_steps(&arena, shape, text, SIZE_MAX);
    struct usage_reader *cut = read_in_steps(&arena, shape, text, 1 + data[1] % 64U);
    const struct usage *one = usage_reader_usage(whole), *other = usage_reader_usage(cut);
    REQUIRE(one->is_set == other->is_set && memcmp(one->tokens, other->tokens, sizeof one->tokens) == 0);
    REQUIRE(slice_eq(usage_reader_model(whole), usage_reader_model(cut)));
    struct usage_reader *stream = usage_reader_new(&arena, shape, usage_reader_names(&arena));
    struct sse_event event = {.data = text, .has_data = true};
    (void)usage_reader_event(stream, &event);
    usage_reader_fini(whole);
    usage_reader_fini(cut);
    usage_reader_fini(stream);
    arena_fini(&arena);
    return 0;
}
