// Walks a document along the table of its kind: types, limits, unknown and missing members, defaults.
#include "config/kind.h"
#include "config/nearest.h"

#include <stdarg.h>
#include <stdio.h>

#define FINDING_MAX 512

// ---- findings -----------------------------------------------------------------------------------------------------

__attribute__((format(printf, 4, 0))) static void report(struct check *check, enum finding_level level,
                                                         struct mark mark, const char *format, va_list args)
{
    char text[FINDING_MAX];
    vsnprintf(text, sizeof text, format, args); // NOLINT(clang-analyzer-valist.Uninitialized): started by callers
    if (level == FINDING_ERROR) {
        check->resource->has_errors = true;
        finding_error(check->findings, mark, "%s", text);
    } else {
        finding_warn(check->findings, mark, "%s", text);
    }
}

void check_error_at(struct check *check, struct mark mark, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(check, FINDING_ERROR, mark, format, args);
    va_end(args);
}

void check_error(struct check *check, const struct node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(check, FINDING_ERROR, node_mark(node), format, args);
    va_end(args);
}

void check_warn(struct check *check, const struct node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(check, FINDING_WARNING, node_mark(node), format, args);
    va_end(args);
}

struct slice check_quote(const struct check *check, const struct node *node)
{
    if (node->is_substituted || check->resource->kind == KIND_SECRET)
        return SLICE("(hidden)");
    return slice_sub(node_text(node), 0, 80);
}

// ---- scalars ------------------------------------------------------------------------------------------------------

static bool is_listed(struct slice text, const char *const *values)
{
    for (; *values; values++)
        if (slice_eq(text, slice_from_cstr(*values)))
            return true;
    return false;
}

static struct slice list_of(struct check *check, const char *const *values)
{
    struct slice all = slice_from_cstr(*values);
    while (*++values)
        all = arena_printf(check->arena, SLICE_FMT ", %s", SLICE_ARG(all), *values);
    return all;
}

static void check_value(struct check *check, const struct field *field, const struct node *node)
{
    struct slice text = node_text(node);
    if (!is_listed(text, field->values)) {
        struct slice near = node->is_substituted ? SLICE("") : nearest_name(text, field->values);
        struct slice all = list_of(check, field->values);
        check_error(check, node, "%s: \"" SLICE_FMT "\" is not one of " SLICE_FMT "%s" SLICE_FMT "%s", field->name,
                    SLICE_ARG(check_quote(check, node)), SLICE_ARG(all), near.len ? "; did you mean " : "",
                    SLICE_ARG(near), near.len ? "?" : "");
    } else if (field->served && !is_listed(text, field->served)) {
        check_error(check, node, "%s: " SLICE_FMT " is not done yet%s%s", field->name, SLICE_ARG(text),
                    field->words ? ": " : "", field->words ? field->words : "");
    }
}

static void check_length(struct check *check, const char *name, const struct node *node, int64_t min, int64_t max)
{
    size_t len = node_text(node).len;
    if (len < (size_t)min)
        check_error(check, node, "%s: must not be %s", name, len ? "so short" : "empty");
    else if (max && len > (size_t)max)
        check_error(check, node, "%s: Too long: may not be longer than %lld", name, (long long)max);
}

static const char *type_words(enum field_type type)
{
    static const char *const words[] = {
        [FIELD_STRING] = "a string",
        [FIELD_INT] = "a whole number",
        [FIELD_NUMBER] = "a number",
        [FIELD_BOOL] = "true or false",
        [FIELD_DURATION] = "a duration such as 30s, 5m or 1h30m",
        [FIELD_QUANTITY] = "a quantity of bytes above 0, such as 50Mi",
        [FIELD_TIME] = "a time such as 2026-01-31T12:00:00Z (RFC 3339)",
        [FIELD_LIST] = "a list",
        [FIELD_OBJECT] = "a map",
        [FIELD_MAP] = "a map",
        [FIELD_ANY] = "anything",
    };
    return words[type];
}

static const char *node_words(enum node_type type)
{
    static const char *const words[] = {
        [NODE_NULL] = "nothing",  [NODE_BOOL] = "true or false",
        [NODE_INT] = "a number",  [NODE_FLOAT] = "a decimal number",
        [NODE_STRING] = "a text", [NODE_LIST] = "a list",
        [NODE_MAP] = "a map",
    };
    return words[type];
}

static void complain_type(struct check *check, const char *name, enum field_type type, const struct node *node)
{
    bool wants_quotes = type == FIELD_STRING && node->type >= NODE_BOOL && node->type <= NODE_FLOAT;
    check_error(check, node, "%s: must be %s, not %s%s", name, type_words(type), node_words(node->type),
                wants_quotes ? ": put it in quotes" : "");
}

static void check_string(struct check *check, const struct field *field, const struct node *node, int64_t min,
                         int64_t max)
{
    if (node->type != NODE_STRING && !(node->is_substituted && node_is_scalar(node))) {
        complain_type(check, field->name, FIELD_STRING, node);
        return;
    }
    size_t errors = check->findings->error_count;
    check_length(check, field->name, node, min, max);
    if (check->findings->error_count == errors && !pattern_matches(field->pattern, node_text(node)))
        check_error(check, node, "%s: \"" SLICE_FMT "\" must be " SLICE_FMT, field->name,
                    SLICE_ARG(check_quote(check, node)), SLICE_ARG(pattern_words(field->pattern)));
    if (field->values)
        check_value(check, field, node);
}

static void check_int(struct check *check, const struct field *field, const struct node *node, int64_t min, int64_t max)
{
    int64_t value;
    if (node->type != NODE_INT)
        complain_type(check, field->name, FIELD_INT, node);
    else if (!node_to_i64(node, &value))
        check_error(check, node, "%s: the number is too large", field->name);
    else if ((min || max) && (value < min || value > max))
        check_error(check, node, "%s: must be %lld to %lld", field->name, (long long)min, (long long)max);
}

static void check_other(struct check *check, const struct field *field, enum field_type type, const struct node *node,
                        int64_t min)
{
    int64_t number = INT64_MAX; // stays so but for durations
    int64_t time;
    uint64_t bytes;
    bool is_good = true;
    if (type == FIELD_NUMBER)
        is_good = node->type == NODE_INT || node->type == NODE_FLOAT;
    else if (type == FIELD_BOOL)
        is_good = node->type == NODE_BOOL;
    else if (type == FIELD_DURATION)
        is_good = node_to_ms(node, &number);
    else if (type == FIELD_QUANTITY)
        is_good = node_to_bytes(node, &bytes) && bytes > 0;
    else if (type == FIELD_TIME)
        is_good = node_to_time(node, &time);
    // A number of the wrong size, or a text that reads otherwise; all else is of the wrong type.
    bool is_number = node->type == NODE_INT || node->type == NODE_FLOAT;
    bool takes_number = type == FIELD_QUANTITY || type == FIELD_DURATION;
    if (!is_good && (node->type == NODE_STRING || (is_number && takes_number)))
        check_error(check, node, "%s: \"" SLICE_FMT "\" must be %s", field->name, SLICE_ARG(check_quote(check, node)),
                    type_words(type));
    else if (!is_good)
        complain_type(check, field->name, type, node);
    else if (number < min)
        check_error(check, node, "%s: must be longer than 0s", field->name);
}

// ---- lists and maps -----------------------------------------------------------------------------------------------

static void check_object(struct check *check, const struct field *fields, struct node *map);

static void check_typed(struct check *check, const struct field *field, enum field_type type, bool is_item,
                        struct node *node)
{
    int64_t min = is_item ? field->item_min : field->min;
    int64_t max = is_item ? field->item_max : field->max;
    if (node->is_unset)
        return;
    if (type == FIELD_STRING) {
        check_string(check, field, node, min, max);
    } else if (type == FIELD_INT) {
        check_int(check, field, node, min, max);
    } else if (type == FIELD_OBJECT) {
        if (node->type != NODE_MAP) {
            complain_type(check, field->name, type, node);
            return;
        }
        check_object(check, field->fields, node);
        // Rules come last, on malformed objects too: they take what is missing or of another type as absent.
        if (field->rule)
            field->rule(check, node);
    } else {
        check_other(check, field, type, node, min);
    }
}

static struct node *unique_key(const struct field *field, struct node *item)
{
    return field->unique_by[0] ? node_get(item, slice_from_cstr(field->unique_by)) : item;
}

static void check_unique(struct check *check, const struct field *field, const struct node *list)
{
    struct map seen;
    map_init(&seen, check->arena, 0);
    for (struct node *item = list->first; item; item = item->next) {
        struct node *key = unique_key(field, item);
        if (!key || !node_is_scalar(key))
            continue;
        const struct node *first = map_get(&seen, key->text);
        if (!first)
            map_put(&seen, key->text, key);
        else if (field->unique_words)
            check_error(check, key, "%s: \"" SLICE_FMT "\" stands in line %u already", field->unique_words,
                        SLICE_ARG(check_quote(check, key)), first->mark.line);
        else
            check_error(check, key, "%s: Duplicate value: \"" SLICE_FMT "\" stands in line %u already", field->name,
                        SLICE_ARG(check_quote(check, key)), first->mark.line);
    }
}

static void check_count(struct check *check, const struct field *field, const struct node *node)
{
    if (node->count < (size_t)field->min)
        check_error(check, node, "%s: must have at least %lld %s", field->name, (long long)field->min,
                    field->min == 1 ? "entry" : "entries");
    else if (field->max && node->count > (size_t)field->max)
        check_error(check, node, "%s: Too many: %zu: must have at most %lld items", field->name, node->count,
                    (long long)field->max);
}

static void check_entries(struct check *check, const struct field *field, struct node *node)
{
    if (node->type != (field->type == FIELD_LIST ? NODE_LIST : NODE_MAP)) {
        complain_type(check, field->name, field->type, node);
        node->first = node->last = NULL; // entries of something else would be taken for what is wanted here
        node->count = 0;
        return;
    }
    check_count(check, field, node);
    for (struct node *item = node->first; item; item = item->next) {
        if (item->type == NODE_NULL && field->item != FIELD_ANY)
            check_error(check, item, "%s: an entry is empty", field->name);
        else
            check_typed(check, field, field->item, true, item);
    }
    if (field->unique_by)
        check_unique(check, field, node);
    if (field->list_rule)
        field->list_rule(check, node);
}

// ---- objects ------------------------------------------------------------------------------------------------------

static const struct field *find_field(const struct field *fields, struct slice name)
{
    for (; fields->name; fields++)
        if (slice_eq(name, slice_from_cstr(fields->name)))
            return fields;
    return NULL;
}

static struct slice nearest_field(struct slice word, const struct field *fields)
{
    struct nearest nearest = nearest_to(word);
    for (; fields->name; fields++)
        nearest_try(&nearest, slice_from_cstr(fields->name));
    return nearest.name;
}

static void complain_unknown(struct check *check, const struct field *fields, const struct node *member)
{
    struct slice near = nearest_field(member->key, fields);
    struct slice shown = slice_sub(member->key, 0, 80);
    if (near.len)
        check_error_at(check, member->key_mark, "unknown field \"" SLICE_FMT "\": did you mean \"" SLICE_FMT "\"?",
                       SLICE_ARG(shown), SLICE_ARG(near));
    else
        check_error_at(check, member->key_mark, "unknown field \"" SLICE_FMT "\": there is none of this name here",
                       SLICE_ARG(shown));
}

static void check_member(struct check *check, const struct field *field, struct node *member)
{
    if (field->support == SUPPORT_REFUSED) {
        if (!field->harmless || !slice_eq(node_text(member), slice_from_cstr(field->harmless)))
            check_error_at(check, member->key_mark, "%s: %s%s", field->name, field->words,
                           strchr(field->words, ':') ? "" : "; take it out"); // else the words say what to do
        return;
    }
    if (field->support == SUPPORT_SILENT)
        return;
    if (field->support == SUPPORT_IGNORED) {
        finding_note(check->findings, member->key_mark, "%s: has no effect here: %s", field->name, field->words);
        return;
    }
    if (field->type == FIELD_LIST || field->type == FIELD_MAP)
        check_entries(check, field, member);
    else
        check_typed(check, field, field->type, false, member);
}

// Only scalars have presets. Their type is that of the text, as if it stood in the file unquoted.
static void fill_in(struct check *check, const struct field *field, struct node *map)
{
    struct slice text = slice_from_cstr(field->preset);
    struct slice name = slice_from_cstr(field->name);
    struct node *node = node_member(map, name); // an explicit null
    if (!node)
        node = node_add(check->arena, map, name, NODE_NULL, text);
    if (!node)
        return;
    node->type = field->type == FIELD_STRING ? NODE_STRING : document_plain_type(text);
    node->text = text;
    node->is_default = true;
}

static void check_absent(struct check *check, const struct field *fields, struct node *map)
{
    for (const struct field *field = fields; field->name; field++) {
        if (!field->is_required && !field->preset)
            continue;
        if (node_get(map, slice_from_cstr(field->name)))
            continue;
        if (field->preset)
            fill_in(check, field, map);
        else
            check_error(check, map, "%s: Required value: the field is missing here", field->name);
    }
}

static void check_object(struct check *check, const struct field *fields, struct node *map)
{
    for (struct node *member = map->first; member; member = member->next) {
        const struct field *field = find_field(fields, member->key);
        if (!field)
            complain_unknown(check, fields, member);
        else if (member->type != NODE_NULL)
            check_member(check, field, member);
    }
    check_absent(check, fields, map);
}

// ---- the frame of every resource ----------------------------------------------------------------------------------

// metadata of Kubernetes' objects: what the gateway does not read is accepted, since `kubectl get -o yaml` writes it.
static const struct field metadata_fields[] = {
    {.name = "name", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_DNS_SUBDOMAIN, .min = 1, .max = 253},
    {.name = "namespace", .type = FIELD_STRING, .pattern = PATTERN_DNS_LABEL, .min = 1, .max = 63},
    {.name = "annotations", .type = FIELD_MAP, .item = FIELD_STRING},
    {.name = "labels", .type = FIELD_MAP, .item = FIELD_STRING},
    {.name = "creationTimestamp", .type = FIELD_TIME},
    {.name = "uid", .support = SUPPORT_SILENT},
    {.name = "resourceVersion", .support = SUPPORT_SILENT},
    {.name = "generation", .support = SUPPORT_SILENT},
    {.name = "generateName", .support = SUPPORT_SILENT},
    {.name = "managedFields", .support = SUPPORT_SILENT},
    {.name = "ownerReferences", .support = SUPPORT_SILENT},
    {.name = "finalizers", .support = SUPPORT_SILENT},
    {.name = "deletionTimestamp", .support = SUPPORT_SILENT},
    {.name = "deletionGracePeriodSeconds", .support = SUPPORT_SILENT},
    {.name = "selfLink", .support = SUPPORT_SILENT},
    {.name = NULL},
};

static const struct field frame_fields[] = {
    {.name = "apiVersion", .support = SUPPORT_SILENT},
    {.name = "kind", .support = SUPPORT_SILENT},
    {.name = "metadata", .type = FIELD_OBJECT, .fields = metadata_fields},
    {.name = "status", .support = SUPPORT_SILENT},
    {.name = NULL},
};

void check_resource(struct check *check, const struct kind *kind, struct node *root)
{
    for (struct node *member = root->first; member; member = member->next) {
        const struct field *field = find_field(kind->fields, member->key);
        if (!field)
            field = find_field(frame_fields, member->key);
        if (!field)
            complain_unknown(check, nearest_field(member->key, kind->fields).len ? kind->fields : frame_fields, member);
        else if (member->type != NODE_NULL)
            check_member(check, field, member);
    }
    if (!node_get(root, SLICE("metadata")))
        check_error(check, root, "metadata: Required value: every resource needs a metadata.name");
    check_absent(check, kind->fields, root);
}
