#include "exchange/refusal.h"

#include "schema/schema.h"

void request_id_write(char id[REQUEST_ID_BYTES], uint64_t random, uint64_t random2)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t halves[2] = {(random & ~0xf000ULL) | 0x4000ULL, (random2 & ~(3ULL << 62)) | (2ULL << 62)};
    for (size_t nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20)
            *id++ = '-';
        *id++ = digits[(halves[nibble / 16] >> (60 - 4 * (nibble % 16))) & 15];
    }
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
