// What the admin client does, with groups above all.
'use strict'

const { AssignerProtocol, all, equal, eventually, fails } = require('./context')

async function describe(c, group) {
  const admin = await c.admin()
  const { groups } = await admin.describeGroups([group])
  return groups[0]
}

module.exports = {
  'topics are created, listed, widened and deleted': async c => {
    const admin = await c.admin()
    const topic = c.name('admin')
    equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false }), true, 'created')
    equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false }), false, 'created a second time')
    equal((await admin.listTopics()).includes(topic), true, 'listed')
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await eventually('five partitions', async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0].partitions.length === 5 ? '' : `so far ${topics[0].partitions.length}`
    })
    const cluster = await admin.describeCluster()
    equal(`${cluster.brokers[0].host}:${cluster.brokers[0].port}`, c.bootstrap, 'broker')
    await admin.deleteTopics({ topics: [topic] })
    await eventually('the topic is gone', async () => ((await admin.listTopics()).includes(topic) ? 'it is listed' : ''))
  },

  'offsets of a topic, also by time': async c => {
    const topic = await c.topic(2)
    const admin = await c.admin()
    const producer = await c.producer()
    const base = Date.now() - 100000
    const messages = [0, 10, 20].map(ms => ({ value: 'v', partition: 1, timestamp: String(base + ms) }))
    await producer.send({ topic, messages })
    const byPartition = list => list.sort((a, b) => a.partition - b.partition)
    equal(byPartition(await admin.fetchTopicOffsets(topic)), [
      { partition: 0, offset: '0', high: '0', low: '0' },
      { partition: 1, offset: '3', high: '3', low: '0' },
    ], 'offsets')
    for (const [ms, wanted] of [[0, '0'], [5, '1'], [20, '2'], [21, '3']]) { // past the last: the end
      const found = byPartition(await admin.fetchTopicOffsetsByTimestamp(topic, base + ms))
      equal(found, [{ partition: 0, offset: '0' }, { partition: 1, offset: wanted }], `offsets at +${ms}`)
    }
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '2' }] })
    equal(byPartition(await admin.fetchTopicOffsets(topic))[1].low, '2', 'beginning after a deletion')
  },

  'groups are listed and described': async c => {
    const topic = await c.topic(2)
    const group = c.name('group')
    const kafka = c.client('some-client')
    await c.member(group, [topic], { kafka })
    const admin = await c.admin()
    const { groups } = await admin.listGroups()
    equal(groups.filter(g => g.groupId === group), [{ groupId: group, protocolType: 'consumer' }], 'listed')
    const described = await describe(c, group)
    equal([described.state, described.protocolType, described.protocol, described.members.length],
      ['Stable', 'consumer', 'RoundRobinAssigner', 1], 'described')
    const [member] = described.members
    equal([member.clientId, member.clientHost], ['some-client', '/127.0.0.1'], 'member')
    equal(AssignerProtocol.MemberMetadata.decode(member.memberMetadata).topics, [topic], 'subscription')
    const { assignment } = AssignerProtocol.MemberAssignment.decode(member.memberAssignment)
    equal([Object.keys(assignment), assignment[topic].sort()], [[topic], [0, 1]], 'assignment')
  },

  'a group that is not there is Dead': async c => {
    const described = await describe(c, c.name('nobody'))
    equal([described.state, described.members], ['Dead', []], 'described')
  },

  'offsets of a group are set, reset and fetched': async c => {
    const topic = await c.topic(2)
    const [set, early, late] = [c.name('group'), c.name('group'), c.name('group')]
    await c.send(topic, 2, 0, 20)
    const admin = await c.admin()
    equal(await c.committed(set, topic), ['-1', '-1'], 'before')
    await Promise.all([ // KafkaJS takes five seconds for each
      admin.setOffsets({ groupId: set, topic, partitions: [{ partition: 0, offset: '8' }, { partition: 1, offset: '9' }] }),
      admin.resetOffsets({ groupId: early, topic, earliest: true }),
      admin.resetOffsets({ groupId: late, topic, earliest: false }),
    ])
    equal(await c.committed(set, topic), ['8', '9'], 'set')
    const [every] = await admin.fetchOffsets({ groupId: set })
    equal([every.topic, every.partitions.length], [topic, 2], 'all the offsets')
    for (const [group, wanted] of [[early, '0'], [late, '10']]) {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: group, topics: [topic], resolveOffsets: true })
      equal(partitions.map(p => p.offset), [wanted, wanted], 'reset')
    }
    const member = await c.member(set, [topic])
    await eventually('the values from there', () => (member.seen.length === 3 ? '' : `so far ${member.seen}`))
    equal(member.seen.sort((a, b) => a - b), [16, 18, 19], 'values')
  },

  'offsets of a running group are not set': async c => {
    const topic = await c.topic(1)
    const group = c.name('group')
    await c.member(group, [topic])
    const admin = await c.admin()
    let refused = ''
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '1' }] })
      .catch(error => { refused = error.message })
    equal(refused.includes('must have no running instances'), true, `what KafkaJS says: ${refused}`)
  },

  'groups are deleted when empty only': async c => {
    const topic = await c.topic(1)
    const group = c.name('group')
    await c.send(topic, 1, 0, 5)
    const admin = await c.admin()
    const member = await c.member(group, [topic])
    await all([member], 5)
    await fails('NON_EMPTY_GROUP', admin.deleteGroups([group]), 'deletion of a group with a member')
    await member.disconnect()
    equal(await c.committed(group, topic), ['5'], 'committed')
    equal(await admin.deleteGroups([group]), [{ groupId: group, errorCode: 0 }], 'deletion')
    equal(await c.committed(group, topic), ['-1'], 'committed after the deletion')
    await fails('GROUP_ID_NOT_FOUND', admin.deleteGroups([group]), 'a second deletion')
  },
}
