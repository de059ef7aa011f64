// One pass over each scalar that has a "${"; others keep their bytes.
#include "config/substitute.h"

struct substitution {
    struct arena *arena;
    const struct config_env *env;
    struct findings *findings;
    size_t errors;
};

// The parts that a value is made of; joined at the end.
struct parts {
    struct slice *items;
    size_t count;
    size_t cap;
    size_t bytes;
};

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0;
}

// `name` is what stands in the file, never a value of the environment.
static void complain(struct substitution *sub, const struct node *node, struct slice name, const char *what)
{
    finding_error(sub->findings, node->mark, "${" SLICE_FMT "}: %s", SLICE_ARG(slice_sub(name, 0, 80)), what);
    sub->errors++;
}

// The value of what stands between the braces.
static struct slice look_up(struct substitution *sub, const struct node *node, struct slice inside)
{
    struct slice value = {"", 0};
    struct slice fallback = {NULL, 0};
    struct slice name = inside;
    size_t colon = slice_find(inside, ':');
    if (colon != SLICE_NOT_FOUND) {
        name = slice_sub(inside, 0, colon);
        fallback = slice_from(inside, colon);
        bool is_default = slice_starts_with(fallback, SLICE(":=")) || slice_starts_with(fallback, SLICE(":-"));
        fallback = is_default ? slice_from(fallback, 2) : (struct slice){NULL, 0};
        if (!is_default)
            name = inside; // said to be malformed below
    }
    if (!is_name(name)) {
        complain(sub, node, inside, "write ${NAME} or ${NAME:=default}, or $${ for the text ${");
        return value;
    }
    bool is_set = sub->env && sub->env->get && sub->env->get(sub->env->context, name, &value);
    if (fallback.ptr && (!is_set || value.len == 0))
        return fallback;
    if (!is_set)
        complain(sub, node, name, "the environment variable is not set; set it, or give a default: ${NAME:=default}");
    return is_set ? value : SLICE("");
}

static bool add_part(struct substitution *sub, struct parts *parts, struct slice part)
{
    if (!ARENA_GROW(sub->arena, parts))
        return false;
    parts->items[parts->count++] = part;
    parts->bytes += part.len;
    return parts->bytes <= SUBSTITUTE_MAX_BYTES;
}

// Cuts the text into parts. False: it is too long, or memory was refused.
static bool expand(struct substitution *sub, const struct node *node, struct parts *parts)
{
    struct slice rest = node->text;
    for (;;) {
        size_t at = slice_find_slice(rest, SLICE("${"));
        if (at == SLICE_NOT_FOUND)
            return add_part(sub, parts, rest);
        bool is_escaped = at > 0 && rest.ptr[at - 1] == '$';
        if (!add_part(sub, parts, slice_sub(rest, 0, is_escaped ? at - 1 : at)))
            return false;
        rest = slice_from(rest, at);
        if (is_escaped) {
            if (!add_part(sub, parts, slice_sub(rest, 0, 2)))
                return false;
            rest = slice_from(rest, 2);
            continue;
        }
        size_t end = slice_find(rest, '}');
        if (end == SLICE_NOT_FOUND) {
            complain(sub, node, SLICE("..."), "the closing } is missing; write $${ for the text ${");
            return true;
        }
        if (!add_part(sub, parts, look_up(sub, node, slice_sub(rest, 2, end - 2))))
            return false;
        rest = slice_from(rest, end + 1);
    }
}

static void substitute_scalar(struct substitution *sub, struct node *node)
{
    struct parts parts = {0};
    if (slice_find_slice(node->text, SLICE("${")) == SLICE_NOT_FOUND)
        return;
    size_t errors = sub->errors;
    if (!expand(sub, node, &parts)) {
        complain(sub, node, SLICE("..."), "the value is longer than 1 MiB after substitution");
        return;
    }
    node->is_unset = sub->errors > errors;
    struct slice text = arena_join(sub->arena, parts.items, parts.count);
    if (!text.ptr)
        return;
    node->text = text;
    node->is_substituted = true;
    // An empty text is a text here, not a null: the variable was meant to be the value.
    if (!node->is_quoted && text.len)
        node->type = document_plain_type(text);
}

// Recurses as deep as the document, at most DOCUMENT_MAX_DEPTH.
static void walk(struct substitution *sub, struct node *node)
{
    if (node_is_scalar(node))
        substitute_scalar(sub, node);
    for (struct node *child = node->first; child; child = child->next)
        walk(sub, child);
}

size_t substitute(struct node *node, struct arena *arena, const struct config_env *env, struct findings *findings)
{
    struct substitution sub = {.arena = arena, .env = env, .findings = findings};
    walk(&sub, node);
    return sub.errors;
}
