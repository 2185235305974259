// Plays one MQTT.js client: node mqttjs.js '{"options": {...}, "steps": [[METHOD, ...], ...]}'.
//
// `options` go to mqtt.connect. Each step is a method of MqttClient with its arguments, awaited until
// acknowledged, or "receive" N: wait until N messages have arrived in all; "wait" EVENT; "together"
// STEPS: start all, then await all. In JSON, {"hex": "00ff"} stands for a Buffer,
// {"fill": ["x", 9]} for 9 times x. `"ack": N` answers messages with reason code N.

const mqtt = require('mqtt')

const revive = (_, value) => {
  if (value && value.hex !== undefined) return Buffer.from(value.hex, 'hex')
  if (value && Array.isArray(value.fill)) return Buffer.alloc(value.fill[1], value.fill[0])
  return value
}
const script = JSON.parse(process.argv[2], revive)
const fail = (error) => { console.error(error); process.exit(1) }
setTimeout(() => fail('timed out'), 18000).unref()

const options = { host: '127.0.0.1', port: Number(process.env.MQTT_PORT), reconnectPeriod: 0, ...script.options }
if (script.ack !== undefined) {
  options.customHandleAcks = (topic, message, packet, done) => { done(script.ack); count() }
}
const client = mqtt.connect(options)
client.on('error', fail)

let received = 0
const count = () => { received += 1; client.emit('received') }
client.on('message', count)
const event = (name) => new Promise((resolve) => client.once(name, resolve))

const play = async ([method, ...args]) => {
  switch (method) {
    case 'receive':
      while (received < args[0]) await event('received')
      break
    case 'wait':
      await event(args[0])
      break
    case 'together':
      await Promise.all(args[0].map(play))
      break
    default:
      await client[`${method}Async`](...args)
  }
}

const main = async () => {
  await event('connect')
  for (const step of script.steps) await play(step)
}
main().catch(fail)
