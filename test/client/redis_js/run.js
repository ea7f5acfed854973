// Runs the scenarios of a program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
'use strict'

const assert = require('node:assert')

const LIMIT_MS = 30000 // for one scenario
const DEADLINE_MS = 10000 // for one thing to happen
const sleep = ms => new Promise(done => setTimeout(done, ms))
const BODIES = ['', 'x', '\r\n', '$3\r\nabc', 'zażółć'].map(text => Buffer.from(text))
  .concat(Buffer.from([0, 255, 13, 10, 0]), Buffer.alloc(1 << 20, Buffer.from([...Array(256).keys()])))

function equal(got, wanted, what) {
  assert.deepStrictEqual(got, wanted, `${what}: got ${JSON.stringify(got)}, wanted ${JSON.stringify(wanted)}`.slice(0, 1000))
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

/** As many items as wanted, of a list that grows. */
async function taken(list, count, what) {
  await eventually(`${count} of ${what}, there are ${list.length}`, () => list.length >= count)
  return list.splice(0, count)
}

function option(name) {
  const at = process.argv.indexOf(name)
  return at < 0 ? '' : process.argv[at + 1]
}

async function attempt(body, context) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('time limit of the scenario')), LIMIT_MS)
  })
  try {
    await Promise.race([body(context), limit])
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
    await Promise.race([context.closeAll(), new Promise(done => setTimeout(done, 5000).unref())])
  }
}

/** Scenarios by name, and a class of what they get: made of host and port, with closeAll(). */
async function run(scenarios, Context) {
  const prefix = process.env.CLIENT || process.argv[1]
  const [host, port] = option('--bootstrap').split(':')
  const context = new Context(host, Number(port))
  const unique = Math.floor(Math.random() * 2 ** 30).toString(36)
  let number = 0
  let failed = 0
  let names = 0
  context.name = stem => `${stem}-js${unique}-${++names}`
  context.external = process.argv.includes('--external')
  for (const [name, body] of Object.entries(scenarios).filter(([name]) => name.includes(option('--only')))) {
    number++
    const began = Date.now()
    const problem = await attempt(body, context)
    if (problem) {
      failed++
      problem.stack.split('\n').forEach(line => console.log('# ' + line))
    }
    const seconds = ((Date.now() - began) / 1000).toFixed(1)
    console.log(`${problem ? 'not ok' : 'ok'} ${number} - ${prefix}: ${name} (${seconds} s)`)
  }
  console.log(`1..${number}`)
  process.exit(failed ? 1 : 0)
}

process.on('unhandledRejection', error => console.log('# unhandled: ' + (error.stack || error)))

module.exports = { BODIES, equal, eventually, fails, run, sleep, taken }
