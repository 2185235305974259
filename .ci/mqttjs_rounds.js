// Every version at every QoS through MQTT.js, which publishes to itself: node mqttjs_rounds.js PORT.
// Prints a line for each once all messages came back in order.

const mqtt = require('mqtt')

const fail = (error) => { console.error(error); process.exit(1) }
const COUNT = 50

const round = async (version, qos) => {
  const options = { host: '127.0.0.1', port: Number(process.argv[2]), reconnectPeriod: 0 }
  if (version === 3) options.protocolId = 'MQIsdp'
  const client = mqtt.connect({ ...options, protocolVersion: version, clientId: `js-${version}-${qos}` })
  client.on('error', fail)
  await new Promise((resolve) => client.once('connect', resolve))
  const topic = `js/${version}/${qos}`
  const received = []
  const all = new Promise((resolve) => client.on('message', (_, payload, packet) => {
    if (packet.qos !== qos) fail(`QoS ${packet.qos}`)
    if (received.push(payload.toString()) === COUNT) resolve()
  }))
  const [granted] = await client.subscribeAsync(topic, { qos })
  if (granted.qos !== qos) fail(`granted QoS ${granted.qos}`)
  const numbers = [...Array(COUNT).keys()]
  const properties = version === 5 ? { contentType: 'text/plain', userProperties: { unit: 'C' } } : undefined
  await Promise.all(numbers.map((n) => client.publishAsync(topic, `größer ${n}`, { qos, properties })))
  await all
  if (received.join() !== numbers.map((n) => `größer ${n}`).join()) fail(`not in order: ${received}`)
  await client.unsubscribeAsync(topic)
  await client.endAsync()
  console.log(`${version} ${qos}`)
}

const main = async () => {
  for (const version of [3, 4, 5]) {
    for (const qos of [0, 1, 2]) await round(version, qos)
  }
}
main().catch(fail)
