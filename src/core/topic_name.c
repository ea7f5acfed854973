#include "base/err.h"
#include "core/topic.h"

int topic_check_name(struct span name)
{
    if (name.len < 1 || name.len > 249 || span_eq_str(name, ".") || span_eq_str(name, ".."))
        return ERR_BAD_TOPIC_NAME;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-';
        if (!ok)
            return ERR_BAD_TOPIC_NAME;
    }
    return 0;
}
