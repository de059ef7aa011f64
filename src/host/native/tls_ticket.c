// Ticket keys: a new one each hour, three kept. A ticket under an older key is taken and renewed.
#include "host/native/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define KEY_COUNT 3
#define TURN_S 3600

struct ticket_key {
    unsigned char name[16];
    unsigned char cipher[32];
    unsigned char mac[32];
    int64_t made_s; // 0: none
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ticket_key keys[KEY_COUNT]; // the newest first

static int64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1;
}

static bool is_alive(const struct ticket_key *key)
{
    return key->made_s && now_s() - key->made_s < TICKET_LIFETIME_S + TURN_S;
}

// The key for new tickets, made when it is time.
static bool newest_key(struct ticket_key *ret_key)
{
    bool is_fine = true;
    pthread_mutex_lock(&lock);
    if (!keys[0].made_s || now_s() - keys[0].made_s >= TURN_S) {
        struct ticket_key next = {.made_s = now_s()};
        is_fine = RAND_bytes(next.name, sizeof next.name) == 1 &&
                  RAND_priv_bytes(next.cipher, sizeof next.cipher) == 1 &&
                  RAND_priv_bytes(next.mac, sizeof next.mac) == 1;
        if (is_fine) {
            memmove(&keys[1], &keys[0], (KEY_COUNT - 1) * sizeof keys[0]);
            keys[0] = next;
        }
        OPENSSL_cleanse(&next, sizeof next);
    }
    *ret_key = keys[0];
    pthread_mutex_unlock(&lock);
    return is_fine && ret_key->made_s;
}

static bool find_key(const unsigned char *name, struct ticket_key *ret_key, bool *ret_is_newest)
{
    bool is_found = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < KEY_COUNT && !is_found; i++)
        if (is_alive(&keys[i]) && CRYPTO_memcmp(keys[i].name, name, sizeof keys[i].name) == 0) {
            *ret_key = keys[i];
            *ret_is_newest = i == 0;
            is_found = true;
        }
    pthread_mutex_unlock(&lock);
    return is_found;
}

static bool use_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof key->mac),
                               OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
                               OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

// SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 go on, 2 go on and hand out a new ticket, 0 not ours, -1 failed.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                     int is_new)
{
    struct ticket_key key;
    bool is_newest = true;
    int result = -1;
    if (!is_new && !find_key(name, &key, &is_newest))
        return 0; // a full handshake
    if (is_new && (!newest_key(&key) || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1))
        return -1;
    if (is_new)
        memcpy(name, key.name, sizeof key.name);
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, is_new) == 1 && use_mac(mac, &key))
        result = is_new || (is_newest && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2; // RFC 8446, C.4: used once
    OPENSSL_cleanse(&key, sizeof key);
    return result;
}

int ticket_use(SSL_CTX *ssl)
{
    SSL_CTX_set_timeout(ssl, TICKET_LIFETIME_S);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); // nothing is kept here: the ticket holds it all
    return SSL_CTX_set_num_tickets(ssl, 1) == 1 && SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1;
}
