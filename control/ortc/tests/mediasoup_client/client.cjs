// A mediasoup-client device without a browser. Reads one JSON command per line, writes one JSON
// answer per line. Argument: a folder with node_modules. Exit code 77: no mediasoup-client there.
'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');
const readline = require('node:readline');

function load(folder) {
  try {
    const requireFrom = createRequire(path.join(folder, 'package.json'));
    return {
      Device: requireFrom('mediasoup-client').Device,
      FakeHandler: requireFrom('mediasoup-client/handlers/FakeHandler').FakeHandler,
      fakeParameters: requireFrom('mediasoup-client/fakeParameters'),
      FakeMediaStreamTrack: requireFrom('fake-mediastreamtrack').FakeMediaStreamTrack,
    };
  } catch (error) {
    process.stderr.write(`${String(error.message).split('\n')[0]}\n`);
    process.exit(77);
  }
}

const { Device, FakeHandler, fakeParameters, FakeMediaStreamTrack } = load(process.argv[2]);

const device = { current: undefined, send: undefined, receive: undefined };

const commands = {
  async load({ routerRtpCapabilities, nativeRtpCapabilities }) {
    const handlerFactory = FakeHandler.createFactory({
      generateNativeRtpCapabilities: () => structuredClone(nativeRtpCapabilities),
      generateLocalDtlsParameters: fakeParameters.generateLocalDtlsParameters,
    });
    device.current = new Device({ handlerFactory });
    await device.current.load({ routerRtpCapabilities });
    device.send = device.current.createSendTransport(
      fakeParameters.generateTransportRemoteParameters(),
    );
    device.receive = device.current.createRecvTransport(
      fakeParameters.generateTransportRemoteParameters(),
    );
    for (const transport of [device.send, device.receive]) {
      transport.on('connect', (_parameters, done) => done());
    }
    device.send.on('produce', (_parameters, done) => done({ id: String(Math.random()) }));
    const { recvRtpCapabilities, rtpCapabilities } = device.current;
    return { rtpCapabilities: recvRtpCapabilities ?? rtpCapabilities };
  },

  async produce({ kind, encodings, mimeType, profile }) {
    const { sendRtpCapabilities, rtpCapabilities } = device.current;
    const codec = (sendRtpCapabilities ?? rtpCapabilities).codecs.find(
      known =>
        known.mimeType.toLowerCase() === mimeType.toLowerCase() &&
        (!profile || Object.values(known.parameters).includes(profile)),
    );
    const track = new FakeMediaStreamTrack({ kind });
    const producer = await device.send.produce({ track, encodings, codec });
    return { rtpParameters: producer.rtpParameters };
  },

  async consume({ id, producerId, kind, rtpParameters }) {
    const consumer = await device.receive.consume({ id, producerId, kind, rtpParameters });
    return { kind: consumer.kind, rtpParameters: consumer.rtpParameters };
  },
};

readline.createInterface({ input: process.stdin }).on('line', async line => {
  let answer;
  try {
    const { command, ...options } = JSON.parse(line);
    answer = await commands[command](options);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
