// KafkaJS and @confluentinc/kafka-javascript (whose API is KafkaJS's, over librdkafka) as adapters of the scenario; see
// tests/clients/common/worker.py. What differs between the two stands in the class of each.
//
// usage: adapter.js kafkajs|confluent BOOTSTRAP [member TOPIC GROUP SESSION_MS NAME]
'use strict'
const readline = require('node:readline')
const zlib = require('node:zlib')

const DEADLINE_MS = 30000 // for one thing that is asked; the scenario gives up a little later
const COMMIT_MS = 5000
const HEARTBEAT_MS = Number(process.env.HEARTBEAT_MS || 500)

class NotOffered extends Error {}

const encoded = data => (data === null || data === undefined ? null : Buffer.from(data).toString('base64'))
const decoded = text => (text === null ? null : Buffer.from(text, 'base64'))
const write = message => process.stdout.write(JSON.stringify(message) + '\n')

// KafkaJS itself. It brings gzip; the other codecs are plugged in, as its documentation says.
class KafkaJs {
  constructor(bootstrap, name) {
    const library = require('kafkajs')
    const lz4 = require('lz4js')
    this.name = 'kafkajs'
    this.version = require('kafkajs/package.json').version
    this.codecs = library.CompressionTypes
    library.CompressionCodecs[this.codecs.Snappy] = require('kafkajs-snappy')
    library.CompressionCodecs[this.codecs.LZ4] = () => ({
      compress: async encoder => Buffer.from(lz4.compress(encoder.buffer)),
      decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
    })
    library.CompressionCodecs[this.codecs.ZSTD] = () => ({
      compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
      decompress: async buffer => zlib.zstdDecompressSync(buffer),
    })
    this.topicResource = library.ConfigResourceTypes.TOPIC
    this.kafka = new library.Kafka({ clientId: name, brokers: [bootstrap], logLevel: library.logLevel.WARN })
  }

  admin() { return this.kafka.admin() }
  producer(idempotent) { return { producer: this.kafka.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : undefined }), codecOfSend: true } }
  consumer(groupId, sessionTimeout) {
    return this.kafka.consumer({ groupId, sessionTimeout, heartbeatInterval: HEARTBEAT_MS, maxWaitTimeInMs: 100, rebalanceTimeout: 10000 })
  }

  commit(consumer, place) { return consumer.commitOffsets([place]) }
  subscribe(consumer, topic) { return consumer.subscribe({ topics: [topic], fromBeginning: true }) }
  run(consumer, eachBatch) { return consumer.run({ autoCommit: false, eachBatch }) }

  async metadata(admin, topic) { return (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0] }
  async configs(admin, topic) {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: this.topicResource, name: topic }] })
    return Object.fromEntries(resources[0].configEntries.map(entry => [entry.configName, entry.configValue]))
  }

  addPartitions(admin, topic, total) { return admin.createPartitions({ topicPartitions: [{ topic, count: total }] }) }
  assignedPartitions(member) {
    if (member.memberAssignment.length === 0) return []
    return Object.values(require('kafkajs').AssignerProtocol.MemberAssignment.decode(member.memberAssignment).assignment).flat()
  }

  stateOf(described) { return described.state }
}

// Confluent's client in its KafkaJS-compatible form.
class Confluent {
  constructor(bootstrap, name) {
    const library = require('@confluentinc/kafka-javascript')
    this.library = library.KafkaJS
    this.name = '@confluentinc/kafka-javascript'
    this.version = `${require('@confluentinc/kafka-javascript/package.json').version} (librdkafka ${library.librdkafkaVersion})`
    this.codecs = this.library.CompressionTypes
    this.states = this.library.ConsumerGroupStates
    this.kafka = new this.library.Kafka({ kafkaJS: { clientId: name, brokers: [bootstrap], logLevel: this.library.logLevel.WARN } })
  }

  admin() { return this.kafka.admin() }
  producer(idempotent, compression) { return { producer: this.kafka.producer({ kafkaJS: { idempotent, compression, acks: -1 }, 'linger.ms': 5 }), codecOfSend: false } }
  consumer(groupId, sessionTimeout) {
    return this.kafka.consumer({ kafkaJS: { groupId, sessionTimeout, heartbeatInterval: HEARTBEAT_MS, maxWaitTimeInMs: 100, fromBeginning: true, autoCommit: false } })
  }

  // commitOffsets() of this client returns before the broker has answered: what is committed is asked.
  async commit(consumer, place) {
    await consumer.commitOffsets([place])
    const { topic, partition } = place
    for (const end = Date.now() + COMMIT_MS; Date.now() < end;) {
      const [known] = await consumer.committed([{ topic, partition }], COMMIT_MS)
      if (Number(known.offset) >= Number(place.offset)) return
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    throw new Error('the commit did not arrive')
  }

  subscribe(consumer, topic) { return consumer.subscribe({ topics: [topic] }) }
  run(consumer, eachBatch) { return consumer.run({ eachBatch }) }
  async metadata(admin, topic) { return (await admin.fetchTopicMetadata({ topics: [topic] }))[0] }
  async configs() { throw new NotOffered('no such function') }
  async addPartitions() { throw new NotOffered('no such function') }
  assignedPartitions(member) { return member.assignment.topicPartitions.map(one => one.partition) }
  stateOf(described) {
    const name = Object.keys(this.states).find(key => this.states[key] === described.state)
    return name[0] + name.slice(1).toLowerCase()
  }
}

class Client {
  constructor(library) {
    this.library = library
    this.readers = new Map()
  }

  async connect() {
    this.admin = this.library.admin()
    await this.admin.connect()
  }

  async create_topic({ topic, partitions, configs }) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    if (!await this.admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }] })) throw new Error('the topic exists')
  }

  list_topics() { return this.admin.listTopics() }
  async describe_topic({ topic }) {
    const { partitions } = await this.library.metadata(this.admin, topic)
    return Object.fromEntries(partitions.map(one => [one.partitionId, one.leader]))
  }

  async delete_topic({ topic }) { await this.admin.deleteTopics({ topics: [topic] }) }
  async add_partitions({ topic, total }) { await this.library.addPartitions(this.admin, topic, total) }
  configs({ topic }) { return this.library.configs(this.admin, topic) }
  alter_config() {
    throw new NotOffered(this.admin.alterConfigs ? 'it knows only AlterConfigs, which replaces a topic\'s whole configuration' : 'no such function')
  }

  async produce({ topic, codec, idempotent, records }) {
    const { codecs } = this.library
    const compression = codecs[Object.keys(codecs).find(name => name.toLowerCase() === codec)]
    const { producer, codecOfSend } = this.library.producer(idempotent, compression)
    await producer.connect()
    const messages = records.map(one => ({
      ...(one.partition === null ? {} : { partition: one.partition }),
      key: decoded(one.key),
      value: decoded(one.value),
      headers: Object.fromEntries(one.headers.map(([name, data]) => [name, decoded(data)])),
      timestamp: String(one.timestamp),
    }))
    const send = some => producer.send({ topic, messages: some, ...(codecOfSend ? { compression, acks: -1 } : {}) })
    const places = []
    if (records.some(one => one.partition === null)) {
      // The answer does not say which record went where, so each goes alone.
      for (const message of messages) {
        const [{ partition, baseOffset }] = await send([message])
        places.push([partition, Number(baseOffset)])
      }
    } else {
      // The answer names the first offset of each partition; records of a partition keep their order.
      const next = Object.fromEntries((await send(messages)).map(one => [one.partition, Number(one.baseOffset)]))
      for (const { partition } of messages) places.push([partition, next[partition]++])
    }
    await producer.disconnect()
    return places
  }

  // There is no reading without a group, and joining one takes seconds: each topic has one reader, which seeks.
  async reader(topic) {
    if (!this.readers.has(topic)) {
      const reader = { consumer: this.library.consumer(`reader-of-${topic}`, 10000), wanted: null }
      this.readers.set(topic, reader)
      await reader.consumer.connect()
      await this.library.subscribe(reader.consumer, topic)
      await new Promise((resolve, reject) => {
        this.library.run(reader.consumer, async ({ batch }) => {
          for (const message of batch.messages) this.arrived(reader, batch.partition, message)
          resolve()
        }).catch(reject)
      })
    }
    return this.readers.get(topic)
  }

  // What was fetched before a seek may still arrive: only the record that is next counts.
  arrived(reader, partition, message) {
    const wanted = reader.wanted
    if (wanted === null || partition !== wanted.partition || Number(message.offset) !== wanted.offset + wanted.found.length) return
    wanted.found.push(message)
    if (wanted.found.length === wanted.count) wanted.done()
  }

  async consume({ topic, partition, offset, count }) {
    const reader = await this.reader(topic)
    const found = []
    let timer
    await new Promise(resolve => {
      timer = setTimeout(resolve, DEADLINE_MS) // the scenario sees what is missing
      reader.wanted = { partition, offset, count, found, done: resolve }
      reader.consumer.seek({ topic, partition, offset: String(offset) })
    })
    clearTimeout(timer)
    reader.wanted = null
    return found.map(message => ({
      offset: Number(message.offset),
      key: encoded(message.key),
      value: encoded(message.value),
      headers: Object.entries(message.headers || {}).map(([name, data]) => [name, encoded(data)]),
      timestamp: Number(message.timestamp),
    }))
  }

  async offset({ topic, partition, at }) {
    if (typeof at === 'number') return this.of(await this.admin.fetchTopicOffsetsByTimestamp(topic, at), partition).offset
    const { low, high } = this.of(await this.admin.fetchTopicOffsets(topic), partition)
    return at === 'earliest' ? low : high
  }

  of(offsets, partition) {
    const found = offsets.find(one => one.partition === partition)
    return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, Number(value)]))
  }

  async delete_records({ topic, partition, offset }) { await this.admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] }) }
  async list_groups() { return (await this.admin.listGroups()).groups.map(one => one.groupId) }
  async describe_group({ group }) {
    const [described] = (await this.admin.describeGroups([group])).groups
    return { state: this.library.stateOf(described), members: described.members.map(member => this.library.assignedPartitions(member)) }
  }

  async committed({ group, topic }) {
    const [{ partitions }] = await this.admin.fetchOffsets({ groupId: group, topics: [topic] })
    return Object.fromEntries(partitions.map(one => [one.partition, Number(one.offset)]))
  }

  async delete_group({ group }) { await this.admin.deleteGroups([group]) }

  async close() {
    for (const { consumer } of this.readers.values()) await consumer.disconnect()
    await this.admin.disconnect()
  }
}

async function serve(library) {
  const client = new Client(library)
  await client.connect()
  write({ client: library.name, version: library.version })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line)
    try {
      write({ result: (await client[asked.do](asked)) ?? null })
    } catch (error) { // whatever it is: the scenario judges
      if (!(error instanceof NotOffered)) console.error(error)
      write(error instanceof NotOffered ? { not_offered: error.message } : { error: String(error.stack || error) })
    }
  }
  await client.close()
}

async function member(library, topic, group, session) {
  const consumer = library.consumer(group, Number(session))
  process.once('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)))
  await consumer.connect()
  await library.subscribe(consumer, topic)
  await library.run(consumer, async ({ batch }) => {
    for (const { offset, key, value } of batch.messages) {
      write({ event: 'record', partition: batch.partition, offset: Number(offset), key: encoded(key), value: encoded(value) })
    }
    const next = Number(batch.lastOffset()) + 1
    try {
      await library.commit(consumer, { topic, partition: batch.partition, offset: String(next) })
      write({ event: 'committed', next: { [batch.partition]: next } })
    } catch (error) { // a rebalance came between: the next owner reads these records again
      write({ event: 'commit failed' })
      throw error
    }
  })
}

const [kind, bootstrap, mode, ...rest] = process.argv.slice(2)
const Library = { kafkajs: KafkaJs, confluent: Confluent }[kind]
const library = new Library(bootstrap, rest[3] || 'worker')
const end = mode === 'member' ? member(library, ...rest) : serve(library).then(() => process.exit(0))
end.catch(error => {
  console.error(error)
  process.exit(1)
})
