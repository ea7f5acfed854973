// Connections to the broker under test, names that nobody else uses, and expectations.
'use strict'

const assert = require('node:assert')
const amqp = require(process.env.AMQPLIB || 'amqplib')

const DEADLINE_MS = 10000 // for one thing to happen
const sleep = ms => new Promise(done => setTimeout(done, ms))

function equal(got, wanted, what) {
  assert.deepStrictEqual(got, wanted, `${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`)
}

/** The error that the promise must end with. */
async function fails(promise, what) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error(`${what}: no error`)
}

/** Waits until condition() gives something, and returns it. */
async function eventually(what, condition) {
  const end = Date.now() + DEADLINE_MS
  for (;;) {
    const found = await condition()
    if (found) return found
    if (Date.now() > end) throw new Error(`not in time: ${what}`)
    await sleep(10)
  }
}

class Context {
  constructor(bootstrap) {
    this.bootstrap = bootstrap
    this.run = Math.floor(Math.random() * 2 ** 30).toString(36)
    this.count = 0
    this.open = []
  }

  name(stem) {
    return `${stem}-js${this.run}-${++this.count}`
  }

  /** A connection that is closed after the scenario at the latest; errors are kept in .errors. */
  async connection(query = '') {
    const connection = await amqp.connect(`amqp://guest:guest@${this.bootstrap}/%2F${query}`)
    connection.errors = []
    connection.on('error', error => connection.errors.push(error))
    this.open.push(connection)
    return connection
  }

  async channel(query) {
    return this.channelOf(await this.connection(query))
  }

  async channelOf(connection, kind = 'createChannel') {
    const channel = await connection[kind]()
    channel.errors = []
    channel.on('error', error => channel.errors.push(error))
    return channel
  }

  async closeAll() {
    const open = this.open
    this.open = []
    await Promise.all(open.map(connection => connection.close().catch(() => {})))
  }
}

/** A consumer whose messages are kept in the array it gives back. */
async function collect(channel, queue, options = { noAck: true }) {
  const found = []
  found.tag = (await channel.consume(queue, message => found.push(message), options)).consumerTag
  return found
}

const text = messages => messages.map(message => message.content.toString())

module.exports = { Context, collect, equal, eventually, fails, sleep, text }
