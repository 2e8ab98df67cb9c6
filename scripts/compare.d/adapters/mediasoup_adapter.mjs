// mediasoup behind Weirgate's HTTP API: the object model is the same, so each call is one of its
// Node.js library's.

import { ApiError } from '../api.mjs';

const CODECS = [
    { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2 },
    { kind: 'video', mimeType: 'video/VP8', clockRate: 90000 },
];

export class MediasoupAdapter {
    #worker;
    #server;
    #ip;
    #routers = new Map();
    #transports = new Map();
    #consumers = new Map();

    /** For a worker that listens at `ip`, WebRTC on one port as Weirgate does. */
    static async start(worker, ip) {
        const adapter = new MediasoupAdapter();
        adapter.#worker = worker;
        adapter.#ip = ip;
        adapter.#server = await worker.createWebRtcServer({
            listenInfos: [{ protocol: 'udp', ip, port: 10000 }],
        });
        return adapter;
    }

    get pid() {
        return this.#worker.pid;
    }

    async createRouter() {
        const router = await this.#worker.createRouter({ mediaCodecs: CODECS });
        this.#routers.set(router.id, router);
        return { id: router.id, rtpCapabilities: router.rtpCapabilities };
    }

    closeRouter(id) {
        found(this.#routers, id, 'router').close();
        this.#routers.delete(id);
    }

    async createTransport(routerId, { type, listenIp, ...options }) {
        const router = found(this.#routers, routerId, 'router');
        if (type === 'webrtc') {
            const transport = await router.createWebRtcTransport({
                ...options, webRtcServer: this.#server,
            });
            this.#transports.set(transport.id, transport);
            const { id, iceParameters, iceCandidates, dtlsParameters } = transport;
            return { id, iceParameters, iceCandidates, dtlsParameters };
        }
        if (type === 'plain') {
            const transport = await router.createPlainTransport({
                ...options, listenInfo: { protocol: 'udp', ip: listenIp ?? this.#ip },
            });
            this.#transports.set(transport.id, transport);
            const { id, tuple, rtcpTuple, srtpParameters } = transport;
            return { id, tuple, rtcpTuple, srtpParameters };
        }
        throw new ApiError(501, 'unsupported', `mediasoup's adapter: no ${type} transports`);
    }

    async connect(id, body) {
        const transport = found(this.#transports, id, 'transport');
        await transport.connect(body);
        const { tuple, rtcpTuple, dtlsParameters } = transport;
        return dtlsParameters ? { dtlsLocalRole: dtlsParameters.role } : { tuple, rtcpTuple };
    }

    closeTransport(id) {
        found(this.#transports, id, 'transport').close();
        this.#transports.delete(id);
    }

    async produce(transportId, body) {
        const producer = await found(this.#transports, transportId, 'transport').produce(body);
        const { id, kind, type, rtpParameters, paused } = producer;
        return { id, kind, type, rtpParameters, paused };
    }

    async consume(transportId, body) {
        const consumer = await found(this.#transports, transportId, 'transport').consume(body);
        this.#consumers.set(consumer.id, consumer);
        consumer.observer.on('close', () => this.#consumers.delete(consumer.id));
        const { id, producerId, kind, type, rtpParameters, paused, producerPaused, score } = consumer;
        return { id, producerId, kind, type, rtpParameters, paused, producerPaused, score };
    }

    async setPaused(id, paused) {
        const consumer = found(this.#consumers, id, 'consumer');
        await (paused ? consumer.pause() : consumer.resume());
    }

    async requestKeyFrame(id) {
        await found(this.#consumers, id, 'consumer').requestKeyFrame();
    }
}

function found(map, id, what) {
    const entry = map.get(id);
    if (!entry) throw new ApiError(404, 'not_found', `no such ${what}`);
    return entry;
}
