// What programs written with amqplib do.
'use strict'

const crypto = require('node:crypto')
const { collect, equal, eventually, fails, sleep, text } = require('./context')

const persistent = { persistent: true }

module.exports = {
  'confirms: each publish calls back, refused ones with an error': async c => {
    const channel = await c.channelOf(await c.connection(), 'createConfirmChannel')
    const { queue } = await channel.assertQueue('', { exclusive: true, maxLength: 50, arguments: { 'x-overflow': 'reject-publish' } })
    const answers = await Promise.all(Array.from({ length: 53 }, (_, i) => new Promise(done =>
      channel.sendToQueue(queue, Buffer.from(String(i)), persistent, error => done(!error)))))
    equal(answers.map(Number), Array(50).fill(1).concat(Array(3).fill(0)), 'answers')
    for (let i = 0; i < 300; i++) channel.publish('', 'nowhere', Buffer.from('x'))
    await channel.waitForConfirms()
  },

  'mandatory: returned before it is confirmed': async c => {
    const channel = await c.channelOf(await c.connection(), 'createConfirmChannel')
    const order = []
    channel.on('return', message => order.push(`return ${message.fields.replyCode} ${message.content}`))
    for (let i = 0; i < 10; i++) {
      await new Promise(done => channel.publish('', c.name('missing'), Buffer.from(String(i)), { mandatory: true }, () => {
        order.push('ack')
        done()
      }))
    }
    equal(order, Array.from({ length: 10 }, (_, i) => [`return 312 ${i}`, 'ack']).flat(), 'order')
  },

  'a topic exchange with order.created.*': async c => {
    const channel = await c.channel()
    const exchange = c.name('orders')
    await channel.assertExchange(exchange, 'topic', { durable: true })
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, exchange, 'order.created.*')
    const found = await collect(channel, queue)
    for (const key of ['order.created.eu', 'order.paid.eu', 'order.created.us']) channel.publish(exchange, key, Buffer.from(key))
    await eventually('two messages', () => found.length === 2)
    equal(text(found), ['order.created.eu', 'order.created.us'], 'messages')
    await channel.deleteExchange(exchange)
  },

  'a work queue with prefetch 1, nack and requeue': async c => {
    const connection = await c.connection()
    const channel = await c.channelOf(connection)
    const queue = c.name('work')
    await channel.assertQueue(queue, { durable: true })
    const done = []
    for (const name of ['a', 'b']) {
      const worker = await c.channelOf(connection)
      await worker.prefetch(1)
      await worker.consume(queue, async message => {
        if (!message) return // the queue is deleted at the end
        await sleep(5)
        if (message.content.toString() === '3' && !message.fields.redelivered) return worker.nack(message)
        done.push(name + message.content)
        worker.ack(message)
      })
    }
    for (let i = 0; i < 20; i++) channel.sendToQueue(queue, Buffer.from(String(i)), persistent)
    await eventually('20 tasks', () => done.length === 20)
    equal(done.map(line => Number(line.slice(1))).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i), 'tasks')
    equal(new Set(done.map(line => line[0])).size, 2, 'workers')
    await channel.deleteQueue(queue)
  },

  'dead letters with a TTL, and x-death': async c => {
    const channel = await c.channel()
    const grave = (await channel.assertQueue('', { exclusive: true })).queue
    const { queue } = await channel.assertQueue('', { exclusive: true, messageTtl: 50, deadLetterExchange: '', deadLetterRoutingKey: grave })
    const found = await collect(channel, grave)
    channel.sendToQueue(queue, Buffer.from('x'), { headers: { mine: 1 } })
    await eventually('the dead letter', () => found.length)
    const [death] = found[0].properties.headers['x-death']
    equal([death.reason, death.queue, death.count, death['routing-keys']], ['expired', queue, 1, [queue]], 'x-death')
    equal(found[0].properties.headers.mine, 1, 'header')
  },

  'priorities, and ack of all': async c => {
    const channel = await c.channel()
    const { queue } = await channel.assertQueue('', { exclusive: true, maxPriority: 10 })
    for (const priority of [1, 9, 5]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority })
    await eventually('three messages', async () => (await channel.checkQueue(queue)).messageCount === 3)
    const found = await collect(channel, queue, {})
    await eventually('three messages', () => found.length === 3)
    equal(text(found), ['9', '5', '1'], 'order')
    channel.ackAll()
    await channel.cancel(found.tag)
    await channel.recover()
    equal((await channel.checkQueue(queue)).messageCount, 0, 'left')
  },

  'errors of a channel have code and text, and the connection lives on': async c => {
    const connection = await c.connection()
    const channel = await c.channelOf(connection)
    const queue = c.name('missing')
    const error = await fails(channel.checkQueue(queue), 'checkQueue')
    equal(error.code, 404, 'code')
    equal(error.message.includes(`NOT_FOUND - no queue '${queue}' in vhost '/'`), true, error.message)
    const other = await c.channelOf(connection)
    const wrong = await fails(other.assertExchange('amq.direct', 'topic'), 'assertExchange')
    equal(wrong.code, 406, 'code')
    await (await c.channelOf(connection)).assertQueue('', { exclusive: true })
    equal(connection.errors, [], 'errors of the connection')
  },

  'an ack of what nobody delivered closes the channel with 406': async c => {
    const channel = await c.channel()
    channel.ack({ fields: { deliveryTag: 99 } })
    await eventually('the error', () => channel.errors.length)
    equal(channel.errors[0].code, 406, 'code')
    equal(channel.errors[0].message.includes('PRECONDITION_FAILED - unknown delivery tag 99'), true, channel.errors[0].message)
  },

  'a consumer of a deleted queue gets null': async c => {
    const channel = await c.channel()
    const queue = c.name('q')
    await channel.assertQueue(queue)
    const found = await collect(channel, queue)
    await (await c.channel()).deleteQueue(queue)
    await eventually('the end', () => found.length)
    equal(found[0], null, 'message')
  },

  'remote calls by direct reply-to': async c => {
    const [caller, server] = [await c.channel(), await c.channel()]
    const { queue } = await server.assertQueue('', { exclusive: true })
    await server.consume(queue, m => server.sendToQueue(m.properties.replyTo, Buffer.from(`${m.content}!`), { correlationId: m.properties.correlationId }), { noAck: true })
    const found = await collect(caller, 'amq.rabbitmq.reply-to')
    for (let i = 0; i < 5; i++) caller.sendToQueue(queue, Buffer.from(String(i)), { replyTo: 'amq.rabbitmq.reply-to', correlationId: String(i) })
    await eventually('five answers', () => found.length === 5)
    equal(found.map(m => m.properties.correlationId + m.content), ['00!', '11!', '22!', '33!', '44!'], 'answers')
  },

  'bodies of 2 MiB, and headers of every kind': async c => {
    const channel = await c.channel()
    const { queue } = await channel.assertQueue('', { exclusive: true })
    const found = await collect(channel, queue)
    const body = crypto.randomBytes(2 << 20)
    const headers = { n: -5, big: 2 ** 40, f: 1.5, s: 'h\u00e9', t: true, a: [1, 'x', { y: null }], o: { p: { q: 1 } } }
    channel.sendToQueue(queue, body, { headers, expiration: 60000, messageId: 'm', timestamp: 1700000000, contentType: 'a/b', userId: 'guest' })
    await eventually('the message', () => found.length)
    equal(found[0].content.equals(body), true, 'body')
    equal(found[0].properties.headers, headers, 'headers')
    equal([found[0].properties.expiration, found[0].properties.messageId, found[0].properties.timestamp], ['60000', 'm', 1700000000], 'properties')
  },

  'bound exchanges, get, purge, unbind': async c => {
    const channel = await c.channel()
    const [source, end] = [c.name('source'), c.name('end')]
    await channel.assertExchange(source, 'direct', { autoDelete: true })
    await channel.assertExchange(end, 'fanout', { autoDelete: true })
    await channel.bindExchange(end, source, 'k')
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, end, '')
    for (let i = 0; i < 3; i++) channel.publish(source, 'k', Buffer.from(String(i)))
    await eventually('three messages', async () => (await channel.checkQueue(queue)).messageCount === 3)
    const message = await channel.get(queue, { noAck: true })
    equal([message.content.toString(), message.fields.messageCount], ['0', 2], 'message')
    equal((await channel.purgeQueue(queue)).messageCount, 2, 'purged')
    equal(await channel.get(queue), false, 'an empty queue')
    await channel.unbindExchange(end, source, 'k')
  },

  'heartbeats of one second keep a quiet connection': async c => {
    const connection = await c.connection('?heartbeat=1')
    await sleep(3200)
    await (await c.channelOf(connection)).assertQueue('', { exclusive: true })
    equal(connection.errors, [], 'errors')
  },
}
