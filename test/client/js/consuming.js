// What consumers in groups do.
'use strict'

const { all, equal, eventually, range } = require('./context')

module.exports = {
  'eachMessage reads everything and commits by itself': async c => {
    const topic = await c.topic(3)
    const group = c.name('group')
    await c.send(topic, 3, 0, 90)
    const member = await c.member(group, [topic], { run: { autoCommitInterval: 200 } })
    await all([member], 90)
    await eventually('a commit', async () => {
      const offsets = await c.committed(group, topic)
      return String(offsets) === '30,30,30' ? '' : `offsets ${offsets}`
    })
  },

  'eachBatch resolves offsets, and what is not resolved comes again': async c => {
    const topic = await c.topic(1)
    const group = c.name('group')
    await c.send(topic, 1, 0, 20)
    let resolved = 0
    const first = await c.member(group, [topic], {
      run: {
        eachBatchAutoResolve: false,
        eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, uncommittedOffsets }) => {
          for (const message of batch.messages.filter(m => Number(m.offset) < 12)) {
            resolveOffset(message.offset)
            resolved = Number(message.offset) + 1
          }
          await heartbeat()
          await commitOffsetsIfNecessary(uncommittedOffsets())
        },
      },
    })
    await eventually('a commit of 12', async () => {
      const [offset] = await c.committed(group, topic)
      return offset === '12' ? '' : `offset ${offset}, resolved ${resolved}`
    })
    await first.disconnect()
    const second = await c.member(group, [topic])
    await eventually('the rest', () => (second.seen.length === 8 ? '' : `so far ${second.seen}`))
    equal(second.seen, range(12, 20), 'values')
  },

  'commitOffsets by hand, with metadata, and a restart goes on there': async c => {
    const topic = await c.topic(1)
    const group = c.name('group')
    await c.send(topic, 1, 0, 10)
    const first = await c.member(group, [topic], { run: { autoCommit: false } })
    await all([first], 10)
    await first.commitOffsets([{ topic, partition: 0, offset: '4', metadata: 'note' }])
    await first.disconnect()
    equal(await c.committed(group, topic), ['4'], 'committed')
    const admin = await c.admin()
    const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    equal(partitions[0].metadata, 'note', 'metadata')
    const second = await c.member(group, [topic])
    await all([first, second], 10)
    await eventually('the rest', () => (second.seen.length === 6 ? '' : `so far ${second.seen}`))
    equal(second.seen, range(4, 10), 'values after the restart')
  },

  'a paused topic gives nothing until it is resumed': async c => {
    const [one, two] = [await c.topic(1), await c.topic(1)]
    const member = await c.member(c.name('group'), [one, two])
    member.pause([{ topic: one }])
    equal(member.paused(), [{ topic: one, partitions: [0] }], 'paused')
    await c.send(one, 1, 0, 5)
    await c.send(two, 1, 5, 10)
    await eventually('values of the other topic', () => (member.seen.length >= 5 ? '' : `so far ${member.seen}`))
    equal(member.seen, range(5, 10), 'values while paused')
    member.resume([{ topic: one }])
    await all([member], 10)
  },

  'seek goes back and forth': async c => {
    const topic = await c.topic(1)
    await c.send(topic, 1, 0, 10)
    const member = await c.member(c.name('group'), [topic])
    await all([member], 10)
    for (const offset of [7, 0, 9]) {
      member.seen.length = 0
      member.seek({ topic, partition: 0, offset: String(offset) })
      await eventually(`values from ${offset}`, () => (member.seen.length >= 10 - offset ? '' : `so far ${member.seen}`))
      equal(member.seen, range(offset, 10), `values from ${offset}`)
    }
  },

  'without fromBeginning a new group starts at the end': async c => {
    const topic = await c.topic(1)
    await c.send(topic, 1, 0, 10)
    const member = await c.member(c.name('group'), [topic], { fromBeginning: false })
    let next = 10
    await eventually('a new message', async () => { // the end is looked up some time after joining
      await c.send(topic, 1, next, next + 1)
      next++
      return member.seen.length ? '' : 'none'
    })
    equal(member.seen.filter(value => value < 10), [], 'old values')
  },

  'two consumers share, and one takes over when the other leaves': async c => {
    const topic = await c.topic(4)
    const group = c.name('group')
    const first = await c.member(group, [topic])
    await c.settled([first], [4])
    await c.send(topic, 4, 0, 40)
    await all([first], 40)
    const second = await c.member(group, [topic])
    await c.settled([first, second], [2, 2])
    await c.send(topic, 4, 40, 80)
    await all([first, second], 80)
    equal([first, second].every(member => member.seen.some(value => value >= 40)), true, 'both get something')
    await first.disconnect()
    await c.settled([second], [4])
    await c.send(topic, 4, 80, 120)
    await all([first, second], 120)
  },

  'a consumer that stops and runs again goes on': async c => {
    const topic = await c.topic(2)
    const member = await c.member(c.name('group'), [topic])
    await c.send(topic, 2, 0, 10)
    await all([member], 10)
    await member.stop()
    await c.send(topic, 2, 10, 20)
    await member.run({ eachMessage: async ({ message }) => { member.seen.push(Number(message.value)) } })
    await all([member], 20)
    equal(member.seen.length, 20, 'messages read')
  },

  'a failing handler gets its message again': async c => {
    const topic = await c.topic(1)
    await c.send(topic, 1, 0, 5)
    const seen = []
    let failures = 2
    await c.member(c.name('group'), [topic], {
      run: {
        eachMessage: async ({ message }) => {
          if (Number(message.value) === 3 && failures-- > 0) throw new Error('on purpose')
          seen.push(Number(message.value))
        },
      },
    })
    await eventually('all values', () => (seen.includes(4) ? '' : `so far ${seen}`))
    equal(seen, range(0, 5), 'values')
  },

  'a pattern of topics': async c => {
    const stem = c.name('pattern')
    for (const letter of ['a', 'b']) await c.create(`${stem}-${letter}`, 1)
    await c.send(`${stem}-a`, 1, 0, 5)
    await c.send(`${stem}-b`, 1, 5, 10)
    const member = await c.member(c.name('group'), [new RegExp(`^${stem}-.*`)])
    await all([member], 10)
  },

  'describeGroup of a consumer tells its members': async c => {
    const topic = await c.topic(1)
    const group = c.name('group')
    const member = await c.member(group, [topic])
    const described = await member.describeGroup()
    equal([described.groupId, described.state, described.members.length], [group, 'Stable', 1], 'group')
  },
}
