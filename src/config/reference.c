// A section for each kind, a row for each field.
#include "config/reference.h"

#include "config/kind.h"

static const char head[] =
    "# Configuration reference\n"
    "\n"
    "<!-- Generated from src/config/kind_*.c; do not edit. -->\n"
    "\n"
    "Weir reads the resources of Envoy AI Gateway, Envoy Gateway and Gateway API from YAML or JSON files, several\n"
    "documents a file. This page lists every field that it knows; a field that is not here is an error, and so is a\n"
    "field or a value that asks for what Weir does not do (*refused*). Fields that are *noted* describe what Weir "
    "does\n"
    "not have: they are accepted without effect, with a note.\n"
    "\n"
    "- The set is checked as a whole, with all findings at once as `file:line:column: error: ...`: `weir check FILE`.\n"
    "- `${VAR}` in a value is the environment's variable; without one, loading fails. `${VAR:=text}` gives a default,\n"
    "  for an empty variable too. `$${` is a plain `${`. Keys and comments are left alone.\n"
    "- The annotation `weir.dev/ignore: \"true\"` makes Weir skip a resource of any kind.\n"
    "- `metadata` has `name`, `namespace` (default `default`), `annotations`, `labels` and `creationTimestamp`; what "
    "else\n"
    "  Kubernetes writes there, and `status`, is left alone. A `List` of resources is read as they are.\n"
    "- Kinds of other software (Deployment, Service, ...) are named in one note and not read.\n"
    "- A duration is written `500ms`, `30s`, `5m`, `1h30m`; a bare number is seconds. A quantity is bytes, `50Mi`.\n"
    "- YAML: anchors and aliases are read within bounds (100 in a file, 1 MiB); merge keys are not; a duplicate key is "
    "an\n"
    "  error; `yes` and `on` are texts (YAML 1.2); 64 levels, 64 MiB a file.\n";

// The place of a field, "spec.rules[].name", grown and cut back while the tables are walked.
struct place {
    char text[256];
    size_t len;
};

static size_t place_add(struct place *place, const struct field *field)
{
    size_t before = place->len;
    struct slice parts[] = {
        slice_from_cstr(before ? "." : ""),
        slice_from_cstr(field->name),
        slice_from_cstr(field->type == FIELD_LIST ? "[]" : ""),
    };
    for (size_t i = 0; i < 3; i++) {
        struct slice part = slice_sub(parts[i], 0, sizeof place->text - place->len);
        memcpy(place->text + place->len, part.ptr, part.len);
        place->len += part.len;
    }
    return before;
}

static const char *type_name(enum field_type type)
{
    static const char *const names[] = {
        [FIELD_STRING] = "string", [FIELD_INT] = "integer",       [FIELD_NUMBER] = "number",
        [FIELD_BOOL] = "boolean",  [FIELD_DURATION] = "duration", [FIELD_QUANTITY] = "quantity",
        [FIELD_TIME] = "time",     [FIELD_LIST] = "list",         [FIELD_OBJECT] = "object",
        [FIELD_MAP] = "map",       [FIELD_ANY] = "any",
    };
    return names[type];
}

static void put(struct buf *buf, const char *text)
{
    buf_append(buf, slice_from_cstr(text));
}

static void write_type(struct buf *buf, const struct field *field)
{
    put(buf, type_name(field->type));
    if (field->type == FIELD_LIST || field->type == FIELD_MAP) {
        put(buf, " of ");
        put(buf, type_name(field->item));
    }
}

static void write_default(struct buf *buf, const struct field *field)
{
    if (field->is_required)
        put(buf, "**required**");
    else if (field->preset && field->preset[0] == '\0')
        put(buf, "empty");
    else if (field->preset)
        buf_printf(buf, "`%s`", field->preset);
    else if (field->absent)
        put(buf, field->absent);
}

static void write_range(struct buf *buf, enum field_type type, int64_t min, int64_t max)
{
    bool is_length = type == FIELD_STRING || type == FIELD_LIST || type == FIELD_MAP;
    const char *unit = type == FIELD_STRING ? " bytes" : is_length ? " entries" : "";
    if (min == 0 && max == 0)
        return;
    if (type == FIELD_DURATION) {
        put(buf, " More than `0s`.");
        return;
    }
    if (is_length && max == 0)
        buf_printf(buf, " At least %lld%s.", (long long)min, min == 1 && type == FIELD_STRING ? " byte" : unit);
    else if (is_length && min <= 1 && type == FIELD_STRING)
        buf_printf(buf, " At most %lld%s.", (long long)max, unit);
    else if (is_length && min == 0)
        buf_printf(buf, " At most %lld%s.", (long long)max, unit);
    else
        buf_printf(buf, " %lld to %lld%s.", (long long)min, (long long)max, unit);
}

static bool is_listed(const char *value, const char *const *values)
{
    for (; *values; values++)
        if (strcmp(value, *values) == 0)
            return true;
    return false;
}

static void write_values(struct buf *buf, const struct field *field)
{
    for (size_t i = 0; field->values && field->values[i]; i++) {
        bool is_served = !field->served || is_listed(field->values[i], field->served);
        buf_printf(buf, "%s`%s`%s", i ? ", " : " One of ", field->values[i], is_served ? "" : " (refused)");
    }
    if (field->values)
        put(buf, ".");
}

static void write_limits(struct buf *buf, const struct field *field)
{
    bool has_items = field->type == FIELD_LIST || field->type == FIELD_MAP;
    bool says_length = field->pattern > PATTERN_FREE_LENGTH; // the pattern's words do
    write_values(buf, field);
    if (has_items || !says_length)
        write_range(buf, field->type, field->min, field->max);
    if (has_items && !says_length && (field->item_min || field->item_max)) {
        put(buf, " Each:");
        write_range(buf, field->item, field->item_min, field->item_max);
    }
    if (field->pattern != PATTERN_NONE) {
        struct slice words = pattern_words(field->pattern);
        buf_printf(buf, " Must be " SLICE_FMT ".", SLICE_ARG(words));
    }
    if (field->unique_by && field->unique_by[0])
        buf_printf(buf, " Each `%s` once.", field->unique_by);
    else if (field->unique_by)
        put(buf, " Each once.");
}

static void write_row(struct buf *buf, const struct field *field, const struct place *place)
{
    buf_printf(buf, "| `%.*s` | ", (int)place->len, place->text);
    if (field->support == SUPPORT_REFUSED) {
        put(buf, "*refused* | | ");
        buf_printf(buf, "%s Refused: %s.", field->doc, field->words);
        if (field->harmless)
            buf_printf(buf, " `%s` is accepted.", field->harmless);
    } else if (field->support == SUPPORT_IGNORED) {
        buf_printf(buf, "*noted* | | %s Noted: %s.", field->doc, field->words);
    } else {
        write_type(buf, field);
        put(buf, " | ");
        write_default(buf, field);
        buf_printf(buf, " | %s", field->doc);
        write_limits(buf, field);
    }
    put(buf, " |\n");
}

// Recurses as deep as the tables are nested.
static void write_fields(struct buf *buf, const struct field *fields, struct place *place)
{
    for (const struct field *field = fields; field->name; field++) {
        size_t before = place_add(place, field);
        write_row(buf, field, place);
        if (field->fields && field->support == SUPPORT_DONE)
            write_fields(buf, field->fields, place);
        place->len = before;
    }
}

static void write_kind(struct buf *buf, const struct kind *kind)
{
    struct place place = {.len = 0};
    buf_printf(buf, "\n## %s\n\n%s\n\n`apiVersion`: ", kind->name, kind->doc);
    for (size_t i = 0; kind->versions[i]; i++)
        buf_printf(buf, "%s`%s%s%s`%s", i ? ", " : "", kind->group, kind->group[0] ? "/" : "", kind->versions[i],
                   kind->old_versions[0] && is_listed(kind->versions[i], kind->old_versions) ? " (deprecated)" : "");
    put(buf, ".\n\n| field | type | default | |\n| --- | --- | --- | --- |\n");
    write_fields(buf, kind->fields, &place);
}

bool config_reference_write(struct buf *buf)
{
    put(buf, head);
    for (size_t i = 0; i < KIND_COUNT; i++)
        write_kind(buf, kind_of((enum resource_kind)i));
    return !buf->has_failed;
}
