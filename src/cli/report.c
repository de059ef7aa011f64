// How findings look to people and to machines.
#include "cli/load.h"

#include "json/json.h"

static const struct {
    const char *name;
    const char *colour;
} levels[] = {
    [FINDING_ERROR] = {"error", "\033[1;31m"},
    [FINDING_WARNING] = {"warning", "\033[1;33m"},
    [FINDING_NOTE] = {"note", "\033[1;36m"},
};

static void print_one(FILE *out, const struct finding *finding, bool has_colour)
{
    if (finding->mark.file.len)
        fprintf(out, SLICE_FMT ":", SLICE_ARG(finding->mark.file));
    else
        fputs("weir:", out);
    if (finding->mark.line)
        fprintf(out, "%u:", finding->mark.line);
    if (finding->mark.line && finding->mark.column)
        fprintf(out, "%u:", finding->mark.column);
    fprintf(out, " %s%s:%s " SLICE_FMT "\n", has_colour ? levels[finding->level].colour : "",
            levels[finding->level].name, has_colour ? "\033[0m" : "", SLICE_ARG(finding->text));
}

void findings_print(FILE *out, struct findings *findings, bool has_colour)
{
    findings_sort(findings);
    for (size_t i = 0; i < findings->count; i++)
        print_one(out, &findings->items[i], has_colour);
}

size_t findings_count(const struct findings *findings, enum finding_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->items[i].level == level;
    return count;
}

void json_print_string(FILE *out, struct slice text)
{
    struct buf quoted;
    buf_init(&quoted, SIZE_MAX / 2);
    if (json_write_string(&quoted, text))
        fwrite(quoted.ptr, 1, quoted.len, out);
    else
        fputs("\"\"", out);
    buf_fini(&quoted);
}

void findings_print_json(FILE *out, struct findings *findings)
{
    findings_sort(findings);
    fputs("{\"findings\":[", out);
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        fputs(i ? ",\n {\"file\":" : "\n {\"file\":", out);
        json_print_string(out, finding->mark.file);
        fprintf(out, ",\"line\":%u,\"column\":%u,\"level\":\"%s\",\"text\":", finding->mark.line, finding->mark.column,
                levels[finding->level].name);
        json_print_string(out, finding->text);
        fputc('}', out);
    }
    fprintf(out, "],\"errors\":%zu,\"warnings\":%zu}\n", findings_count(findings, FINDING_ERROR),
            findings_count(findings, FINDING_WARNING));
}
