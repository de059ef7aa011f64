// matches(): patterns as RE2 takes them, run by PCRE2 under limits. What RE2 refuses (it would cost more than linear time)
// is refused here too, so that a configuration means the same in both. All memory of a pattern is the arena's; none is
// released one by one.
#include "usage/cel.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 100000U
#define HEAP_KIB 1024U
#define SCRATCH_BYTES_MAX ((size_t)2 << 20) // what a match may take in all

struct cel_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static void *take_from_arena(size_t bytes, void *arena)
{
    return arena_alloc(arena, bytes);
}

static void keep_in_arena(void *block, void *arena)
{
    (void)block;
    (void)arena;
}

static bool is_in(const char *set, char c)
{
    return c && strchr(set, c);
}

// Behind a character class whose '[' is at `at`.
static size_t skip_class(struct slice pattern, size_t at)
{
    at += slice_starts_with(slice_from(pattern, at + 1), SLICE("^")) ? 2 : 1;
    at += slice_starts_with(slice_from(pattern, at), SLICE("]"));
    while (at < pattern.len && pattern.ptr[at] != ']') {
        bool is_named = slice_starts_with(slice_from(pattern, at), SLICE("[:"));
        size_t end = is_named ? slice_find_slice(slice_from(pattern, at), SLICE(":]")) : SLICE_NOT_FOUND;
        if (end != SLICE_NOT_FOUND)
            at += end + 2;
        else
            at += pattern.ptr[at] == '\\' ? 2 : 1;
    }
    return at + 1;
}

// Whether `(` and what follows opens a group of RE2's: plain, (?:, (?flags), (?flags:, (?P<name>, (?<name>.
static bool is_plain_group(struct slice rest)
{
    size_t at = 2;
    if (slice_starts_with(rest, SLICE("(*")))
        return false;
    if (!slice_starts_with(rest, SLICE("(?")))
        return true;
    if (slice_starts_with(rest, SLICE("(?P<")))
        return true;
    if (slice_starts_with(rest, SLICE("(?<")))
        return rest.len > 3 && !is_in("=!", rest.ptr[3]);
    while (at < rest.len && is_in("imsU-", rest.ptr[at]))
        at++;
    return at < rest.len && is_in(":)", rest.ptr[at]);
}

static const char *find_foreign(struct slice pattern)
{
    bool is_repeated = false; // a quantifier stands right before
    for (size_t at = 0; at < pattern.len;) {
        char c = pattern.ptr[at], next = at + 1 < pattern.len ? pattern.ptr[at + 1] : '\0';
        if (is_repeated && c == '+')
            return "possessive repetition is not supported (RE2)";
        is_repeated = is_in("*+?}", c) && at > 0;
        if (c == '\\' && is_in("123456789kgGKXRNhHvVC", next))
            return "back references and PCRE's own escapes are not supported (RE2)";
        if (c == '(' && !is_plain_group(slice_from(pattern, at)))
            return "look-around, recursion, conditions and verbs are not supported (RE2)";
        if (c == '[')
            at = skip_class(pattern, at);
        else
            at += c == '\\' ? 2 : 1;
    }
    return NULL;
}

static struct slice error_text(struct arena *arena, int code, size_t offset)
{
    char text[160];
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text) < 0)
        text[0] = '\0';
    return arena_printf(arena, "%s at offset %zu of the pattern", text, offset);
}

const struct cel_regex *cel_regex_new(struct arena *arena, struct slice pattern, struct slice *ret_why)
{
    const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    const char *foreign = find_foreign(pattern);
    int error = 0;
    size_t offset = 0;
    *ret_why = slice_from_cstr(foreign ? foreign : "out of memory");
    if (foreign)
        return NULL;
    struct cel_regex *regex = ARENA_NEW(arena, struct cel_regex);
    pcre2_general_context *memory = pcre2_general_context_create(take_from_arena, keep_in_arena, arena);
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    if (!regex || !context)
        return NULL;
    regex->limits = pcre2_match_context_create(memory);
    regex->code =
        pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.ptr : ""), pattern.len, options, &error, &offset, context);
    if (!regex->code)
        *ret_why = error_text(arena, error, offset);
    if (!regex->code || !regex->limits)
        return NULL;
    pcre2_set_match_limit(regex->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(regex->limits, HEAP_KIB);
    return regex;
}

bool cel_regex_find(const struct cel_regex *regex, struct cel_run *run, struct slice text, bool *ret_is_found)
{
    struct arena scratch;
    arena_init(&scratch, 4096, SCRATCH_BYTES_MAX);
    pcre2_general_context *memory = pcre2_general_context_create(take_from_arena, keep_in_arena, &scratch);
    pcre2_match_data *found = memory ? pcre2_match_data_create(1, memory) : NULL;
    int result = PCRE2_ERROR_NOMEMORY;
    if (found)
        result = pcre2_match(regex->code, (PCRE2_SPTR)(text.len ? text.ptr : ""), text.len, 0, 0, found, regex->limits);
    arena_fini(&scratch);
    *ret_is_found = result >= 0;
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
        return cel_run_fail(run, SLICE("the pattern took too many steps"));
    return true;
}
