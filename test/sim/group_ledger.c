#include "group_ledger.h"

#include "actors.h"
#include "ledger.h"

static struct {
    int64_t acked[PARTITIONS], sent[PARTITIONS];
    int32_t generation[MEMBERS]; /* in which the member was given its part; -1: none */
    unsigned part[MEMBERS];
    int32_t highest[MEMBERS]; /* that it has joined */
    uint64_t commits;
} book;

void group_ledger_reset(void)
{
    for (unsigned p = 0; p < PARTITIONS; p++)
        book.acked[p] = book.sent[p] = -1;
    book.commits = 0;
    group_ledger_new_life();
}

/* A generation that was not durable is given out again after a crash. */
void group_ledger_new_life(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        book.generation[i] = book.highest[i] = -1;
}

void group_ledger_joined(unsigned member, int32_t generation)
{
    if (generation < book.highest[member])
        ledger_violation("member %u joined generation %d after it had joined %d", member, generation,
                         book.highest[member]);
    book.highest[member] = generation;
}

void group_ledger_assigned(unsigned member, int32_t generation, unsigned part)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (i != member && book.generation[i] == generation && (book.part[i] & part))
            ledger_violation("generation %d gives members %u and %u parts %x and %x", generation, i, member,
                             book.part[i], part);
    book.generation[member] = generation;
    book.part[member] = part;
}

void group_ledger_left(unsigned member)
{
    book.generation[member] = -1;
}

void group_ledger_committing(unsigned partition, int64_t offset)
{
    if (offset > book.sent[partition])
        book.sent[partition] = offset;
}

void group_ledger_committed(unsigned partition, int64_t offset)
{
    if (offset > book.acked[partition])
        book.acked[partition] = offset;
    book.commits++;
}

int64_t group_ledger_floor(unsigned partition)
{
    return book.acked[partition];
}

void group_ledger_fetched(unsigned partition, int64_t offset, int64_t floor)
{
    if (offset < floor || offset > book.sent[partition])
        ledger_violation(
            "partition %u: committed offset %lld is told, %lld was acknowledged before and %lld sent at most",
            partition, (long long)offset, (long long)floor, (long long)book.sent[partition]);
}

uint64_t group_ledger_commits(void)
{
    return book.commits;
}
