// In OpenAI's shape, since no endpoint is known yet.
#include "host/native/refusal.h"

#include "host/native/worker.h"

#include <stdio.h>

static struct slice make_id(struct worker *worker, char *id, size_t cap)
{
    uint64_t random[2] = {worker_random(worker), worker_random(worker)};
    int len = snprintf(id, cap, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(random[0] >> 32),
                       (unsigned)(random[0] >> 16) & 0xffff, (unsigned)random[0] & 0xfff, (unsigned)(random[1] >> 52),
                       (unsigned long long)random[1] & 0xffffffffffffULL);
    return slice_make(id, (size_t)len);
}

void refusal_make(struct refusal *refusal, struct worker *worker, enum error_code error)
{
    const struct error_info *info = error_info(error);
    int len = snprintf(refusal->text, sizeof refusal->text,
                       "{\"error\":{\"message\":\"" SLICE_FMT "\",\"type\":\"" SLICE_FMT
                       "\",\"param\":null,\"code\":\"" SLICE_FMT "\"}}",
                       SLICE_ARG(info->message), SLICE_ARG(info->type), SLICE_ARG(info->code));
    refusal->body = slice_make(refusal->text, (size_t)len);
    refusal->fields[0] = (struct field){SLICE("content-type"), SLICE("application/json")};
    refusal->fields[1] = (struct field){SLICE("x-request-id"), make_id(worker, refusal->id, sizeof refusal->id)};
    refusal->fields[2] = (struct field){SLICE("allow"), SLICE(HTTP_METHODS_SERVED)};
    refusal->head = (struct response_head){
        .status = info->status,
        .fields = {refusal->fields, error == ERROR_METHOD_NOT_ALLOWED ? 3 : 2, 3},
    };
    counter_add(&worker->counters.refused_heads, 1);
}
