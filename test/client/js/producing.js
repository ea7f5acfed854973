// What producers do.
'use strict'

const { CompressionTypes } = require('kafkajs')
const { all, equal, eventually, range } = require('./context')

module.exports = {
  'produces and reads back, plain and gzip': async c => {
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      const topic = await c.topic(1)
      const producer = await c.producer()
      const messages = range(0, 500).map(i => ({ value: String(i) }))
      const [answer] = await producer.send({ topic, messages, compression })
      equal([answer.errorCode, answer.baseOffset], [0, '0'], 'answer')
      const member = await c.member(c.name('group'), [topic])
      await all([member], 500)
      equal(member.seen, range(0, 500), 'values')
      await member.disconnect()
    }
  },

  'an idempotent producer gets dense offsets': async c => {
    const topic = await c.topic(1)
    const producer = await c.producer({ idempotent: true, maxInFlightRequests: 1 })
    for (let i = 0; i < 20; i++) {
      const [answer] = await producer.send({ topic, messages: range(0, 10).map(n => ({ value: String(n) })) })
      equal(answer.baseOffset, String(i * 10), 'offset')
    }
  },

  'acks 0, 1 and all': async c => {
    for (const acks of [0, 1, -1]) {
      const topic = await c.topic(1)
      const producer = await c.producer()
      await producer.send({ topic, acks, messages: range(0, 3).map(n => ({ value: String(n) })) })
      const admin = await c.admin()
      await eventually(`records sent with acks ${acks}`, async () => {
        const [{ high }] = await admin.fetchTopicOffsets(topic)
        return high === '3' ? '' : `end is ${high}`
      })
    }
  },

  'sendBatch writes to several topics, and keys keep to a partition': async c => {
    const topics = [await c.topic(3), await c.topic(3)]
    const producer = await c.producer()
    const messages = range(0, 60).map(i => ({ key: `key-${i % 6}`, value: String(i) }))
    await producer.sendBatch({ topicMessages: topics.map(topic => ({ topic, messages })) })
    const member = await c.member(c.name('group'), topics)
    await eventually('120 messages', () => (member.seen.length === 120 ? '' : `so far ${member.seen.length}`))
    const homes = new Set(member.messages.map(m => `${m.topic} ${m.key} ${m.partition}`))
    equal(homes.size, 12, 'homes of 6 keys in 2 topics')
  },

  'headers, key, null value and timestamp survive': async c => {
    const topic = await c.topic(1)
    const producer = await c.producer()
    await producer.send({
      topic,
      messages: [{ key: 'k', value: '1', timestamp: '1700000000123', headers: { a: 'x', b: ['y', 'z'] } }],
    })
    const member = await c.member(c.name('group'), [topic])
    await all([member], 0)
    await eventually('the message', () => (member.messages.length ? '' : 'none'))
    const [m] = member.messages
    equal([String(m.key), String(m.value), m.timestamp], ['k', '1', '1700000000123'], 'message')
    equal([String(m.headers.a), m.headers.b.map(String)], ['x', ['y', 'z']], 'headers')
  },

  'a first send makes the topic': async c => {
    const topic = c.name('auto')
    const producer = await c.producer({ allowAutoTopicCreation: true })
    const [answer] = await producer.send({ topic, messages: [{ value: '0' }] })
    equal(answer.baseOffset, '0', 'offset')
  },
}
