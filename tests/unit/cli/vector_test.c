// `weir test`: a case that should fail fails and says why; a wrong vector file is refused with its place.
#include "run_cli.h"

#define CONFIG "configFiles: [" WEIR_SOURCE_DIR "/examples/quickstart.yaml]\n"

static const char good[] =
    CONFIG "cases:\n"
           "  - name: the catch-all\n"
           "    request: {path: /v1/chat/completions, headers: ['content-type: application/json'], json: {model: m, "
           "messages: []}}\n"
           "    upstream: [{status: 200, headers: ['content-type: application/json'], json: {ok: true, n: 1.0}}]\n"
           "    expect:\n"
           "      rule: default/quickstart/1\n"
           "      attempts: [{backend: default/mock, method: POST, path: /v1/chat/completions, json: {messages: [], "
           "model: m},\n"
           "                  headers: {authorization: Bearer not-a-real-key, x-ai-eg-model: null}}]\n"
           "      response: {status: 200, json: {n: 1, ok: true}, end: complete, bodyContains: [ok]}\n";

static void test_a_good_file_passes(void **state)
{
    (void)state;
    const char *path = write_file("good.yaml", good);
    struct said said = RUN("test", path);
    assert_string_equal(said.err, "");
    assert_string_equal(said.out, "1 passed, 0 failed\n");
    assert_int_equal(said.status, CLI_OK);
    forget(&said);
    said = RUN("test", "-v", path);
    assert_says(said.out, "ok ");
    assert_says(said.out, "the catch-all");
    forget(&said);
    said = RUN("test", "--case", "nothing like it", path);
    assert_says(said.out, "0 passed, 0 failed\n");
    forget(&said);
    remove(path);
}

// Each line, put in the place of the expectations, must fail and name its difference.
static void test_each_expectation_can_fail(void **state)
{
    (void)state;
    static const struct {
        const char *expect;
        const char *says;
    } wrong[] = {
        {"rule: default/quickstart/0", "expected  default/quickstart/0"},
        {"rule: null", "got       default/quickstart/1"},
        {"attempts: []", "expected  0:"},
        {"attempts: [{}, {}]", "expected  2: (any) (any)"},
        {"attempts: [{backend: default/other}]", "attempts[0].backend"},
        {"attempts: [{method: GET}]", "attempts[0].method"},
        {"attempts: [{path: /v1/x}]", "attempts[0].path"},
        {"attempts: [{authority: other}]", "attempts[0].authority"},
        {"attempts: [{headers: {content-type: null}}]", "attempts[0].headers.content-type"},
        {"attempts: [{headers: {authorization: [a, b]}}]", "a | b"},
        {"attempts: [{json: {model: other, messages: []}}]", "attempts[0].json.model"},
        {"attempts: [{json: {model: m, messages: [1]}}]", "attempts[0].json.messages[0]"},
        {"attempts: [{json: {model: m}}]", "attempts[0].json.messages"},
        {"attempts: [{body: x}]", "attempts[0].body"},
        {"attempts: [{bodyAbsent: model}]", "attempts[0].bodyAbsent"},
        {"response: {status: 201}", "response.status"},
        {"response: {headers: {x-none: a}}", "got       (absent)"},
        {"response: {json: {}}", "response.json.error"},
        {"response: {bodyContains: [nope]}", "response.bodyContains"},
        {"response: {end: cut}", "response.end"},
        {"log: {nosuchfield: 1}", "log.nosuchfield"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[2048];
        snprintf(text, sizeof text,
                 CONFIG "cases:\n  - name: wrong\n    request: {path: /v1/chat/completions, headers: ['content-type: "
                        "application/json'], json: {model: m, messages: []}}\n"
                        "    upstream: [{json: {error: 1}}]\n    expect: {%s}\n",
                 wrong[i].expect);
        const char *path = write_file("wrong.yaml", text);
        struct said said = RUN("test", path);
        assert_int_equal(said.status, CLI_FAILED);
        assert_says(said.out, "0 passed, 1 failed\n");
        assert_says(said.out, wrong[i].says);
        forget(&said);
        remove(path);
    }
}

static void test_a_wrong_file_is_2_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *says;
    } wrong[] = {
        {"", "empty"},
        {"cases: [\n", "error"},
        {"cases: 1\n", ":1:8: error: this must be a list of cases"},
        {"casse: []\n", "unknown member 'casse'"},
        {"cases:\n  - request: {}\n", ":2:5: error: a case needs a name"},
        {"cases:\n  - name: x\n    expect:\n      respose: {}\n", ":4:7: error: unknown member 'respose'"},
        {"cases:\n  - name: x\n    upstream:\n      - fault: explode\n", ":4:16: error: a fault is"},
        {"cases:\n  - name: x\n    request: {body: a, json: 1}\n", "only one of"},
        {"cases:\n  - name: x\n    request: {bodyBase64: '?'}\n", "no base64"},
        {"cases:\n  - name: x\n    request: {headers: [broken]}\n", "'name: value'"},
        {"cases: []\n---\ncases: []\n", "one document"},
        {"configFiles: [/no/such/file.yaml]\ncases: []\n", "/no/such/file.yaml: error: can't read it"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *path = write_file("bad.yaml", wrong[i].text);
        struct said said = RUN("test", path);
        assert_int_equal(said.status, CLI_USAGE);
        assert_says(said.err, wrong[i].says);
        forget(&said);
        remove(path);
    }
    struct said said = RUN("test", "/no/such/file.yaml");
    assert_int_equal(said.status, CLI_USAGE);
    forget(&said);
}

static void test_a_wrong_configuration_fails_its_cases(void **state)
{
    (void)state;
    const char *path = write_file("config.yaml", "config: |\n  apiVersion: v1\n  kind: Secret\n  metadata: {nam: x}\n"
                                                 "cases:\n  - name: a\n  - name: b\n");
    struct said said = RUN("test", path);
    assert_int_equal(said.status, CLI_FAILED);
    assert_says(said.out, "0 passed, 2 failed\n");
    assert_says(said.out, "config.yaml:4:"); // the place in the vector file itself
    forget(&said);
    remove(path);
}

static void test_findings_can_be_expected(void **state)
{
    (void)state;
    const char *path = write_file("findings.yaml", "config: |\n  apiVersion: v1\n  kind: Secret\n  metadata: {nam: x}\n"
                                                   "findings: ['error: ']\n");
    struct said said = RUN("test", path);
    assert_int_equal(said.status, CLI_OK);
    assert_says(said.out, "1 passed, 0 failed\n");
    forget(&said);
    remove(path);
    path = write_file("findings.yaml", CONFIG "findings: ['no such finding']\ncases: []\n");
    said = RUN("test", path);
    assert_int_equal(said.status, CLI_FAILED);
    forget(&said);
    remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_passes),
        cmocka_unit_test(test_each_expectation_can_fail),
        cmocka_unit_test(test_a_wrong_file_is_2_with_its_place),
        cmocka_unit_test(test_a_wrong_configuration_fails_its_cases),
        cmocka_unit_test(test_findings_can_be_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
