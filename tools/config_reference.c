// Prints docs/configuration.md: the configuration reference, from the tables of the loader.
#include "config/reference.h"

#include <stdio.h>

int main(void)
{
    struct buf buf;
    buf_init(&buf, (size_t)1 << 20);
    bool is_good = config_reference_write(&buf) && fwrite(buf.ptr, 1, buf.len, stdout) == buf.len;
    buf_fini(&buf);
    return is_good ? 0 : 1;
}
