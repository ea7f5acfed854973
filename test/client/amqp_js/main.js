// The amqplib client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
'use strict'

const { Context } = require('./context')

const LIMIT_MS = 40000 // for one scenario

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

async function main() {
  const prefix = process.env.CLIENT || 'amqplib'
  const context = new Context(option('--bootstrap'))
  let number = 0
  let failed = 0
  for (const [name, body] of Object.entries(require('./scenarios')).filter(([name]) => name.includes(option('--only')))) {
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
main()
