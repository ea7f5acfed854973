/* colobus user, permission, vhost, policy, definitions: who may use a running broker, and what was declared
 * in it. */
#include <jansson.h>
#include <stdio.h>

#include "app/cli.h"
#include "app/cli_broker.h"
#include "base/mem.h"

struct access_args {
    struct broker_args broker;
    const char *tags, *vhost, *priority, *apply_to;
    bool operator_policy, no_password;
};

static const char *vhost_of(const struct access_args *args)
{
    return args->vhost ? args->vhost : "/";
}

/* "PREFIX/a/b"; for one call. */
static int change(const struct access_args *args, const char *method, const char *prefix, const char *a,
                  const char *b, json_t *o, const char *done)
{
    struct text path = {0};
    broker_put_paths(prefix, (const char *const[]){a, b, NULL}, &path);
    int code = broker_change(&args->broker, method, path.ptr, o, done, b ? b : a);
    text_free(&path);
    return code;
}

static int bad_text(void)
{
    return cli_fail(EXIT_USAGE, "an argument is not UTF-8");
}

/* ---- users ----------------------------------------------------------------------------------------------
 */

static void join_tags(const json_t *tags, char *out, size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < json_array_size(tags) && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, "%s%s", i ? "," : "",
                                json_string_value(json_array_get(tags, i)));
}

static void show_users(json_t *users, struct text *out)
{
    size_t i;
    json_t *u;
    struct table table = {0};
    table_row(&table, (const char *const[]){"USER", "TAGS", "PASSWORD"}, 3);
    json_array_foreach(users, i, u)
    {
        char tags[256];
        join_tags(json_object_get(u, "tags"), tags, sizeof(tags));
        const char *hash = broker_string_of(u, "password_hash");
        table_row(&table,
                  (const char *const[]){broker_string_of(u, "name"), tags,
                                        *hash ? broker_string_of(u, "hashing_algorithm") : "none"},
                  3);
    }
    table_print(&table, out);
    table_free(&table);
}

static int user_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "user list", "/api/users", show_users);
}

/* From standard input without an argument, so that it need not stand in the list of processes. */
static bool take_password(int argc, char **argv, char *line, size_t size, const char **ret_password)
{
    *ret_password = argc > 1 ? argv[1] : line;
    if (argc > 1)
        return true;
    if (!fgets(line, (int)size, stdin))
        line[0] = 0;
    line[strcspn(line, "\r\n")] = 0;
    return line[0] != 0;
}

static int user_add(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    char line[512] = "";
    const char *password = NULL;
    if (!args->no_password && !take_password(argc, argv, line, sizeof(line), &password))
        return cli_fail(EXIT_USAGE, "no password; --no-password makes a user without one");
    json_t *o = json_pack("{s:s}", "tags", args->tags ? args->tags : "");
    if (!o || (password && json_object_set_new(o, "password", json_string(password)) < 0)) {
        json_decref(o);
        return bad_text();
    }
    return change(args, "PUT", "/api/users/", argv[0], NULL, o, "added");
}

/* A user's tags stay when its password changes. */
static int user_passwd(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    struct http_reply reply;
    struct text path = {0};
    char line[512] = "";
    const char *password;
    if (!take_password(argc, argv, line, sizeof(line), &password))
        return cli_fail(EXIT_USAGE, "no password");
    broker_put_path("/api/users/", argv[0], &path);
    int code = broker_ask(&args->broker, argv[0], "GET", path.ptr, SPAN_NULL, &reply);
    text_free(&path);
    if (code != EXIT_OK)
        return code;
    json_t *user = json_loadb((const char *)reply.body.ptr, reply.body.len, 0, NULL);
    json_t *o = json_pack("{s:O, s:s}", "tags", json_object_get(user, "tags"), "password", password);
    json_decref(user);
    mem_free(reply.memory);
    return o ? change(args, "PUT", "/api/users/", argv[0], NULL, o, "changed") : bad_text();
}

static int user_delete(void *state, int argc, char **argv)
{
    return broker_delete(state, "/api/users/", argv[0]);
}

/* ---- permissions ----------------------------------------------------------------------------------------
 */

static void show_permissions(json_t *all, struct text *out)
{
    size_t i;
    json_t *p;
    struct table table = {0};
    table_row(&table, (const char *const[]){"VHOST", "USER", "CONFIGURE", "WRITE", "READ"}, 5);
    json_array_foreach(all, i, p)
        table_row(&table,
                  (const char *const[]){broker_string_of(p, "vhost"), broker_string_of(p, "user"),
                                        broker_string_of(p, "configure"), broker_string_of(p, "write"),
                                        broker_string_of(p, "read")},
                  5);
    table_print(&table, out);
    table_free(&table);
}

static int permission_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "permission list", "/api/permissions", show_permissions);
}

static int permission_set(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    json_t *o = json_pack("{s:s, s:s, s:s}", "configure", argv[1], "write", argv[2], "read", argv[3]);
    return o ? change(args, "PUT", "/api/permissions/", vhost_of(args), argv[0], o, "set permissions of")
             : bad_text();
}

static int permission_clear(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    return change(args, "DELETE", "/api/permissions/", vhost_of(args), argv[0], NULL,
                  "cleared permissions of");
}

/* ---- virtual hosts --------------------------------------------------------------------------------------
 */

static void show_vhosts(json_t *all, struct text *out)
{
    size_t i;
    json_t *v;
    struct table table = {0};
    table_row(&table, (const char *const[]){"VHOST", "DESCRIPTION"}, 2);
    json_array_foreach(all, i, v) table_row(
        &table, (const char *const[]){broker_string_of(v, "name"), broker_string_of(v, "description")}, 2);
    table_print(&table, out);
    table_free(&table);
}

static int vhost_list(void *state, int argc, char **argv)
{
    return broker_ask_and_show(state, "vhost list", "/api/vhosts", show_vhosts);
}

static int vhost_add(void *state, int argc, char **argv)
{
    return change(state, "PUT", "/api/vhosts/", argv[0], NULL, json_object(), "added");
}

static int vhost_delete(void *state, int argc, char **argv)
{
    return broker_delete(state, "/api/vhosts/", argv[0]);
}

/* ---- policies -------------------------------------------------------------------------------------------
 */

static const char *policy_path(const struct access_args *args)
{
    return args->operator_policy ? "/api/operator-policies/" : "/api/policies/";
}

static void show_policies(json_t *all, struct text *out)
{
    size_t i;
    json_t *p;
    struct table table = {.right = {false, false, false, false, true, false}};
    table_row(&table, (const char *const[]){"VHOST", "NAME", "PATTERN", "APPLY-TO", "PRIORITY", "DEFINITION"},
              6);
    json_array_foreach(all, i, p)
    {
        struct text definition = {0};
        text_put_json(&definition, json_object_get(p, "definition"), JSON_COMPACT);
        definition.ptr[strcspn(definition.ptr, "\n")] = 0;
        table_row(&table,
                  (const char *const[]){broker_string_of(p, "vhost"), broker_string_of(p, "name"),
                                        broker_string_of(p, "pattern"), broker_string_of(p, "apply-to"),
                                        broker_number_of(p, "priority"), definition.ptr},
                  6);
        text_free(&definition);
    }
    table_print(&table, out);
    table_free(&table);
}

static int policy_list(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    return broker_ask_and_show(state, "policy list",
                               args->operator_policy ? "/api/operator-policies" : "/api/policies",
                               show_policies);
}

static int policy_set(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    int priority = 0;
    char rest;
    if (args->priority && sscanf(args->priority, "%d%c", &priority, &rest) != 1)
        return cli_fail(EXIT_USAGE, "--priority must be a number");
    json_t *definition = json_loads(argv[2], 0, NULL);
    if (!json_is_object(definition)) {
        json_decref(definition);
        return cli_fail(EXIT_USAGE, "the definition is a JSON object, as '{\"max-length\":1000}'");
    }
    json_t *o = json_pack("{s:s, s:o, s:i, s:s}", "pattern", argv[1], "definition", definition, "priority",
                          priority, "apply-to", args->apply_to ? args->apply_to : "all");
    return o ? change(args, "PUT", policy_path(args), vhost_of(args), argv[0], o, "set") : bad_text();
}

static int policy_clear(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    return change(args, "DELETE", policy_path(args), vhost_of(args), argv[0], NULL, "cleared");
}

/* ---- definitions ----------------------------------------------------------------------------------------
 */

static void definitions_path(const struct access_args *args, struct text *path)
{
    if (args->vhost)
        broker_put_path("/api/definitions/", args->vhost, path);
    else
        text_put(path, "/api/definitions");
}

static void show_indented(json_t *o, struct text *out)
{
    text_put_json(out, o, JSON_INDENT(2));
}

static int definitions_export(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    struct text path = {0};
    definitions_path(args, &path);
    int code = broker_ask_and_show(&args->broker, "definitions", path.ptr, show_indented);
    text_free(&path);
    return code;
}

static int definitions_import(void *state, int argc, char **argv)
{
    const struct access_args *args = state;
    struct text path = {0};
    json_error_t where;
    FILE *from = strcmp(argv[0], "-") == 0 ? stdin : NULL;
    json_t *o = from ? json_loadf(from, 0, &where) : json_load_file(argv[0], 0, &where);
    if (!o)
        return cli_fail(EXIT_FAILED, "%s:%d: %s", argv[0], where.line, where.text);
    definitions_path(args, &path);
    int code = broker_change(&args->broker, "POST", path.ptr, o, "imported", argv[0]);
    text_free(&path);
    return code;
}

/* ---- the commands ---------------------------------------------------------------------------------------
 */

#define VHOST_OPTION                                                                                         \
    {                                                                                                        \
        "--vhost", "VHOST", "virtual host (default /)", CLI_TEXT, offsetof(struct access_args, vhost)        \
    }
#define OPERATOR_OPTION                                                                                      \
    {                                                                                                        \
        "--operator", NULL, "an operator policy, which bounds the others", CLI_FLAG,                         \
            offsetof(struct access_args, operator_policy)                                                    \
    }

static const struct cli_option list_options[] = {BROKER_OPTION, JSON_OPTION};
static const struct cli_option plain_options[] = {BROKER_OPTION};
static const struct cli_option vhost_options[] = {VHOST_OPTION, BROKER_OPTION};
static const struct cli_option add_options[] = {
    {"--tags", "TAGS", "administrator, monitoring, policymaker, management, with commas", CLI_TEXT,
     offsetof(struct access_args, tags)},
    {"--no-password", NULL, "nobody can log in with a password", CLI_FLAG,
     offsetof(struct access_args, no_password)},
    BROKER_OPTION,
};
static const struct cli_option policy_list_options[] = {OPERATOR_OPTION, BROKER_OPTION, JSON_OPTION};
static const struct cli_option policy_clear_options[] = {OPERATOR_OPTION, VHOST_OPTION, BROKER_OPTION};
static const struct cli_option policy_set_options[] = {
    {"--priority", "N", "of several that match the highest is in force (default 0)", CLI_TEXT,
     offsetof(struct access_args, priority)},
    {"--apply-to", "WHAT", "queues, classic_queues, quorum_queues, streams, exchanges or all (default)",
     CLI_TEXT, offsetof(struct access_args, apply_to)},
    OPERATOR_OPTION,
    VHOST_OPTION,
    BROKER_OPTION,
};
static const struct cli_option definitions_options[] = {
    {"--vhost", "VHOST", "what is in one virtual host only", CLI_TEXT, offsetof(struct access_args, vhost)},
    BROKER_OPTION,
};

#define COMMAND(id, text, arguments, says, options, least, most, function)                                   \
    const struct cli_command id = {.name = text,                                                             \
                                   .args = arguments,                                                        \
                                   .summary = says,                                                          \
                                   .examples = NULL,                                                         \
                                   CLI_OPTIONS(options),                                                     \
                                   .min_args = least,                                                        \
                                   .max_args = most,                                                         \
                                   .state_bytes = sizeof(struct access_args),                                \
                                   .run = function}

COMMAND(cmd_user_list, "user list", "", "list the users of a running broker", list_options, 0, 0, user_list);
COMMAND(cmd_user_add, "user add", "NAME [PASSWORD]",
        "add a user; without PASSWORD it is read from standard input", add_options, 1, 2, user_add);
COMMAND(cmd_user_passwd, "user passwd", "NAME [PASSWORD]", "change a user's password", plain_options, 1, 2,
        user_passwd);
COMMAND(cmd_user_delete, "user delete", "NAME", "delete a user and its permissions", plain_options, 1, 1,
        user_delete);
COMMAND(cmd_permission_list, "permission list", "", "list what users may do, by patterns", list_options, 0, 0,
        permission_list);
COMMAND(cmd_permission_set, "permission set", "USER CONFIGURE WRITE READ",
        "let a user into a virtual host, for names that match", vhost_options, 4, 4, permission_set);
COMMAND(cmd_permission_clear, "permission clear", "USER", "keep a user out of a virtual host", vhost_options,
        1, 1, permission_clear);
COMMAND(cmd_vhost_list, "vhost list", "", "list the virtual hosts of a running broker", list_options, 0, 0,
        vhost_list);
COMMAND(cmd_vhost_add, "vhost add", "NAME", "add a virtual host", plain_options, 1, 1, vhost_add);
COMMAND(cmd_vhost_delete, "vhost delete", "NAME", "delete a virtual host and all that is in it",
        plain_options, 1, 1, vhost_delete);
COMMAND(cmd_policy_list, "policy list", "", "list the policies of a running broker", policy_list_options, 0,
        0, policy_list);
COMMAND(cmd_policy_set, "policy set", "NAME PATTERN DEFINITION",
        "set queues and exchanges by a pattern on their names", policy_set_options, 3, 3, policy_set);
COMMAND(cmd_policy_clear, "policy clear", "NAME", "take a policy away", policy_clear_options, 1, 1,
        policy_clear);
COMMAND(cmd_definitions_export, "definitions export", "", "print all that was declared, as RabbitMQ's JSON",
        definitions_options, 0, 0, definitions_export);
COMMAND(cmd_definitions_import, "definitions import", "FILE",
        "declare what RabbitMQ's JSON in a file says; -: standard input", definitions_options, 1, 1,
        definitions_import);
