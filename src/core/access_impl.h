/* Rows of meta_record_ops[] (meta_record.c) that are about access; those of policies are in policy_impl.h. */
#ifndef COLOBUS_CORE_ACCESS_IMPL_H
#define COLOBUS_CORE_ACCESS_IMPL_H

#include "core/meta_record.h"

extern const struct meta_record_ops user_record_ops, permission_record_ops, topic_permission_record_ops,
    parameter_record_ops;

#endif
