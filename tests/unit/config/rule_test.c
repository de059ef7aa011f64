// When all attempts of a rule are the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/rule.h"

static struct config_endpoint endpoints[2] = {{.host = SLICE_INIT("192.0.2.1"), .port = 80, .is_ip = true},
                                              {.host = SLICE_INIT("192.0.2.2"), .port = 80, .is_ip = true}};
static struct config_backend one = {.endpoints = endpoints, .endpoint_count = 1};
static struct config_backend two = {.endpoints = endpoints, .endpoint_count = 2};
static struct config_backend named = {.endpoints = endpoints, .endpoint_count = 2, .host = SLICE_INIT("a.example.com")};
static struct config_backend empty = {.endpoints = endpoints};

static const struct config_backend_ref *only(struct config_backend_ref *refs, size_t count, uint32_t triggers)
{
    struct config_rule rule = {.refs = refs, .ref_count = count};
    rule.traffic.retry.is_set = triggers != 0;
    rule.traffic.retry.triggers = triggers;
    return config_rule_only_ref(&rule);
}

static void one_backend(void **state)
{
    (void)state;
    struct config_backend_ref refs[] = {{.backend = &one, .weight = 1}, {.backend = &two, .weight = 0}};
    assert_ptr_equal(only(refs, 1, 0), &refs[0]);
    assert_ptr_equal(only(refs, 2, 0), &refs[0]); // what has no weight is never called
    assert_null(only(refs, 0, 0));
}

static void several_backends(void **state)
{
    (void)state;
    struct config_backend_ref refs[] = {{.backend = &one, .weight = 1}, {.backend = &one, .weight = 1, .priority = 1}};
    assert_null(only(refs, 2, 0));
}

static void several_names(void **state)
{
    (void)state;
    struct config_backend_ref refs[] = {{.backend = &two, .weight = 1}, {.backend = &named, .weight = 1}};
    struct config_backend_ref none[] = {{.backend = &empty, .weight = 1}, {.weight = 1}};
    assert_null(only(refs, 1, 0)); // each address is a Host of its own
    assert_ptr_equal(only(refs + 1, 1, 0), &refs[1]);
    assert_null(only(none, 2, 0));
}

static void proxied(void **state)
{
    (void)state;
    static const struct config_forward_proxy proxy;
    struct config_backend behind = one;
    behind.proxy = &proxy;
    struct config_backend_ref refs[] = {{.backend = &behind, .weight = 1}};
    assert_null(only(refs, 1, 0));
}

static void retried(void **state)
{
    (void)state;
    struct config_backend_ref refs[] = {{.backend = &one, .weight = 1}};
    assert_ptr_equal(only(refs, 1, RETRY_CONNECT_FAILURE), &refs[0]);
    assert_null(only(refs, 1, RETRY_CONNECT_FAILURE | RETRY_STATUS_CODES));
    assert_null(only(refs, 1, RETRY_RESET));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_backend), cmocka_unit_test(several_backends), cmocka_unit_test(several_names),
        cmocka_unit_test(proxied),     cmocka_unit_test(retried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
