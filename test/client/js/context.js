// Clients of the broker under test, names that nobody else uses, and expectations.
'use strict'

const assert = require('node:assert')
const net = require('node:net')
const { Kafka, logLevel, AssignerProtocol } = require('kafkajs')

class Skip extends Error {}

const DEADLINE_MS = 20000 // for one thing to happen
const sleep = ms => new Promise(done => setTimeout(done, ms))

/** Waits until missing() gives nothing; fails with what it gave last. */
async function eventually(what, missing) {
  const end = Date.now() + DEADLINE_MS
  for (;;) {
    const last = await missing()
    if (!last) return
    if (Date.now() > end) throw new Error(`not in time: ${what}; last seen: ${last}`)
    await sleep(30)
  }
}

function equal(got, wanted, what) {
  assert.deepStrictEqual(got, wanted, `${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`)
}

/** The error of that KafkaJS type (the name of Kafka's error) that the promise must end with. */
async function fails(type, promise, what) {
  try {
    await promise
  } catch (error) {
    const found = error.type || (error.groups && error.groups[0].error && error.groups[0].error.type) || error.message
    equal(found, type, what)
    return error
  }
  throw new Error(`${what}: ${type} was not raised`)
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)

class Context {
  constructor(bootstrap, control) {
    this.bootstrap = bootstrap
    this.control = control
    this.run = Math.floor(Math.random() * 2 ** 30).toString(36)
    this.count = 0
    this.log = []
    this.open = []
    this.kafka = this.client('kafkajs-tests')
  }

  client(clientId) {
    return new Kafka({
      clientId,
      brokers: [this.bootstrap],
      logLevel: logLevel.WARN,
      logCreator: () => ({ namespace, log }) => this.log.push(`${log.timestamp} ${namespace} ${log.message} ${log.error || ''}`),
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 60 },
    })
  }

  name(stem) {
    return `${stem}-js${this.run}-${++this.count}`
  }

  /** Connected; closed after the scenario at the latest. */
  async connected(client) {
    this.open.push(client)
    await client.connect()
    return client
  }

  async closeAll() {
    const open = this.open
    this.open = []
    await Promise.all(open.map(client => client.disconnect().catch(() => {})))
  }

  admin() {
    return this.connected(this.kafka.admin())
  }

  producer(settings = {}) {
    return this.connected(this.kafka.producer({ metadataMaxAge: 1000, ...settings }))
  }

  async topic(partitions) {
    const topic = this.name('t')
    await this.create(topic, partitions)
    return topic
  }

  /** KafkaJS's own waitForLeaders gives up where a broker takes a moment. */
  async create(topic, numPartitions) {
    const admin = await this.admin()
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false })
    await eventually('a new topic with leaders', async () => {
      try {
        const offsets = await admin.fetchTopicOffsets(topic) // asks the leaders
        return offsets.length === numPartitions ? '' : `${offsets.length} partitions`
      } catch (error) {
        return error.message
      }
    })
  }

  /** Sends the values from..to-1 to the partitions in turn. */
  async send(topic, partitions, from, to) {
    const producer = await this.producer()
    const messages = range(from, to).map(i => ({ value: String(i), partition: i % partitions }))
    await producer.send({ topic, messages })
  }

  /**
   * A member of a group, with short intervals, that has joined: values in .seen, messages in .messages, partitions
   * in .assigned. `run` is given to KafkaJS; `settings` to the consumer.
   */
  async member(group, topics, { run = {}, settings = {}, fromBeginning = true, kafka = this.kafka } = {}) {
    const consumer = kafka.consumer({
      groupId: group, sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 200, maxWaitTimeInMs: 100,
      metadataMaxAge: 1000, ...settings,
    })
    Object.assign(consumer, { seen: [], messages: [], assigned: [], joins: 0, crash: null })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      consumer.joins++
      consumer.assigned = Object.entries(payload.memberAssignment).flatMap(([topic, parts]) => parts.map(p => `${topic}/${p}`))
    })
    consumer.on(consumer.events.CRASH, ({ payload }) => { consumer.crash = payload.error })
    await this.connected(consumer)
    await consumer.subscribe({ topics, fromBeginning })
    const keep = async ({ topic, partition, message }) => {
      consumer.seen.push(Number(message.value.toString()))
      consumer.messages.push({ topic, partition, ...message })
    }
    await consumer.run(run.eachBatch ? run : { eachMessage: keep, ...run })
    await eventually('the member joins', () => (consumer.joins ? '' : 'not yet; ' + (consumer.crash || '')))
    return consumer
  }

  /** Waits until the members' partitions are shared like that. */
  async settled(members, shares) {
    await eventually(`partitions are shared as ${shares}`, () => {
      const found = members.map(member => member.assigned.length).sort((a, b) => a - b)
      const all = new Set(members.flatMap(member => member.assigned))
      const sum = shares.reduce((a, b) => a + b)
      return String(found) === String(shares) && all.size === sum ? '' : `shares ${found}`
    })
  }

  /** Committed offsets of a group by partition; "-1" where there is none. */
  async committed(group, topic) {
    const admin = await this.admin()
    let found
    await eventually('offsets of the group', async () => {
      try {
        found = (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0]
      } catch (error) {
        if (!error.retriable) throw error
        return error.message // the broker has just started
      }
    })
    return found.partitions.sort((a, b) => a.partition - b.partition).map(p => p.offset)
  }

  /** Has the runner "kill", "stop" or "start" the broker on the same data and port (test/harness/control.py). */
  async ask(verb) {
    if (!this.control) throw new Skip('nobody here can restart the broker')
    const [host, port] = this.control.split(':')
    const answer = await new Promise((resolve, reject) => {
      let text = ''
      const socket = net.connect(Number(port), host, () => socket.write(verb + '\n'))
      socket.on('data', data => { text += data })
      socket.on('end', () => resolve(text))
      socket.on('error', reject)
    })
    equal(answer, 'ok', `${verb} the broker`)
  }
}

/** Waits until the members together have seen all values below count. */
function all(members, count) {
  return eventually(`values 0 to ${count - 1} are read`, () => {
    const seen = new Set(members.flatMap(member => member.seen))
    const missing = range(0, count).find(i => !seen.has(i))
    return missing === undefined ? '' : `${seen.size} values, ${missing} is missing`
  })
}

module.exports = { Context, Skip, AssignerProtocol, all, equal, eventually, fails, range, sleep }
