// node-redis: publish and subscribe, in RESP2 and RESP3.
'use strict'

const { BODIES, equal, eventually, fails, run, taken } = require('./run')
const { createClient } = require(process.env.REDIS || 'redis')

class Context {
  constructor(host, port) {
    this.where = { host, port }
    this.open = []
  }

  async client(options = {}) {
    const client = createClient({ socket: { ...this.where, reconnectStrategy: () => 50 }, ...options })
    client.errors = []
    client.on('error', error => client.errors.push(error))
    this.open.push(client)
    await client.connect()
    return client
  }

  async closeAll() {
    await Promise.all(this.open.splice(0).map(async client => client.isOpen && client.destroy()))
  }
}

const each = body => async ctx => {
  for (const RESP of [2, 3]) await body(ctx, { RESP })
}
const keep = list => (message, channel) => list.push([channel.toString(), message])

const scenarios = {
  'connects, with a name and a database': each(async (ctx, options) => {
    const client = await ctx.client({ name: 'me', database: 4, ...options })
    equal([await client.ping(), await client.echo('x'), await client.clientGetName()], ['PONG', 'x', 'me'], 'answers')
    equal((await client.clientInfo()).db, 4, 'database')
    equal(client.errors, [], 'errors')
  }),

  'messages of channels and patterns, any bytes, up to 1 MiB': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [client, other] = [await ctx.client(options), await ctx.client(options)]
    const [heard, matched] = [[], []]
    await client.subscribe(channel, keep(heard), true)
    await client.pSubscribe(channel + '*', keep(matched), true)
    for (const body of BODIES) {
      equal(await other.publish(channel, body), 2, 'receivers')
      for (const list of [heard, matched]) {
        const [[name, got]] = await taken(list, 1, 'messages')
        equal(name, channel, 'channel')
        equal(got.equals(body), true, 'body')
      }
    }
    await client.unsubscribe(channel)
    equal(await other.publish(channel, 'x'), 1, 'receivers')
    await client.pUnsubscribe()
    equal(await other.publish(channel, 'x'), 0, 'receivers')
  }),

  'sharded channels, and PUBSUB': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [client, other] = [await ctx.client(options), await ctx.client(options)]
    const heard = []
    await client.sSubscribe(channel, keep(heard))
    equal([await other.sPublish(channel, 'x'), await other.publish(channel, 'y')], [1, 0], 'counts')
    equal(await taken(heard, 1, 'messages'), [[channel, 'x']], 'heard')
    equal(await other.pubSubShardChannels(channel), [channel], 'sharded channels')
    await client.subscribe([channel, channel + '2'], keep(heard))
    equal((await other.pubSubChannels(channel + '*')).sort(), [channel, channel + '2'], 'channels')
    equal(Object.entries(await other.pubSubNumSub([channel, 'none'])), [[channel, 1], ['none', 0]], 'counts')
    await client.sUnsubscribe(channel)
    equal(await other.sPublish(channel, 'x'), 0, 'receivers')
  }),

  '5,000 publishes at once, and a transaction': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const [client, other] = [await ctx.client(options), await ctx.client(options)]
    const heard = []
    await client.subscribe(channel, keep(heard))
    const counts = await Promise.all([...Array(5000).keys()].map(i => other.publish(channel, `${i}`)))
    equal(counts.every(count => count === 1), true, 'receivers')
    equal((await taken(heard, 5000, 'messages')).every(([, body], i) => Number(body) === i), true, 'order')
    equal(await other.multi().publish(channel, 'a').echo('x').publish(channel, 'b').exec(), [1, 'x', 1], 'exec')
    equal((await taken(heard, 2, 'messages')).map(([, body]) => body), ['a', 'b'], 'heard')
  }),

  'a killed connection comes back and is subscribed again': each(async (ctx, options) => {
    const channel = ctx.name('channel')
    const name = ctx.name('victim')
    const [client, other] = [await ctx.client({ name, ...options }), await ctx.client(options)]
    const heard = []
    await client.subscribe(channel, keep(heard))
    const { id } = (await other.clientList()).find(one => one.name === name)
    equal(await other.sendCommand(['CLIENT', 'KILL', 'ID', `${id}`]), 1, 'killed')
    await eventually('heard again', async () => await other.publish(channel, 'again') === 1 && heard.length)
  }),

  'errors: wrong logins, commands that are not served': each(async (ctx, options) => {
    const client = await ctx.client(options)
    equal(/wrong number of arguments/.test((await fails(client.sendCommand(['PUBLISH', 'a']), 'PUBLISH')).message), true, 'text')
    if (!ctx.external) {
      equal(/unknown command 'GET'/.test((await fails(client.get('k'), 'GET')).message), true, 'text')
      equal(await (await ctx.client({ username: 'guest', password: 'guest', ...options })).sendCommand(['ACL', 'WHOAMI']), 'guest', 'who')
    }
    equal(await client.ping(), 'PONG', 'goes on')
    const socket = { ...ctx.where, reconnectStrategy: false }
    equal(/WRONGPASS/.test((await fails(ctx.client({ username: 'nobody', password: 'wrong', socket, ...options }), 'login')).message), true, 'login')
  }),
}

run(scenarios, Context)
