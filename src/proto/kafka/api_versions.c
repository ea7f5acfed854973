/* ApiVersions: which requests are served, in which versions. The first request of a connection (KIP-35,
 * KIP-511). */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/request.h"

static bool is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? as in ApiVersionsRequest.isValid(), KIP-511. */
static bool is_software_name(struct span s)
{
    if (s.len == 0 || !is_alnum(s.ptr[0]) || !is_alnum(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '.')
            return false;
    return true;
}

static void list_apis(struct kafka_request *r, struct kafka_api_versions_response *m)
{
    size_t count;
    const struct kafka_api *apis = kafka_api_list(&count);
    m->api_keys = arena_array(&r->arena, count, sizeof(*m->api_keys));
    m->api_keys_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct kafka_api_info *info = kafka_find_api(apis[i].key);
        m->api_keys[i] = (struct kafka_api_versions_response_api){
            .api_key = info->key, .min_version = info->advertised_min, .max_version = info->advertised_max};
    }
}

void kafka_api_versions_unsupported(struct kafka_request *r)
{
    struct kafka_api_versions_response m;
    kafka_api_versions_response_init(&m);
    m.error_code = kafka_error(r, KAFKA_UNSUPPORTED_VERSION);
    list_apis(r, &m);
    r->version = 0; /* the one format that every client reads */
    kafka_respond(r, &m);
}

void kafka_api_versions(struct kafka_request *r)
{
    const struct kafka_api_versions_request *in = r->message;
    struct kafka_api_versions_response m;
    kafka_api_versions_response_init(&m);
    if (r->version >= 3 &&
        (!is_software_name(in->client_software_name) || !is_software_name(in->client_software_version)))
        m.error_code = kafka_error(r, KAFKA_INVALID_REQUEST);
    else
        list_apis(r, &m);
    kafka_respond(r, &m);
}
