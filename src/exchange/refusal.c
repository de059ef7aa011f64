#include "exchange/refusal.h"

#include "schema/schema.h"

// The lowest `count` digits of `bits`.
static void write_hex(char *at, uint64_t bits, size_t count)
{
    for (size_t i = count; i-- > 0; bits >>= 4)
        at[i] = "0123456789abcdef"[bits & 15];
}

void request_id_write(char id[REQUEST_ID_BYTES], uint64_t random, uint64_t random2)
{
    uint64_t high = (random & ~0xf000ULL) | 0x4000ULL;
    uint64_t low = (random2 & ~(3ULL << 62)) | (2ULL << 62);
    id[8] = id[13] = id[18] = id[23] = '-';
    write_hex(id, high >> 32, 8);
    write_hex(id + 9, high >> 16, 4);
    write_hex(id + 14, high, 4);
    write_hex(id + 19, low >> 48, 4);
    write_hex(id + 24, low, 12);
}

void refusal_make(struct refusal *refusal, enum error_code error, uint64_t random, uint64_t random2)
{
    const struct error_info *info = error_info(error);
    struct schema_error shown = {
        .status = info->status, .type = info->type, .code = info->code, .message = info->message};
    struct buf body = {.ptr = refusal->text, .cap = sizeof refusal->text, .max = sizeof refusal->text};
    schema_write_error(FAMILY_OPENAI, &shown, &body);
    request_id_write(refusal->id, random, random2);
    refusal->body = buf_slice(&body);
    refusal->fields[0] = (struct field){SLICE("content-type"), SLICE("application/json")};
    refusal->fields[1] = (struct field){SLICE("x-request-id"), slice_make(refusal->id, sizeof refusal->id)};
    refusal->fields[2] = (struct field){SLICE("allow"), SLICE(HTTP_METHODS_SERVED)};
    refusal->head = (struct response_head){
        .status = info->status,
        .fields = {refusal->fields, error == ERROR_METHOD_NOT_ALLOWED ? 3 : 2, 3},
    };
}
