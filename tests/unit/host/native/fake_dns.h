// A name server on the test's own loop: one answer a family, or silence.
#ifndef WEIR_TESTS_FAKE_DNS_H
#define WEIR_TESTS_FAKE_DNS_H

#include "host/native/dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_ADDRESSES 4

struct fake_dns {
    uv_udp_t udp;
    uint16_t port;
    const char *v4[FAKE_ADDRESSES];
    const char *v6[FAKE_ADDRESSES];
    bool is_v4_silent;
    bool is_v6_silent;
    uint32_t ttl_s;
    int asked_v4;
    int asked_v6;
    char input[1500];
};

static void fake_dns_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    struct fake_dns *fake = handle->data;
    (void)wanted;
    *ret_buf = uv_buf_init(fake->input, sizeof fake->input);
}

// One answer record for the question's name (a pointer to offset 12).
static size_t fake_dns_record(const struct fake_dns *fake, unsigned char *out, int family, const char *address)
{
    size_t len = family == AF_INET ? 4 : 16;
    const unsigned char head[12] = {0xc0,
                                    12,
                                    0,
                                    family == AF_INET ? 1 : 28,
                                    0,
                                    1,
                                    (unsigned char)(fake->ttl_s >> 24),
                                    (unsigned char)(fake->ttl_s >> 16),
                                    (unsigned char)(fake->ttl_s >> 8),
                                    (unsigned char)fake->ttl_s,
                                    0,
                                    (unsigned char)len};
    memcpy(out, head, sizeof head);
    inet_pton(family, address, out + sizeof head);
    return sizeof head + len;
}

static void fake_dns_asked(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    struct fake_dns *fake = udp->data;
    unsigned char out[1500];
    size_t end = 12, count = 0;
    (void)flags;
    if (len < 17 || !from)
        return;
    const unsigned char *in = (const unsigned char *)buf->base;
    while (in[end])
        end += (size_t)in[end] + 1;
    int family = in[end + 2] == 28 ? AF_INET6 : AF_INET;
    end += 5;
    *(family == AF_INET ? &fake->asked_v4 : &fake->asked_v6) += 1;
    if (family == AF_INET ? fake->is_v4_silent : fake->is_v6_silent)
        return;
    memcpy(out, in, end);
    memset(out + 8, 0, 4);
    out[2] = 0x81, out[3] = 0x80;
    const char *const *addresses = family == AF_INET ? fake->v4 : fake->v6;
    for (size_t i = 0; i < FAKE_ADDRESSES && addresses[i]; i++, count++)
        end += fake_dns_record(fake, out + end, family, addresses[i]);
    out[6] = 0, out[7] = (unsigned char)count;
    uv_buf_t answer = uv_buf_init((char *)out, (unsigned)end);
    uv_udp_try_send(udp, &answer, 1, from);
}

// `dns` asks this one from now on.
static inline void fake_dns_start(struct fake_dns *fake, uv_loop_t *loop, struct dns *dns)
{
    struct sockaddr_in address;
    int len = sizeof address;
    char text[40];
    *fake = (struct fake_dns){.ttl_s = 60};
    uv_udp_init(loop, &fake->udp);
    fake->udp.data = fake;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_udp_bind(&fake->udp, (const struct sockaddr *)&address, 0);
    uv_udp_getsockname(&fake->udp, (struct sockaddr *)&address, &len);
    fake->port = ntohs(address.sin_port);
    uv_udp_recv_start(&fake->udp, fake_dns_room, fake_dns_asked);
    snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)fake->port);
    dns_set_servers(dns, text);
}

static inline void fake_dns_stop(struct fake_dns *fake)
{
    if (!uv_is_closing((uv_handle_t *)&fake->udp))
        uv_close((uv_handle_t *)&fake->udp, NULL);
}

#endif
