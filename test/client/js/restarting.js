// What a group lives through when the broker goes away and comes back.
'use strict'

const { all, equal, eventually } = require('./context')

function through(verb) {
  return async c => {
    const topic = await c.topic(4)
    const group = c.name('group')
    const run = { autoCommitThreshold: 1 }
    const members = [await c.member(group, [topic], { run }), await c.member(group, [topic], { run })]
    await c.settled(members, [2, 2])
    await c.send(topic, 4, 0, 100)
    await all(members, 100)
    await eventually('commits', async () => {
      const offsets = await c.committed(group, topic)
      return String(offsets) === '25,25,25,25' ? '' : `offsets ${offsets}`
    })
    await c.ask(verb)
    await c.ask('start')
    equal(await c.committed(group, topic), ['25', '25', '25', '25'], 'offsets after the restart')
    await c.send(topic, 4, 100, 200)
    await all(members, 200)
    const seen = members.flatMap(member => member.seen)
    equal(seen.filter(value => value < 100).length, 100, 'messages that were committed before')
  }
}

module.exports = {
  'a group goes on after the broker is killed': through('kill'),
  'a group goes on after the broker is stopped': through('stop'),
}
