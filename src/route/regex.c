// PCRE2 behind regex.h. RE2's syntax, which Envoy takes, is but for details a part of PCRE2's; what RE2 lacks (back
// references, look-around) is accepted and kept in bounds by the match limits.
#include "route/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define REGEX_MATCH_LIMIT 100000U // steps of back-tracking; a sane match on a header value needs some hundreds
#define REGEX_HEAP_KIB 1024U

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

// Bytes of a client need not be UTF-8: bad sequences simply match nothing.
#define REGEX_OPTIONS                                                                                                  \
    (PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_UTF |                 \
     PCRE2_MATCH_INVALID_UTF)

static struct slice error_text(struct arena *arena, int code, size_t offset)
{
    char text[160];
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text) < 0)
        text[0] = '\0';
    return arena_printf(arena, "%s at offset %zu", text, offset);
}

struct regex *regex_new(struct arena *arena, struct slice pattern, struct slice *ret_why)
{
    int error = 0;
    size_t offset = 0;
    *ret_why = (struct slice){NULL, 0};
    struct regex *regex = ARENA_NEW(arena, struct regex);
    if (!regex)
        return NULL;
    regex->code =
        pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.ptr : ""), pattern.len, REGEX_OPTIONS, &error, &offset, NULL);
    if (!regex->code) {
        *ret_why = error_text(arena, error, offset);
        return NULL;
    }
    regex->limits = pcre2_match_context_create(NULL);
    if (!regex->limits) {
        regex_free(regex);
        return NULL;
    }
    pcre2_set_match_limit(regex->limits, REGEX_MATCH_LIMIT);
    pcre2_set_heap_limit(regex->limits, REGEX_HEAP_KIB);
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); // without JIT the interpreter does it
    return regex;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_match_context_free(regex->limits);
    pcre2_code_free(regex->code);
    *regex = (struct regex){NULL, NULL};
}

static void *take_scratch(size_t bytes, void *arena)
{
    return arena_alloc(arena, bytes);
}

static void keep_scratch(void *block, void *arena)
{
    (void)block; // goes with the arena
    (void)arena;
}

bool regex_matches(const struct regex *regex, struct slice text, struct arena *scratch)
{
    pcre2_general_context *memory = pcre2_general_context_create(take_scratch, keep_scratch, scratch);
    pcre2_match_data *found = memory ? pcre2_match_data_create(1, memory) : NULL;
    if (!found)
        return false;
    PCRE2_SPTR bytes = (PCRE2_SPTR)(text.len ? text.ptr : "");
    int result = pcre2_match(regex->code, bytes, text.len, 0, 0, found, regex->limits);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
        result = pcre2_match(regex->code, bytes, text.len, 0, PCRE2_NO_JIT, found, regex->limits);
    const size_t *span = pcre2_get_ovector_pointer(found);
    return result >= 0 && span[0] == 0 && span[1] == text.len;
}
