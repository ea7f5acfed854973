// ioredis: publish and subscribe, in RESP2 and, in version 6, RESP3 too.
'use strict'

const { BODIES, equal, eventually, fails, run, taken } = require('./run')
const Redis = require(process.env.REDIS || 'ioredis')
const { version } = require(`${process.env.REDIS || 'ioredis'}/package.json`)

const PROTOCOLS = Number(version.split('.')[0]) >= 6 ? [2, 3] : [2]

class Context {
  constructor(host, port) {
    this.where = { host, port }
    this.open = []
  }

  client(options = {}) {
    const client = new Redis({ ...this.where, connectTimeout: 5000, ...options })
    client.errors = []
    client.on('error', error => client.errors.push(error))
    this.open.push(client)
    return client
  }

  /** One that keeps what it hears in .heard. */
  listener(options = {}) {
    const client = this.client(options)
    client.heard = []
    client.on('messageBuffer', (channel, body) => client.heard.push([channel.toString(), body]))
    client.on('pmessageBuffer', (pattern, channel, body) => client.heard.push([pattern.toString(), channel.toString(), body]))
    client.on('smessageBuffer', (channel, body) => client.heard.push(['sharded', channel.toString(), body]))
    return client
  }

  async closeAll() {
    this.open.splice(0).forEach(client => client.disconnect())
  }
}

const each = body => async ctx => {
  for (const protocol of PROTOCOLS) await body(ctx, { protocol })
}

const scenarios = {
  'connects, is ready, has a name and a database': each(async (ctx, options) => {
    const client = ctx.client({ connectionName: 'me', db: 4, ...options })
    await eventually('ready', () => client.status === 'ready')
    equal([await client.ping(), await client.echo('x'), await client.client('GETNAME')], ['PONG', 'x', 'me'], 'answers')
    equal(/ db=4 /.test(await client.client('INFO')), true, 'database')
    equal(/redis_version:7\./.test(await client.info()), true, 'version')
    equal(client.errors, [], 'errors')
    equal(await client.quit(), 'OK', 'quit')
  }),

  'subscribe, psubscribe, unsubscribe, punsubscribe: counts': each(async (ctx, options) => {
    const [a, b, p] = ['a', 'b', 'p'].map(ctx.name)
    const client = ctx.listener(options)
    equal([await client.subscribe(a, b), await client.psubscribe(p), await client.unsubscribe(a), await client.punsubscribe(p),
      await client.unsubscribe()], [2, 3, 2, 1, 0], 'counts')
    equal(await client.ping(), 'PONG', 'an ordinary client again')
  }),

  'messages come once for each subscription, any bytes, up to 1 MiB': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [one, both, other] = [ctx.listener(options), ctx.listener(options), ctx.client(options)]
    await one.subscribe(channel)
    await both.subscribe(channel)
    await both.psubscribe(channel + '*')
    for (const body of BODIES) {
      equal(await other.publish(channel, body), 3, 'receivers')
      equal((await taken(one.heard, 1, 'messages'))[0][1].equals(body), true, 'body')
      const [message, pmessage] = await taken(both.heard, 2, 'messages')
      equal([message.slice(0, -1), pmessage.slice(0, -1)], [[channel], [channel + '*', channel]], 'names')
      equal(message[1].equals(body) && pmessage[2].equals(body), true, 'bodies')
    }
  }),

  'publish counts exactly, with 10 connections that come and go': async ctx => {
    const channel = ctx.name('channel')
    const other = ctx.client()
    const some = []
    for (let count = 1; count <= 10; count++) {
      some.push(ctx.listener())
      await some[count - 1].subscribe(channel)
      equal(await other.publish(channel, `${count}`), count, 'receivers')
    }
    for (const [i, client] of some.entries()) {
      equal((await taken(client.heard, 10 - i, 'messages')).map(message => Number(message[1])), [...Array(10 - i).keys()].map(x => x + i + 1), 'heard')
    }
    for (let left = 9; left >= 0; left--) {
      await some[left].unsubscribe(channel)
      equal(await other.publish(channel, 'x'), left, 'receivers')
    }
  },

  'patterns with ? [] and escapes': async ctx => {
    const run = ctx.name('run')
    const [client, other] = [ctx.listener(), ctx.client()]
    await client.psubscribe(`${run}.h?llo`, `${run}.h[ae]y`, `${run}.\\*`)
    const counts = []
    for (const channel of ['hello', 'hllo', 'hay', 'hiy', '*', 'x']) counts.push(await other.publish(`${run}.${channel}`, 'x'))
    equal(counts, [1, 0, 1, 0, 1, 0], 'receivers')
    equal((await taken(client.heard, 3, 'messages')).map(message => message[1]), ['hello', 'hay', '*'].map(c => `${run}.${c}`), 'heard')
  },

  'sharded channels': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [client, other] = [ctx.listener(options), ctx.client(options)]
    equal([await client.ssubscribe(channel), await other.spublish(channel, 'x'), await other.publish(channel, 'y')], [1, 1, 0], 'counts')
    equal(await taken(client.heard, 1, 'messages'), [['sharded', channel, Buffer.from('x')]], 'heard')
    equal(await other.call('PUBSUB', 'SHARDCHANNELS', channel), [channel], 'channels')
    equal(await client.sunsubscribe(channel), 0, 'count')
  }),

  'PUBSUB CHANNELS, NUMSUB, NUMPAT': each(async (ctx, options) => {
    const run = ctx.name('run')
    const [client, other] = [ctx.listener(options), ctx.client(options)]
    await client.subscribe(run + 'a', run + 'b')
    await client.psubscribe(run + '*')
    equal((await other.pubsub('CHANNELS', run + '*')).sort(), [run + 'a', run + 'b'], 'channels')
    equal(await other.pubsub('NUMSUB', run + 'a', run + 'c'), [run + 'a', 1, run + 'c', 0], 'counts')
    equal(await other.pubsub('NUMPAT') >= 1, true, 'patterns')
  }),

  'a pipeline of 10,000 publishes, and a transaction': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [client, other] = [ctx.listener(options), ctx.client(options)]
    await client.subscribe(channel)
    const pipeline = other.pipeline()
    for (let i = 0; i < 10000; i++) pipeline.publish(channel, `${i}`)
    equal((await pipeline.exec()).every(([error, count]) => error === null && count === 1), true, 'receivers')
    equal((await taken(client.heard, 10000, 'messages')).every((message, i) => Number(message[1]) === i), true, 'order')
    equal(await other.multi().publish(channel, 'a').echo('x').publish(channel, 'b').exec(), [[null, 1], [null, 'x'], [null, 1]], 'exec')
    equal((await taken(client.heard, 2, 'messages')).map(message => message[1].toString()), ['a', 'b'], 'heard')
  }),

  'a killed connection comes back and is subscribed again': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const name = ctx.name('victim')
    const [client, other] = [ctx.listener({ connectionName: name, retryStrategy: () => 50, ...options }), ctx.client(options)]
    await client.subscribe(channel)
    await client.psubscribe(channel + '?')
    const line = (await other.client('LIST')).split('\n').find(one => one.includes(` name=${name} `))
    equal(await other.client('KILL', 'ID', /id=(\d+)/.exec(line)[1]), 1, 'killed')
    await eventually('subscribed again', async () => await other.publish(channel, 'x') === 1 && await other.publish(channel + '!', 'y') === 1)
    await eventually('heard again', () => client.heard.length >= 2)
  }),

  'errors of commands, and of those that are not served': each(async (ctx, options) => {
    const client = ctx.client(options)
    equal((await fails(client.call('PUBLISH', 'a'), 'PUBLISH')).message, "ERR wrong number of arguments for 'publish' command", 'text')
    if (!ctx.external) {
      equal(/unknown command 'get'/i.test((await fails(client.get('k'), 'GET')).message), true, 'text')
    }
    equal(await client.ping(), 'PONG', 'goes on')
  }),

  'a wrong password is told, guest gets in': each(async (ctx, options) => {
    if (!ctx.external) equal(await ctx.client({ username: 'guest', password: 'guest', ...options }).acl('WHOAMI'), 'guest', 'who')
    const client = ctx.client({ username: 'nobody', password: 'wrong', retryStrategy: () => null, maxRetriesPerRequest: 0, ...options })
    await eventually('an error', () => client.errors.length)
    equal(/WRONGPASS/.test(client.errors[0].message), true, client.errors[0].message)
  }),
}

run(scenarios, Context)
