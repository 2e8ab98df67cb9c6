// Janus' videoroom plugin behind Weirgate's HTTP API. A router is a room, a transport that sends is
// a publisher, one that receives a subscriber; each produce and consume is a renegotiation.
//
// Janus learns and tells ICE and DTLS parameters by SDP together with the media, the API hands them
// out before there is any. So a publisher begins with audio that never comes, and a subscriber with
// that of the dummy publisher which every room can have. The client's ICE credentials and whether it
// sends or receives are in the transport's appData; its fingerprint comes with `connect`, in the next
// description.

import { randomUUID } from 'node:crypto';

import { ApiError } from '../api.mjs';
import * as sdp from '../sdp.mjs';

const PLUGIN = 'janus.plugin.videoroom';
/** Stands in until `connect` tells the real one; no certificate has it. */
const NO_FINGERPRINT = `sha-256 ${Array(32).fill('00').join(':')}`;
const PLACEHOLDER_MID = 'first';

const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
const ABS_SEND_TIME = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time';
const TRANSPORT_CC = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';

const VIDEO_FEEDBACK = [
    { type: 'nack', parameter: '' },
    { type: 'nack', parameter: 'pli' },
    { type: 'ccm', parameter: 'fir' },
    { type: 'transport-cc', parameter: '' },
];

/** What the rooms take: what a browser would offer of opus and VP8. */
const RTP_CAPABILITIES = {
    codecs: [
        {
            kind: 'audio', mimeType: 'audio/opus', preferredPayloadType: 111, clockRate: 48000,
            channels: 2, parameters: { minptime: 10, useinbandfec: 1 },
            rtcpFeedback: [{ type: 'transport-cc', parameter: '' }],
        },
        {
            kind: 'video', mimeType: 'video/VP8', preferredPayloadType: 96, clockRate: 90000,
            parameters: {}, rtcpFeedback: VIDEO_FEEDBACK,
        },
        {
            kind: 'video', mimeType: 'video/rtx', preferredPayloadType: 97, clockRate: 90000,
            parameters: { apt: 96 }, rtcpFeedback: [],
        },
    ],
    headerExtensions: ['audio', 'video'].flatMap((kind) =>
        [MID, ABS_SEND_TIME, TRANSPORT_CC].map((uri, at) => ({
            kind, uri, preferredId: at + 1, preferredEncrypt: false, direction: 'sendrecv',
        })),
    ),
};

export class JanusAdapter {
    #session;
    #rooms = new Map();
    #transports = new Map();
    #producers = new Map();
    #consumers = new Map();
    #nextId = 1;

    /** For a session, of a server that is process `pid`. */
    constructor(session, pid) {
        this.#session = session;
        this.pid = pid;
    }

    async createRouter() {
        const room = this.#number();
        const control = await this.#session.attach(PLUGIN);
        await this.#session.message(control, {
            request: 'create', room, publishers: 1000, bitrate: 0, fir_freq: 0,
            audiocodec: 'opus', videocodec: 'vp8', notify_joining: false,
            dummy_publisher: true, dummy_streams: [{ codec: 'opus' }],
        });
        const { data } = await this.#session.message(control, { request: 'listparticipants', room });
        const dummy = data.participants.find((participant) => participant.dummy)?.id;
        const id = randomUUID();
        this.#rooms.set(id, { room, control, dummy });
        return { id, rtpCapabilities: RTP_CAPABILITIES };
    }

    async closeRouter(id) {
        const { room, control } = found(this.#rooms, id, 'router');
        for (const [transportId, transport] of this.#transports) {
            if (transport.room === room) await this.closeTransport(transportId);
        }
        await this.#session.message(control, { request: 'destroy', room });
        await this.#session.detach(control);
        this.#rooms.delete(id);
    }

    async createTransport(routerId, { type, appData }) {
        if (type !== 'webrtc') throw new ApiError(501, 'unsupported', `Janus: no ${type} transports`);
        const { room, dummy } = found(this.#rooms, routerId, 'router');
        const transport = {
            room,
            handle: await this.#session.attach(PLUGIN),
            own: { fingerprint: NO_FINGERPRINT, ...iceOf(appData) },
            version: 0,
            media: [{ mid: PLACEHOLDER_MID, kind: 'audio' }],
            publishes: appData.direction !== 'recv',
            turn: Promise.resolve(),
        };
        const description = transport.publishes
            ? await this.#publish(transport)
            : await this.#subscribe(transport, dummy);
        const id = randomUUID();
        this.#transports.set(id, transport);
        return { id, ...sdp.transportParameters(sdp.parse(description)) };
    }

    async connect(id, { dtlsParameters }) {
        const transport = found(this.#transports, id, 'transport');
        const { algorithm, value } = dtlsParameters.fingerprints[0];
        transport.own.fingerprint = `${algorithm} ${value}`;
        if (transport.publishes) await this.#offer(transport, { request: 'configure' });
        else await this.#answer(transport);
        return { dtlsLocalRole: 'server' };
    }

    async closeTransport(id) {
        const transport = found(this.#transports, id, 'transport');
        this.#transports.delete(id);
        await this.#session.detach(transport.handle);
    }

    async produce(transportId, { kind, rtpParameters }) {
        const transport = found(this.#transports, transportId, 'transport');
        if (!transport.publishes) throw new ApiError(409, 'conflict', 'this transport receives');
        const { mid } = rtpParameters;
        return inTurn(transport, async () => {
            transport.media.push({ mid, kind, rtpParameters });
            await this.#offer(transport, { request: 'configure' });
            const id = randomUUID();
            this.#producers.set(id, { feed: transport.feed, mid });
            return { id, kind, type: 'simple', rtpParameters, paused: false };
        });
    }

    async consume(transportId, { producerId, paused }) {
        const transport = found(this.#transports, transportId, 'transport');
        const { feed, mid } = found(this.#producers, producerId, 'producer');
        if (transport.publishes) throw new ApiError(409, 'conflict', 'this transport sends');
        return inTurn(transport, async () => {
            // What was offered before must be answered before there is another offer.
            await this.#answer(transport);
            const known = new Set(transport.offered.media.map((section) => section.mid));
            const { jsep } = await this.#session.message(transport.handle, {
                request: 'subscribe', streams: [{ feed, mid }],
            });
            transport.offered = sdp.parse(jsep.sdp);
            transport.unanswered = true;
            const section = transport.offered.media.find((offered) => !known.has(offered.mid));
            if (!section) throw new Error('Janus offers nothing new to a subscriber');
            if (!paused) await this.#answer(transport);
            const id = randomUUID();
            this.#consumers.set(id, transport);
            return {
                id, producerId, kind: section.kind, type: 'simple',
                rtpParameters: sdp.rtpParameters(section), paused: Boolean(paused),
                producerPaused: false, score: { score: 10, producerScore: 10, producerScores: [] },
            };
        });
    }

    /** A consumer that was made paused is one whose offer was not answered yet. */
    async setPaused(id, paused) {
        const transport = found(this.#consumers, id, 'consumer');
        if (paused) throw new ApiError(501, 'unsupported', 'Janus: no pause of a running consumer');
        await inTurn(transport, () => this.#answer(transport));
    }

    async requestKeyFrame(id) {
        found(this.#consumers, id, 'consumer');
        throw new ApiError(501, 'unsupported', 'Janus asks for key frames by itself');
    }

    async #publish(transport) {
        transport.feed = this.#number();
        return this.#offer(transport, {
            request: 'joinandconfigure', ptype: 'publisher', room: transport.room, id: transport.feed,
        });
    }

    async #subscribe(transport, dummy) {
        const { jsep } = await this.#session.message(transport.handle, {
            request: 'join', ptype: 'subscriber', room: transport.room, streams: [{ feed: dummy }],
        });
        transport.offered = sdp.parse(jsep.sdp);
        transport.unanswered = true;
        return jsep.sdp;
    }

    async #offer(transport, request) {
        transport.version += 1;
        const text = sdp.offer(transport.own, transport.version, transport.media);
        const jsep = { type: 'offer', sdp: text, trickle: false };
        const answered = await this.#session.message(transport.handle, request, jsep);
        return answered.jsep.sdp;
    }

    async #answer(transport) {
        if (!transport.unanswered) return;
        transport.unanswered = false;
        transport.version += 1;
        const text = sdp.answer(transport.own, transport.version, transport.offered);
        const jsep = { type: 'answer', sdp: text, trickle: false };
        await this.#session.message(transport.handle, { request: 'start' }, jsep);
    }

    #number() {
        this.#nextId += 1;
        return this.#nextId;
    }
}

/** One negotiation of a transport after the other. */
function inTurn(transport, work) {
    const done = transport.turn.then(work);
    transport.turn = done.catch(() => {});
    return done;
}

function found(map, id, what) {
    const entry = map.get(id);
    if (!entry) throw new ApiError(404, 'not_found', `no such ${what}`);
    return entry;
}

/** libnice checks back, also as ICE-lite, with the credentials of the description. */
function iceOf(appData) {
    const { usernameFragment, password } = appData?.iceParameters ?? {};
    if (!usernameFragment || !password) {
        throw new ApiError(400, 'bad_request', 'Janus: appData.iceParameters is needed');
    }
    return { ufrag: usernameFragment, password };
}
