/* Inside core/policy*.c. */
#ifndef COLOBUS_CORE_POLICY_IMPL_H
#define COLOBUS_CORE_POLICY_IMPL_H

#include "base/regex.h"
#include "core/meta_record.h"
#include "core/policy.h"

/* record.user of RECORD_POLICY and RECORD_OPERATOR_POLICY: spans are the record's own key and value. */
struct policy {
    struct span vhost, name;
    struct policy_text text;
    struct regex *regex;
};

extern const struct meta_record_ops policy_record_ops, operator_policy_record_ops;

#endif
