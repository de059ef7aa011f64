// The table of errors.
#include "base/error.h"

static const struct error_info infos[ERROR_COUNT] = {
    [ERROR_NONE] = {SLICE_INIT("none"), 200, SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""),
                    SLICE_INIT("")},
#define ERROR(name, status, type, code, details, flags, message)                                                       \
    [ERROR_##name] = {                                                                                                 \
        SLICE_INIT(#name),  status, SLICE_INIT(type), SLICE_INIT(code), SLICE_INIT(details), SLICE_INIT(flags),        \
        SLICE_INIT(message)},
#include "base/errors.def"
#undef ERROR
};

const struct error_info *error_info(enum error_code code)
{
    return &infos[(unsigned)code < ERROR_COUNT ? code : ERROR_INTERNAL];
}
