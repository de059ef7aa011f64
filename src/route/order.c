// The order of the table: S4, one function a step, the first that tells two entries apart decides.
#include "config/hostname.h"
#include "route/table.h"

typedef int compare_step(const struct route_entry *a, const struct route_entry *b);

// More stands before less.
static int by_more(size_t a, size_t b)
{
    return (a < b) - (a > b);
}

static int host_class(struct slice hostname)
{
    return hostname.len == 0 ? 0 : hostname_is_wildcard(hostname) ? 1 : 2;
}

static int by_host(const struct route_entry *a, const struct route_entry *b)
{
    int by_class = host_class(b->hostname) - host_class(a->hostname);
    if (by_class != 0)
        return by_class;
    if (a->hostname.len != b->hostname.len)
        return by_more(a->hostname.len, b->hostname.len);
    return slice_cmp(a->hostname, b->hostname); // never both apply; keeps the entries of a hostname together
}

static int path_class(const struct route_entry *entry)
{
    switch (entry->path_type) {
    case MATCH_EXACT:
        return 2;
    case MATCH_PREFIX:
        return 1;
    default:
        return 0;
    }
}

static int by_path(const struct route_entry *a, const struct route_entry *b)
{
    int by_class = path_class(b) - path_class(a);
    return by_class != 0 ? by_class : by_more(a->path.len, b->path.len);
}

static int by_method(const struct route_entry *a, const struct route_entry *b)
{
    return by_more(a->method.len > 0, b->method.len > 0);
}

static int by_headers(const struct route_entry *a, const struct route_entry *b)
{
    return by_more(a->header_count, b->header_count);
}

static int by_query(const struct route_entry *a, const struct route_entry *b)
{
    return by_more(a->query_count, b->query_count);
}

static int by_exact(const struct route_entry *a, const struct route_entry *b)
{
    return by_more(a->exact_count, b->exact_count);
}

static int by_age(const struct route_entry *a, const struct route_entry *b)
{
    if (a->route->has_created != b->route->has_created)
        return a->route->has_created ? -1 : 1;
    if (!a->route->has_created)
        return 0;
    return (a->route->created_s > b->route->created_s) - (a->route->created_s < b->route->created_s);
}

// Counts only where no route has a time.
static int by_document(const struct route_entry *a, const struct route_entry *b)
{
    return a->route->has_created ? 0 : by_more(b->route->order, a->route->order);
}

static int by_name(const struct route_entry *a, const struct route_entry *b)
{
    int by_namespace = slice_cmp(a->route->namespace_, b->route->namespace_);
    if (by_namespace != 0)
        return by_namespace;
    int by_own_name = slice_cmp(a->route->name, b->route->name);
    // An AIGatewayRoute and an HTTPRoute may have the same name.
    return by_own_name != 0 ? by_own_name : by_more(b->route->order, a->route->order);
}

static int by_rule(const struct route_entry *a, const struct route_entry *b)
{
    int by_index = by_more(b->rule->index, a->rule->index);
    return by_index != 0 ? by_index : by_more(b->match_index, a->match_index);
}

static const struct {
    compare_step *compare;
    struct slice text;
} steps[] = {
    [ORDER_HOST] = {by_host, SLICE_INIT("its host is more specific")},
    [ORDER_PATH] = {by_path, SLICE_INIT("its path is more specific")},
    [ORDER_METHOD] = {by_method, SLICE_INIT("it names a method")},
    [ORDER_HEADERS] = {by_headers, SLICE_INIT("it has more header conditions")},
    [ORDER_QUERY] = {by_query, SLICE_INIT("it has more query conditions")},
    [ORDER_EXACT] = {by_exact, SLICE_INIT("it has exact values where the other has regular expressions")},
    [ORDER_AGE] = {by_age, SLICE_INIT("its route is older")},
    [ORDER_DOCUMENT] = {by_document, SLICE_INIT("its route stands first in the configuration")},
    [ORDER_NAME] = {by_name, SLICE_INIT("its route comes first by namespace and name")},
    [ORDER_RULE] = {by_rule, SLICE_INIT("it stands first in the route")},
};

int entry_compare(const struct route_entry *a, const struct route_entry *b, enum order_step *ret_step)
{
    for (enum order_step step = ORDER_HOST; step < ORDER_SAME; step++) {
        int order = steps[step].compare(a, b);
        if (order != 0) {
            *ret_step = step;
            return order;
        }
    }
    *ret_step = ORDER_SAME;
    return 0;
}

struct slice order_step_text(enum order_step step)
{
    return step < ORDER_SAME ? steps[step].text : SLICE("");
}
