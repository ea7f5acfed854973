/* Exchanges that give each message to one of their bindings: x-consistent-hash, x-modulus-hash.
 *
 * Rendezvous hashing, weighted: every binding gets a score from the message's hash, its destination's name
 * and its weight, and the greatest wins. So shares are exactly as the weights say, a binding that comes or
 * goes moves only the messages that it gains or had, and the choice depends on nothing but names: not on the
 * order in which bindings were made, not on the process, so it outlives a restart and is the same on every
 * shard. It costs one step for each binding. RabbitMQ's choice for the same key may be another one. */
#include <math.h>

#include "base/err.h"
#include "base/hash.h"
#include "core/exchange_impl.h"

/* What RabbitMQ hashes by; the plugin's list. */
static bool is_property(struct span name)
{
    return span_eq_str(name, "correlation_id") || span_eq_str(name, "message_id") ||
           span_eq_str(name, "timestamp");
}

static int refuse(const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return ERR_ARGUMENT;
}

int hash_check_exchange(struct span args, struct arena *a, const char **ret_reason)
{
    struct field header, property;
    bool by_header = fields_get_str(args, "hash-header", &header);
    bool by_property = fields_get_str(args, "hash-property", &property);
    if (by_header && by_property)
        return refuse("hash-header and hash-property are mutually exclusive", ret_reason);
    if (by_property && (property.tag != 'S' || !is_property(property.bytes)))
        return refuse(arena_printf(a, "Unsupported property: %s", field_text(&property, a)), ret_reason);
    if (by_header && header.tag != 'S') /* the plugin crashes */
        return refuse(arena_printf(a, "Unsupported hash-header: %s", field_text(&header, a)), ret_reason);
    return 0;
}

/* list_to_integer(): digits with an optional sign. False: it is none. Large ones are cut to 10^18. */
static bool parse_integer(struct span s, double *ret)
{
    size_t i = s.len > 1 && (s.ptr[0] == '+' || s.ptr[0] == '-');
    double v = 0;
    if (s.len == 0)
        return false;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        v = v < 1e17 ? v * 10 + (s.ptr[i] - '0') : 1e18;
    }
    *ret = s.ptr[0] == '-' ? -v : v;
    return true;
}

int hash_check_key(struct span key, struct arena *a, const char **ret_reason)
{
    double weight;
    struct field f = {.tag = 'S', .bytes = key};
    if (!parse_integer(key, &weight))
        return refuse(arena_printf(a, "The binding key must be an integer: %s", field_term(&f, a)),
                      ret_reason);
    if (weight < 1)
        return refuse("The binding key must be greater than 0", ret_reason);
    return 0;
}

static uint64_t mix(uint64_t v)
{
    v ^= v >> 30;
    v *= UINT64_C(0xbf58476d1ce4e5b9);
    v ^= v >> 27;
    v *= UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

/* Integers of all widths alike. */
static uint64_t hash_of_field(const struct field *f)
{
    if (field_is_integer(f) || f->tag == 't')
        return mix((uint64_t)f->integer + 1);
    if (f->tag == 'f' || f->tag == 'd')
        return hash_stable(span_of(&f->number, sizeof(f->number)));
    return hash_stable(f->bytes);
}

/* A message without the header or property goes where all of those go. */
uint64_t hash_of_message(const struct exchange *x, const struct message *m)
{
    const struct matcher *match = x->matcher;
    const struct message_format *format = message_formats[m->format];
    struct field f;
    if (!match->hash_on.ptr)
        return hash_stable(m->key);
    bool found = false;
    if (match->hash_property)
        found = format && format->property && format->property(m, match->hash_on, &f);
    else if (format && format->headers)
        found = fields_get(format->headers(m), match->hash_on, &f);
    return found ? hash_of_field(&f) : 0;
}

struct binding *hash_choose(const struct binding_group *g, bool weighted, uint64_t hash)
{
    struct binding *const *all = binding_group_items(g), *best = all[0];
    double best_score = -INFINITY;
    for (uint32_t i = 0; i < g->count; i++) {
        uint64_t h = mix(hash ^ mix(hash_stable(all[i]->dest->name) + all[i]->dest->kind));
        double weight = 1, uniform = ((double)(h >> 11) + 0.5) * 0x1p-53; /* in (0, 1) */
        if (weighted)
            parse_integer(all[i]->key, &weight);
        double score = log(uniform) / weight;
        if (score > best_score) {
            best = all[i];
            best_score = score;
        }
    }
    return best;
}
