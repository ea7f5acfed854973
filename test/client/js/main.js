// The KafkaJS client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
'use strict'

const { Context, Skip } = require('./context')

const LIMIT_MS = 60000 // for one scenario
const RESTART_LIMIT_MS = 150000 // where the broker starts again: others than ours take their time

function option(name) {
  const at = process.argv.indexOf(name)
  return at < 0 ? '' : process.argv[at + 1]
}

async function attempt(name, body, context) {
  let timer
  const span = context.control && name.includes('broker') ? RESTART_LIMIT_MS : LIMIT_MS
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('time limit of the scenario')), span)
  })
  try {
    await Promise.race([body(context), limit])
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
    await Promise.race([context.closeAll(), new Promise(done => setTimeout(done, 10000).unref())])
  }
}

async function main() {
  const prefix = process.env.CLIENT || 'kafkajs'
  const context = new Context(option('--bootstrap'), process.env.CONTROL || '')
  const scenarios = ['producing', 'consuming', 'administering', 'restarting'].flatMap(room => Object.entries(require('./' + room)))
  let number = 0
  let failed = 0
  for (const [name, body] of scenarios.filter(([name]) => name.includes(option('--only')))) {
    number++
    const began = Date.now()
    context.log.length = 0
    const problem = await attempt(name, body, context)
    if (problem instanceof Skip) {
      console.log(`ok ${number} - ${prefix}: ${name} # SKIP ${problem.message}`)
      continue
    }
    if (problem) {
      failed++
      const text = problem.stack + '\nlog of KafkaJS:\n' + context.log.slice(-15).join('\n')
      text.split('\n').forEach(line => console.log('# ' + line))
    }
    const seconds = ((Date.now() - began) / 1000).toFixed(1)
    console.log(`${problem ? 'not ok' : 'ok'} ${number} - ${prefix}: ${name} (${seconds} s)`)
  }
  console.log(`1..${number}`)
  process.exit(failed ? 1 : 0)
}

process.on('unhandledRejection', error => console.log('# unhandled: ' + (error.stack || error)))
main()
