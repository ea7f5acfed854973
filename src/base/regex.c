#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

/* About a millisecond of backtracking at the worst. */
enum { MATCH_STEPS = 100000, MATCH_DEPTH = 1000, MATCH_HEAP_KIB = 256 };

struct regex {
    pcre2_general_context *memory;
    pcre2_compile_context *limits;
    pcre2_match_context *bounds;
    pcre2_code *code;
};

static void *allocate(size_t size, void *arg)
{
    (void)arg;
    return mem_try(size);
}

static void give_back(void *ptr, void *arg)
{
    (void)arg;
    mem_free(ptr);
}

static int compile(struct regex *r, struct span pattern, char ret_why[REGEX_WHY])
{
    int code;
    size_t at;
    r->memory = pcre2_general_context_create(allocate, give_back, NULL);
    r->limits = r->memory ? pcre2_compile_context_create(r->memory) : NULL;
    r->bounds = r->memory ? pcre2_match_context_create(r->memory) : NULL;
    if (!r->limits || !r->bounds)
        return ERR_NO_MEMORY;
    pcre2_set_max_pattern_length(r->limits, REGEX_MAX_PATTERN);
    pcre2_set_match_limit(r->bounds, MATCH_STEPS);
    pcre2_set_depth_limit(r->bounds, MATCH_DEPTH);
    pcre2_set_heap_limit(r->bounds, MATCH_HEAP_KIB);
    const uint8_t *bytes = pattern.len ? pattern.ptr : (const uint8_t *)"";
    r->code = pcre2_compile(bytes, pattern.len, PCRE2_NEVER_BACKSLASH_C, &code, &at, r->limits);
    if (r->code)
        return 0;
    PCRE2_UCHAR text[100] = "";
    pcre2_get_error_message(code, text, sizeof(text));
    snprintf(ret_why, REGEX_WHY, "%s, at character %zu", (const char *)text, at);
    return ERR_INVALID;
}

int regex_new(struct span pattern, char ret_why[REGEX_WHY], struct regex **ret_regex)
{
    struct regex *r = mem_zalloc(sizeof(*r));
    int err = compile(r, pattern, ret_why);
    if (err) {
        if (err == ERR_NO_MEMORY)
            snprintf(ret_why, REGEX_WHY, "out of memory");
        regex_free(r);
        return err;
    }
    *ret_regex = r;
    return 0;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->bounds);
    pcre2_compile_context_free(r->limits);
    pcre2_general_context_free(r->memory);
    mem_free(r);
}

bool regex_match(const struct regex *r, struct span subject)
{
    pcre2_match_data *found = pcre2_match_data_create(1, r->memory);
    if (!found)
        return false;
    const uint8_t *bytes = subject.len ? subject.ptr : (const uint8_t *)"";
    int n = pcre2_match(r->code, bytes, subject.len, 0, 0, found, r->bounds);
    pcre2_match_data_free(found);
    return n >= 0;
}
