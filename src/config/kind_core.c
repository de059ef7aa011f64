// Secret and ConfigMap of the core group, and ReferenceGrant: what others refer to.
#include "config/kind_shared.h"

static const struct field secret_fields[] = {
    {.name = "data", .type = FIELD_MAP, .item = FIELD_STRING, .doc = "Entries in base64."},
    {.name = "stringData", .type = FIELD_MAP, .item = FIELD_STRING, .doc = "Entries as they are; win over data."},
    {.name = "type", .type = FIELD_STRING, .support = SUPPORT_SILENT, .doc = "Left alone."},
    {.name = "immutable", .type = FIELD_BOOL, .support = SUPPORT_SILENT, .doc = "Left alone."},
    END_OF_FIELDS,
};

const struct kind kind_secret = {
    .kind = KIND_SECRET,
    .name = "Secret",
    .group = "",
    .versions = {"v1"},
    .fields = secret_fields,
    .doc = "Keys and certificates. The annotations substitution.aigw.run/env/KEY: VARIABLE and "
           "substitution.aigw.run/file/KEY: PATH fill the entry KEY from the environment or from a file.",
};

static const struct field config_map_fields[] = {
    {.name = "data", .type = FIELD_MAP, .item = FIELD_STRING, .doc = "Entries as they are."},
    {.name = "binaryData", .type = FIELD_MAP, .item = FIELD_STRING, .doc = "Entries in base64."},
    {.name = "immutable", .type = FIELD_BOOL, .support = SUPPORT_SILENT, .doc = "Left alone."},
    END_OF_FIELDS,
};

const struct kind kind_config_map = {
    .kind = KIND_CONFIG_MAP,
    .name = "ConfigMap",
    .group = "",
    .versions = {"v1"},
    .fields = config_map_fields,
    .doc = "Certificates of authorities (entry ca.crt) for BackendTLSPolicy.",
};

static const struct field grant_from[] = {
    {.name = "group", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_GROUP, .doc = "Group."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "Kind that refers."},
    {.name = "namespace",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_DNS_LABEL,
     .min = 1,
     .max = 63,
     .doc = "Where it stands."},
    END_OF_FIELDS,
};

static const struct field grant_to[] = {
    {.name = "group", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_GROUP, .doc = "Group."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "Kind referred to."},
    {.name = "name",
     .type = FIELD_STRING,
     .min = 1,
     .max = 253,
     .absent = "all of the kind",
     .doc = "The one that may be referred to."},
    END_OF_FIELDS,
};

static const struct field grant_spec[] = {
    {.name = "from",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = grant_from,
     .is_required = true,
     .min = 1,
     .max = 16,
     .doc = "Who may refer."},
    {.name = "to",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = grant_to,
     .is_required = true,
     .min = 1,
     .max = 16,
     .doc = "To what in this namespace."},
    END_OF_FIELDS,
};

const struct kind kind_reference_grant = {
    .kind = KIND_REFERENCE_GRANT,
    .name = "ReferenceGrant",
    .group = GROUP_GATEWAY,
    .versions = {"v1beta1", "v1", "v1alpha2"},
    .fields = SPEC(.is_required = true, .fields = grant_spec, .doc = "The grant."),
    .doc = "Lets resources of other namespaces refer to those of its own.",
};
