// Edit distance between a word and each name that may be meant.
#include "config/nearest.h"

#define NAME_MAX_BYTES 48

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Edit distance without regard to case; a swap of neighbours counts as one (optimal string alignment).
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][NAME_MAX_BYTES + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = ascii_lower(a.ptr[i - 1]);
            char y = ascii_lower(b.ptr[j - 1]);
            now[j] = min_of(min_of(last[j] + 1, now[j - 1] + 1), last[j - 1] + (x == y ? 0 : 1));
            if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) && y == ascii_lower(a.ptr[i - 2]))
                now[j] = min_of(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

struct nearest nearest_to(struct slice word)
{
    return (struct nearest){.word = word, .name = SLICE(""), .distance = SIZE_MAX};
}

void nearest_try(struct nearest *nearest, struct slice name)
{
    if (nearest->word.len > NAME_MAX_BYTES || name.len > NAME_MAX_BYTES)
        return;
    size_t limit = name.len < 4 ? 1 : name.len < 8 ? 2 : 3;
    size_t found = distance(nearest->word, name);
    if (found > limit || found >= nearest->distance)
        return;
    nearest->distance = found;
    nearest->name = name;
}

struct slice nearest_name(struct slice word, const char *const *known)
{
    struct nearest nearest = nearest_to(word);
    for (; *known; known++)
        nearest_try(&nearest, slice_from_cstr(*known));
    return nearest.name;
}
