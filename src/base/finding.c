// The list of findings.
#include "base/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void findings_init(struct findings *findings, struct arena *arena)
{
    *findings = (struct findings){.arena = arena};
}

__attribute__((format(printf, 4, 0))) static void add(struct findings *findings, enum finding_level level,
                                                      struct mark mark, const char *format, va_list args)
{
    if (level == FINDING_ERROR)
        findings->error_count++;
    va_list measured;
    va_copy(measured, args);
    int len = vsnprintf(NULL, 0, format, measured);
    va_end(measured);
    char *text = len < 0 ? NULL : arena_alloc(findings->arena, (size_t)len + 1);
    if (!text || !ARENA_GROW(findings->arena, findings))
        return; // the count of errors still says that the configuration is not good
    vsnprintf(text, (size_t)len + 1, format, args);
    for (int i = 0; i < len; i++) // one line, whatever a value of the configuration holds
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    findings->items[findings->count++] = (struct finding){level, mark, slice_make(text, (size_t)len)};
}

void finding_error(struct findings *findings, struct mark mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(findings, FINDING_ERROR, mark, format, args);
    va_end(args);
}

void finding_warn(struct findings *findings, struct mark mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(findings, FINDING_WARNING, mark, format, args);
    va_end(args);
}

void finding_note(struct findings *findings, struct mark mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(findings, FINDING_NOTE, mark, format, args);
    va_end(args);
}

bool findings_know(const struct findings *findings, struct mark mark, struct slice text)
{
    for (size_t i = findings->count; i > 0; i--) {
        const struct finding *known = &findings->items[i - 1];
        if (known->mark.line == mark.line && known->mark.column == mark.column &&
            slice_eq(known->mark.file, mark.file) && slice_eq(known->text, text))
            return true;
    }
    return false;
}

void findings_keep_files(struct findings *findings, size_t from)
{
    struct slice last = {NULL, 0};
    struct slice copy = {NULL, 0};
    for (size_t i = from; i < findings->count; i++) {
        struct slice *file = &findings->items[i].mark.file;
        if (!last.ptr || !slice_eq(last, *file)) {
            last = *file;
            copy = arena_dup(findings->arena, last);
        }
        *file = copy.ptr ? copy : SLICE("");
    }
}

static bool stands_before(const struct finding *a, const struct finding *b)
{
    int by_file = slice_cmp(a->mark.file, b->mark.file);
    if (by_file != 0)
        return by_file < 0;
    if (a->mark.line != b->mark.line)
        return a->mark.line < b->mark.line;
    return a->mark.column < b->mark.column;
}

void findings_sort(struct findings *findings)
{
    for (size_t i = 1; i < findings->count; i++) {
        struct finding moving = findings->items[i];
        size_t at = i;
        for (; at > 0 && stands_before(&moving, &findings->items[at - 1]); at--)
            findings->items[at] = findings->items[at - 1];
        findings->items[at] = moving;
    }
}
