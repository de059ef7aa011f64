// Credentials of backends: which one holds for a request, and how it is put into the upstream head (S7). Pure: keys come
// in as secrets, and go out only into the field list of the one attempt that they are for.
#ifndef WEIR_CREDENTIAL_CREDENTIAL_H
#define WEIR_CREDENTIAL_CREDENTIAL_H

#include "config/model.h"
#include "http/head.h"

enum credential_choice {
    CREDENTIAL_USE,     // *ret_key is to be applied
    CREDENTIAL_UNUSED,  // the backend has no policy
    CREDENTIAL_MISSING, // 401: the request had to bring one and did not
};
// `from_request`: the value of the override header as the client sent it, empty when absent. Blank counts as absent.
enum credential_choice credential_choose(const struct config_credential *credential, struct slice from_request,
                                         struct secret *ret_key);

// Sets the field that carries `key`, in the place of any that the client or a mutation put there. The value's bytes are
// built in `arena` (or borrowed from the key); *ret_value names them, for secret_wipe when the attempt is over if
// *ret_is_owned. False without memory or when the key cannot be a field value.
bool credential_apply(enum config_credential_type type, struct secret key, struct arena *arena, struct fields *fields,
                      struct secret *ret_value, bool *ret_is_owned);

#endif
